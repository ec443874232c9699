//! What a refusal means, and what to do about it.

use latent_plugin::Error;

use crate::settings::Settings;
use crate::time;
use crate::xml::{self, Refusal};

/// Services tolerate a quarter of an hour between two clocks.
const TOLERATED_MS: u64 = 10 * 60_000;

/// An answer that is no success.
#[derive(Debug, Clone, Default)]
pub struct Failure {
    pub status: u16,
    pub refusal: Refusal,
    /// `x-amz-bucket-region`.
    pub region: Option<String>,
    /// Milliseconds that the service asks to wait.
    pub retry_after: Option<u64>,
    /// Its clock, in milliseconds since 1970.
    pub server_ms: Option<u64>,
    /// The clock that the request was signed with.
    pub signed_ms: u64,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The same again, a little later.
    Again,
    /// The same again with this clock.
    WithClock(u64),
    GiveUp,
}

impl Failure {
    /// `header` gives the value of a header by its lower-case name; `text` is the body. `now_ms`: the clock that the
    /// request was signed with.
    pub fn of(status: u16, header: impl Fn(&str) -> Option<String>, text: &str, now_ms: u64) -> Self {
        let refusal = xml::refusal(text).unwrap_or_default();
        let retry_after = header("retry-after").and_then(|value| match value.trim().parse::<u64>() {
            Ok(seconds) => Some(seconds.saturating_mul(1_000)),
            Err(_) => time::of_header(&value).map(|at| at.saturating_sub(now_ms)),
        });
        let server_ms =
            time::of_list(&refusal.server_time).or_else(|| header("date").and_then(|value| time::of_header(&value)));
        Self { status, refusal, region: header("x-amz-bucket-region"), retry_after, server_ms, signed_ms: now_ms }
    }

    pub fn next(&self) -> Next {
        match (&*self.refusal.code, self.status) {
            ("RequestTimeTooSkewed" | "RequestExpired", _) => self.server_ms.map_or(Next::GiveUp, Next::WithClock),
            // What they say whose clock check is part of another.
            ("AccessDenied" | "SignatureDoesNotMatch", 403)
                if ["expired", "not yet current"].iter().any(|word| self.refusal.message.contains(word)) =>
            {
                self.server_ms.map_or(Next::GiveUp, Next::WithClock)
            }
            // A refusal of HEAD has no body to say why, but its date tells.
            ("", 403) if self.server_ms.is_some_and(|there| there.abs_diff(self.signed_ms) > TOLERATED_MS) => {
                self.server_ms.map_or(Next::GiveUp, Next::WithClock)
            }
            ("RequestTimeout" | "SlowDown" | "InternalError" | "ServiceUnavailable" | "OperationAborted", _) => {
                Next::Again
            }
            (_, 408 | 429 | 500 | 502 | 503 | 504) => Next::Again,
            _ => Next::GiveUp,
        }
    }

    /// For the one who must act on it. `doing`: "cannot put library/…".
    pub fn error(&self, settings: &Settings, doing: &str) -> Error {
        let Settings { bucket, region, access_key_id: who, .. } = settings;
        let code = &*self.refusal.code;
        let said = self.said();
        // What is wrong with settings or rights is not wrong with the object: it may work when somebody has seen to it.
        let see_to = |why: String| Error::Unavailable(format!("{doing}: {why} ({said})"));
        match (code, self.status) {
            ("NoSuchKey", _) => Error::NotFound(format!("{doing}: nothing is there")),
            ("NoSuchBucket", _) => {
                see_to(format!("there is no bucket {bucket:?}: make it, or correct the setting `bucket`"))
            }
            ("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed", _)
            | (_, 301 | 302 | 307 | 308) => match self.elsewhere() {
                Some(there) => {
                    see_to(format!("the bucket is in the region {there}, not {region}: set region = {there:?}"))
                }
                None => see_to(
                    "the bucket is at another endpoint or in another region: correct `endpoint` or `region`".into(),
                ),
            },
            ("SignatureDoesNotMatch", _) => see_to(format!(
                "the signature is not accepted: is the secret \"key\" the key of {who}, and {region:?} the region?"
            )),
            ("InvalidAccessKeyId", _) => {
                see_to(format!("the access key {who} is unknown there: correct `access-key-id`"))
            }
            ("RequestTimeTooSkewed" | "RequestExpired", _) => {
                see_to("the clock of this machine is wrong, and the service does not say what time it is".into())
            }
            ("ExpiredToken" | "InvalidToken" | "AccountProblem", _) | (_, 401) => {
                see_to(format!("the account of {who} cannot be used"))
            }
            ("QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded", _) | (_, 507) => {
                Error::Full(format!("{doing}: {said}"))
            }
            ("InvalidObjectState", _) => see_to(
                "it lies in an archive of the service: restore it there, and choose another storage-class".into(),
            ),
            (_, 403) => see_to(format!(
                "{who} may not do this: give it s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket and \
                s3:AbortMultipartUpload on {bucket:?}"
            )),
            ("EntityTooLarge" | "EntityTooSmall" | "KeyTooLongError", _) | (_, 413 | 414) => {
                Error::Invalid(format!("{doing}: {said}"))
            }
            ("PreconditionFailed", _) | (_, 412) => Error::Exists(format!("{doing}: something is there")),
            ("NotImplemented", _) | (_, 405 | 501) => {
                Error::Unsupported(format!("{doing}: the service cannot do this ({said})"))
            }
            (_, 404) => Error::NotFound(format!("{doing}: nothing is there")),
            ("RequestTimeout" | "SlowDown" | "OperationAborted", _) | (_, 408 | 429 | 500..=599) => {
                Error::Unavailable(format!("{doing}: the service is in trouble ({said})"))
            }
            (_, 400..=499) => Error::Other(format!("{doing}: {said}")),
            _ => Error::Unavailable(format!("{doing}: an answer that S3 does not know ({said})")),
        }
    }

