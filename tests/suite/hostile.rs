//! Files that are damaged, or made to hurt. What cannot be decoded is kept and its error can be seen; nothing takes the server's memory.

use std::io::Write as _;

use image::{ExtendedColorType, ImageEncoder, ImageFormat};
use media::{Limits, MediaError};
use reqwest::StatusCode;
use serde_json::json;
use tests::photos::{self, Exif};
use tests::{TestApp, root};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(root().join("tests/fixtures/pictures").join(name)).unwrap()
}

/// A whole file of each format that has lengths to lie about, with its name.
fn whole() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a.jpg", photos::encoded_jpeg(640, 480, 1, None)),
        ("a.png", photos::encoded(ImageFormat::Png, 500, 400, 1)),
        ("a.webp", photos::encoded(ImageFormat::WebP, 500, 400, 1)),
        ("a.tiff", photos::encoded(ImageFormat::Tiff, 500, 400, 1)),
        ("a.gif", photos::encoded(ImageFormat::Gif, 500, 400, 1)),
        ("a.bmp", photos::encoded(ImageFormat::Bmp, 500, 400, 1)),
        ("a.heic", fixture("quarters.heic")),
        ("a.avif", fixture("quarters.avif")),
    ]
}

#[tokio::test]
async fn a_truncated_file_of_any_format_is_kept_and_its_error_is_visible() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    for (name, bytes) in whole() {
        let half = bytes[..bytes.len() * 2 / 3].to_vec();
        let id = client.uploaded(name, half.clone()).await;
        let asset = client.processed(&id).await;
        let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
        assert!(errors[0]["message"].as_str().is_some_and(|message| !message.is_empty()), "{name}: {errors}");
        assert_eq!(asset["resized"], false, "{name}");
        assert_eq!(client.get(&format!("/assets/{id}/thumbnail")).await.status, StatusCode::NOT_FOUND, "{name}");
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, half, "{name}");
    }
    assert_eq!(client.timeline().await.len(), whole().len(), "all are in the timeline");
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    for (name, bytes) in whole() {
        for cut in [0, 1, 2, 3, 4, 8, 11, 12, 16, 31, 64, bytes.len() / 3, bytes.len() - 1] {
            let _ = media::decode(&bytes[..cut.min(bytes.len())], Some(100), &Limits::default());
            let _ = media::metadata(&bytes[..cut.min(bytes.len())]);
        }
        for at in (0..bytes.len()).step_by((bytes.len() / 40).max(1)) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0xff;
            let small = Limits { max_pixels: 4_000_000, max_decoded: 4_000_000 };
            let _ = media::decode(&flipped, None, &small);
            let _ = media::metadata(&flipped);
        }
        assert!(media::decode(&bytes, None, &Limits::default()).is_ok(), "{name} is whole");
    }
}

/// Runs a test of this module once more in a process of its own, where nothing else takes memory; true there.
fn alone(test: &str) -> bool {
    if std::env::var_os("LATENT_TEST_ALONE").is_some() {
        return true;
    }
    let name = format!("hostile::{test}");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args([&*name, "--exact", "--nocapture"]).env("LATENT_TEST_ALONE", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "there is no test {name}");
    false
}

/// Mebibytes that this process has had in memory at most.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_memory_is_taken() {
    if !alone("a_header_that_claims_too_much_is_refused_before_memory_is_taken") {
        return;
    }
    for (what, bytes) in [
        ("PNG", png_header(60_000, 60_000, 8, 2)),
        ("16-bit PNG with alpha", png_header(16_000, 8_000, 16, 6)),
        ("TIFF", tiff_header(60_000, 60_000, 8)),
        ("16-bit TIFF", tiff_header(16_000, 8_000, 16)),
        ("GIF", gif_header()),
        ("BMP", bmp_header(40_000, 40_000)),
    ] {
        let error = media::decode(&bytes, None, &Limits::default()).unwrap_err();
        assert!(
            matches!(error, MediaError::TooLarge { .. } | MediaError::TooMuchMemory { .. } | MediaError::Damaged(_)),
            "{what}: {error}"
        );
    }
    assert!(peak() < 600, "{} MiB were taken for files of a hundred bytes", peak());
}

