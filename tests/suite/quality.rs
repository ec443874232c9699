//! How good search and people are, on photos that were labelled before anything was tuned (tests/fixtures/labels).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::PathBuf;

use image::{DynamicImage, ImageFormat};
use serde::Deserialize;
use serde_json::{Value, json};
use tests::{Client, TestApp};

fn labels<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let path = tests::root().join("tests/fixtures/labels").join(file);
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The labelled photos, which xtask puts there.
fn photo(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("LATENT_PHOTOS")
        .expect("LATENT_PHOTOS names the folder with the photos: run `cargo xtask test`");
    let path = PathBuf::from(folder).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[derive(Deserialize)]
struct Queries {
    query: Vec<Query>,
}

#[derive(Deserialize)]
struct Query {
    text: String,
    right: Vec<String>,
}

#[derive(Deserialize)]
struct Photos {
    photo: Vec<Photo>,
}

#[derive(Deserialize)]
struct Photo {
    name: String,
}

#[tokio::test]
async fn the_right_photo_comes_first_for_two_thirds_of_what_people_type() {
    let (photos, queries): (Photos, Queries) = (labels("photos.toml"), labels("queries.toml"));
    assert!(photos.photo.len() >= 40 && queries.query.len() >= 24);
    let app = TestApp::seeing().await;
    let client = app.sign_up().await;
    let mut ids = Vec::new();
    for Photo { name } in &photos.photo {
        ids.push(client.uploaded(name, photo(name)).await);
    }
    for id in &ids {
        client.processed(id).await;
    }
    let mut report = Vec::new();
    let mut right = 0;
    for query in &queries.query {
        let found = client.post("/search/smart", &json!({ "query": query.text, "size": 3 })).await.ok();
        let names: Vec<&str> = found["assets"]["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|asset| asset["originalFileName"].as_str())
            .collect();
        let is_right = names.first().is_some_and(|first| query.right.iter().any(|name| name == first));
        right += usize::from(is_right);
        report.push(format!("{} {:?}: {names:?}", if is_right { "right" } else { "WRONG" }, query.text));
    }
    println!("{right} of {} queries\n{}", queries.query.len(), report.join("\n"));
    assert!(3 * right >= 2 * queries.query.len(), "{right} of {}:\n{}", queries.query.len(), report.join("\n"));
}

/// The path of a pair of CLIP's shape: BPE with 77 tokens, 224 x 224 in CLIP's normalisation, by manifests of one's own. The
/// models are small enough to be read (tests/fixtures/clip/make.py): a text is its words, a picture its mean colour.
#[tokio::test]
async fn a_pair_of_clips_shape_drops_in_by_manifest() {
    let fixtures = tests::root().join("tests/fixtures/clip");
    let app = TestApp::with(|settings| {
        settings.inference.manifests = fixtures.clone();
        settings.inference.models = fixtures;
        let plugin = settings.plugins.get_mut("latent.clip-search").unwrap();
        plugin.enabled = true;
        plugin.models = [("image", "small-image"), ("text", "small-text")].map(|(a, b)| (a.into(), b.into())).into();
    })
    .await;
    let client = app.sign_up().await;
    let mut ids = Vec::new();
    for (name, colour) in [("r", [200, 30, 30]), ("g", [30, 190, 40]), ("b", [20, 40, 210])] {
        let mut bytes = Cursor::new(Vec::new());
        image::RgbImage::from_pixel(300, 260, image::Rgb(colour)).write_to(&mut bytes, ImageFormat::Png).unwrap();
        ids.push(client.uploaded(&format!("{name}.png"), bytes.into_inner()).await);
    }
    for id in &ids {
        client.processed(id).await;
    }
    // "Unknown words" are bytes to BPE: they neither fail nor matter here.
    for (text, right) in [("Something RED", 0), ("the green, green grass", 1), ("a blue zebra", 2)] {
        let found = client.post("/search/smart", &json!({ "query": text, "size": 3 })).await.ok();
        assert_eq!(found["assets"]["items"][0]["id"], ids[right].as_str(), "{text}: {found}");
    }
}

#[derive(Deserialize)]
struct Faces {
    face: Vec<Face>,
    stranger: Vec<Stranger>,
}

#[derive(Deserialize)]
struct Face {
    person: String,
    photo: String,
    /// x, y, width, height in pixels of the original.
    r#box: [f32; 4],
    derive: Option<String>,
}

#[derive(Deserialize)]
struct Stranger {
    photo: String,
    boxes: Vec<[f32; 4]>,
}

/// A face that somebody labelled, on an asset, in fractions of the picture.
struct Labelled {
    who: String,
    asset: String,
    area: [f32; 4],
}

/// The photo as it is sent, and where the box is in it, as fractions.
fn derived(face: &Face) -> (Vec<u8>, [f32; 4]) {
    let bytes = photo(&face.photo);
    let picture = image::load_from_memory(&bytes).unwrap();
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let [x, y, w, h] = face.r#box;
    let mut area = [x / width, y / height, w / width, h / height];
    let Some(derive) = &face.derive else { return (bytes, area) };
    let (what, factor) = derive.split_once(':').unwrap_or((derive, "1"));
    let factor: f32 = factor.parse().unwrap();
    let made = match what {
        "mirror" => {
            area[0] = 1.0 - area[0] - area[2];
            picture.fliph()
        }
        "scale" => {
            let size = ((width * factor) as u32, (height * factor) as u32);
            picture.resize_exact(size.0, size.1, image::imageops::FilterType::CatmullRom)
        }
        "darken" => {
            let mut rgb = picture.to_rgb8();
            rgb.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| (f32::from(value) * factor) as u8));
            DynamicImage::ImageRgb8(rgb)
        }
        other => panic!("nobody knows how to derive {other:?}"),
    };
    let mut out = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(made.to_rgb8()).write_to(&mut out, ImageFormat::Png).unwrap();
    (out.into_inner(), area)
}

