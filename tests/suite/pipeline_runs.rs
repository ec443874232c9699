//! Runs over the library: all or what is missing, how far they are, what survives, and who goes first.

use pipelines::RunRequest;
use serde_json::{Value, json};
use tests::{Client, TestApp, eventually, photos};
use types::{AssetId, Job, JobId, JobKind, Priority, QueueName};

use crate::pipeline_triggers::app;

const MANUAL: &str = "on = \"manual\"\n[[step]]\nid = \"favour\"\nuse = \"host:set\"\nset = { favorite = true }\n\
    when = \"asset.fileName.startsWith('best')\"\n[[step]]\nid = \"rate\"\nuse = \"host:set\"\nset = { rating = 2 }\n";

async fn uploaded(client: &Client, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for (seed, name) in names.iter().enumerate() {
        ids.push(client.uploaded(name, photos::jpeg(seed as u32 + 1)).await);
    }
    for id in &ids {
        client.processed(id).await;
    }
    ids
}

async fn ended(client: &Client, run: &Value) -> Value {
    let path = format!("/latent/pipeline-runs/{}", run["id"].as_str().unwrap());
    eventually("the run has ended", || async {
        let run = client.get(&path).await.ok();
        (!run["endedAt"].is_null()).then_some(run)
    })
    .await
}

#[tokio::test]
async fn a_pipeline_runs_when_somebody_says_so_on_all_on_what_is_missing_and_on_some() {
    let (app, _folder) = app("sort", MANUAL).await;
    let client = app.sign_up().await;
    let ids = uploaded(&client, &["best.jpg", "other.jpg", "best-2.jpg"]).await;
    let path = "/latent/pipelines/sort/run";
    assert_eq!(client.post(path, &json!({ "dryRun": true })).await.ok(), json!({ "total": 3 }));
    let run = client.post(path, &json!({ "assets": [ids[0]], "force": true })).await.ok();
    assert_eq!((&run["total"], &run["cause"]), (&json!(1), &json!("manual")));
    ended(&client, &run).await;
    let of = async |id: &str| client.get(&format!("/assets/{id}")).await.ok();
    assert_eq!((&of(&ids[0]).await["isFavorite"], &of(&ids[2]).await["isFavorite"]), (&json!(true), &json!(false)));
    // What is missing: the other two.
    assert_eq!(client.post(path, &json!({ "dryRun": true })).await.ok(), json!({ "total": 2 }));
    let run = client.post(path, &json!({})).await.ok();
    let run = ended(&client, &run).await;
    assert_eq!((&run["total"], &run["done"], &run["failed"]), (&json!(2), &json!(2), &json!(0)));
    assert_eq!(of(&ids[2]).await["isFavorite"], true);
    assert_eq!(of(&ids[1]).await["isFavorite"], false, "its condition does not hold");
    // Nothing is missing, and all is all.
    let run = client.post(path, &json!({})).await.ok();
    assert_eq!((&run["total"], run["endedAt"].is_null()), (&json!(0), false));
    client.put(&format!("/assets/{}", ids[1]), &json!({ "rating": 5 })).await.ok();
    let run = client.post(path, &json!({ "force": true, "steps": ["rate"] })).await.ok();
    assert_eq!(ended(&client, &run).await["done"], 3);
    assert_eq!(of(&ids[1]).await["exifInfo"]["rating"], 2);
    // Who asks for what there is not is told what there is.
    let error = client.post(path, &json!({ "steps": ["rat"] })).await.error();
    assert_eq!(error, "400 the pipeline \"sort\" has no step \"rat\"; did you mean \"rate\"?");
    let error = client.post("/latent/pipelines/srot/run", &json!({})).await.error();
    assert_eq!(error, "404 there is no pipeline \"srot\"; did you mean \"sort\"?");
    assert_eq!(client.get(&format!("/latent/pipeline-runs/{}", JobId::generate())).await.status, 404);
}

