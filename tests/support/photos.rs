//! Photos that the tests make: their content is known, and every one may be told from every other.

use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder as _, ImageFormat, Rgb, RgbImage};

/// A picture whose four quarters tell orientation: red, green / blue, white; `seed` makes the bytes differ.
pub fn quarters(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        if (x, y) == (0, 0) {
            return Rgb([seed as u8, (seed >> 8) as u8, (seed >> 16) as u8]);
        }
        match (x < width / 2, y < height / 2) {
            (true, true) => Rgb([220, 20, 20]),
            (false, true) => Rgb([20, 200, 20]),
            (true, false) => Rgb([20, 20, 220]),
            (false, false) => Rgb([240, 240, 240]),
        }
    })
}

/// The quarters in any format that the `image` crate writes.
pub fn encoded(format: ImageFormat, width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    quarters(width, height, seed).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG without metadata.
pub fn jpeg(seed: u32) -> Vec<u8> {
    encoded_jpeg(320, 240, seed, None)
}

/// A JPEG of any size, with a TIFF block of EXIF (see [`Exif`]).
pub fn encoded_jpeg(width: u32, height: u32, seed: u32, exif: Option<&Exif>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
    // JPEG blurs single pixels away: a seed of whole blocks survives.
    let mut picture = quarters(width, height, seed);
    for bit in 0..24 {
        let value = if seed >> bit & 1 == 1 { 255 } else { 0 };
        for (x, y) in (0..64).map(|at| (8 * bit + at % 8, at / 8)) {
            if x < width && y < height {
                picture.put_pixel(x, y, Rgb([value; 3]));
            }
        }
    }
    encoder.write_image(&picture, width, height, ExtendedColorType::Rgb8).unwrap();
    match exif {
        Some(exif) => with_segment(&bytes, 0xe1, &[b"Exif\0\0", &*exif.tiff()].concat()),
        None => bytes,
    }
}

/// Puts a segment behind the start of a JPEG.
pub fn with_segment(jpeg: &[u8], marker: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, marker], &len, payload, &jpeg[2..]].concat()
}

/// What a test says about a photo.
#[derive(Debug, Clone, Default)]
pub struct Exif {
    pub orientation: u16,
    /// `2024:03:15 18:30:00`
    pub taken: Option<&'static str>,
    /// `+09:00`
    pub offset: Option<&'static str>,
    /// Degrees.
    pub gps: Option<(f64, f64)>,
    pub make: Option<&'static str>,
    /// What a maker writes for itself.
    pub maker_note: Option<Vec<u8>>,
}

impl Exif {
    /// Little-endian TIFF with one image directory, an EXIF directory and a GPS directory.
    pub fn tiff(&self) -> Vec<u8> {
        let mut main = Directory::default();
        main.text(0x010f, self.make);
        if self.orientation > 0 {
            main.short(0x0112, self.orientation);
        }
        let mut exif = Directory::default();
        exif.text(0x9003, self.taken);
        exif.text(0x9011, self.offset);
        if let Some(note) = &self.maker_note {
            exif.0.push((0x927c, 7, note.len() as u32, note.clone()));
        }
        let mut gps = Directory::default();
        if let Some((latitude, longitude)) = self.gps {
            gps.text(1, Some(if latitude < 0.0 { "S" } else { "N" }));
            gps.degrees(2, latitude);
            gps.text(3, Some(if longitude < 0.0 { "W" } else { "E" }));
            gps.degrees(4, longitude);
        }
        // Sizes are known before places: each directory is laid out behind the one before.
        main.long(0x8769, 0);
        main.long(0x8825, 0);
        let exif_at = 8 + main.len();
        let gps_at = exif_at + exif.len();
        main.set_long(0x8769, exif_at);
        main.set_long(0x8825, gps_at);
        let mut bytes = b"II*\0\x08\0\0\0".to_vec();
        for (directory, at) in [(main, 8), (exif, exif_at), (gps, gps_at)] {
            bytes.extend(directory.write(at));
        }
        bytes
    }
}

#[derive(Default)]
struct Directory(Vec<(u16, u16, u32, Vec<u8>)>);

impl Directory {
    fn text(&mut self, tag: u16, text: Option<&str>) {
        if let Some(text) = text {
            let bytes = [text.as_bytes(), b"\0"].concat();
            self.0.push((tag, 2, bytes.len() as u32, bytes));
        }
    }

    fn short(&mut self, tag: u16, value: u16) {
        self.0.push((tag, 3, 1, value.to_le_bytes().to_vec()));
    }

    fn long(&mut self, tag: u16, value: u32) {
        self.0.push((tag, 4, 1, value.to_le_bytes().to_vec()));
    }

    fn set_long(&mut self, tag: u16, value: u32) {
        self.0.iter_mut().find(|entry| entry.0 == tag).unwrap().3 = value.to_le_bytes().to_vec();
    }

    fn degrees(&mut self, tag: u16, degrees: f64) {
        let millionths = (degrees.abs() * 1e6).round() as u32;
        let parts = [millionths, 1_000_000, 0, 1, 0, 1];
        self.0.push((tag, 5, 3, parts.iter().flat_map(|part| part.to_le_bytes()).collect()));
    }

    fn len(&self) -> u32 {
        let outside: usize =
            self.0.iter().map(|entry| if entry.3.len() > 4 { entry.3.len().next_multiple_of(2) } else { 0 }).sum();
        (2 + 12 * self.0.len() + 4 + outside) as u32
    }

    fn write(mut self, at: u32) -> Vec<u8> {
        self.0.sort_by_key(|entry| entry.0);
        let mut head = (self.0.len() as u16).to_le_bytes().to_vec();
        let mut outside = Vec::new();
        let start = at + 2 + 12 * self.0.len() as u32 + 4;
        for (tag, kind, count, mut value) in self.0 {
            head.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
            head.extend(count.to_le_bytes());
            if value.len() > 4 {
                head.extend((start + outside.len() as u32).to_le_bytes());
                value.resize(value.len().next_multiple_of(2), 0);
                outside.extend(value);
            } else {
                value.resize(4, 0);
                head.extend(value);
            }
        }
        head.extend(0_u32.to_le_bytes());
        [head, outside].concat()
    }
}