    fn elsewhere(&self) -> Option<&str> {
        let named = [self.region.as_deref(), Some(&*self.refusal.region)];
        named.into_iter().flatten().find(|region| !region.is_empty())
    }

    /// `503 SlowDown: Please reduce your request rate`.
    fn said(&self) -> String {
        let Refusal { code, message, .. } = &self.refusal;
        match (code.is_empty(), message.is_empty()) {
            (true, _) => self.status.to_string(),
            (false, true) => format!("{} {code}", self.status),
            (false, false) => format!("{} {code}: {message}", self.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, code: &str, headers: &[(&str, &str)]) -> Failure {
        let text = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let header =
            |wanted: &str| headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned());
        Failure::of(status, header, if code.is_empty() { "" } else { &text }, 1_369_353_600_000)
    }

    fn said(status: u16, code: &str) -> String {
        let settings = Settings { bucket: "photos".into(), access_key_id: "AK".into(), ..Settings::default() };
        format!("{:?}", failure(status, code, &[]).error(&settings, "cannot put x"))
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        for (status, code, case, words) in [
            (404, "NoSuchBucket", "Unavailable", "there is no bucket \\\"photos\\\": make it"),
            (404, "NoSuchKey", "NotFound", "nothing is there"),
            (404, "", "NotFound", "nothing is there"),
            (403, "SignatureDoesNotMatch", "Unavailable", "is the secret \\\"key\\\" the key of AK"),
            (403, "InvalidAccessKeyId", "Unavailable", "access-key-id"),
            (403, "AccessDenied", "Unavailable", "s3:PutObject"),
            (403, "", "Unavailable", "s3:PutObject"),
            (403, "QuotaExceeded", "Full", "QuotaExceeded"),
            (507, "", "Full", "507"),
            (400, "EntityTooLarge", "Invalid", "EntityTooLarge"),
            (400, "MalformedXML", "Other", "MalformedXML"),
            (401, "", "Unavailable", "cannot be used"),
            (405, "MethodNotAllowed", "Unsupported", "cannot do this"),
            (412, "PreconditionFailed", "Exists", "something is there"),
            (501, "NotImplemented", "Unsupported", "cannot do this"),
            (500, "InternalError", "Unavailable", "in trouble"),
            (503, "SlowDown", "Unavailable", "503 SlowDown: m"),
            (599, "", "Unavailable", "599"),
            (302, "", "Unavailable", "another endpoint"),
        ] {
            let said = said(status, code);
            assert!(
                said.starts_with(&format!("Error::{case}(")) && said.contains(words) && said.contains("cannot put x"),
                "{status} {code}: {said}"
            );
        }
        for status in 300..600 {
            assert!(said(status, "").contains("cannot put x"), "{status}");
        }
    }

    #[test]
    fn the_right_region_is_named() {
        let elsewhere = failure(301, "PermanentRedirect", &[("x-amz-bucket-region", "eu-central-1")]);
        let said = format!("{:?}", elsewhere.error(&Settings::default(), "cannot look"));
        assert!(said.contains("set region = \\\"eu-central-1\\\""), "{said}");
    }

    #[test]
    fn what_is_busy_is_asked_again_and_when_it_says() {
        assert_eq!(failure(503, "SlowDown", &[("retry-after", "3")]).retry_after, Some(3_000));
        let dated = failure(429, "", &[("retry-after", "Fri, 24 May 2013 00:00:07 GMT")]);
        assert_eq!((dated.retry_after, dated.next()), (Some(7_000), Next::Again));
        for (status, code, next) in [
            (500, "", Next::Again),
            (504, "", Next::Again),
            (400, "RequestTimeout", Next::Again),
            (409, "OperationAborted", Next::Again),
            (403, "AccessDenied", Next::GiveUp),
            (404, "", Next::GiveUp),
            (501, "", Next::GiveUp),
        ] {
            assert_eq!(failure(status, code, &[]).next(), next, "{status} {code}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_set_by_the_services() {
        let date = [("date", "Fri, 24 May 2013 01:00:00 GMT")];
        assert_eq!(failure(403, "RequestTimeTooSkewed", &date).next(), Next::WithClock(1_369_357_200_000));
        assert_eq!(failure(403, "RequestTimeTooSkewed", &[]).next(), Next::GiveUp);
        // HEAD: an hour is a reason, a minute is none.
        assert_eq!(failure(403, "", &date).next(), Next::WithClock(1_369_357_200_000));
        let close = [("date", "Fri, 24 May 2013 00:01:00 GMT")];
        assert_eq!(failure(403, "", &close).next(), Next::GiveUp);
    }
}
