//! What the pipeline reads from a photo and makes of it.

use std::path::{Path, PathBuf};

use image::{GenericImageView as _, ImageFormat};
use reqwest::StatusCode;
use serde_json::Value;
use tests::photos::{self, Exif};
use tests::{Client, TestApp};

async fn preview(client: &Client, id: &str) -> image::DynamicImage {
    image::load_from_memory(&client.bytes(&format!("/assets/{id}/thumbnail?size=preview")).await).unwrap()
}

/// The colours of the four quarters: r, g, b, w.
fn quarters(picture: &image::DynamicImage) -> String {
    let (width, height) = picture.dimensions();
    [(1, 1), (3, 1), (1, 3), (3, 3)]
        .map(|(x, y)| {
            let [r, g, b, _] = picture.get_pixel(width * x / 4, height * y / 4).0;
            match (r > 150, g > 150, b > 150) {
                (true, true, true) => 'w',
                (true, false, false) => 'r',
                (false, true, false) => 'g',
                (false, false, true) => 'b',
                _ => '?',
            }
        })
        .iter()
        .collect()
}

#[tokio::test]
async fn every_orientation_ends_upright() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    // What the stored pixels of each orientation look like is the inverse of what the viewer does with them.
    for (orientation, shown) in
        [(1, "rgbw"), (2, "grwb"), (3, "wbgr"), (4, "bwrg"), (5, "rbgw"), (6, "brwg"), (7, "wgbr"), (8, "gwrb")]
    {
        let exif = Exif { orientation, ..Exif::default() };
        let id = client.uploaded("a.jpg", photos::encoded_jpeg(640, 480, u32::from(orientation), Some(&exif))).await;
        let asset = client.processed(&id).await;
        let turned = orientation >= 5;
        let size = if turned { (480, 640) } else { (640, 480) };
        assert_eq!((asset["width"].as_u64(), asset["height"].as_u64()), (Some(size.0), Some(size.1)), "{orientation}");
        let picture = preview(&client, &id).await;
        assert_eq!(picture.width() > picture.height(), !turned, "{orientation}");
        assert_eq!(quarters(&picture), shown, "orientation {orientation}");
    }
}

#[tokio::test]
async fn every_format_that_browsers_and_scanners_write_becomes_a_thumbnail() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    for (seed, format, name) in [
        (1, ImageFormat::Png, "a.png"),
        (2, ImageFormat::WebP, "a.webp"),
        (3, ImageFormat::Gif, "a.gif"),
        (4, ImageFormat::Tiff, "a.tiff"),
        (5, ImageFormat::Bmp, "a.bmp"),
        (6, ImageFormat::Jpeg, "a.jpeg"),
    ] {
        let id = client.uploaded(name, photos::encoded(format, 500, 400, seed)).await;
        let asset = client.processed(&id).await;
        assert_eq!((asset["width"].as_u64(), asset["height"].as_u64()), (Some(500), Some(400)), "{name}");
        assert_eq!(quarters(&preview(&client, &id).await), "rgbw", "{name}");
        let thumbnail = client.bytes(&format!("/assets/{id}/thumbnail?size=thumbnail")).await;
        let thumbnail = image::load_from_memory_with_format(&thumbnail, ImageFormat::WebP).unwrap();
        assert_eq!(thumbnail.height(), 250, "{name}");
    }
}

/// tests/fixtures/pictures: the quarters, written once by libheif (pillow-heif) and libavif (Pillow).
#[tokio::test]
async fn what_phones_write_becomes_a_thumbnail() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    for name in ["quarters.heic", "quarters.avif"] {
        let bytes = std::fs::read(tests::root().join("tests/fixtures/pictures").join(name)).unwrap();
        let id = client.uploaded(name, bytes).await;
        let asset = client.processed(&id).await;
        assert_eq!((asset["width"].as_u64(), asset["height"].as_u64()), (Some(96), Some(72)), "{name}");
        assert_eq!(quarters(&preview(&client, &id).await), "rgbw", "{name}");
    }
}

#[tokio::test]
async fn the_colours_of_a_display_p3_photo_are_converted() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let plain = photos::encoded(ImageFormat::Jpeg, 64, 64, 0);
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let wide = photos::with_segment(&plain, 0xe2, &[b"ICC_PROFILE\0\x01\x01", &*profile].concat());
    let (plain, wide) = (client.uploaded("srgb.jpg", plain).await, client.uploaded("p3.jpg", wide).await);
    client.processed(&plain).await;
    client.processed(&wide).await;
    let green = |picture: image::DynamicImage| picture.get_pixel(picture.width() * 3 / 4, picture.height() / 4).0;
    let (narrow, wide) = (green(preview(&client, &plain).await), green(preview(&client, &wide).await));
    // The green of P3 is outside sRGB: converted, it has no red left. Taken for sRGB it would look dull.
    assert!(narrow[0] > 10 && wide[0] < 5, "{narrow:?} {wide:?}");
}

