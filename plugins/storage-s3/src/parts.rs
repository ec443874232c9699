//! Large objects go in parts, side by side. Whatever goes wrong, no part is left that is paid for.

use latent_plugin::blob::Blob;
use latent_plugin::{Error, Result, kv, log};

use crate::client::{Answer, Call, Client, Ended, Payload};
use crate::{time, xml};

/// The protocol's own limit.
const MOST_PARTS: u64 = 10_000;
/// Parts whose hashes are made before they are sent.
const WINDOW: usize = 16;
/// An upload in parts that is older is nobody's any more: a call has minutes.
const ABANDONED_MS: u64 = 24 * 3_600_000;
/// Putting the parts together takes a service minutes.
const COMPLETE_TIMEOUT_MS: u32 = 300_000;
const SWEPT: &str = "uploads-swept";

/// Bytes of a part, so that there are not too many.
pub fn part_len(len: u64, wanted: u64) -> u64 {
    // In whole MiB, as some services want all parts but the last alike and even.
    wanted.max(len.div_ceil(MOST_PARTS).next_multiple_of(1 << 20))
}

/// Where each part begins, and how long it is.
pub fn cut(len: u64, part: u64) -> Vec<(u64, u64)> {
    (0..len.div_ceil(part)).map(|number| (number * part, part.min(len - number * part))).collect()
}

/// Puts `src`, whose length is `len`; `headers` are those of the whole object.
pub fn put(client: &Client, location: &str, src: &Blob, len: u64, headers: &[(String, String)]) -> Result<()> {
    sweep(client);
    let mut begin = Call::new("POST", Some(location)).query("uploads", "");
    begin.headers = headers.to_vec();
    let id = xml::upload_id(&client.send(&begin)?.text()?).map_err(Error::Unavailable)?;
    let put =
        send_parts(client, location, src, len, &id).and_then(|parts| complete(client, location, &id, len, &parts));
    if put.is_err() {
        abort(client, location, &id);
    }
    put
}

fn send_parts(client: &Client, location: &str, src: &Blob, len: u64, id: &str) -> Result<Vec<(u32, String)>> {
    let parts = cut(len, part_len(len, client.settings.part_mib << 20));
    let mut done: Vec<(u32, String)> = Vec::with_capacity(parts.len());
    let mut first = 1_u32;
    for window in parts.chunks(WINDOW) {
        let mut left = Vec::with_capacity(window.len());
        for (number, (offset, len)) in (first..).zip(window) {
            let part = src.slice(*offset, *len)?;
            let sha256 = hex::encode(part.sha256()?);
            left.push((number, part, sha256));
        }
        first += left.len() as u32;
        let mut tries = 0;
        while !left.is_empty() {
            let calls = left.iter().map(|(number, part, sha256)| {
                let payload = Payload::Blob(part, sha256.clone());
                let call = Call::new("PUT", Some(location)).query("partNumber", number.to_string());
                call.query("uploadId", id).payload(payload)
            });
            let ended = client.send_all(&calls.collect::<Vec<_>>())?;
            let mut failed = Vec::new();
            let mut last = None;
            for (part, ended) in left.into_iter().zip(ended) {
                match ended {
                    Ended::Done(answer) => done.push((part.0, etag(&answer)?)),
                    Ended::Failed(error) => return Err(error),
                    Ended::Again(error, wait) => {
                        let before = last.take().and_then(|(_, wait)| wait);
                        last = Some((error, wait.max(before)));
                        failed.push(part);
                    }
                }
            }
            left = failed;
            tries += 1;
            if let Some((error, wait)) = last
                && !client.pause(tries, wait)
            {
                return Err(error);
            }
        }
    }
    done.sort_unstable();
    Ok(done)
}

fn etag(answer: &Answer) -> Result<String> {
    let etag = answer.header("etag").map(str::to_owned);
    etag.ok_or_else(|| Error::other("the service takes a part and gives no ETag for it"))
}

fn complete(client: &Client, location: &str, id: &str, len: u64, parts: &[(u32, String)]) -> Result<()> {
    let body = xml::complete(parts);
    let mut call = Call::new("POST", Some(location)).query("uploadId", id).header("content-type", "application/xml");
    call.timeout_ms = Some(COMPLETE_TIMEOUT_MS);
    let call = call.payload(Payload::Text(&body));
    let mut tries = 0;
    loop {
        // A refusal may come with status 200, and an answer that is cut off may have been a success.
        let said = client.send(&call).and_then(|answer| answer.text());
        let error = match said {
            Ok(text) => match xml::refusal(&text) {
                None => return Ok(()),
                Some(refusal) => {
                    Error::Unavailable(format!("cannot put {location} together: {}: {}", refusal.code, refusal.message))
                }
            },
            Err(error) => error,
        };
        if is_there(client, location, len) {
            return Ok(());
        }
        tries += 1;
        if !matches!(error, Error::Unavailable(_)) || !client.pause(tries, None) {
            return Err(error);
        }
    }
}

fn is_there(client: &Client, location: &str, len: u64) -> bool {
    let there = client.send(&Call::new("HEAD", Some(location)));
    there.is_ok_and(|answer| answer.header("content-length").and_then(|len| len.parse().ok()) == Some(len))
}

/// What cannot be ended now, the next sweep ends.
fn abort(client: &Client, location: &str, id: &str) {
    if let Err(error) = client.send(&Call::new("DELETE", Some(location)).query("uploadId", id)) {
        log::warn("Cannot end an upload in parts; it is ended within a day", &[("error", format!("{error:?}"))]);
    }
}

/// Ends uploads in parts of ours that a crash has left, once a day.
fn sweep(client: &Client) {
    // Whoever cannot note that it was done does not do it with every object.
    let due = matches!(kv::get(SWEPT), Ok(None)) && kv::set(SWEPT, b"1", Some(ABANDONED_MS)).is_ok();
    if !due {
        return;
    }
    match abandoned(client) {
        Ok(uploads) => {
            for (location, id) in &uploads {
                log::info("Ending an upload in parts that was abandoned", &[("location", location.clone())]);
                abort(client, location, id);
            }
        }
        Err(error) => log::warn("Cannot look for abandoned uploads", &[("error", format!("{error:?}"))]),
    }
}

fn abandoned(client: &Client) -> Result<Vec<(String, String)>> {
    let call = Call::new("GET", None).query("uploads", "").query("prefix", &client.settings.prefix);
    let listed = xml::uploads(&client.send(&call)?.text()?).map_err(Error::other)?;
    let now = client.now_ms();
    let is_old =
        |upload: &xml::Upload| time::of_list(&upload.initiated).is_some_and(|at| now.saturating_sub(at) > ABANDONED_MS);
    let old = listed.upload.into_iter().filter(is_old);
    let ours = old.filter_map(|upload| {
        let location = upload.key.strip_prefix(&*client.settings.prefix)?.to_owned();
        Some((location, upload.upload_id))
    });
    Ok(ours.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_object_once() {
        for (len, part) in [(1, 5), (5, 5), (6, 5), (12 << 20, 5 << 20)] {
            let parts = cut(len, part);
            let mut at = 0;
            for (offset, length) in &parts {
                assert_eq!(*offset, at);
                assert!(*length > 0 && *length <= part);
                at += length;
            }
            assert_eq!(at, len);
        }
    }

    #[test]
    fn a_huge_object_has_larger_parts() {
        assert_eq!(part_len(100 << 20, 16 << 20), 16 << 20);
        let len = 5 << 40;
        assert!(len / part_len(len, 16 << 20) <= MOST_PARTS);
    }
}
