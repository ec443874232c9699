//! AWS Signature Version 4: what is signed, and what the signature is put into. The key never comes here: the host makes the
//! chain of HMACs.

use sha2::{Digest as _, Sha256};

use crate::uri;

/// Says that the body is not part of the signature.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Who signs, for where.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    pub access_key_id: &'a str,
    pub region: &'a str,
    /// `s3`, but for the published examples of other services.
    pub service: &'a str,
}

/// A request as far as it is signed.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub method: &'a str,
    /// Encoded, with a leading slash.
    pub path: &'a str,
    /// Encoded and sorted.
    pub query: &'a str,
    /// Every header that is signed, `host` among them.
    pub headers: &'a [(String, String)],
    /// Hex of the body's SHA-256, or [`UNSIGNED`].
    pub payload: &'a str,
}

/// Makes HMAC-SHA-256 of each message keyed by the one before, the first by `AWS4` and the secret key.
pub type Chain<'a, E> = &'a dyn Fn(&[Vec<u8>]) -> Result<Vec<u8>, E>;

/// The value of `authorization`. `stamp`: `20130524T000000Z`.
pub fn authorization<E>(scope: &Scope, request: &Request, stamp: &str, chain: Chain<E>) -> Result<String, E> {
    let (canonical, signed) = canonical(request);
    let credential = credential(scope, stamp);
    let signature = signature(scope, stamp, &canonical, chain)?;
    let who = scope.access_key_id;
    Ok(format!("{ALGORITHM} Credential={who}/{credential},SignedHeaders={signed},Signature={signature}"))
}

/// The query of a link that reads `path` for some seconds without any header but `host`.
pub fn presigned<E>(
    scope: &Scope,
    (host, path): (&str, &str),
    seconds: u64,
    stamp: &str,
    chain: Chain<E>,
) -> Result<String, E> {
    let query = uri::query(&[
        ("X-Amz-Algorithm", ALGORITHM.into()),
        ("X-Amz-Credential", format!("{}/{}", scope.access_key_id, credential(scope, stamp))),
        ("X-Amz-Date", stamp.into()),
        ("X-Amz-Expires", seconds.to_string()),
        ("X-Amz-SignedHeaders", "host".into()),
    ]);
    let headers = [("host".to_owned(), host.to_owned())];
    let request = Request { method: "GET", path, query: &query, headers: &headers, payload: UNSIGNED };
    let signature = signature(scope, stamp, &canonical(&request).0, chain)?;
    Ok(format!("{query}&X-Amz-Signature={signature}"))
}

fn credential(scope: &Scope, stamp: &str) -> String {
    format!("{}/{}/{}/aws4_request", &stamp[..8], scope.region, scope.service)
}

/// The canonical request, and the names of the headers in it.
fn canonical(request: &Request) -> (String, String) {
    let trimmed = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), trimmed(value));
    let mut headers: Vec<(String, String)> = request.headers.iter().map(lower).collect();
    headers.sort();
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let signed = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
    let Request { method, path, query, payload, .. } = request;
    (format!("{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload}"), signed)
}

fn signature<E>(scope: &Scope, stamp: &str, canonical: &str, chain: Chain<E>) -> Result<String, E> {
    let hash = hex::encode(Sha256::digest(canonical));
    let to_sign = format!("{ALGORITHM}\n{stamp}\n{}\n{hash}", credential(scope, stamp));
    let messages = [&stamp[..8], scope.region, scope.service, "aws4_request", &to_sign];
    let messages: Vec<Vec<u8>> = messages.iter().map(|message| message.as_bytes().to_vec()).collect();
    Ok(hex::encode(chain(&messages)?))
}
