//! The operator's settings, and the URL that they lead to.

use serde::Deserialize;

use crate::uri;

/// As plugin.toml describes them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub prefix: String,
    pub path_style: bool,
    pub access_key_id: String,
    pub part_mib: u64,
    pub multipart_above_mib: u64,
    pub parts_at_once: u32,
    pub storage_class: String,
    pub sse: String,
    pub sse_kms_key_id: String,
    pub attempts: u32,
    pub presign: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: "us-east-1".into(),
            bucket: String::new(),
            prefix: String::new(),
            path_style: true,
            access_key_id: String::new(),
            part_mib: 16,
            multipart_above_mib: 32,
            parts_at_once: 4,
            storage_class: String::new(),
            sse: String::new(),
            sse_kms_key_id: String::new(),
            attempts: 6,
            presign: false,
        }
    }
}

/// Where the bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `https://s3.example.net`, as the grant names it.
    pub origin: String,
    /// What is signed as `host`: the port only where it is not the scheme's own.
    pub host: String,
    /// What comes before a key: `/bucket` or nothing.
    pub root: String,
}

impl Place {
    /// # Errors
    /// What is wrong with the endpoint, the bucket or the prefix.
    pub fn of(settings: &Settings) -> Result<Self, String> {
        let endpoint = settings.endpoint.trim_end_matches('/');
        let (scheme, host) = endpoint
            .split_once("://")
            .filter(|(scheme, _)| ["http", "https"].contains(scheme))
            .ok_or_else(|| format!("the endpoint {:?} does not begin with https:// or http://", settings.endpoint))?;
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(format!(
                "the endpoint {:?} is more or less than scheme, host and port; bucket and prefix are settings of their own",
                settings.endpoint
            ));
        }
        let own_port = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(own_port).unwrap_or(host).to_ascii_lowercase();
        let is_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if !settings.bucket.chars().all(is_bucket) || settings.bucket.is_empty() {
            return Err(format!(
                "the bucket {:?} is not lower-case letters, digits, dots and hyphens",
                settings.bucket
            ));
        }
        let is_bad = |part: &str| part == "." || part == ".." || part.chars().any(char::is_control);
        if settings.prefix.starts_with('/') || settings.prefix.split('/').any(is_bad) {
            return Err(format!("the prefix {:?} is no path below the bucket", settings.prefix));
        }
        Ok(if settings.path_style {
            Self { origin: format!("{scheme}://{host}"), host, root: format!("/{}", uri::encode(&settings.bucket)) }
        } else {
            let host = format!("{}.{host}", settings.bucket);
            Self { origin: format!("{scheme}://{host}"), host, root: String::new() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(endpoint: &str, bucket: &str, path_style: bool) -> Result<Place, String> {
        let (endpoint, bucket) = (endpoint.to_owned(), bucket.to_owned());
        Place::of(&Settings { endpoint, bucket, path_style, ..Settings::default() })
    }

    #[test]
    fn the_bucket_is_in_the_path_or_in_the_host() {
        let found = place("http://Nas.lan:9000/", "photos", true).unwrap();
        assert_eq!((&*found.origin, &*found.host, &*found.root), ("http://nas.lan:9000", "nas.lan:9000", "/photos"));
        let found = place("https://s3.example.net:443", "photos", false).unwrap();
        assert_eq!(
            (&*found.origin, &*found.host, &*found.root),
            ("https://photos.s3.example.net", "photos.s3.example.net", "")
        );
    }

    #[test]
    fn what_is_no_endpoint_or_no_bucket_is_refused() {
        for (endpoint, bucket) in [
            ("s3.example.net", "photos"),
            ("ftp://s3.example.net", "photos"),
            ("https://", "photos"),
            ("https://s3.example.net/photos", "photos"),
            ("https://user@s3.example.net", "photos"),
            ("https://s3.example.net", "Photos"),
            ("https://s3.example.net", "a/b"),
            ("https://s3.example.net", ""),
        ] {
            assert!(place(endpoint, bucket, true).is_err(), "{endpoint} {bucket}");
        }
        let climbing = Settings { prefix: "a/../b".into(), ..Settings::default() };
        let settings = Settings { endpoint: "https://s3.example.net".into(), bucket: "abc".into(), ..climbing };
        assert!(Place::of(&settings).is_err());
    }
}
