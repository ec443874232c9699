//! Percent-encoding as signatures want it: everything but the unreserved characters of RFC 3986, in upper-case hex.

/// One part of a path, or a name or value of a query: `/` is encoded.
pub fn encode(text: &str) -> String {
    encoded(text, false)
}

/// A whole path: `/` stays.
pub fn encode_path(text: &str) -> String {
    encoded(text, true)
}

fn encoded(text: &str, slashes: bool) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            b'/' if slashes => out.push('/'),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// Names and values, encoded and sorted: what is signed is also what is sent.
pub fn query(pairs: &[(&str, String)]) -> String {
    let mut encoded: Vec<(String, String)> = pairs.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    encoded.sort();
    let joined: Vec<String> = encoded.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    joined.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(encode("a/b c+d~e"), "a%2Fb%20c%2Bd~e");
        assert_eq!(encode_path("ü/🏖.jpg"), "%C3%BC/%F0%9F%8F%96.jpg");
        assert_eq!(query(&[("uploads", String::new()), ("prefix", "a b".into())]), "prefix=a%20b&uploads=");
    }
}
