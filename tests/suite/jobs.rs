//! Queues as an administrator sees them, and Redis as it may misbehave.

use gallery::Event;
use serde_json::json;
use tests::{Program, TestApp, eventually, photos};

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
    assert_eq!(client.put("/jobs/facialRecognition", &json!({ "command": "pause" })).await.status, 400);
    client.put("/jobs/facialRecognition", &json!({ "command": "start", "force": true })).await.ok();
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
    // The pause is not lost with them.
    client.put("/jobs/metadataExtraction", &json!({ "command": "resume" })).await.ok();
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

#[tokio::test]
async fn a_pause_outlives_a_redis_that_is_emptied() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    client.put("/jobs/metadataExtraction", &json!({ "command": "pause" })).await.ok();
    let redis = redis::Client::open(app.settings.redis.url.as_str()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    eventually("the queue is paused again", || async {
        let jobs = client.get("/jobs").await.ok();
        (jobs["metadataExtraction"]["queueStatus"]["isPaused"] == true).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_job_that_nobody_can_read_becomes_a_dead_letter_and_others_go_on() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let redis = redis::Client::open(app.settings.redis.url.as_str()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    for field in ["job", "other"] {
        let mut add = redis::cmd("XADD");
        let _: String =
            add.arg(&["latent:{metadata}:interactive", "*", field, "{}"]).query_async(&mut connection).await.unwrap();
    }
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let jobs = client.get("/jobs").await.ok();
    assert_eq!(jobs["metadataExtraction"]["jobCounts"]["failed"], 1);
    client.put("/jobs/metadataExtraction", &json!({ "command": "clear-failed" })).await.ok();
    let jobs = client.get("/jobs").await.ok();
    assert_eq!(jobs["metadataExtraction"]["jobCounts"]["failed"], 0);
}

#[tokio::test]
async fn what_a_worker_of_another_process_makes_is_heard_here_once() {
    let app = TestApp::serving(|_| {}).await;
    let client = app.sign_up().await;
    let folder = tempfile::tempdir().unwrap();
    let beside = app.environment();
    let pairs: Vec<(&str, &str)> = beside.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut events = app.running.gallery.events().listen();
    let worker = Program::work(folder.path(), &pairs);
    let first = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let second = client.uploaded("b.jpg", photos::jpeg(2)).await;
    client.put(&format!("/assets/{first}"), &json!({ "isFavorite": true })).await.ok();
    client.processed(&first).await;
    client.processed(&second).await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let next = tokio::time::timeout(std::time::Duration::from_secs(10), events.recv());
        heard.push(match next.await.expect("three events").unwrap() {
            Event::UploadReady { asset, .. } => format!("ready {asset}"),
            Event::AssetUpdated { asset, .. } => format!("updated {asset}"),
            other => panic!("{other:?}"),
        });
    }
    heard.sort();
    let mut expected = [format!("ready {first}"), format!("ready {second}"), format!("updated {first}")];
    expected.sort();
    assert_eq!(heard, expected);
    assert!(events.try_recv().is_err(), "nothing is heard twice");
    assert!(worker.stop().success());
}

#[tokio::test]
async fn a_job_that_kills_every_worker_has_failed_instead_of_killing_for_ever() {
    let app = TestApp::serving(|settings| settings.workers.takeover = 1).await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let folder = tempfile::tempdir().unwrap();
    let beside = app.environment();
    let mut pairs: Vec<(&str, &str)> = beside.iter().map(|(name, value)| (*name, value.as_str())).collect();
    pairs.push(("LATENT_FAILPOINT", "ingest.started"));
    for _ in 0..3 {
        // It may die before it has said that it is ready.
        if let Ok(mut worker) = Program::role(folder.path(), &["work"], &pairs) {
            assert!(!worker.wait().success());
        }
    }
    pairs.pop();
    let worker = Program::work(folder.path(), &pairs);
    let why = eventually("the step has failed", || async {
        let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
        errors[0]["message"].as_str().map(str::to_owned)
    })
    .await;
    assert!(why.contains("died 3 times"), "{why}");
    assert!(worker.stop().success());
}
