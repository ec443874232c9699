//! The table of decisions.

use super::*;

struct Case {
    container: &'static str,
    extension: &'static str,
    video: &'static str,
    format: &'static str,
    audio: Option<&'static str>,
    size: (u32, u32),
    transfer: Option<&'static str>,
    bit_rate: u64,
}

/// What phones record.
const PHONE: Case = Case {
    container: "mov,mp4,m4a,3gp,3g2,mj2",
    extension: "mp4",
    video: "h264",
    format: "yuv420p",
    audio: Some("aac"),
    size: (1920, 1080),
    transfer: None,
    bit_rate: 17_000_000,
};

fn stream(index: u32, kind: StreamKind, codec: &str) -> StreamInfo {
    StreamInfo {
        index,
        kind,
        codec: codec.into(),
        profile: None,
        size: None,
        rotation: 0,
        frame_rate: Some(30.0),
        variable_frame_rate: false,
        bit_rate: None,
        pixel_format: None,
        bit_depth: None,
        color_transfer: None,
        color_primaries: None,
        audio_channels: None,
        sample_rate: None,
        language: None,
        chosen: true,
    }
}

fn info(case: &Case) -> MediaInfo {
    let mut video = stream(0, StreamKind::Video, case.video);
    video.size = Some(Size { width: case.size.0, height: case.size.1 });
    video.pixel_format = Some(case.format.into());
    video.bit_depth = Some(if case.format.contains("10") { 10 } else { 8 });
    video.color_transfer = case.transfer.map(Into::into);
    video.bit_rate = Some(case.bit_rate);
    let mut streams = vec![video];
    if let Some(codec) = case.audio {
        let mut audio = stream(1, StreamKind::Audio, codec);
        audio.audio_channels = Some(2);
        streams.push(audio);
    }
    MediaInfo {
        duration_ms: 5_000,
        container: case.container.into(),
        extension: case.extension.into(),
        len: 1 << 20,
        bit_rate: Some(case.bit_rate),
        streams,
    }
}

/// `as it is`, or what becomes of picture and sound.
fn decided(settings: &Settings, case: &Case) -> String {
    let Some(output) = plan(settings, &info(case)) else { return "as it is".into() };
    assert_eq!(output.container, "mp4");
    let picture = match output.picture {
        Picture::Copy => "copy".to_owned(),
        Picture::Encode(video) => {
            let size = video.at_most.map_or(String::new(), |size| format!(" {}x{}", size.width, size.height));
            let tone = video.tone_map.map_or(String::new(), |tone| format!(" {tone}"));
            format!("{} {} bit{size}{tone}", video.codec, video.bit_depth)
        }
    };
    let sound = match output.sound {
        Sound::Drop => "none".to_owned(),
        Sound::Copy => "copy".to_owned(),
        Sound::Encode(audio) => audio.codec,
    };
    format!("{picture} + {sound}")
}

fn with(policy: Policy) -> Settings {
    Settings { transcode: policy, ..Settings::default() }
}

const MATROSKA: &str = "matroska,webm";

#[test]
fn required_makes_what_does_not_play_and_nothing_else() {
    let required = with(Policy::Required);
    let check =
        |case: Case, wanted: &str| assert_eq!(decided(&required, &case), wanted, "{} {}", case.video, case.extension);
    check(PHONE, "as it is");
    check(Case { extension: "mov", ..PHONE }, "as it is");
    check(Case { audio: None, ..PHONE }, "as it is");
    check(Case { format: "yuvj420p", ..PHONE }, "as it is");
    check(Case { container: MATROSKA, extension: "mkv", ..PHONE }, "copy + copy");
    check(Case { container: "mpegts", extension: "mts", audio: Some("ac3"), ..PHONE }, "copy + aac");
    check(Case { audio: Some("pcm_s16le"), extension: "mov", ..PHONE }, "copy + aac");
    check(Case { video: "hevc", ..PHONE }, "h264 8 bit 1280x720 + copy");
    check(Case { video: "hevc", size: (1080, 1920), ..PHONE }, "h264 8 bit 720x1280 + copy");
    check(Case { video: "mpeg4", size: (320, 240), audio: None, ..PHONE }, "h264 8 bit + none");
    check(Case { format: "yuv420p10le", ..PHONE }, "h264 8 bit 1280x720 + copy");
    check(Case { format: "yuv444p", ..PHONE }, "h264 8 bit 1280x720 + copy");
    check(
        Case { video: "hevc", format: "yuv420p10le", transfer: Some("smpte2084"), ..PHONE },
        "h264 8 bit 1280x720 hable + copy",
    );
    check(
        Case { container: MATROSKA, extension: "webm", video: "vp9", audio: Some("opus"), ..PHONE },
        "h264 8 bit 1280x720 + copy",
    );
}

