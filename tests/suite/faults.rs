//! What is promised under fault: no acknowledged upload is lost, no half asset is seen, work resumes by itself.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tests::{Client, Program, TestApp, eventually, photos};

/// Signed in again, after a restart.
async fn again(program: &Program) -> Client {
    let mut client = program.anonymous.clone();
    client.log_in().await;
    client
}

/// Waits until its processing has ended, and well.
async fn done(client: &Client, id: &str) {
    client.processed(id).await;
    let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
    let failed = steps["steps"].as_object().unwrap().values().any(|status| status == "failed");
    assert!(!failed, "{id}: {steps}");
}

/// Every acknowledged photo is there once, byte for byte, and its processing finishes by itself; nothing else is there but what
/// was sent.
async fn everything_is_there(client: &Client, acknowledged: &[(String, u32)], also_possible: &[u32]) {
    let ids = client.timeline().await;
    let mut seen = Vec::new();
    for id in &ids {
        done(client, id).await;
        let bytes = client.bytes(&format!("/assets/{id}/original")).await;
        let all = acknowledged.iter().map(|(_, seed)| *seed).chain(also_possible.iter().copied());
        let seed = all.into_iter().find(|seed| photos::jpeg(*seed) == bytes).expect("bytes that somebody sent");
        assert!(!seen.contains(&seed), "photo {seed} is there twice");
        seen.push(seed);
        assert!(!client.bytes(&format!("/assets/{id}/thumbnail")).await.is_empty());
    }
    for (id, seed) in acknowledged {
        assert!(ids.contains(id) && seen.contains(seed), "photo {seed} was acknowledged and is lost");
    }
}

/// Sends a photo; its id when it was acknowledged.
async fn send(client: Client, seed: u32) -> Option<(String, u32)> {
    let form = Client::form("a.jpg", photos::jpeg(seed));
    let answer = client.request(reqwest::Method::POST, "/assets").multipart(form).send().await.ok()?;
    let body: Value = answer.error_for_status().ok()?.json().await.ok()?;
    Some((body["id"].as_str()?.to_owned(), seed))
}

#[tokio::test]
async fn a_crash_at_every_point_of_upload_and_ingest_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[]);
    let client = program.anonymous.clone().sign_up().await;
    let mut acknowledged = vec![(client.uploaded("kept.jpg", photos::jpeg(1)).await, 1)];
    done(&client, &acknowledged[0].0).await;
    assert!(program.stop().success());
    for (seed, point) in (2..).zip(gallery::failpoint::ALL) {
        let mut program = Program::start(folder.path(), &[("LATENT_FAILPOINT", point)]);
        let client = again(&program).await;
        let sent = send(client, seed).await;
        assert_eq!(program.wait().signal(), Some(libc::SIGABRT), "{point} was never reached");
        let program = Program::start(folder.path(), &[]);
        let client = again(&program).await;
        if let Some(sent) = &sent {
            acknowledged.push(sent.clone());
            done(&client, &sent.0).await;
        }
        // What the client would do: send it again.
        client.upload("a.jpg", photos::jpeg(seed)).await.ok();
        let id = client.upload("a.jpg", photos::jpeg(seed)).await.ok()["id"].as_str().unwrap().to_owned();
        done(&client, &id).await;
        if sent.is_none() {
            acknowledged.push((id, seed));
        }
        assert_eq!(client.timeline().await.len(), acknowledged.len(), "{point}");
        assert!(program.stop().success());
    }
    // What a crash left is known by its intent, and goes when its lease is over.
    let program = Program::start(folder.path(), &[]);
    everything_is_there(&again(&program).await, &acknowledged, &[]).await;
    let url = format!("host={} user=latent dbname=postgres", folder.path().join("data/run").display());
    let (database, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let expire = "UPDATE blob_intent SET lease_until = now() - interval '1 hour' WHERE state <> 'live'";
    database.execute(expire, &[]).await.unwrap();
    assert!(program.stop().success());
    let program = Program::start(folder.path(), &[]);
    let originals = folder.path().join("data/library/library");
    eventually("nothing is left but what was acknowledged", || async {
        (files(&originals) == acknowledged.len()).then_some(())
    })
    .await;
    everything_is_there(&again(&program).await, &acknowledged, &[]).await;
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 })
        .sum()
}

fn kill(pid: u32) {
    // SAFETY: a child of our child, found a moment ago.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
}

