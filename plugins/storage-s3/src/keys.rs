//! Where an object lies. Its key is made from what never changes of it, so nothing is ever renamed, and the same object put twice
//! is written to the same place.

use latent_plugin::names::{clean, tail};
use latent_plugin::storage::{Class, Object};

/// Says that a bucket, or a part of one, is a library's.
pub const MARKER: &str = ".latent";

/// `library/<owner>/ab/<key>-<hash>/IMG_1234.jpg`. The whole key of an object has 1024 bytes at most; these are fewer than 400.
pub fn location(object: &Object) -> String {
    let folder = match object.class {
        Class::Original | Class::Sidecar => "library",
        Class::Derivative => "thumbs",
        Class::EncodedVideo => "encoded-video",
        Class::Profile => "profile",
        Class::Backup => "backups",
    };
    let hash = hex::encode(object.sha256.get(..8).unwrap_or(&object.sha256));
    let (owner, key, name) = (clean(&object.owner), clean(&object.key), clean(&object.file_name));
    format!("{folder}/{owner}/{}/{key}-{hash}/{name}", tail(&object.key, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(file_name: &str, taken_ms: Option<i64>) -> Object {
        Object {
            key: "0192f0c1-7d5e-7abc-8def-0123456789ab".into(),
            class: Class::Original,
            owner: "ann".into(),
            owner_label: Some("admin".into()),
            taken_ms,
            file_name: file_name.into(),
            sha256: (0..32).collect(),
        }
    }

    #[test]
    fn an_original_lies_by_owner_key_and_hash_whatever_its_date_is() {
        let expected = "library/ann/ba/0192f0c1-7d5e-7abc-8def-0123456789ab-0001020304050607/IMG_1.jpg";
        assert_eq!(location(&object("IMG_1.jpg", None)), expected);
        assert_eq!(location(&object("IMG_1.jpg", Some(1_710_504_000_000))), expected);
    }

    #[test]
    fn a_hostile_name_stays_in_its_place() {
        assert!(location(&object("../../x", None)).ends_with("-0001020304050607/_.._x"));
        assert!(location(&object(&"ä".repeat(400), None)).len() < 400);
    }
}