#[test]
fn a_profile_that_unpacks_to_a_gigabyte_spoils_no_picture_and_takes_no_memory() {
    if !alone("a_profile_that_unpacks_to_a_gigabyte_spoils_no_picture_and_takes_no_memory") {
        return;
    }
    let bomb = {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..1024 {
            packer.write_all(&zeros).unwrap();
        }
        packer.finish().unwrap()
    };
    let png = photos::encoded(ImageFormat::Png, 64, 48, 1);
    let chunk = [b"bomb\0\0", &*bomb].concat();
    // Behind the signature and IHDR.
    let bytes = [&png[..33], &chunk_of(b"iCCP", &chunk), &png[33..]].concat();
    let pixels = media::decode(&bytes, None, &Limits::default()).unwrap();
    assert_eq!((pixels.width, pixels.height), (64, 48));
    assert!(peak() < 600, "{} MiB", peak());
}

#[test]
fn a_broken_profile_spoils_no_picture() {
    for format in ["png", "webp", "tiff", "jpeg"] {
        let bytes = with_profile(format, vec![7; 400]);
        assert!(media::decode(&bytes, None, &Limits::default()).is_ok(), "{format}");
    }
    let png = photos::encoded(ImageFormat::Png, 64, 48, 1);
    let not_even_packed = [&png[..33], &chunk_of(b"iCCP", b"name\0\0garbage"), &png[33..]].concat();
    assert!(media::decode(&not_even_packed, None, &Limits::default()).is_ok());
}

#[test]
fn a_file_too_long_to_be_decoded_is_refused_by_its_length() {
    assert!(media::check_len(media::MAX_IMAGE_BYTES).is_ok());
    let error = media::check_len(media::MAX_IMAGE_BYTES + 1).unwrap_err();
    assert!(error.to_string().contains("1073741825 bytes"), "{error}");
}

#[test]
fn display_p3_is_converted_in_every_format_that_carries_it() {
    let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let green = |bytes: &[u8]| {
        let pixels = media::decode(bytes, None, &Limits::default()).unwrap();
        let at = ((pixels.height / 4 * pixels.width + pixels.width * 3 / 4) * 3) as usize;
        (pixels.rgb[at], pixels.rgb[at + 1])
    };
    for format in ["png", "webp", "tiff", "jpeg"] {
        let (red, _) = green(&with_profile(format, p3.clone()));
        assert!(red < 8, "{format}: the green of P3 has no red left in sRGB, this has {red}");
    }
    // AVIF and HEIC name their colours by numbers: here 1 (sRGB's) becomes 12 (P3's).
    let avif = fixture("quarters.avif");
    let at = avif.windows(8).position(|part| part == b"colrnclx").unwrap() + 8;
    let mut named = avif.clone();
    named[at..at + 2].copy_from_slice(&12_u16.to_be_bytes());
    let (plain, wide) = (green(&avif), green(&named));
    assert!(plain.0 > 10 && wide.0 < 8, "{plain:?} {wide:?}");
}

#[test]
fn inks_look_like_what_they_print() {
    let pixels = media::decode(&fixture("quarters-cmyk.jpg"), None, &Limits::default()).unwrap();
    let at = |x: u32, y: u32| {
        let at = ((y * pixels.width + x) * 3) as usize;
        [pixels.rgb[at], pixels.rgb[at + 1], pixels.rgb[at + 2]]
    };
    for (place, wanted) in
        [((24, 18), [220, 20, 20]), ((72, 18), [20, 200, 20]), ((24, 54), [20, 20, 220]), ((72, 54), [240; 3])]
    {
        let found = at(place.0, place.1);
        let far = found.iter().zip(wanted).map(|(found, wanted)| found.abs_diff(wanted)).max().unwrap();
        assert!(far < 25, "{found:?} is not {wanted:?}");
    }
}