#[tokio::test]
async fn stray_bytes_between_segments_spoil_nothing_and_a_missing_half_does() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let jpeg = photos::encoded_jpeg(640, 480, 1, None);
    // Behind the first segment: what some cameras and editors leave there.
    let behind = 4 + usize::from(u16::from_be_bytes([jpeg[4], jpeg[5]]));
    let stray = [&jpeg[..behind], &[0, 1, 2, 3, 4], &jpeg[behind..]].concat();
    let id = client.uploaded("stray.jpg", stray).await;
    client.processed(&id).await;
    assert_eq!(quarters(&preview(&client, &id).await), "rgbw");
    let id = client.uploaded("half.jpg", jpeg[..jpeg.len() / 2].to_vec()).await;
    client.processed(&id).await;
    let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
    assert!(errors[0]["message"].as_str().unwrap().contains("damaged"), "{errors}");
}

#[tokio::test]
async fn a_large_photo_is_scaled_by_its_shorter_side() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("wide.jpg", photos::encoded_jpeg(4000, 2000, 1, None)).await;
    client.processed(&id).await;
    assert_eq!(preview(&client, &id).await.dimensions(), (2880, 1440));
}

#[tokio::test]
async fn gps_becomes_a_place_and_a_time_zone() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let exif = Exif {
        taken: Some("2019:07:20 18:30:00"),
        gps: Some((52.0116, 4.3571)),
        make: Some("Leica"),
        ..Exif::default()
    };
    let id = client.uploaded("a.jpg", photos::encoded_jpeg(320, 240, 1, Some(&exif))).await;
    let asset = client.processed(&id).await;
    let info = &asset["exifInfo"];
    assert_eq!(info["country"], "Netherlands");
    assert!(info["city"].as_str().unwrap().contains("Delft"), "{info}");
    assert_eq!(info["timeZone"], "Europe/Amsterdam");
    assert_eq!(info["make"], "Leica");
    assert_eq!(asset["localDateTime"], "2019-07-20T18:30:00.000Z");
    assert_eq!(asset["fileCreatedAt"], "2019-07-20T16:30:00.000Z", "summer time in Delft");
}

/// All files below a folder.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

/// What is known of some of the extended set: field of the asset, and what its value begins with.
const KNOWN: &[(&str, &str, &str)] = &[
    ("IMG_2682.heic", "/exifInfo/state", "Nebraska"),
    ("thompson-springs.jpg", "/exifInfo/country", "United States"),
    ("empty_gps.jpg", "/exifInfo/latitude", "null"),
    ("empty_gps.jpg", "/localDateTime", "2025-06-01T16:59:26"),
    ("mongolels.jpg", "/exifInfo/make", "Canon"),
    ("mongolels.jpg", "/exifInfo/rating", "3"),
    ("mongolels.jpg", "/localDateTime", "2009-08-29T13:18:08"),
    ("picasa.jpg", "/localDateTime", "2010-02-13T14:55:31"),
    ("date-priority-test.jpg", "/localDateTime", "2023-02-02T02:00:00"),
    // At 39 N 108 W: in December it is seven hours later in Greenwich.
    ("datetimeoriginal-gps.jpg", "/fileCreatedAt", "2025-12-01T18:30:00.000Z"),
    ("datetimeoriginal-gps.jpg", "/exifInfo/timeZone", "America/Denver"),
    ("gps-datetime.jpg", "/exifInfo/state", "California"),
    ("portrait.jpg", "/width", "840"),
    ("portrait-orientation-6.jpg", "/width", "840"),
    ("portrait-orientation-6.jpg", "/height", "700"),
];

/// Real files of real devices, where they lie beside the checkout; ../shared/media/README.md says what they are.
#[tokio::test]
async fn the_extended_set_of_real_files_is_processed() {
    let folder = tests::root().join("../shared/media");
    if !folder.exists() {
        eprintln!("the extended set is not here: nothing to check");
        return;
    }
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut files = Vec::new();
    walk(&folder, &mut files);
    let mut checked = 0;
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        let answer = client.upload(&name, std::fs::read(&path).unwrap()).await;
        if name.ends_with(".xmp") {
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name} is no photo");
            continue;
        }
        let id = answer.ok()["id"].as_str().unwrap().to_owned();
        let asset: Value = client.processed(&id).await;
        let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
        assert_eq!(errors, serde_json::json!([]), "{name}");
        if asset["type"] == "IMAGE" {
            assert!(preview(&client, &id).await.width() >= 100, "{name}");
        }
        for (_, field, wanted) in KNOWN.iter().filter(|(known, ..)| *known == name) {
            let found = asset.pointer(field).cloned().unwrap_or_default();
            let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
            assert!(found.starts_with(wanted), "{name} {field}: {found} is not {wanted}");
        }
        checked += 1;
    }
    assert!(checked > 30, "only {checked} files");
}
