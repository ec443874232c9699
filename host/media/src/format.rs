//! What a file is: by its first bytes, and by its name.

use types::AssetType;

/// A format that an upload may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Jpeg,
    Png,
    Webp,
    Gif,
    Tiff,
    Bmp,
    Heic,
    Avif,
    Jxl,
    /// A camera's raw file; most are TIFF inside.
    Raw,
    Mp4,
    QuickTime,
    Matroska,
    Webm,
    Avi,
    MpegTs,
    ThreeGp,
}

/// Extension, format and media type. The first line of a format has its canonical extension.
const NAMES: &[(&str, Format, &str)] = &[
    ("jpg", Format::Jpeg, "image/jpeg"),
    ("jpeg", Format::Jpeg, "image/jpeg"),
    ("jpe", Format::Jpeg, "image/jpeg"),
    ("insp", Format::Jpeg, "image/jpeg"),
    ("png", Format::Png, "image/png"),
    ("webp", Format::Webp, "image/webp"),
    ("gif", Format::Gif, "image/gif"),
    ("tiff", Format::Tiff, "image/tiff"),
    ("tif", Format::Tiff, "image/tiff"),
    ("bmp", Format::Bmp, "image/bmp"),
    ("heic", Format::Heic, "image/heic"),
    ("heif", Format::Heic, "image/heif"),
    ("hif", Format::Heic, "image/hif"),
    ("avif", Format::Avif, "image/avif"),
    ("jxl", Format::Jxl, "image/jxl"),
    ("dng", Format::Raw, "image/dng"),
    ("arw", Format::Raw, "image/arw"),
    ("cr2", Format::Raw, "image/cr2"),
    ("cr3", Format::Raw, "image/cr3"),
    ("nef", Format::Raw, "image/nef"),
    ("orf", Format::Raw, "image/orf"),
    ("raf", Format::Raw, "image/raf"),
    ("rw2", Format::Raw, "image/rw2"),
    ("pef", Format::Raw, "image/pef"),
    ("srw", Format::Raw, "image/srw"),
    ("mp4", Format::Mp4, "video/mp4"),
    ("m4v", Format::Mp4, "video/x-m4v"),
    ("insv", Format::Mp4, "video/mp4"),
    ("mov", Format::QuickTime, "video/quicktime"),
    ("mkv", Format::Matroska, "video/x-matroska"),
    ("webm", Format::Webm, "video/webm"),
    ("avi", Format::Avi, "video/x-msvideo"),
    ("mts", Format::MpegTs, "video/mp2t"),
    ("m2ts", Format::MpegTs, "video/mp2t"),
    ("3gp", Format::ThreeGp, "video/3gpp"),
];

impl Format {
    pub fn media_type(self) -> &'static str {
        NAMES.iter().find(|(_, format, _)| *format == self).map_or("application/octet-stream", |(_, _, mime)| mime)
    }

    pub fn asset_type(self) -> AssetType {
        if self.media_type().starts_with("video/") { AssetType::Video } else { AssetType::Image }
    }
}

/// Format and media type that a file's name promises.
pub fn by_extension(file_name: &str) -> Option<(Format, &'static str)> {
    let extension = file_name.rsplit_once('.')?.1.to_ascii_lowercase();
    NAMES.iter().find(|(name, ..)| *name == extension).map(|(_, format, mime)| (*format, *mime))
}

/// All extensions of a kind, without the dot.
pub fn extensions(kind: AssetType) -> impl Iterator<Item = &'static str> {
    NAMES.iter().filter(move |(_, format, _)| format.asset_type() == kind).map(|(extension, ..)| *extension)
}

/// What the first bytes (at least 32 where there are as many) say.
pub fn sniff(head: &[u8]) -> Option<Format> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    if starts(&[0xff, 0xd8, 0xff]) {
        return Some(Format::Jpeg);
    }
    if starts(b"\x89PNG\r\n\x1a\n") {
        return Some(Format::Png);
    }
    if starts(b"GIF87a") || starts(b"GIF89a") {
        return Some(Format::Gif);
    }
    if starts(b"BM") {
        return Some(Format::Bmp);
    }
    if starts(b"II*\0") || starts(b"MM\0*") {
        return Some(Format::Tiff);
    }
    if starts(&[0xff, 0x0a]) || starts(b"\0\0\0\x0cJXL ") {
        return Some(Format::Jxl);
    }
    if starts(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return Some(Format::Matroska);
    }
    match (head.get(..4), head.get(8..12)) {
        (Some(b"RIFF"), Some(b"WEBP")) => return Some(Format::Webp),
        (Some(b"RIFF"), Some(b"AVI ")) => return Some(Format::Avi),
        _ => {}
    }
    (head.get(4..8)? == b"ftyp").then(|| iso_brand(head))
}

/// The brands of an ISO base media file: the major one, then the compatible ones.
fn iso_brand(head: &[u8]) -> Format {
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let brands = &head[8..head.len().min(length.max(12))];
    for brand in brands.get(..4).into_iter().chain(brands.get(8..).unwrap_or(&[]).chunks_exact(4)) {
        match brand {
            b"avif" | b"avis" => return Format::Avif,
            b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1" => return Format::Heic,
            b"qt  " => return Format::QuickTime,
            [b'3', b'g', ..] => return Format::ThreeGp,
            b"crx " => return Format::Raw,
            _ => {}
        }
    }
    Format::Mp4
}
