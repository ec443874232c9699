//! ffmpeg that hangs, a server that dies in the middle of a transcode, a video that is deleted meanwhile.

use std::path::Path;

use serde_json::json;
use tests::videos::{PHONE, PICTURE, codecs, instead_of_ffmpeg, make, processes};
use tests::{Client, Program, TestApp, eventually};

/// A transcode never ends; frames and the rest are ffmpeg's.
const HANGS: &str = "case \"$*\" in *-progress*) exec sleep 987654;; *) exec $REAL \"$@\";; esac";

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

async fn messages(client: &Client, id: &str) -> String {
    let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
    errors.as_array().unwrap().iter().map(|error| format!("{}: {};", error["step"], error["message"])).collect()
}

#[tokio::test]
async fn an_ffmpeg_that_hangs_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    // What it starts is in another process: that must not live on either.
    let hangs = instead_of_ffmpeg(folder.path(), "sleep 876543 & sleep 876543");
    let app = TestApp::with(|settings| {
        settings.plugins.get_mut("latent.transcoding").unwrap().enabled = true;
        settings.video.ffmpeg = hangs;
        settings.video.look_limit = "4s".to_owned().try_into().unwrap();
        settings.video.transcode_limit = "1s".to_owned().try_into().unwrap();
        settings.video.seconds_per_second = 1.0;
    })
    .await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.mkv", make("a.mkv", PHONE)).await;
    client.processed(&id).await;
    let said = messages(&client, &id).await;
    assert!(said.contains("ffmpeg did not end within 4 s") && said.contains("video.look-limit"), "{said}");
    assert!(said.contains("ffmpeg did not end within 2 s") && said.contains("video.seconds-per-second"), "{said}");
    assert_eq!(processes("sleep\u{0}876543"), Vec::<u32>::new());
    assert_eq!(client.get("/server/ping").await.ok(), json!({ "res": "pong" }));
}

#[tokio::test]
async fn a_server_that_dies_in_a_transcode_takes_it_along_and_does_it_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = instead_of_ffmpeg(folder.path(), &HANGS.replace("987654", "765432"));
    let mut program = Program::start(folder.path(), &[("LATENT__VIDEO__FFMPEG", hangs.to_str().unwrap())]);
    let client = program.anonymous.clone().sign_up().await;
    let id = client.uploaded("a.mkv", make("a.mkv", &format!("{PICTURE} -- -c:v mpeg4"))).await;
    eventually("the transcode runs", || async { (!processes("sleep\u{0}765432").is_empty()).then_some(()) }).await;
    program.kill();
    eventually("the transcode is gone", || async { processes("sleep\u{0}765432").is_empty().then_some(()) }).await;
    let scratch = folder.path().join("data/scratch");
    let before = names(&scratch);
    assert_eq!(before.len(), 2, "a lock and the folder of the dead process: {before:?}");

    let program = Program::start(folder.path(), &[]);
    let mut client = program.anonymous.clone();
    client.log_in().await;
    client.processed(&id).await;
    assert_eq!(codecs(&client.bytes(&format!("/assets/{id}/video/playback")).await), "h264 yuv420p 128x96");
    let after = names(&scratch);
    assert!(after.len() == 2 && after != before, "what the dead process left is gone: {after:?}");
    let encoded = folder.path().join("data/library/encoded-video");
    let found = std::process::Command::new("find").arg(encoded).args(["-type", "f"]).output().unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.lines().count(), 1, "{found}");
}

#[tokio::test]
async fn a_crash_at_every_point_of_keeping_a_transcode_leaves_one_file_and_a_video_that_plays() {
    let video = make("a.mkv", &format!("{PICTURE} -- -c:v mpeg4"));
    for point in ["transcode.put", "transcode.saved"] {
        let folder = tempfile::tempdir().unwrap();
        let environment = [("LATENT_FAILPOINT", point), ("LATENT__UPLOADS__LEASE", "1")];
        let mut program = Program::start(folder.path(), &environment);
        let client = program.anonymous.clone().sign_up().await;
        let id = client.uploaded("a.mkv", video.clone()).await;
        assert!(!program.wait().success(), "{point} was never reached");
        let program = Program::start(folder.path(), &environment[1..]);
        let mut client = program.anonymous.clone();
        client.log_in().await;
        client.processed(&id).await;
        let played = client.bytes(&format!("/assets/{id}/video/playback")).await;
        assert_eq!(codecs(&played), "h264 yuv420p 128x96", "{point}");
    }
}

#[tokio::test]
async fn deleting_a_video_stops_its_transcode() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = instead_of_ffmpeg(folder.path(), &HANGS.replace("987654", "654321"));
    let app = TestApp::with(|settings| {
        settings.plugins.get_mut("latent.transcoding").unwrap().enabled = true;
        settings.video.ffmpeg = hangs;
    })
    .await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.mkv", make("a.mkv", &format!("{PICTURE} -- -c:v mpeg4"))).await;
    eventually("the transcode runs", || async { (!processes("sleep\u{0}654321").is_empty()).then_some(()) }).await;
    let steps = eventually("its progress is told", || async {
        let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
        steps["progress"]["ingest/transcoding"].is_number().then_some(steps)
    })
    .await;
    assert_eq!(steps["pending"], json!(["ingest/transcoding"]));
    // Others are taken in meanwhile: a transcode stands in nobody's way.
    let photo = client.uploaded("a.jpg", tests::photos::jpeg(1)).await;
    client.processed(&photo).await;
    client.delete("/assets", &json!({ "ids": [id], "force": true })).await.ok();
    eventually("the transcode is gone", || async { processes("sleep\u{0}654321").is_empty().then_some(()) }).await;
    eventually("its job is gone", || async {
        let jobs = client.get("/jobs").await.ok();
        (jobs["videoConversion"]["jobCounts"]["active"] == 0).then_some(())
    })
    .await;
    assert_eq!(client.get(&format!("/assets/{id}")).await.status, 400);
    assert!(!app.files().iter().any(|path| path.contains(&id)), "{:?}", app.files());
}

#[tokio::test]
async fn a_stop_gives_a_transcode_back() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = instead_of_ffmpeg(folder.path(), &HANGS.replace("987654", "543210"));
    let mut app = TestApp::with(|settings| {
        settings.plugins.get_mut("latent.transcoding").unwrap().enabled = true;
        settings.video.ffmpeg = hangs;
        settings.workers.grace = 0;
    })
    .await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.mkv", make("a.mkv", &format!("{PICTURE} -- -c:v mpeg4"))).await;
    eventually("the transcode runs", || async { (!processes("sleep\u{0}543210").is_empty()).then_some(()) }).await;
    app.settings.video.ffmpeg = "ffmpeg".into();
    let app = app.restart().await;
    eventually("the transcode is gone", || async { processes("sleep\u{0}543210").is_empty().then_some(()) }).await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    client.processed(&id).await;
    assert_eq!(codecs(&client.bytes(&format!("/assets/{id}/video/playback")).await), "h264 yuv420p 128x96");
}
