//! The three cookies of a session, as Immich sets them.

use axum::http::{HeaderMap, HeaderValue, header};

pub const ACCESS_TOKEN: &str = "immich_access_token";
const AUTH_TYPE: &str = "immich_auth_type";
/// Readable by scripts: the page knows by it that somebody is signed in.
const IS_AUTHENTICATED: &str = "immich_is_authenticated";
/// Opens links that ask for a password: a token each, the newest first.
pub const SHARED_LINK: &str = "immich_shared_link_token";
/// What stands between the tokens.
pub const BETWEEN: char = '.';
/// Links that one browser has open at once.
const MOST_LINKS: usize = 16;
/// A day.
const LINK_AGE: u64 = 24 * 3600;
/// 400 days, the longest that browsers keep.
const MAX_AGE: u64 = 400 * 24 * 3600;

/// A cookie of the request.
pub fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// Sets all three.
pub fn set(headers: &mut HeaderMap, token: &str, secure: bool) {
    let secure = if secure { "; Secure" } else { "" };
    for (name, value, http_only) in
        [(ACCESS_TOKEN, token, "; HttpOnly"), (AUTH_TYPE, "password", "; HttpOnly"), (IS_AUTHENTICATED, "true", "")]
    {
        append(headers, &format!("{name}={value}; Path=/; Max-Age={MAX_AGE}; SameSite=Lax{http_only}{secure}"));
    }
}

/// Adds a token to those that open links.
pub fn open_link(asked: &HeaderMap, headers: &mut HeaderMap, token: &str, secure: bool) {
    let known = read(asked, SHARED_LINK).unwrap_or_default();
    let is_token = |text: &&str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let others = known.split(BETWEEN).filter(is_token).filter(|known| *known != token);
    let tokens: Vec<&str> = std::iter::once(token).chain(others).take(MOST_LINKS).collect();
    let value = tokens.join(&BETWEEN.to_string());
    let secure = if secure { "; Secure" } else { "" };
    append(headers, &format!("{SHARED_LINK}={value}; Path=/; Max-Age={LINK_AGE}; SameSite=Lax; HttpOnly{secure}"));
}

/// Takes all three away.
pub fn clear(headers: &mut HeaderMap) {
    for name in [ACCESS_TOKEN, AUTH_TYPE, IS_AUTHENTICATED] {
        append(headers, &format!("{name}=; Path=/; Max-Age=0; SameSite=Lax"));
    }
}

fn append(headers: &mut HeaderMap, cookie: &str) {
    // A token is base64 and a name is ours: no byte that a header cannot hold.
    if let Ok(value) = HeaderValue::from_str(cookie) {
        headers.append(header::SET_COOKIE, value);
    }
}
