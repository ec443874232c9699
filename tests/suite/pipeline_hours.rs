//! Queues with hours, and pipelines that the clock starts: as calendars, and in a server whose clock a test sets.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use pipelines::{Hours, Schedule, zone};
use serde_json::{Value, json};
use server::settings::Queue;
use tests::{Client, TestApp, eventually, photos};
use types::FixedClock;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn hours_over_midnight_are_those_of_two_days() {
    let hours = Hours::parse("22:00-06:00", zone("UTC").unwrap()).unwrap();
    for (time, expected) in
        [("21:59", false), ("22:00", true), ("23:59", true), ("00:00", true), ("05:59", true), ("06:00", false)]
    {
        assert_eq!(hours.contain(at(&format!("2024-05-01T{time}:00Z"))), expected, "{time}");
    }
    assert_eq!(hours.next(at("2024-05-01T12:00:00Z")), at("2024-05-01T22:00:00Z"));
    let two = Hours::parse("12:00-13:00, 22:30-24:00", zone("UTC").unwrap()).unwrap();
    assert!(two.contain(at("2024-05-01T12:30:00Z")) && two.contain(at("2024-05-01T23:59:00Z")));
    assert!(!two.contain(at("2024-05-02T00:00:00Z")));
    assert_eq!(two.next(at("2024-05-01T13:00:00Z")), at("2024-05-01T22:30:00Z"));
}

#[test]
fn hours_follow_the_clock_on_the_wall_when_it_is_changed() {
    let berlin = || zone("Europe/Berlin").unwrap();
    let night = Hours::parse("02:30-03:30", berlin()).unwrap();
    // On 31 March 2024 two o'clock is three o'clock: the first half of it is not there.
    assert!(!night.contain(at("2024-03-31T00:59:00Z")));
    assert!(night.contain(at("2024-03-31T01:00:00Z")), "03:00 of the summer");
    assert!(!night.contain(at("2024-03-31T01:30:00Z")));
    // On 27 October 2024 half past two is there twice.
    assert!(night.contain(at("2024-10-27T00:30:00Z")));
    assert!(!night.contain(at("2024-10-27T01:10:00Z")), "02:10 for the second time");
    assert!(night.contain(at("2024-10-27T01:30:00Z")));
    assert_eq!(night.next(at("2024-10-27T12:00:00Z")), at("2024-10-28T01:30:00Z"));
}

#[test]
fn hours_that_are_none_are_told() {
    for text in ["", "22-6", "22:00", "25:00-06:00", "22:60-23:00", "2:0-3:00", "a:b-c:d"] {
        let why = Hours::parse(text, zone("UTC").unwrap()).unwrap_err();
        assert!(why.contains("write \"22:00-06:00\""), "{text}: {why}");
    }
    let why = Hours::parse("06:00-06:00", zone("UTC").unwrap()).unwrap_err();
    assert!(why.contains("leave `active` out"), "{why}");
    assert_eq!(
        zone("Europe/Berln").unwrap_err(),
        "there is no time zone \"Europe/Berln\"; did you mean \"Europe/Berlin\"?"
    );
}

#[test]
fn a_schedule_comes_at_its_hour_in_summer_and_in_winter() {
    let schedule = Schedule::new("0 3 * * *", zone("Europe/Berlin").unwrap(), false).unwrap();
    assert_eq!(schedule.after(at("2024-01-10T00:00:00Z")), Some(at("2024-01-10T02:00:00Z")));
    assert_eq!(schedule.after(at("2024-07-10T00:00:00Z")), Some(at("2024-07-10T01:00:00Z")));
    assert_eq!(schedule.after(at("2024-07-10T01:00:00Z")), Some(at("2024-07-11T01:00:00Z")));
    // 02:30 is not there on 31 March 2024, and comes nevertheless.
    let missing = Schedule::new("30 2 * * *", zone("Europe/Berlin").unwrap(), false).unwrap();
    let next = missing.after(at("2024-03-30T12:00:00Z")).unwrap();
    assert!(next <= at("2024-03-31T01:30:00Z"), "{next}");
}

fn night(name: &str, concurrency: usize, active: &str) -> (String, Queue) {
    (name.to_owned(), Queue { active: active.into(), time_zone: "UTC".into(), concurrency })
}