/// Intersection over union.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let side = |at: usize| (a[at] + a[at + 2]).min(b[at] + b[at + 2]) - a[at].max(b[at]);
    let both = side(0).max(0.0) * side(1).max(0.0);
    both / (a[2] * a[3] + b[2] * b[3] - both)
}

/// Whom the server thinks this face to be; `None`: it saw no face there, or gave it to nobody.
async fn person(client: &Client, face: &Labelled) -> Option<String> {
    let found = client.get(&format!("/faces?id={}", face.asset)).await.ok();
    let area = |found: &Value| {
        let side = |name: &str| found[name].as_f64().unwrap() as f32;
        let (width, height) = (side("imageWidth"), side("imageHeight"));
        let (x, y) = (side("boundingBoxX1") / width, side("boundingBoxY1") / height);
        [x, y, side("boundingBoxX2") / width - x, side("boundingBoxY2") / height - y]
    };
    let faces = found.as_array().unwrap();
    let best = faces.iter().max_by(|a, b| overlap(area(a), face.area).total_cmp(&overlap(area(b), face.area)))?;
    if overlap(area(best), face.area) < 0.3 {
        return None;
    }
    best["person"]["id"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn the_faces_of_one_person_are_one_group_and_nobody_is_merged_with_a_stranger() {
    let labels: Faces = labels("faces.toml");
    let people: BTreeSet<&str> = labels.face.iter().map(|face| &*face.person).collect();
    assert!(labels.face.len() >= 20 && people.len() >= 5);
    let app = TestApp::seeing().await;
    let client = app.sign_up().await;
    let mut labelled = Vec::new();
    for (at, face) in labels.face.iter().enumerate() {
        let (bytes, area) = derived(face);
        let name = if face.derive.is_some() { format!("{at}.png") } else { face.photo.clone() };
        labelled.push(Labelled { who: face.person.clone(), asset: client.uploaded(&name, bytes).await, area });
    }
    for (at, stranger) in labels.stranger.iter().enumerate() {
        let bytes = photo(&stranger.photo);
        let picture = image::load_from_memory(&bytes).unwrap();
        let (width, height) = (picture.width() as f32, picture.height() as f32);
        let asset = client.uploaded(&stranger.photo, bytes).await;
        for (of, [x, y, w, h]) in stranger.boxes.iter().enumerate() {
            let area = [x / width, y / height, w / width, h / height];
            labelled.push(Labelled { who: format!("stranger {at}.{of}"), asset: asset.clone(), area });
        }
    }
    for face in &labelled {
        client.processed(&face.asset).await;
    }
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut persons: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut alone = Vec::new();
    for face in &labelled {
        match person(&client, face).await {
            Some(person) => {
                persons.entry(face.who.clone()).or_default().insert(person.clone());
                groups.entry(person).or_default().insert(face.who.clone());
            }
            None if !face.who.starts_with("stranger") => alone.push(face.who.clone()),
            None => {}
        }
    }
    println!("{groups:#?}\nwithout a group: {alone:?}");
    for who in &people {
        let found = persons.get(*who).map_or(0, BTreeSet::len);
        assert_eq!(found, 1, "{who} is {found} people: {groups:#?}");
    }
    for members in groups.values() {
        let named = members.iter().filter(|who| !who.starts_with("stranger")).count();
        let with_a_stranger = named == 1 && members.len() > 1;
        assert!(named <= 1 && !with_a_stranger, "these are different people: {members:?}");
    }
    assert!(alone.is_empty(), "without a group: {alone:?}");
}
