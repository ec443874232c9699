//! The operator's settings, with Immich's names, meanings and defaults.

use latent_plugin::{Error, Result};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    pub transcode: Policy,
    pub target_video_codec: String,
    pub accepted_video_codecs: Vec<String>,
    pub target_audio_codec: String,
    pub accepted_audio_codecs: Vec<String>,
    /// MP4 is accepted beside these.
    pub accepted_containers: Vec<String>,
    /// Pixels of the shorter side, or `original`.
    pub target_resolution: String,
    pub crf: u8,
    pub preset: String,
    /// `4500k`, `4M`, or plain kilobits a second; `0`: none.
    pub max_bitrate: String,
    pub two_pass: bool,
    pub threads: u32,
    pub gop_size: u32,
    pub bframes: i8,
    /// `disabled`: HDR stays.
    pub tonemap: String,
    pub accel: Accel,
}

/// Which videos are made anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    All,
    Optimal,
    Bitrate,
    Required,
    Disabled,
}

/// What the server's encoder in hardware is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accel {
    Auto,
    Disabled,
    Required,
}

impl Default for Settings {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            transcode: Policy::Required,
            target_video_codec: "h264".into(),
            accepted_video_codecs: texts(&["h264"]),
            target_audio_codec: "aac".into(),
            accepted_audio_codecs: texts(&["aac", "mp3", "opus"]),
            accepted_containers: texts(&["mov", "ogg", "webm"]),
            target_resolution: "720".into(),
            crf: 23,
            preset: "ultrafast".into(),
            max_bitrate: "0".into(),
            two_pass: false,
            threads: 0,
            gop_size: 0,
            bframes: -1,
            tonemap: "hable".into(),
            accel: Accel::Auto,
        }
    }
}

impl Settings {
    /// What the schema cannot say.
    pub fn check(&self) -> Result<()> {
        if bits(&self.max_bitrate).is_none() {
            return Err(Error::Invalid(format!(
                "max-bitrate is {:?}: write 4500k, 4M, or 0 for none",
                self.max_bitrate
            )));
        }
        if self.target_resolution != "original" && self.target_resolution.parse::<u32>().is_err() {
            return Err(Error::Invalid(format!("target-resolution is {:?}", self.target_resolution)));
        }
        if self.two_pass && self.max_bits() == 0 {
            return Err(Error::Invalid("two-pass needs a max-bitrate".into()));
        }
        Ok(())
    }

    /// Bits a second; 0: no limit.
    pub fn max_bits(&self) -> u64 {
        bits(&self.max_bitrate).unwrap_or(0)
    }

    /// Pixels of the shorter side.
    pub fn resolution(&self) -> Option<u32> {
        self.target_resolution.parse().ok()
    }
}

fn bits(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    let number: f64 = number.parse().ok()?;
    let unit = match unit {
        "" | "k" => 1e3,
        "m" => 1e6,
        _ => return None,
    };
    Some((number * unit) as u64).filter(|bits| *bits <= 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn a_bit_rate_has_a_unit_or_is_in_kilobits() {
        assert_eq!(bits("4500k"), Some(4_500_000));
        assert_eq!(bits("4500"), Some(4_500_000));
        assert_eq!(bits("2.5M"), Some(2_500_000));
        assert_eq!(bits("0"), Some(0));
        for wrong in ["", "fast", "4G", "-1", "99999999M"] {
            assert_eq!(bits(wrong), None, "{wrong}");
        }
    }
}
