//! Photos that move: sent as a pair, paired by what Apple wrote into both, or with the video inside as Android writes them.

use serde_json::{Value, json};
use tests::photos::{self, Exif};
use tests::videos::{PHONE, make};
use tests::{Client, TestApp, eventually};

async fn info(client: &Client, id: &str) -> Value {
    client.get(&format!("/assets/{id}")).await.ok()
}

/// The id of the video that belongs to a photo.
async fn moving(client: &Client, photo: &str) -> Option<String> {
    info(client, photo).await["livePhotoVideoId"].as_str().map(str::to_owned)
}

async fn count(client: &Client) -> (Value, Value) {
    let count = client.get("/assets/statistics").await.ok();
    (count["images"].clone(), count["videos"].clone())
}

#[tokio::test]
async fn a_video_sent_for_a_photo_hides_behind_it_and_follows_it() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let video = client.uploaded("a.mov", make("a.mov", PHONE)).await;
    client.processed(&video).await;
    let form = Client::form("a.jpg", photos::jpeg(1)).text("livePhotoVideoId", video.clone());
    let photo = client.upload_form(form).await.ok()["id"].as_str().unwrap().to_owned();
    client.processed(&photo).await;
    assert_eq!(moving(&client, &photo).await.as_deref(), Some(&*video));
    assert_eq!(client.timeline().await, [&*photo]);
    assert_eq!(count(&client).await, (json!(1), json!(0)));
    assert_eq!(info(&client, &video).await["visibility"], "hidden");
    assert!(!client.bytes(&format!("/assets/{video}/video/playback")).await.is_empty());
    let form = Client::form("b.jpg", photos::jpeg(2)).text("livePhotoVideoId", photo.clone());
    assert_eq!(client.upload_form(form).await.error(), "400 Live photo video must be a video");

    client.delete("/assets", &json!({ "ids": [photo] })).await.ok();
    assert_eq!(info(&client, &video).await["isTrashed"], true);
    let restored = client.post("/trash/restore/assets", &json!({ "ids": [photo] })).await.ok();
    assert_eq!(restored["count"], 1, "one photo, whatever belongs to it");
    assert_eq!(info(&client, &video).await["isTrashed"], false);
    client.delete("/assets", &json!({ "ids": [photo], "force": true })).await.ok();
    assert_eq!(client.get(&format!("/assets/{video}")).await.status, 400);
    assert_eq!(app.files(), Vec::<String>::new());
}

/// Apple's MakerNote with a content identifier.
fn apple_note(id: &str) -> Vec<u8> {
    let text = [id.as_bytes(), b"\0"].concat();
    let mut note = b"Apple iOS\0\0\x01MM\0\x01".to_vec();
    note.extend([0, 0x11, 0, 2]);
    note.extend((text.len() as u32).to_be_bytes());
    note.extend(32_u32.to_be_bytes());
    note.resize(32, 0);
    note.extend(text);
    note
}

#[tokio::test]
async fn the_two_files_of_apples_live_photo_find_each_other_in_whatever_order_they_come() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    for (seed, id, photo_first) in [(1, "4A1C3D5E-0001", true), (2, "4A1C3D5E-0002", false)] {
        let exif = Exif { orientation: 1, maker_note: Some(apple_note(id)), ..Exif::default() };
        let photo = photos::encoded_jpeg(320, 240, seed, Some(&exif));
        let video = make(
            "a.mov",
            &format!("{PHONE} -movflags +use_metadata_tags -metadata com.apple.quicktime.content.identifier={id}"),
        );
        let (name, other) = (format!("IMG_{seed}.jpg"), format!("IMG_{seed}.mov"));
        let files = [(name, photo), (other, video)];
        let mut ids = [String::new(), String::new()];
        for at in if photo_first { [0, 1] } else { [1, 0] } {
            let (name, bytes) = &files[at];
            ids[at] = client.uploaded(name, bytes.clone()).await;
            client.processed(&ids[at]).await;
        }
        assert_eq!(moving(&client, &ids[0]).await, Some(ids[1].clone()), "{id}");
        assert_eq!(info(&client, &ids[1]).await["visibility"], "hidden");
    }
    assert_eq!(count(&client).await, (json!(2), json!(0)));
    // Somebody else's video has the same words in it and belongs to nobody's photo here.
    let other = client.beside(&app.running.gallery, "Bob").await;
    let video = make(
        "b.mov",
        &format!(
            "{PHONE} -movflags +use_metadata_tags -metadata com.apple.quicktime.content.identifier=4A1C3D5E-0001 -t 0.8"
        ),
    );
    let id = other.uploaded("b.mov", video).await;
    other.processed(&id).await;
    assert_eq!(info(&other, &id).await["visibility"], "timeline");
}

