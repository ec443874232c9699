//! Videos from their upload to a player: what is read, what is shown, what is made, and what is refused.

use image::GenericImageView as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::videos::{self, PHONE, PICTURE, codecs, make};
use tests::{Client, TestApp};

/// With the plugin that plans, and nothing that looks at photos.
async fn app() -> TestApp {
    with(|_| {}).await
}

async fn with(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> TestApp {
    TestApp::with(|settings| {
        let plugin = settings.plugins.get_mut("latent.transcoding").unwrap();
        plugin.enabled = true;
        change(&mut plugin.settings);
    })
    .await
}

async fn errors(client: &Client, id: &str) -> Value {
    client.get(&format!("/latent/assets/{id}/errors")).await.ok()
}

async fn playback(client: &Client, id: &str) -> Vec<u8> {
    client.bytes(&format!("/assets/{id}/video/playback")).await
}

#[tokio::test]
async fn what_a_phone_records_gets_a_picture_its_date_and_place_and_plays_as_it_is() {
    let app = app().await;
    let client = app.sign_up().await;
    let tags = "-movflags +use_metadata_tags+faststart -metadata com.apple.quicktime.creationdate=2019-07-20T18:30:00+0200 \
                -metadata com.apple.quicktime.location.ISO6709=+52.0116+004.3571+010.0/ \
                -metadata com.apple.quicktime.make=Apple -metadata com.apple.quicktime.model=iPhone";
    let video = make("a.mov", &format!("{PHONE} {tags}"));
    let id = client.uploaded("IMG_0001.mov", video.clone()).await;
    let asset = client.processed(&id).await;
    assert_eq!(errors(&client, &id).await, json!([]));
    assert_eq!((&asset["type"], &asset["duration"]), (&json!("VIDEO"), &json!(1000)));
    assert_eq!((asset["width"].as_u64(), asset["height"].as_u64()), (Some(128), Some(96)));
    assert_eq!(asset["localDateTime"], "2019-07-20T18:30:00.000Z");
    assert_eq!(asset["fileCreatedAt"], "2019-07-20T16:30:00.000Z");
    let exif = &asset["exifInfo"];
    assert_eq!((&exif["make"], &exif["model"]), (&json!("Apple"), &json!("iPhone")));
    assert_eq!(exif["timeZone"], "Europe/Amsterdam");
    assert!(exif["city"].as_str().unwrap().contains("Delft"), "{exif}");
    assert!(asset["thumbhash"].is_string());
    let preview = client.bytes(&format!("/assets/{id}/thumbnail?size=preview")).await;
    assert_eq!(image::load_from_memory(&preview).unwrap().dimensions(), (128, 96));
    assert_eq!(playback(&client, &id).await, video, "it plays as it is");
    // The file lies where its own date says, from the beginning.
    assert!(app.files().iter().any(|path| path.ends_with("2019/2019-07-20/IMG_0001.mov")), "{:?}", app.files());

    let bucket = client.get("/timeline/bucket?timeBucket=2019-07-01").await.ok();
    assert_eq!((&bucket["duration"], &bucket["isImage"]), (&json!([1000]), &json!([false])));
    let count = client.get("/assets/statistics").await.ok();
    assert_eq!((&count["videos"], &count["images"]), (&json!(1), &json!(0)));
    let found = client.post("/search/metadata", &json!({ "type": "VIDEO" })).await.ok();
    assert_eq!(found["assets"]["items"][0]["id"], json!(id));
    let found = client.post("/search/metadata", &json!({ "type": "IMAGE" })).await.ok();
    assert_eq!(found["assets"]["total"], 0);
    let types = client.get("/server/media-types").await.ok();
    assert!(types["video"].as_array().unwrap().contains(&json!(".mov")));
}

#[tokio::test]
async fn a_player_asks_for_parts() {
    let app = app().await;
    let client = app.sign_up().await;
    let video = make("a.mkv", PHONE);
    let id = client.uploaded("a.mkv", video).await;
    client.processed(&id).await;
    let whole = playback(&client, &id).await;
    let path = format!("/assets/{id}/video/playback");
    let ask = |method: Method, range: &str| client.request(method, &path).header("range", range).send();
    let part = ask(Method::GET, "bytes=4-11").await.unwrap();
    assert_eq!(
        (part.status(), &part.headers()["content-type"]),
        (StatusCode::PARTIAL_CONTENT, &"video/mp4".parse().unwrap())
    );
    assert_eq!(part.headers()["content-range"], format!("bytes 4-11/{}", whole.len()).as_str());
    assert_eq!(part.bytes().await.unwrap(), whole[4..12]);
    let last = ask(Method::GET, "bytes=-5").await.unwrap();
    assert_eq!(last.bytes().await.unwrap(), whole[whole.len() - 5..]);
    let beyond = ask(Method::GET, "bytes=99999999-").await.unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let head = client.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!((head.status(), &head.headers()["accept-ranges"]), (StatusCode::OK, &"bytes".parse().unwrap()));
    assert_eq!(head.headers()["content-length"], whole.len().to_string().as_str());
    let other = client.beside(&app.running.gallery, "Bob").await;
    assert_eq!(other.get(&path).await.status, StatusCode::BAD_REQUEST, "somebody else's");
}

/// File, how it is made, and the streams that are played.
const CASES: &[(&str, &str, &str)] = &[
    ("remux.mkv", PHONE, "h264 yuv420p 128x96, aac"),
    (
        "hevc.mp4",
        "-c:v libx265 -preset ultrafast -x265-params log-level=error -tag:v hvc1 -c:a aac",
        "h264 yuv420p 128x96, aac",
    ),
    ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus", "h264 yuv420p 128x96, opus"),
    ("av1.mp4", "-c:v libsvtav1 -preset 12 -c:a aac", "h264 yuv420p 128x96, aac"),
    ("mpeg4.avi", "-c:v mpeg4 -c:a libmp3lame", "h264 yuv420p 128x96, mp3"),
    ("deep.mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le -c:a aac", "h264 yuv420p 128x96, aac"),
    ("silent.mkv", "-f lavfi -i testsrc2=s=128x96:d=1:r=25 -- -c:v mpeg4", "h264 yuv420p 128x96"),
    ("odd.mkv", "-f lavfi -i testsrc=s=129x97:d=1:r=25 -- -c:v mpeg4", "h264 yuv420p 130x98"),
    ("sound.mov", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a pcm_s16le", "h264 yuv420p 128x96, aac"),
    ("ac3.mp4", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a ac3", "h264 yuv420p 128x96, aac"),
    ("wide.mkv", "-vf setsar=2/1 -c:v mpeg4 -c:a mp2", "h264 yuv420p 256x96, aac"),
    ("camera.mts", "-c:v mpeg2video -c:a mp2", "h264 yuv420p 128x96, aac"),
    (
        "hdr.mp4",
        "-f lavfi -i testsrc2=s=128x96:d=1:r=25 -- -pix_fmt yuv420p10le -c:v libx265 -preset ultrafast \
         -x265-params log-level=error -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc",
        "h264 yuv420p 128x96",
    ),
    (
        "hlg.mp4",
        "-f lavfi -i testsrc2=s=128x96:d=1:r=25 -- -pix_fmt yuv420p10le -c:v libx265 -preset ultrafast \
         -x265-params log-level=error -color_primaries bt2020 -color_trc arib-std-b67 -colorspace bt2020nc",
        "h264 yuv420p 128x96",
    ),
];

#[tokio::test]
async fn every_kind_of_video_becomes_what_a_browser_plays() {
    let app = app().await;
    let client = app.sign_up().await;
    let mut sent = Vec::new();
    for (name, how, wanted) in CASES {
        let bytes = make(name, how);
        sent.push((name, client.uploaded(name, bytes.clone()).await, bytes, wanted));
    }
    for (name, id, original, wanted) in sent {
        let asset = client.processed(&id).await;
        assert_eq!(errors(&client, &id).await, json!([]), "{name}");
        assert!(asset["thumbhash"].is_string(), "{name}");
        let played = playback(&client, &id).await;
        assert_eq!(codecs(&played), **wanted, "{name}");
        let said = videos::probe(&played);
        assert!(said["format"]["format_name"].as_str().unwrap().contains("mp4"), "{name}");
        let seconds: f64 = said["format"]["duration"].as_str().unwrap().parse().unwrap();
        assert!((0.9..1.3).contains(&seconds), "{name}: {seconds} s");
        // With its index in front, so that it plays while it loads.
        let at = |what: &[u8]| played.windows(4).position(|window| window == what).unwrap();
        assert!(at(b"moov") < at(b"mdat"), "{name}");
        if name.starts_with('h') && !name.starts_with("hevc") {
            assert_eq!(said["streams"][0]["color_transfer"], "bt709", "{name}");
        }
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, original, "{name}");
        assert!(app.files().iter().any(|path| path.starts_with("encoded-video/") && path.contains(&id)), "{name}");
    }
    let jobs = client.get("/jobs").await.ok();
    assert_eq!(jobs["videoConversion"]["jobCounts"]["waiting"], 0);
    // What was made goes with its video.
    let all = client.timeline().await;
    client.delete("/assets", &json!({ "ids": all, "force": true })).await.ok();
    assert_eq!(app.files(), Vec::<String>::new());
}

#[tokio::test]
async fn a_turned_video_stands_upright_and_frames_keep_their_times() {
    let app = app().await;
    let client = app.sign_up().await;
    let plain = make("plain.mp4", &format!("{PICTURE} -- -c:v mpeg4 -q:v 2"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plain.mp4"), plain).unwrap();
    let source = folder.path().join("plain.mp4").display().to_string();
    let turned = make("turned.mov", &format!("-i {source} -- -c copy -metadata:s:v:0 rotate=90"));
    let id = client.uploaded("turned.mov", turned).await;
    let uneven = make(
        "uneven.mkv",
        "-f lavfi -i testsrc2=s=128x96:d=1:r=25 -- -vf select=not(between(n\\,5\\,11)+eq(n\\,15)) -fps_mode vfr -c:v mpeg4",
    );
    let uneven_id = client.uploaded("uneven.mkv", uneven.clone()).await;
    let asset = client.processed(&id).await;
    assert_eq!((asset["width"].as_u64(), asset["height"].as_u64()), (Some(96), Some(128)));
    let preview = client.bytes(&format!("/assets/{id}/thumbnail?size=preview")).await;
    assert_eq!(image::load_from_memory(&preview).unwrap().dimensions(), (96, 128));
    let played = playback(&client, &id).await;
    assert_eq!(codecs(&played), "h264 yuv420p 96x128");
    let said = videos::probe(&played);
    assert_eq!(said["streams"][0]["side_data_list"], Value::Null, "the turn is in the frames");

    client.processed(&uneven_id).await;
    let played = playback(&client, &uneven_id).await;
    let frames = |bytes: &[u8]| videos::probe(bytes)["streams"][0]["nb_read_packets"].clone();
    assert_eq!(frames(&uneven), "17");
    assert_eq!(frames(&played), "17", "no frame is doubled or lost");
}

#[tokio::test]
async fn policies_decide_and_another_policy_is_done_again() {
    let mut app = with(|settings| drop(settings.insert("transcode".into(), "disabled".into()))).await;
    let client = app.sign_up().await;
    let video = make("a.mkv", &format!("{PICTURE} -- -c:v mpeg4"));
    let id = client.uploaded("a.mkv", video.clone()).await;
    client.processed(&id).await;
    assert_eq!(playback(&client, &id).await, video, "disabled: nothing is made");
    let own = &mut app.settings.plugins.get_mut("latent.transcoding").unwrap().settings;
    own.insert("transcode".into(), "required".into());
    own.insert("target-video-codec".into(), "hevc".into());
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    tests::eventually("it is made as the new settings say", || async {
        let played = playback(&client, &id).await;
        (played != video).then(|| assert_eq!(codecs(&played), "hevc yuv420p 128x96"))
    })
    .await;
}

#[tokio::test]
async fn a_lost_playback_is_made_again() {
    let app = app().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.mkv", make("a.mkv", PHONE)).await;
    client.processed(&id).await;
    std::fs::remove_dir_all(app.library().join("encoded-video")).unwrap();
    assert_eq!(client.get(&format!("/assets/{id}/video/playback")).await.status, StatusCode::NOT_FOUND);
    tests::eventually("the playback is back", || async {
        let answer = client.request(Method::GET, &format!("/assets/{id}/video/playback")).send().await.unwrap();
        (answer.headers()["content-type"] == "video/mp4").then_some(())
    })
    .await;
    assert!(client.get(&format!("/assets/{id}")).await.ok()["thumbhash"].is_string(), "the thumbnail stays");
}

/// Boxes of an ISO media file: kind and contents.
fn boxed(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    [&(contents.len() as u32 + 8).to_be_bytes()[..], kind, contents].concat()
}

#[tokio::test]
async fn what_is_no_video_says_why_and_leaves_the_others_alone() {
    let app = app().await;
    let client = app.sign_up().await;
    let whole = make("whole.mp4", &format!("{PHONE} -g 5"));
    let mut lying = whole.clone();
    // Three hours, says the header of the movie: its unit is a thousandth of a second.
    let at = lying.windows(4).position(|window| window == b"mvhd").unwrap() + 4;
    lying[at + 16..at + 20].copy_from_slice(&10_800_000_u32.to_be_bytes());
    let head = [&[0; 12][..], &1000_u32.to_be_bytes(), &1000_u32.to_be_bytes(), &[0; 80]].concat();
    let empty = [boxed(b"ftyp", b"isom\0\0\0\0isom"), boxed(b"moov", &boxed(b"mvhd", &head))].concat();
    let cut = whole[..whole.len() * 6 / 10].to_vec();
    let playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n".to_vec();
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("text.mp4", b"Dear diary, this is no video at all.".repeat(20), &["this is not a video that can be read"]),
        ("playlist.mp4", playlist, &["this is not a video that can be read"]),
        ("empty.mp4", empty, &["no streams"]),
        ("sound.mp4", make("sound.mp4", "-f lavfi -i sine=d=1 -- -c:a aac"), &["it has sound only"]),
        ("cut.mp4", cut, &["it is cut off, or says what is not so"]),
        ("lying.mp4", lying, &["says that it lasts 10800.0 s, but ends after 1.0 s"]),
    ];
    for (name, bytes, wanted) in cases {
        let id = client.uploaded(name, bytes.clone()).await;
        let asset = client.processed(&id).await;
        let errors = errors(&client, &id).await;
        let words: String = errors.as_array().unwrap().iter().map(|error| format!("{};", error["message"])).collect();
        for wanted in wanted {
            assert!(words.contains(wanted), "{name}: {words}");
        }
        assert!(!words.contains("/proc/") && !words.contains("0x"), "{name}: {words}");
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, bytes, "{name}");
        if name == "lying.mp4" {
            assert_eq!(asset["duration"], 1000, "what is there counts");
            assert_eq!(playback(&client, &id).await, bytes, "and plays");
        }
    }
    let id = client.uploaded("whole.mp4", whole).await;
    client.processed(&id).await;
    assert_eq!(errors(&client, &id).await, json!([]));
}

#[tokio::test]
async fn without_ffmpeg_videos_are_kept_and_it_is_said_what_to_install() {
    let app = TestApp::with(|settings| {
        settings.video.ffmpeg = "/nowhere/ffmpeg".into();
        settings.plugins.get_mut("latent.transcoding").unwrap().enabled = true;
    })
    .await;
    let client = app.sign_up().await;
    let video = make("a.mkv", PHONE);
    let id = client.uploaded("a.mkv", video.clone()).await;
    client.processed(&id).await;
    let errors = errors(&client, &id).await;
    assert!(errors[0]["message"].as_str().unwrap().contains("apt-get install ffmpeg"), "{errors}");
    assert_eq!(playback(&client, &id).await, video);
    let photo = client.uploaded("a.jpg", tests::photos::jpeg(1)).await;
    assert!(client.processed(&photo).await["thumbhash"].is_string());
}

#[tokio::test]
async fn the_frame_that_stands_for_a_video_is_not_a_black_one() {
    let app = app().await;
    let client = app.sign_up().await;
    let dark_first = make(
        "dark.mp4",
        "-f lavfi -i color=black:s=128x96:d=0.5:r=25 -f lavfi -i testsrc2=s=128x96:d=0.5:r=25 -- \
         -filter_complex [0][1]concat=n=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    );
    let id = client.uploaded("dark.mp4", dark_first).await;
    client.processed(&id).await;
    let preview = client.bytes(&format!("/assets/{id}/thumbnail?size=preview")).await;
    let bright =
        image::load_from_memory(&preview).unwrap().to_rgb8().pixels().filter(|p| p.0.iter().any(|c| *c > 100)).count();
    assert!(bright > 1_000, "{bright} bright pixels");
}