async fn queue(client: &Client, name: &str) -> Value {
    let all = client.get("/latent/pipelines").await.ok();
    all["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == name).unwrap().clone()
}

#[tokio::test]
async fn a_queue_outside_its_hours_holds_its_work_shows_it_and_goes_on_when_the_hour_comes() {
    let clock = Arc::new(FixedClock::new(at("2024-05-01T12:00:00Z")));
    let app = TestApp::at(clock.clone(), |settings| {
        settings.queue.extend([night("thumbnails", 0, "22:00-06:00")]);
    })
    .await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let held = eventually("the job waits", || async {
        let queue = queue(&client, "thumbnails").await;
        (queue["waiting"] == 1).then_some(queue)
    })
    .await;
    assert_eq!(held["isOpen"], false);
    assert_eq!(held["isPaused"], false);
    assert_eq!(held["opensAt"], "2024-05-01T22:00:00.000Z");
    let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
    assert_eq!(steps["steps"], json!({ "ingest/metadata": "done", "ingest/thumbnails": "pending" }));
    clock.set(at("2024-05-01T22:00:00Z"));
    client.processed(&id).await;
    assert_eq!(queue(&client, "thumbnails").await["isOpen"], true);
}

#[tokio::test]
async fn a_queue_with_a_concurrency_of_its_own_has_no_more_jobs_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let pipelines = folder.path().join("pipelines");
    std::fs::create_dir(&pipelines).unwrap();
    let text = "on = \"asset.created\"\n[[step]]\nid = \"thumbnails\"\nuse = \"host:thumbnails\"\n[[step]]\nid = \"spins\"\n\
                use = \"test.spin\"\nafter = [\"thumbnails\"]\nretry = { attempts = 1 }\n";
    std::fs::write(pipelines.join("ingest.toml"), text).unwrap();
    let file = folder.path().join("spin.wasm");
    std::fs::write(&file, crate::steps::detector("spin", "test.spin")).unwrap();
    let plugin = serde_json::from_value(json!({ "file": file, "enabled": true })).unwrap();
    let app = TestApp::with(|settings| {
        settings.pipelines = pipelines;
        settings.workers.concurrency = 4;
        settings.plugins.insert("test.spin".into(), plugin);
        settings.queue.extend([night("spins", 1, "")]);
    })
    .await;
    let client = app.sign_up().await;
    client.put("/queues/thumbnailGeneration", &json!({ "isPaused": true })).await.ok();
    let mut ids = Vec::new();
    for seed in 0..4 {
        ids.push(client.uploaded("a.jpg", photos::jpeg(seed)).await);
    }
    client.put("/queues/thumbnailGeneration", &json!({ "isPaused": false })).await.ok();
    let most = std::sync::atomic::AtomicU64::new(0);
    eventually("all have been tried", || async {
        let queue = queue(&client, "spins").await;
        most.fetch_max(queue["active"].as_u64().unwrap(), Ordering::Relaxed);
        assert!(most.load(Ordering::Relaxed) <= 1, "{queue}");
        let mut pending = 0;
        for id in &ids {
            let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
            pending += steps["pending"].as_array().unwrap().len();
        }
        (pending == 0).then_some(())
    })
    .await;
    assert_eq!(most.load(Ordering::Relaxed), 1, "it was never seen at work");
}

#[tokio::test]
async fn a_schedule_runs_its_pipeline_over_the_library_when_the_time_comes_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let ingest = std::fs::read_to_string(tests::root().join("config/pipelines/ingest.toml")).unwrap();
    std::fs::write(folder.path().join("ingest.toml"), ingest).unwrap();
    let text = "on = \"schedule\"\nschedule = { cron = \"0 3 * * *\", time-zone = \"Europe/Berlin\" }\n[[step]]\nid = \"rate\"\n\
                use = \"host:set\"\nset = { favorite = true }\nwhen = \"asset.fileName.startsWith('best')\"\n";
    std::fs::write(folder.path().join("nightly.toml"), text).unwrap();
    let clock = Arc::new(FixedClock::new(at("2024-05-01T20:00:00Z")));
    let app = TestApp::at(clock.clone(), |settings| settings.pipelines = folder.path().to_path_buf()).await;
    let client = app.sign_up().await;
    let best = client.uploaded("best.jpg", photos::jpeg(1)).await;
    let other = client.uploaded("other.jpg", photos::jpeg(2)).await;
    client.processed(&best).await;
    client.processed(&other).await;
    let raw = app.database.raw().await;
    eventually("the schedule has been seen", || async {
        let query = "SELECT count(*) FROM system_metadata WHERE key = 'pipeline.nightly.schedule'";
        let seen: i64 = raw.query_one(query, &[]).await.unwrap().get(0);
        (seen == 1).then_some(())
    })
    .await;
    clock.set(at("2024-05-02T01:00:00Z"));
    let run = eventually("the schedule has run", || async {
        let all = client.get("/latent/pipelines").await.ok();
        all["runs"].as_array().unwrap().iter().find(|run| !run["endedAt"].is_null()).cloned()
    })
    .await;
    assert_eq!((&run["pipeline"], &run["cause"], &run["total"]), (&json!("nightly"), &json!("schedule"), &json!(2)));
    assert_eq!(client.get(&format!("/assets/{best}")).await.ok()["isFavorite"], true);
    assert_eq!(client.get(&format!("/assets/{other}")).await.ok()["isFavorite"], false);
    // One time, one run.
    let runs: i64 = raw.query_one("SELECT count(*) FROM pipeline_run", &[]).await.unwrap().get(0);
    assert_eq!(runs, 1);
    let all = client.get("/latent/pipelines").await.ok();
    let nightly = all["pipelines"].as_array().unwrap().iter().find(|pipeline| pipeline["name"] == "nightly").unwrap();
    assert_eq!(nightly["schedule"]["next"], "2024-05-03T01:00:00.000Z");
}
