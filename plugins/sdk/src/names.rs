//! Names in storages: what somebody chose never leaves its folder.

/// One name of a file system: no separator, no control character, not hidden, at most 200 bytes, the extension kept.
pub fn clean(name: &str) -> String {
    let safe: String = name.chars().map(|c| if c == '/' || c == '\\' || c.is_control() { '_' } else { c }).collect();
    let safe = safe.trim().trim_start_matches('.');
    let safe = if safe.is_empty() { "unnamed" } else { safe };
    let (stem, extension) = match safe.rfind('.').filter(|at| *at > 0 && safe.len() - at <= 16) {
        Some(dot) => safe.split_at(dot),
        None => (safe, ""),
    };
    let mut end = stem.len().min(200 - extension.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &stem[..end])
}

/// Two digits of a key from its end, to spread objects by: the end of a UUIDv7 is random, its start is time.
pub fn tail(key: &str, from: usize) -> String {
    let digits: String = key.chars().rev().filter(char::is_ascii_hexdigit).skip(from).take(2).collect();
    format!("{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_in_its_folder() {
        for (name, expected) in [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a\0b\nc.jpg", "a_b_c.jpg"),
            ("..", "unnamed"),
            ("", "unnamed"),
            (".hidden", "hidden"),
            ("🏖️.jpg", "🏖️.jpg"),
        ] {
            assert_eq!(clean(name), expected, "{name:?}");
        }
        let long = clean(&format!("{}.jpeg", "ä".repeat(300)));
        assert!(long.len() <= 200 && long.ends_with(".jpeg"), "{long}");
    }
}
