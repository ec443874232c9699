//! Queues as an administrator sees them, and Redis as it may misbehave.

use serde_json::json;
use tests::{TestApp, eventually, photos};

#[tokio::test]
async fn a_paused_queue_holds_and_a_resumed_one_goes_on() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let status = client.put("/jobs/metadataExtraction", &json!({ "command": "pause" })).await.ok();
    assert_eq!(status["queueStatus"]["isPaused"], true);
    let mut ids = Vec::new();
    for seed in 0..3 {
        ids.push(client.uploaded("a.jpg", photos::jpeg(seed)).await);
    }
    eventually("the jobs wait", || async {
        let jobs = client.get("/jobs").await.ok();
        (jobs["metadataExtraction"]["jobCounts"]["paused"] == 3).then_some(())
    })
    .await;
    for id in &ids {
        let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
        assert_eq!(steps["steps"]["ingest/metadata"], "pending");
    }
    client.put("/jobs/metadataExtraction", &json!({ "command": "resume" })).await.ok();
    for id in &ids {
        client.processed(id).await;
    }
}

#[tokio::test]
async fn a_forced_start_makes_every_thumbnail_again() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let raw = app.database.raw().await;
    let stamp = || async {
        let query = "SELECT at::text FROM step_result WHERE step = 'thumbnails'";
        raw.query_opt(query, &[]).await.unwrap().map(|row| row.get::<_, String>(0))
    };
    let before = stamp().await.unwrap();
    client.put("/jobs/thumbnailGeneration", &json!({ "command": "start", "force": true })).await.ok();
    eventually("the thumbnail is made again", || async { stamp().await.filter(|at| *at != before) }).await;
    assert!(!client.bytes(&format!("/assets/{id}/thumbnail")).await.is_empty());
}

#[tokio::test]
async fn an_unknown_queue_and_an_unknown_command_are_refused() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    assert_eq!(client.put("/jobs/nonsense", &json!({ "command": "start" })).await.status, 400);
    assert_eq!(client.put("/jobs/thumbnailGeneration", &json!({ "command": "explode" })).await.status, 400);
}

#[tokio::test]
async fn redis_emptied_with_fifty_jobs_waiting_loses_none() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    client.put("/jobs/metadataExtraction", &json!({ "command": "pause" })).await.ok();
    let mut ids = Vec::new();
    for seed in 0..50 {
        ids.push(client.uploaded("a.jpg", photos::jpeg(seed)).await);
    }
    eventually("fifty jobs wait", || async {
        let jobs = client.get("/jobs").await.ok();
        (jobs["metadataExtraction"]["jobCounts"]["paused"] == 50).then_some(())
    })
    .await;
    let redis = redis::Client::open(app.settings.redis.url.as_str()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    for id in &ids {
        client.processed(id).await;
    }
}

#[tokio::test]
async fn a_thumbnail_that_vanished_from_the_storage_is_made_again() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    std::fs::remove_dir_all(app.library().join("thumbs")).unwrap();
    assert_eq!(client.get(&format!("/assets/{id}/thumbnail")).await.status, 404);
    eventually("the thumbnail is back", || async {
        let answer = client.request(reqwest::Method::GET, &format!("/assets/{id}/thumbnail")).send().await.unwrap();
        answer.status().is_success().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_paused_queue_of_faces_holds_faces_and_nothing_else() {
    let app = TestApp::seeing().await;
    let client = app.sign_up().await;
    client.put("/jobs/faceDetection", &json!({ "command": "pause" })).await.ok();
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let steps = || async { client.get(&format!("/latent/assets/{id}/steps")).await.ok() };
    eventually("only faces wait", || async {
        let pending = steps().await["pending"].clone();
        (pending == json!(["ingest/faces"])).then_some(())
    })
    .await;
    eventually("the job waits", || async {
        let jobs = client.get("/jobs").await.ok();
        (jobs["faceDetection"]["jobCounts"]["paused"] == 1).then_some(())
    })
    .await;
    assert!(!client.bytes(&format!("/assets/{id}/thumbnail")).await.is_empty());
    client.put("/jobs/faceDetection", &json!({ "command": "resume" })).await.ok();
    client.processed(&id).await;
    assert_eq!(steps().await["steps"]["ingest/faces"], "done");
}
