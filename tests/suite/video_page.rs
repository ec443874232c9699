//! Videos in the page, in a real Chromium: see tests/browser/video.mjs.

use std::process::Command;

use tests::videos::{PICTURE, make};
use tests::{Client, TestApp, photos};

#[tokio::test]
async fn plays_a_video_that_had_to_be_made_playable_and_a_photo_that_moves() {
    let app = TestApp::with(|settings| settings.plugins.get_mut("latent.transcoding").unwrap().enabled = true).await;
    let client = app.sign_up().await;
    let video = client.uploaded("film.avi", make("film.avi", "-c:v mpeg4 -c:a mp2")).await;
    let part = make("part.mp4", &format!("{PICTURE} -- -c:v libx264 -preset ultrafast -pix_fmt yuv420p"));
    let part = client.uploaded("part.mp4", part).await;
    let form = Client::form("photo.jpg", photos::jpeg(1)).text("livePhotoVideoId", part.clone());
    let photo = client.upload_form(form).await.ok()["id"].as_str().unwrap().to_owned();
    for id in [&video, &part, &photo] {
        client.processed(id).await;
    }
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "120", "node"]).arg(tests::root().join("tests/browser/video.mjs"));
    command.arg(&app.anonymous.url);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}