/// Kills while eight uploads are under way, and gives those that were acknowledged.
async fn kill_during_uploads(
    program: &mut Program,
    client: &Client,
    victims: &[&str],
    first: u32,
) -> Vec<(String, u32)> {
    let uploads: Vec<_> = (first..first + 8).map(|seed| tokio::spawn(send(client.clone(), seed))).collect();
    // Chance decides where in all of them it strikes.
    let wait = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_micros() % 60;
    tokio::time::sleep(std::time::Duration::from_millis(wait.into())).await;
    let pids: Vec<u32> = victims.iter().filter_map(|name| program.child(name)).collect();
    if victims.contains(&"latent") {
        pids.into_iter().for_each(kill);
        program.kill();
    } else {
        pids.into_iter().for_each(kill);
    }
    let mut acknowledged = Vec::new();
    for upload in uploads {
        acknowledged.extend(upload.await.unwrap());
    }
    acknowledged
}

#[tokio::test]
async fn kill_nine_at_random_while_eight_uploads_are_under_way_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    let mut client = program.anonymous.clone().sign_up().await;
    let mut acknowledged = Vec::new();
    let rounds: &[&[&str]] =
        &[&["latent"], &["postgres"], &["valkey"], &["postgres", "valkey"], &["latent", "postgres"], &["latent"]];
    for (round, victims) in rounds.iter().enumerate() {
        let first = round as u32 * 100;
        acknowledged.push(send(client.clone(), first + 50).await.expect("nothing is wrong yet"));
        acknowledged.extend(kill_during_uploads(&mut program, &client, victims, first).await);
        if victims.contains(&"latent") {
            program = Program::start(folder.path(), &[]);
            client = again(&program).await;
        } else {
            ready(&client).await;
        }
    }
    let possible = (0..rounds.len() as u32).flat_map(|round| (0..8).map(move |at| round * 100 + at));
    let others: Vec<u32> = possible.filter(|seed| !acknowledged.iter().any(|(_, known)| known == seed)).collect();
    everything_is_there(&client, &acknowledged, &others).await;
}

async fn ready(client: &Client) {
    eventually("the server is ready again", || async {
        let ready = client.http.get(format!("{}/readyz", client.url)).send().await.unwrap();
        ready.status().is_success().then_some(())
    })
    .await;
}

#[tokio::test]
async fn postgres_and_valkey_killed_come_back_and_work_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[]);
    let client = program.anonymous.clone().sign_up().await;
    for (name, seed) in [("postgres", 1), ("valkey", 2), ("postgres", 3)] {
        let id = client.uploaded("a.jpg", photos::jpeg(seed)).await;
        let victim = program.child(name).unwrap();
        kill(victim);
        eventually("it has come back", || async { program.child(name).filter(|pid| *pid != victim) }).await;
        ready(&client).await;
        done(&client, &id).await;
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(seed));
    }
    assert_eq!(client.timeline().await.len(), 3);
}

#[tokio::test]
async fn work_waits_for_a_storage_that_is_not_mounted_and_a_start_without_it_says_why() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    client.put("/jobs/metadataExtraction", &json!({ "command": "pause" })).await.ok();
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let (there, away) = (app.library(), app.folder().join("away"));
    std::fs::rename(&there, &away).unwrap();
    std::fs::create_dir(&there).unwrap();
    client.put("/jobs/metadataExtraction", &json!({ "command": "resume" })).await.ok();
    eventually("the job waits", || async {
        let jobs = client.get("/jobs").await.ok();
        (jobs["metadataExtraction"]["jobCounts"]["delayed"] == 1).then_some(())
    })
    .await;
    let start = server::start(&app.settings, server::Role::All, Vec::new(), std::sync::Arc::new(String::new)).await;
    let Err(error) = start else { panic!("it started without its library") };
    let error = format!("{error:#}");
    assert!(error.contains("storage.backend.main") && error.contains("is the disk mounted?"), "{error}");
    assert_eq!(app.files(), Vec::<String>::new(), "nothing was written in its place");
    std::fs::remove_dir_all(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    done(&client, &id).await;
}

