//! What a camera writes beside the pixels: EXIF with date and zone, exposure, make and model, and where it was.

/// A place, and its offset from UTC in the second half of March 2024.
struct Place {
    latitude: f64,
    longitude: f64,
    offset: &'static str,
}

/// In four countries: every one leads to a city and to a time zone.
const PLACES: [Place; 5] = [
    Place { latitude: 52.5200, longitude: 13.4050, offset: "+01:00" },
    Place { latitude: 40.7128, longitude: -74.0060, offset: "-04:00" },
    Place { latitude: -33.8688, longitude: 151.2093, offset: "+11:00" },
    Place { latitude: 35.6762, longitude: 139.6503, offset: "+09:00" },
    Place { latitude: 48.1351, longitude: 11.5820, offset: "+01:00" },
];
const CAMERAS: [(&str, &str); 3] = [("Canon", "Canon EOS R6"), ("Google", "Pixel 8"), ("SONY", "ILCE-7M4")];

/// All photos are of this month, in the days after clocks changed in America and before they did in Europe.
pub const MONTH: &str = "2024-03-01";

/// Puts EXIF into a JPEG of so many pixels; `seed` says where and when.
pub fn dress(jpeg: &[u8], (width, height): (u32, u32), seed: u32) -> Vec<u8> {
    tests::photos::with_segment(jpeg, 0xe1, &[b"Exif\0\0", &*tiff(width, height, seed)].concat())
}

/// Little-endian TIFF: an image directory, one of EXIF and one of GPS.
fn tiff(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let place = &PLACES[seed as usize % PLACES.len()];
    let (make, model) = CAMERAS[seed as usize % CAMERAS.len()];
    let taken = format!("2024:03:{:02} {:02}:{:02}:{:02}", 12 + seed % 15, 9 + seed % 9, seed % 60, seed * 7 % 60);
    let exif = Directory(vec![
        Entry::rational(0x829a, &[(1, 250)]),
        Entry::rational(0x829d, &[(28, 10)]),
        Entry::short(0x8827, 200),
        Entry::text(0x9003, &taken),
        Entry::text(0x9004, &taken),
        Entry::text(0x9010, place.offset),
        Entry::text(0x9011, place.offset),
        Entry::text(0x9012, place.offset),
        Entry::rational(0x920a, &[(35, 1)]),
        Entry::text(0x9291, &format!("{:03}", seed % 1_000)),
        Entry::long(0xa002, width),
        Entry::long(0xa003, height),
        Entry::text(0xa434, "35mm F2.8"),
    ]);
    let gps = Directory(vec![
        Entry::text(1, if place.latitude < 0.0 { "S" } else { "N" }),
        Entry::degrees(2, place.latitude),
        Entry::text(3, if place.longitude < 0.0 { "W" } else { "E" }),
        Entry::degrees(4, place.longitude),
        Entry::rational(6, &[(34, 1)]),
    ]);
    let main = |exif_at, gps_at| {
        Directory(vec![
            Entry::text(0x010f, make),
            Entry::text(0x0110, model),
            Entry::short(0x0112, 1),
            Entry::rational(0x011a, &[(72, 1)]),
            Entry::rational(0x011b, &[(72, 1)]),
            Entry::text(0x0132, &taken),
            Entry::long(0x8769, exif_at),
            Entry::long(0x8825, gps_at),
        ])
    };
    // Sizes are known before places: each directory lies behind the one before.
    let exif_at = 8 + main(0, 0).len();
    let gps_at = exif_at + exif.len();
    [b"II*\0\x08\0\0\0".to_vec(), main(exif_at, gps_at).write(8), exif.write(exif_at), gps.write(gps_at)].concat()
}

/// Entries, by their tags.
struct Directory(Vec<Entry>);

struct Entry {
    tag: u16,
    kind: u16,
    count: u32,
    /// Of an even length.
    value: Vec<u8>,
}

impl Entry {
    fn new(tag: u16, kind: u16, count: usize, mut value: Vec<u8>) -> Self {
        value.resize(value.len().max(4).next_multiple_of(2), 0);
        Self { tag, kind, count: count as u32, value }
    }

    fn text(tag: u16, text: &str) -> Self {
        Self::new(tag, 2, text.len() + 1, [text.as_bytes(), b"\0"].concat())
    }

    fn short(tag: u16, value: u16) -> Self {
        Self::new(tag, 3, 1, value.to_le_bytes().to_vec())
    }

    fn long(tag: u16, value: u32) -> Self {
        Self::new(tag, 4, 1, value.to_le_bytes().to_vec())
    }

    fn rational(tag: u16, values: &[(u32, u32)]) -> Self {
        let bytes = values.iter().flat_map(|(above, below)| [above.to_le_bytes(), below.to_le_bytes()].concat());
        Self::new(tag, 5, values.len(), bytes.collect())
    }

    fn degrees(tag: u16, degrees: f64) -> Self {
        let minutes = degrees.abs().fract() * 60.0;
        let seconds = (minutes.fract() * 60.0 * 100.0).round() as u32;
        Self::rational(tag, &[(degrees.abs() as u32, 1), (minutes as u32, 1), (seconds, 100)])
    }

    /// Bytes behind the directory.
    fn outside(&self) -> &[u8] {
        if self.value.len() > 4 { &self.value } else { &[] }
    }
}

impl Directory {
    fn len(&self) -> u32 {
        (2 + 12 * self.0.len() + 4 + self.0.iter().map(|entry| entry.outside().len()).sum::<usize>()) as u32
    }

    fn write(&self, at: u32) -> Vec<u8> {
        let mut head = (self.0.len() as u16).to_le_bytes().to_vec();
        let mut outside: Vec<u8> = Vec::new();
        let start = at + 2 + 12 * self.0.len() as u32 + 4;
        for entry in &self.0 {
            head.extend([entry.tag.to_le_bytes(), entry.kind.to_le_bytes()].concat());
            head.extend(entry.count.to_le_bytes());
            match entry.outside() {
                [] => head.extend(&entry.value),
                far => {
                    head.extend((start + outside.len() as u32).to_le_bytes());
                    outside.extend(far);
                }
            }
        }
        head.extend(0_u32.to_le_bytes());
        [head, outside].concat()
    }
}