/// A photo with a video behind it, and XMP that says so.
fn motion(seed: u32, xmp: impl Fn(usize) -> String, video: &[u8]) -> Vec<u8> {
    let xmp = xmp(video.len());
    let segment = [b"http://ns.adobe.com/xap/1.0/\0", xmp.as_bytes()].concat();
    [photos::with_segment(&photos::jpeg(seed), 0xe1, &segment), video.to_vec()].concat()
}

#[tokio::test]
async fn the_video_inside_a_motion_photo_is_taken_out_and_plays() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let micro = |len: usize| {
        format!("<x:xmpmeta><rdf:Description GCamera:MicroVideo=\"1\" GCamera:MicroVideoOffset=\"{len}\"/></x:xmpmeta>")
    };
    let directory = |len: usize| {
        format!(
            "<x:xmpmeta><Container:Directory><rdf:Seq><rdf:li><Container:Item Item:Mime=\"image/jpeg\" \
             Item:Semantic=\"Primary\" Item:Length=\"0\" Item:Padding=\"0\"/></rdf:li><rdf:li><Container:Item \
             Item:Mime=\"video/mp4\" Item:Semantic=\"MotionPhoto\" Item:Length=\"{len}\" Item:Padding=\"0\"/></rdf:li>\
             </rdf:Seq></Container:Directory></x:xmpmeta>"
        )
    };
    let videos: Vec<Vec<u8>> = (1..=3).map(|seed| make("a.mp4", &format!("{PHONE} -g {seed}"))).collect();
    let samsung = [&photos::jpeg(3)[..], b"MotionPhoto_Data", &videos[2], b"\0\0\0\x01SEFH\0\0\0k"].concat();
    let photos = [
        ("PXL_1.MP.jpg", motion(1, micro, &videos[0]), &videos[0]),
        ("PXL_2.jpg", motion(2, directory, &videos[1]), &videos[1]),
        ("20240315.jpg", samsung, &videos[2]),
    ];
    for (name, photo, video) in photos {
        let id = client.uploaded(name, photo.clone()).await;
        client.processed(&id).await;
        let part = eventually(&format!("{name} moves"), || async { moving(&client, &id).await }).await;
        let asset = client.processed(&part).await;
        assert_eq!((&asset["visibility"], &asset["type"]), (&json!("hidden"), &json!("VIDEO")), "{name}");
        assert_eq!(&client.bytes(&format!("/assets/{part}/video/playback")).await, video, "{name}");
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photo, "{name}");
    }
    assert_eq!(count(&client).await, (json!(3), json!(0)));
    let found = client.post("/search/metadata", &json!({ "isMotion": true })).await.ok();
    assert_eq!(found["assets"]["total"], 3);
    // Again, and nothing is doubled.
    client.put("/jobs/metadataExtraction", &json!({ "command": "start", "force": true })).await.ok();
    for id in client.timeline().await {
        client.processed(&id).await;
    }
    let raw = app.database.raw().await;
    let videos: i64 = raw.query_one("SELECT count(*) FROM asset WHERE type = 'VIDEO'", &[]).await.unwrap().get(0);
    assert_eq!(videos, 3);
}

#[tokio::test]
async fn a_photo_that_lies_about_a_video_is_a_photo() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let lies = |offset: &str| {
        let offset = offset.to_owned();
        move |_: usize| {
            format!(
                "<x:xmpmeta><rdf:Description GCamera:MicroVideo=\"1\" GCamera:MicroVideoOffset=\"{offset}\"/></x:xmpmeta>"
            )
        }
    };
    for (seed, offset) in [(1, "1000"), (2, "99999999999999999999"), (3, "0"), (4, "4294967295"), (5, "-5")] {
        let id = client.uploaded("a.jpg", motion(seed, lies(offset), &[0x55; 4_000])).await;
        let asset = client.processed(&id).await;
        assert_eq!(asset["livePhotoVideoId"], Value::Null, "{offset}");
        assert!(asset["thumbhash"].is_string(), "{offset}");
    }
}
