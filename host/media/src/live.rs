//! Photos that move: Apple's name for the pair of photo and video, and the video that Android appends to a photo.

use std::ops::Range;

use crate::jpeg::Segments;
use crate::{Format, sniff};

/// Where Samsung's trailer says that the video begins.
const SAMSUNG: &[u8] = b"MotionPhoto_Data";
/// A video is shorter than this, and a photo of which it is the end is longer.
const LEAST: usize = 256;

/// The content identifier in Apple's MakerNote: its field 0x11, an ASCII text.
pub(crate) fn content_id(note: &[u8]) -> Option<String> {
    const CONTENT_ID: u16 = 0x11;
    const ASCII: u16 = 2;
    if !note.starts_with(b"Apple iOS\0") || note.get(12..14)? != b"MM" {
        return None;
    }
    let u16_at = |at: usize| Some(u16::from_be_bytes(note.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_be_bytes(note.get(at..at + 4)?.try_into().ok()?) as usize);
    let count = usize::from(u16_at(14)?);
    for entry in (0..count.min(200)).map(|at| 16 + 12 * at) {
        if u16_at(entry)? == CONTENT_ID && u16_at(entry + 2)? == ASCII {
            let len = u32_at(entry + 4).filter(|len| (1..=128).contains(len))?;
            let from = if len <= 4 { entry + 8 } else { u32_at(entry + 8)? };
            let bytes = note.get(from..from.checked_add(len)?)?;
            let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
            let is_id = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic());
            return is_id.then(|| text.to_owned());
        }
    }
    None
}

/// Where in a photo its video lies: as the XMP of Google's two formats says, or behind Samsung's marker. Nothing is believed that
/// is not an ISO media file there.
pub fn motion_video(photo: &[u8]) -> Option<Range<usize>> {
    let xmp = if sniff(photo) == Some(Format::Jpeg) { Segments::read(photo).xmp() } else { None };
    let by_xmp = xmp.and_then(appended).and_then(|len| photo.len().checked_sub(len));
    let start = by_xmp.filter(|start| media_end(photo, *start).is_some()).or_else(|| {
        let at = photo.windows(SAMSUNG.len()).rposition(|window| window == SAMSUNG)?;
        Some(at + SAMSUNG.len())
    })?;
    let end = media_end(photo, start)?;
    (start >= LEAST && end - start >= LEAST).then_some(start..end)
}

/// Bytes from the end of the file at which the video begins.
fn appended(xmp: &str) -> Option<usize> {
    let number = |name: &str| attribute(xmp, name)?.trim().parse::<usize>().ok();
    if let Some(offset) = number("GCamera:MicroVideoOffset").or_else(|| number("MicroVideoOffset")) {
        return Some(offset);
    }
    // Items lie one after another; what comes behind the video counts too.
    let directory = &xmp[xmp.find("Directory>")?..];
    let mut from_end = 0_usize;
    let mut is_found = false;
    for item in directory.split("Container:Item").skip(1) {
        let value = |name: &str| attribute(item, name).and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(0);
        if item.contains("Semantic=\"MotionPhoto\"") {
            from_end = 0;
            is_found = true;
        }
        if is_found {
            from_end = from_end.checked_add(value("Item:Length"))?.checked_add(value("Item:Padding"))?;
        }
    }
    is_found.then_some(from_end)
}

/// `name="value"`
fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = &text[text.find(&format!("{name}=\""))? + name.len() + 2..];
    Some(&rest[..rest.find('"')?])
}

/// The end of the ISO media file that begins at `start`: as far as box follows box. A trailer of something else ends it.
fn media_end(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start.checked_add(4)?..start + 8)? != b"ftyp" {
        return None;
    }
    let mut at = start;
    let mut has_movie = false;
    while let Some(head) = bytes.get(at..at + 8) {
        let kind = &head[4..];
        if !kind.iter().all(|c| c.is_ascii_alphanumeric() || *c == b' ') {
            break;
        }
        let size = match u32::from_be_bytes(head[..4].try_into().ok()?) {
            0 => (bytes.len() - at) as u64,
            1 => match bytes.get(at + 8..at + 16).and_then(|size| size.try_into().ok()) {
                Some(size) => u64::from_be_bytes(size),
                None => break,
            },
            size => u64::from(size),
        };
        let Some(next) = usize::try_from(size).ok().filter(|size| *size >= 8).and_then(|size| at.checked_add(size))
        else {
            break;
        };
        if next > bytes.len() {
            break;
        }
        has_movie |= kind == b"moov";
        at = next;
    }
    has_movie.then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(entries: &[(u16, u16, u32, u32)], tail: &[u8]) -> Vec<u8> {
        let mut note = b"Apple iOS\0\0\x01MM".to_vec();
        note.extend((entries.len() as u16).to_be_bytes());
        for (tag, kind, count, value) in entries {
            note.extend(tag.to_be_bytes());
            note.extend(kind.to_be_bytes());
            note.extend(count.to_be_bytes());
            note.extend(value.to_be_bytes());
        }
        note.extend(tail);
        note
    }

    #[test]
    fn apples_identifier_is_read_and_a_lying_note_is_not() {
        let id = b"45D22A1C-6A3B-4F4E\0";
        let at = (16 + 2 * 12) as u32;
        let good = note(&[(1, 9, 1, 4), (0x11, 2, id.len() as u32, at)], id);
        assert_eq!(content_id(&good).as_deref(), Some("45D22A1C-6A3B-4F4E"));
        for cut in 0..good.len() - 1 {
            assert_eq!(content_id(&good[..cut]), None, "{cut}");
        }
        assert_eq!(content_id(&note(&[(0x11, 2, 19, u32::MAX)], id)), None);
        assert_eq!(content_id(&note(&[(0x11, 2, u32::MAX, at)], id)), None);
        assert_eq!(content_id(&note(&[(0x11, 7, 19, at)], id)), None);
    }

    #[test]
    fn a_video_ends_where_its_boxes_end() {
        let boxed = |kind: &[u8; 4], len: usize| {
            let mut bytes = (len as u32).to_be_bytes().to_vec();
            bytes.extend(kind);
            bytes.resize(len, 0);
            bytes
        };
        let video = [boxed(b"ftyp", 24), boxed(b"moov", 100), boxed(b"mdat", 300)].concat();
        let photo = [vec![0xff; 1000], SAMSUNG.to_vec(), video.clone(), b"\0\0\0\x01SEFH\x6b".to_vec()].concat();
        assert_eq!(motion_video(&photo), Some(1016..1016 + video.len()));
        assert_eq!(motion_video(&photo[..1100]), None, "it is cut off before its movie");
        let lying = [vec![0xff; 1000], SAMSUNG.to_vec(), b"no video at all, but long enough".repeat(20)].concat();
        assert_eq!(motion_video(&lying), None);
    }
}