#[test]
fn every_orientation_ends_upright_in_every_format_that_says_it() {
    for orientation in 1..=8_u16 {
        let exif = Exif { orientation, ..Exif::default() }.tiff();
        for format in ["png", "webp"] {
            let mut bytes = Vec::new();
            let picture = photos::quarters(64, 48, 1);
            let write = |encoder: &mut dyn FnMut(Vec<u8>)| encoder(exif.clone());
            match format {
                "png" => {
                    let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
                    write(&mut |exif| encoder.set_exif_metadata(exif).unwrap());
                    encoder.write_image(&picture, 64, 48, ExtendedColorType::Rgb8).unwrap();
                }
                _ => {
                    let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut bytes);
                    write(&mut |exif| encoder.set_exif_metadata(exif).unwrap());
                    encoder.write_image(&picture, 64, 48, ExtendedColorType::Rgb8).unwrap();
                }
            }
            upright(&bytes, orientation, format);
        }
        let tiff = photos::encoded(ImageFormat::Tiff, 64, 48, 1);
        upright(&oriented_tiff(tiff, orientation), orientation, "tiff");
    }
}

/// The picture's quarters stand where the orientation says.
fn upright(bytes: &[u8], orientation: u16, format: &str) {
    let shown = ["rgbw", "grwb", "wbgr", "bwrg", "rbgw", "brwg", "wgbr", "gwrb"][usize::from(orientation) - 1];
    let pixels = media::decode(bytes, None, &Limits::default()).unwrap();
    let (width, height) = (pixels.width, pixels.height);
    assert_eq!((width, height), if orientation >= 5 { (48, 64) } else { (64, 48) }, "{format} {orientation}");
    let found: String = [(1, 1), (3, 1), (1, 3), (3, 3)]
        .map(|(x, y)| {
            let at = ((height * y / 4 * width + width * x / 4) * 3) as usize;
            match (pixels.rgb[at] > 150, pixels.rgb[at + 1] > 150, pixels.rgb[at + 2] > 150) {
                (true, true, true) => 'w',
                (true, ..) => 'r',
                (_, true, _) => 'g',
                _ => 'b',
            }
        })
        .iter()
        .collect();
    assert_eq!(found, shown, "{format} {orientation}");
}

#[tokio::test]
async fn metadata_that_lies_becomes_text_that_can_be_kept() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let xmp = "http://ns.adobe.com/xap/1.0/\0<x xmp:Rating=\"5\"><dc:description><rdf:Alt><rdf:li a=\"b\">one\0\u{1}two&#0;</rdf:li></rdf:Alt></dc:description></x>";
    let long = "x".repeat(40_000);
    let exif = Exif { make: Some("Lei\0ca\u{7}"), ..Exif::default() };
    let jpeg = photos::with_segment(&photos::encoded_jpeg(320, 240, 1, Some(&exif)), 0xe1, xmp.as_bytes());
    let id = client.uploaded("a.jpg", jpeg).await;
    let asset = client.processed(&id).await;
    assert_eq!(client.get(&format!("/latent/assets/{id}/errors")).await.ok(), json!([]));
    let description = asset["exifInfo"]["description"].as_str().unwrap();
    assert!(description.starts_with("onetwo") && !description.chars().any(char::is_control), "{description:?}");
    assert_eq!(asset["exifInfo"]["rating"], 5);
    let make = asset["exifInfo"]["make"].as_str().unwrap();
    assert!(make.starts_with("Lei") && !make.chars().any(char::is_control), "{make:?}");
    let xmp = format!("http://ns.adobe.com/xap/1.0/\0<dc:description><rdf:li>{long}</rdf:li></dc:description>");
    let id = client.uploaded("b.jpg", photos::with_segment(&photos::jpeg(2), 0xe1, xmp.as_bytes())).await;
    let asset = client.processed(&id).await;
    assert_eq!(asset["exifInfo"]["description"].as_str().unwrap().len(), 20_000);
}