#[tokio::test]
async fn a_killed_server_takes_its_services_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    let services = [program.child("postgres").unwrap(), program.child("valkey").unwrap()];
    program.kill();
    eventually("both are gone", || async {
        let gone = services.iter().all(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        });
        gone.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_refuses_uploads_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("small");
    std::fs::create_dir(&library).unwrap();
    // A file system of 8 MiB, seen by this server alone.
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let script = "mount -t tmpfs -o size=8m tmpfs \"$0\" && exec \"$1\"";
    command.args(["--mount", "sh", "-c", script]).arg(&library).arg(tests::bin_dir().join("latent"));
    let library_text = library.display().to_string();
    let environment = [("LATENT__STORAGE__BACKEND__MAIN__FILES", library_text.as_str())];
    let program = Program::spawn(folder.path(), command, &environment).unwrap_or_else(|log| panic!("{log}"));
    let client = program.anonymous.clone().sign_up().await;
    let photo = |seed: u32| [photos::jpeg(seed), vec![seed as u8; 1 << 20]].concat();
    let mut kept = Vec::new();
    let mut refused = None;
    for seed in 0..12 {
        let answer = client.upload("a.jpg", photo(seed)).await;
        if answer.status.is_success() {
            kept.push((answer.body["id"].as_str().unwrap().to_owned(), seed));
        } else {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("8 MiB hold less than 12 photos of 1 MiB");
    assert_eq!(refused.status, 507, "{}", refused.body);
    assert!(kept.len() >= 3, "{}", kept.len());
    for (id, seed) in &kept {
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photo(*seed));
    }
    // Room is made: uploads go on, and thumbnails that could not be written are.
    let (gone, _) = kept.pop().unwrap();
    client.delete("/assets", &json!({ "ids": [gone], "force": true })).await.ok();
    let (gone, _) = kept.pop().unwrap();
    client.delete("/assets", &json!({ "ids": [gone], "force": true })).await.ok();
    client.upload("b.jpg", photos::jpeg(99)).await.ok();
    for (id, _) in &kept {
        client.processed(id).await;
    }
}

#[tokio::test]
async fn a_full_disk_under_library_and_database_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let script = "mount -t tmpfs -o size=256m tmpfs \"$0\" && exec \"$1\"";
    command.args(["--mount", "sh", "-c", script]).arg(&data).arg(tests::bin_dir().join("latent"));
    let program = Program::spawn(folder.path(), command, &[]).unwrap_or_else(|log| panic!("{log}"));
    let client = program.anonymous.clone().sign_up().await;
    let seen = format!("/proc/{}/root{}", program.id(), data.display());
    let photo = |seed: u32| [photos::jpeg(seed), vec![seed as u8; 1 << 20]].concat();
    // All room but 4 MiB is taken.
    let free = rustix::fs::statvfs(&*seen).map(|at| at.f_bavail * at.f_frsize).unwrap();
    let ballast = format!("{seen}/ballast");
    std::fs::write(&ballast, vec![1; free.saturating_sub(4 << 20) as usize]).unwrap();
    let mut kept = Vec::new();
    for seed in 0..12 {
        let form = Client::form("a.jpg", photo(seed));
        let sent = client.request(reqwest::Method::POST, "/assets").multipart(form).send().await.unwrap();
        if !sent.status().is_success() {
            assert!(sent.status().is_server_error(), "{}", sent.text().await.unwrap());
            break;
        }
        kept.push((sent.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned(), seed));
    }
    assert!(kept.len() < 12, "4 MiB hold less than 12 photos of 1 MiB");
    std::fs::remove_file(&ballast).unwrap();
    ready(&client).await;
    let after = client.uploaded("b.jpg", photo(99)).await;
    kept.push((after, 99));
    for (id, seed) in &kept {
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photo(*seed));
        done(&client, id).await;
    }
    assert!(program.stop().success());
}

#[tokio::test]
async fn a_stop_lets_work_under_way_finish_or_gives_it_back() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut ids = Vec::new();
    for seed in 0..10 {
        ids.push(client.uploaded("a.jpg", photos::encoded_jpeg(3000, 2000, seed, None)).await);
    }
    let app = app.restart().await;
    let client = Client { url: app.anonymous.url.clone(), ..client };
    for id in &ids {
        client.processed(id).await;
    }
}

#[tokio::test]
async fn the_work_of_a_killed_worker_is_taken_over_by_another() {
    let app = TestApp::serving(|settings| settings.workers.takeover = 2).await;
    let client = app.sign_up().await;
    let mut ids = Vec::new();
    for seed in 0..4 {
        ids.push(client.uploaded("a.jpg", photos::jpeg(seed)).await);
    }
    let folder = tempfile::tempdir().unwrap();
    let beside = app.environment();
    let mut environment: Vec<(&str, &str)> = beside.iter().map(|(name, value)| (*name, value.as_str())).collect();
    environment.push(("LATENT_FAILPOINT", "ingest.claimed"));
    let mut dying = Program::work(folder.path(), &environment);
    assert!(!dying.wait().success(), "it has claimed a job and died");
    environment.pop();
    let worker = Program::work(folder.path(), &environment);
    for id in &ids {
        done(&client, id).await;
    }
    assert!(worker.stop().success());
}