#[tokio::test]
async fn a_run_goes_on_after_a_restart_and_an_emptied_redis_and_shows_how_far_it_is() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    uploaded(&client, &["a.jpg", "b.jpg", "c.jpg", "d.jpg"]).await;
    client.put("/queues/thumbnailGeneration", &json!({ "isPaused": true })).await.ok();
    client.put("/jobs/thumbnailGeneration", &json!({ "command": "start", "force": true })).await.ok();
    let runs = client.get("/latent/pipelines").await.ok()["runs"].clone();
    let run = runs[0].clone();
    assert_eq!((&run["cause"], &run["steps"], &run["force"]), (&json!("queue"), &json!(["thumbnails"]), &json!(true)));
    assert_eq!((&run["total"], &run["done"], &run["left"]), (&json!(4), &json!(0), &json!(4)));
    let redis = redis::Client::open(app.settings.redis.url.as_str()).unwrap();
    let mut connection = redis.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    let path = format!("/latent/pipeline-runs/{}", run["id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.ok()["left"], 4);
    client.put("/queues/thumbnailGeneration", &json!({ "isPaused": false })).await.ok();
    let run = ended(&client, &run).await;
    assert_eq!((&run["done"], &run["left"], &run["failed"]), (&json!(4), &json!(0), &json!(0)));
}

#[tokio::test]
async fn what_somebody_waits_for_goes_before_a_run_over_the_library() {
    let app = TestApp::with(|settings| settings.workers.concurrency = 1).await;
    let client = app.sign_up().await;
    let old = uploaded(&client, &["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]).await;
    client.put("/queues/metadataExtraction", &json!({ "isPaused": true })).await.ok();
    client.put("/jobs/metadataExtraction", &json!({ "command": "start", "force": true })).await.ok();
    let waiting = async |wanted: u64| {
        eventually("the jobs wait", || async {
            let queue = client.get("/queues/metadataExtraction").await.ok();
            (queue["statistics"]["paused"] == wanted).then_some(())
        })
        .await;
    };
    waiting(6).await;
    let new = client.uploaded("new.jpg", photos::jpeg(77)).await;
    waiting(7).await;
    client.put("/queues/metadataExtraction", &json!({ "isPaused": false })).await.ok();
    client.processed(&new).await;
    for id in &old {
        client.processed(id).await;
    }
    let raw = app.database.raw().await;
    let query = "SELECT asset_id::text FROM step_result WHERE step = 'metadata' ORDER BY at LIMIT 1";
    assert_eq!(raw.query_one(query, &[]).await.unwrap().get::<_, String>(0), new);
}

#[tokio::test]
async fn one_that_somebody_waits_for_is_not_held_up_by_its_twin_among_the_backfill() {
    let app = TestApp::serving(|_| {}).await;
    let queue = app.running.gallery.queue();
    let name = QueueName("twins".into());
    let job = |asset: AssetId, priority: Priority| Job {
        id: JobId::generate(),
        queue: name.clone(),
        priority,
        kind: JobKind::Pipeline { pipeline: "x".into(), asset, steps: Vec::new(), force: false },
        attempt: 0,
    };
    let assets = [AssetId::generate(), AssetId::generate()];
    let backfill = assets.map(|asset| job(asset, Priority::Backfill));
    assert_eq!(queue.push(&backfill).await.unwrap(), 2);
    assert_eq!(queue.push(&[job(assets[1], Priority::Backfill)]).await.unwrap(), 0, "a twin waits");
    assert_eq!(queue.push(&[job(assets[1], Priority::Interactive)]).await.unwrap(), 1);
    assert_eq!(queue.push(&[job(assets[1], Priority::Interactive)]).await.unwrap(), 0, "a twin waits");
    let first = queue.claim(std::slice::from_ref(&name), "somebody").await.unwrap().unwrap();
    assert_eq!(
        (first.job.priority, &first.job.kind),
        (Priority::Interactive, &job(assets[1], Priority::Interactive).kind)
    );
}

#[tokio::test]
async fn a_run_of_what_is_missing_tries_again_what_has_failed_and_only_that() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let good = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let bad = client.uploaded("bad.jpg", b"\xff\xd8\xff\xe0 no picture at all".to_vec()).await;
    client.processed(&good).await;
    client.processed(&bad).await;
    let raw = app.database.raw().await;
    let when = async |id: &str| {
        let query = "SELECT at::text FROM step_result WHERE step = 'thumbnails' AND asset_id::text = $1";
        raw.query_opt(query, &[&id]).await.unwrap().map(|row| row.get::<_, String>(0))
    };
    let before = when(&bad).await;
    let now: String = raw.query_one("SELECT now()::text", &[]).await.unwrap().get(0);
    let run = client.post("/latent/pipelines/ingest/run", &json!({ "steps": ["thumbnails"] })).await.ok();
    assert_eq!(run["total"], 1);
    let run = ended(&client, &run).await;
    assert_eq!(run["failed"], 1);
    assert!(when(&good).await.unwrap() < now, "what has a result is left alone");
    assert_ne!(when(&bad).await, before);
}

#[tokio::test]
async fn a_run_that_another_process_begins_in_the_database_is_found() {
    let (app, _folder) = app("sort", MANUAL).await;
    let client = app.sign_up().await;
    let ids = uploaded(&client, &["best.jpg"]).await;
    // As a command does it that reaches no Redis of the server's: the row is all.
    let wanted: Vec<store::steps::Wanted> = [("favour", "set/true//"), ("rate", "set///2")]
        .map(|(step, recipe)| store::steps::Wanted { step: step.into(), recipe: recipe.into() })
        .into();
    let new = store::runs::NewRun { pipeline: "sort", cause: "manual", wanted: &wanted, force: true, assets: None };
    assert_eq!(app.database.store.start_run(&new).await.unwrap().total, 1);
    eventually("it is done", || async {
        let asset = client.get(&format!("/assets/{}", ids[0])).await.ok();
        (asset["isFavorite"] == true && asset["exifInfo"]["rating"] == 2).then_some(())
    })
    .await;
    let request = RunRequest { pipeline: "sort".into(), ..RunRequest::default() };
    assert_eq!(request.cause, "");
}