#[test]
fn the_middle_of_an_ocean_is_near_no_city() {
    assert_eq!(media::place(-30.0, -120.0), None);
    assert_eq!(media::place(52.0116, 4.3571).unwrap().country, "Netherlands");
    assert_eq!(media::place(0.0, 0.0), None);
    assert_eq!(media::place(f64::NAN, 0.0), None);
}

fn with_profile(format: &str, profile: Vec<u8>) -> Vec<u8> {
    let picture = photos::quarters(64, 48, 1);
    let mut bytes = Vec::new();
    match format {
        "png" => {
            let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
            encoder.set_icc_profile(profile).unwrap();
            encoder.write_image(&picture, 64, 48, ExtendedColorType::Rgb8).unwrap();
        }
        "webp" => {
            let mut encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut bytes);
            encoder.set_icc_profile(profile).unwrap();
            encoder.write_image(&picture, 64, 48, ExtendedColorType::Rgb8).unwrap();
        }
        "tiff" => {
            let mut encoder = image::codecs::tiff::TiffEncoder::new(std::io::Cursor::new(&mut bytes));
            encoder.set_icc_profile(profile).unwrap();
            encoder.write_image(&picture, 64, 48, ExtendedColorType::Rgb8).unwrap();
        }
        _ => {
            let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
            encoder.set_icc_profile(profile).unwrap();
            encoder.write_image(&picture, 64, 48, ExtendedColorType::Rgb8).unwrap();
        }
    }
    bytes
}

/// A PNG chunk with its length and CRC.
fn chunk_of(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(kind);
    crc.update(content);
    [&(content.len() as u32).to_be_bytes()[..], kind, content, &crc.sum().to_be_bytes()].concat()
}

fn png_header(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colour, 0, 0, 0]].concat();
    let begin = [b"\x89PNG\r\n\x1a\n", &*chunk_of(b"IHDR", &header)].concat();
    [begin, chunk_of(b"IDAT", &[0x78, 0x9c, 3, 0, 0, 0, 0, 1]), chunk_of(b"IEND", &[])].concat()
}

/// Little-endian, one strip that is not there.
fn tiff_header(width: u32, height: u32, depth: u32) -> Vec<u8> {
    let entries: [(u16, u16, u32, u32); 9] = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, depth),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 200),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, width.saturating_mul(height)),
    ];
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 100]);
    bytes
}

fn gif_header() -> Vec<u8> {
    let screen = [b"GIF89a", &[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0][..], &[0; 6]].concat();
    [&screen[..], &[0x2c, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 2, 1, 0x44, 0, 0x3b]].concat()
}

fn bmp_header(width: i32, height: i32) -> Vec<u8> {
    let info =
        [&40_u32.to_le_bytes()[..], &width.to_le_bytes(), &height.to_le_bytes(), &[1, 0, 24, 0], &[0; 24]].concat();
    [b"BM", &[0; 8][..], &54_u32.to_le_bytes(), &info].concat()
}

/// Adds the tag to the one directory of a TIFF that has none: the directory is written anew at the end.
fn oriented_tiff(tiff: Vec<u8>, orientation: u16) -> Vec<u8> {
    assert_eq!(&tiff[..4], b"II*\0");
    let at = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let count = usize::from(u16::from_le_bytes(tiff[at..at + 2].try_into().unwrap()));
    let mut entries: Vec<Vec<u8>> = tiff[at + 2..at + 2 + 12 * count].chunks(12).map(<[u8]>::to_vec).collect();
    let entry =
        [&274_u16.to_le_bytes()[..], &3_u16.to_le_bytes(), &1_u32.to_le_bytes(), &orientation.to_le_bytes(), &[0; 2]];
    entries.push(entry.concat());
    entries.sort_by_key(|entry| u16::from_le_bytes([entry[0], entry[1]]));
    let mut bytes = tiff;
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    let end = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&end.to_le_bytes());
    bytes.extend((entries.len() as u16).to_le_bytes());
    bytes.extend(entries.concat());
    bytes.extend([0; 4]);
    bytes
}