#[test]
fn accepted_codecs_and_containers_decide() {
    let vp9 = || Case { container: MATROSKA, extension: "webm", video: "vp9", audio: Some("opus"), ..PHONE };
    let settings = Settings { accepted_video_codecs: vec!["h264".into(), "vp9".into()], ..Settings::default() };
    assert_eq!(decided(&settings, &vp9()), "as it is");
    let settings = Settings { accepted_containers: vec!["mov".into()], ..settings };
    assert_eq!(decided(&settings, &vp9()), "copy + copy");
    let settings = Settings { accepted_containers: Vec::new(), ..Settings::default() };
    assert_eq!(decided(&settings, &Case { extension: "mov", ..PHONE }), "copy + copy");
    assert_eq!(decided(&settings, &PHONE), "as it is", "MP4 is always accepted");
    let settings =
        Settings { accepted_audio_codecs: vec!["opus".into()], target_audio_codec: "opus".into(), ..settings };
    assert_eq!(decided(&settings, &PHONE), "copy + opus");
    let deep = || Case { video: "hevc", format: "yuv420p10le", transfer: Some("arib-std-b67"), ..PHONE };
    let settings = Settings { accepted_video_codecs: vec!["hevc".into()], ..Settings::default() };
    assert_eq!(decided(&settings, &deep()), "h264 8 bit 1280x720 hable + copy");
    let settings = Settings { tonemap: "disabled".into(), ..settings };
    assert_eq!(decided(&settings, &deep()), "as it is", "who keeps HDR plays it");
}

#[test]
fn the_other_policies_do_what_their_names_say() {
    let small = || Case { size: (640, 480), bit_rate: 900_000, ..PHONE };
    assert_eq!(decided(&with(Policy::All), &small()), "h264 8 bit + aac");
    assert_eq!(decided(&with(Policy::Disabled), &Case { video: "hevc", ..PHONE }), "as it is");
    assert_eq!(decided(&with(Policy::Optimal), &PHONE), "h264 8 bit 1280x720 + copy");
    assert_eq!(decided(&with(Policy::Optimal), &small()), "as it is");
    let bitrate = Settings { max_bitrate: "4500k".into(), ..with(Policy::Bitrate) };
    assert_eq!(decided(&bitrate, &PHONE), "h264 8 bit 1280x720 + copy");
    assert_eq!(decided(&bitrate, &small()), "as it is");
    assert_eq!(decided(&with(Policy::Bitrate), &PHONE), "as it is", "without a limit nothing is above it");
    let original = Settings { target_resolution: "original".into(), ..with(Policy::Optimal) };
    assert_eq!(decided(&original, &PHONE), "as it is");
}

#[test]
fn two_passes_aim_below_the_greatest_bit_rate_and_av1_has_one() {
    let settings = Settings { two_pass: true, max_bitrate: "1000k".into(), ..with(Policy::All) };
    let of = |settings: &Settings| match plan(settings, &info(&PHONE)).unwrap().picture {
        Picture::Encode(video) => video,
        Picture::Copy => panic!("all is encoded"),
    };
    let video = of(&settings);
    assert!(video.two_pass && matches!(video.rate, Rate::Bitrate(690_000)) && video.max_bit_rate == Some(1_000_000));
    let video = of(&Settings { target_video_codec: "av1".into(), ..settings });
    assert!(!video.two_pass && matches!(video.rate, Rate::Crf(23)));
    assert!(Settings { two_pass: true, ..Settings::default() }.check().is_err());
}

#[test]
fn what_has_no_picture_is_left_alone() {
    let mut sound_only = info(&PHONE);
    sound_only.streams.remove(0);
    assert!(plan(&with(Policy::All), &sound_only).is_none());
}
