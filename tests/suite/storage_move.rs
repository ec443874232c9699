//! `latent admin storage move`: from one backend to another, while people look, delete and upload, and whatever breaks.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use gallery::failpoint;
use reqwest::Method;
use serde_json::json;
use tests::{Client, Program, TestApp, eventually, photos};

/// A server with two storages, `main` and `other`, of which `main` takes everything.
async fn two(serving: bool) -> TestApp {
    let change = |settings: &mut server::Settings| {
        let mut other = settings.storage.backend["main"].clone();
        other.files = other.files.with_file_name("other");
        settings.storage.backend.insert("other".into(), other);
    };
    if serving { TestApp::serving(change).await } else { TestApp::with(change).await }
}

fn other(app: &TestApp) -> PathBuf {
    app.settings.storage.backend["other"].files.clone()
}

/// The program beside this server.
fn latent(app: &TestApp, args: &[&str]) -> Command {
    let mut command = tests::latent(app.folder(), args);
    command.envs(app.environment());
    command.env("LATENT__STORAGE__BACKEND__OTHER__PLUGIN", "storage-local");
    command.env("LATENT__STORAGE__BACKEND__OTHER__FILES", other(app));
    command
}

fn move_args<'a>(from: &'a str, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["admin", "storage", "move", "--from", from, "--to", to], more].concat()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn moves(app: &TestApp, from: &str, to: &str, more: &[&str]) -> String {
    let output = latent(app, &move_args(from, to, more)).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

fn refuses(app: &TestApp, from: &str, to: &str, more: &[&str]) -> String {
    let output = latent(app, &move_args(from, to, more)).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    text(&output)
}

/// Every file below a folder but the marker and the inbox.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        match path.is_dir() {
            true if name != ".inbox" => found.extend(files(&path)),
            false if name != ".latent" => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

async fn uploads(client: &Client, seeds: std::ops::Range<u32>) -> Vec<(String, u32)> {
    let mut kept = Vec::new();
    for seed in seeds {
        kept.push((client.uploaded(&format!("{seed}.jpg"), photos::jpeg(seed)).await, seed));
    }
    kept
}

/// Each is there with the bytes that were sent, and none twice.
async fn all_there(client: &Client, kept: &[(String, u32)]) {
    for (id, seed) in kept {
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(*seed), "photo {seed}");
    }
    assert_eq!(client.timeline().await.len(), kept.len());
}

/// Where the rows say that originals and derivatives lie: `main`, `other`.
async fn named(app: &TestApp) -> [i64; 2] {
    let client = app.database.raw().await;
    let sql =
        "SELECT count(*) FILTER (WHERE starts_with(at, 'main:')), count(*) FILTER (WHERE starts_with(at, 'other:'))
         FROM (SELECT original_path at FROM asset UNION ALL SELECT location FROM asset_file
               UNION ALL SELECT thumbnail_location FROM person)";
    let row = client.query_one(sql, &[]).await.unwrap();
    [row.get(0), row.get(1)]
}

#[tokio::test]
async fn everything_moves_and_is_what_it_was_and_a_part_moves_back() {
    let app = two(false).await;
    let client = app.sign_up().await;
    let kept = uploads(&client, 0..5).await;
    let mut thumbnails = Vec::new();
    for (id, _) in &kept {
        client.processed(id).await;
        thumbnails.push(client.bytes(&format!("/assets/{id}/thumbnail")).await);
    }
    let said = moves(&app, "main", "other", &["--dry-run"]);
    assert!(said.contains("5 originals") && said.contains("10 previews and thumbnails"), "{said}");
    assert_eq!(named(&app).await, [15, 0], "a dry run moves nothing");
    let said = moves(&app, "main", "other", &["--rate", "50MiB/s"]);
    assert!(said.contains("moved 15 objects"), "{said}");
    assert_eq!(named(&app).await, [0, 15]);
    assert_eq!(files(&app.library()), Vec::<PathBuf>::new());
    assert_eq!(files(&other(&app)).len(), 15);
    all_there(&client, &kept).await;
    for ((id, _), thumbnail) in kept.iter().zip(&thumbnails) {
        assert_eq!(&client.bytes(&format!("/assets/{id}/thumbnail")).await, thumbnail);
    }
    moves(&app, "other", "main", &["--class", "original"]);
    assert_eq!(named(&app).await, [5, 10]);
    all_there(&client, &kept).await;
    // Back to where garbage of the first move was: it is not swept from under the rows.
    moves(&app, "other", "main", &[]);
    moves(&app, "main", "other", &[]);
    app.running.gallery.sweep().await.unwrap();
    all_there(&client, &kept).await;
    assert_eq!(files(&other(&app)).len(), 15);
    let gone: Vec<&String> = kept.iter().map(|(id, _)| id).collect();
    client.delete("/assets", &json!({ "ids": gone, "force": true })).await.ok();
    eventually("what is deleted goes from where it was moved to", || async {
        files(&other(&app)).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_or_spoilt_is_named_and_the_rest_moves() {
    let app = two(true).await;
    let client = app.sign_up().await;
    let mut kept = uploads(&client, 0..6).await;
    let there = files(&app.library());
    let path = |seed: u32| there.iter().find(|path| path.ends_with(format!("{seed}.jpg"))).unwrap().clone();
    std::fs::remove_file(path(1)).unwrap();
    let spoilt: Vec<u8> = photos::jpeg(3).iter().map(|byte| !byte).collect();
    std::fs::write(path(3), spoilt).unwrap();
    let said = refuses(&app, "main", "other", &[]);
    let line = |seed: usize| {
        let start = format!("stays: asset {} at main:", kept[seed].0);
        said.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    assert!(line(1).contains("not found"), "{said}");
    assert!(line(3).contains("not those that were uploaded"), "{said}");
    assert!(said.contains("moved 4 objects") && said.contains("2 objects stay where they were"), "{said}");
    assert_eq!(named(&app).await, [2, 4]);
    kept.retain(|(_, seed)| ![1, 3].contains(seed));
    for (id, seed) in &kept {
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(*seed));
    }
}

#[tokio::test]
async fn a_move_that_makes_no_sense_says_what_would() {
    let app = two(true).await;
    for (from, to, expected) in [
        ("main", "moon", "there is no [storage.backend.moon] in the settings; there are main, other"),
        ("main", "main", "lies there already"),
    ] {
        let said = refuses(&app, from, to, &[]);
        assert!(said.contains(expected), "{said}");
    }
    let output = latent(&app, &move_args("main", "other", &["--rate", "fast"])).output().unwrap();
    assert!(!output.status.success() && text(&output).contains("64MiB"), "{}", text(&output));
    let turn = app.database.store.turn("storage.move").await.unwrap();
    assert!(refuses(&app, "main", "other", &[]).contains("another move is under way"));
    drop(turn);
}

#[tokio::test]
async fn a_storage_that_goes_away_half_way_stops_the_move_and_nothing_is_lost() {
    let app = two(true).await;
    let client = app.sign_up().await;
    let kept = uploads(&client, 0..20).await;
    // So slow that it is still moving when the disk goes.
    let slow = format!("{}KiB/s", photos::jpeg(0).len().div_ceil(1024) * 8);
    let arguments = move_args("main", "other", &["--at-once", "1", "--patience", "300ms", "--rate", &slow]);
    let mut command = latent(&app, &arguments);
    let child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    eventually("some have moved", || async { (named(&app).await[1] >= 2).then_some(()) }).await;
    let away = app.folder().join("away");
    std::fs::rename(other(&app), &away).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped: ") && said.contains("is the disk mounted?"), "{said}");
    let [left, moved] = named(&app).await;
    assert!(left > 0 && moved > 0 && left + moved == 20, "{left} {moved}");
    std::fs::rename(&away, other(&app)).unwrap();
    moves(&app, "main", "other", &[]);
    all_there(&client, &kept).await;
    assert_eq!((files(&app.library()).len(), files(&other(&app)).len()), (0, 20));
}

#[tokio::test]
async fn a_full_disk_stops_the_move_and_what_has_moved_stays_moved() {
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    // A file system of 8 MiB and few names, seen by this server and who enters its namespace.
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let script = "mount -t tmpfs -o size=8m,nr_inodes=32 tmpfs \"$0\" && exec \"$1\"";
    command.args(["--mount", "sh", "-c", script]).arg(&small).arg(tests::bin_dir().join("latent"));
    let small_text = small.display().to_string();
    let environment = [
        ("LATENT__STORAGE__BACKEND__SMALL__PLUGIN", "storage-local"),
        ("LATENT__STORAGE__BACKEND__SMALL__FILES", &small_text),
        ("LATENT__PLUGINS__LATENT.FACE-DETECTION__ENABLED", "false"),
        ("LATENT__PLUGINS__LATENT.CLIP-SEARCH__ENABLED", "false"),
    ];
    let program = Program::spawn(folder.path(), command, &environment).unwrap_or_else(|log| panic!("{log}"));
    let client = program.anonymous.clone().sign_up().await;
    let photo = |seed: u32| [photos::jpeg(seed), vec![seed as u8; 700 << 10]].concat();
    let mut kept = Vec::new();
    for seed in 0..4 {
        kept.push((client.uploaded("a.jpg", photo(seed)).await, seed));
    }
    for (id, _) in &kept {
        client.processed(id).await;
    }
    let ballast = |number: u32| format!("/proc/{}/root{}/ballast-{number}", program.id(), small.display());
    let run = |program: &Program| {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &program.id().to_string(), "--mount"]);
        if !rustix::process::geteuid().is_root() {
            enter.args(["--user", "--preserve-credentials"]);
        }
        let inner =
            tests::latent(folder.path(), &move_args("main", "small", &["--class", "original", "--at-once", "1"]));
        enter.arg(inner.get_program()).args(inner.get_args());
        enter.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).envs(environment);
        enter.current_dir(tests::root()).output().unwrap()
    };
    std::fs::write(ballast(0), vec![1; 6 << 20]).unwrap();
    let output = run(&program);
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("small has less room than that. Nothing was moved"), "{}", text(&output));
    std::fs::remove_file(ballast(0)).unwrap();
    // What nobody can see beforehand: there is room for bytes, and for hardly any name.
    let names = (0..).take_while(|number| std::fs::write(ballast(*number), "").is_ok()).count() as u32;
    (0..7).for_each(|number| std::fs::remove_file(ballast(number)).unwrap());
    let output = run(&program);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("stopped: the storage is full"), "{}", text(&output));
    for (id, seed) in &kept {
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photo(*seed));
    }
    (7..names).for_each(|number| std::fs::remove_file(ballast(number)).unwrap());
    let output = run(&program);
    assert!(output.status.success(), "{}", text(&output));
    for (id, seed) in &kept {
        assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photo(*seed));
    }
    assert!(program.stop().success());
}

#[tokio::test]
async fn a_crash_at_every_point_of_a_move_between_backends_leaves_every_object_once() {
    let app = two(false).await;
    let client = app.sign_up().await;
    let kept = uploads(&client, 0..2).await;
    for (id, _) in &kept {
        client.processed(id).await;
    }
    let (mut from, mut to) = ("main", "other");
    for point in failpoint::BEYOND.iter().filter(|point| point.starts_with("move.")) {
        // In the second object, an original; and in the fourth, a derivative.
        for hit in [2, 4] {
            let mut command = latent(&app, &move_args(from, to, &["--at-once", "1"]));
            let died = command.env("LATENT_FAILPOINT", format!("{point}@{hit}")).output().unwrap();
            assert_eq!(died.status.signal(), Some(libc::SIGABRT), "{point} was never reached: {}", text(&died));
            moves(&app, from, to, &[]);
            // What the dead one was about becomes garbage, and is swept, and is not what the rows name.
            let expire = "UPDATE blob_intent SET lease_until = now() - interval '1 hour' WHERE state <> 'live'";
            app.database.raw().await.execute(expire, &[]).await.unwrap();
            app.running.gallery.sweep().await.unwrap();
            all_there(&client, &kept).await;
            for (id, _) in &kept {
                assert!(!client.bytes(&format!("/assets/{id}/thumbnail")).await.is_empty());
            }
            let folders = [files(&app.library()).len(), files(&other(&app)).len()];
            let expected = if to == "other" { [0, 6] } else { [6, 0] };
            assert_eq!(folders, expected, "{point}@{hit}");
            (from, to) = (to, from);
        }
    }
}

/// The suite moves a few hundred; `cargo xtask bench move` ten thousand.
#[tokio::test]
async fn kill_nine_again_and_again_while_others_delete_and_upload_loses_and_doubles_nothing() {
    let app = two(true).await;
    let client = app.sign_up().await;
    let mut kept = uploads(&client, 0..160).await;
    let doomed: Vec<String> = kept.iter().step_by(20).map(|(id, _)| id.clone()).collect();
    let mut kills = 0;
    let ended = async {
        for round in 0_u64.. {
            let arguments = move_args("main", "other", &["--at-once", "3", "--rate", "60KiB/s"]);
            let arguments = if round < 8 { arguments } else { move_args("main", "other", &[]) };
            let child = Mutex::new(latent(&app, &arguments).stdout(Stdio::null()).spawn().unwrap());
            let has_ended = || child.lock().unwrap().try_wait().unwrap().is_some();
            let before = named(&app).await[1];
            if round < 8 {
                // It has done something, and is in the middle of something else.
                eventually("it moves, or has ended", || async {
                    (has_ended() || named(&app).await[1] > before + 3 * round as i64 % 7).then_some(())
                })
                .await;
                if !has_ended() {
                    child.lock().unwrap().kill().unwrap();
                    kills += 1;
                }
            }
            let mut child = child.into_inner().unwrap();
            if child.wait().unwrap().success() {
                break;
            }
        }
    };
    let beside = async {
        for id in &doomed {
            client.delete("/assets", &json!({ "ids": [id], "force": true })).await.ok();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        uploads(&client, 1_000..1_010).await
    };
    let ((), added) = tokio::join!(ended, beside);
    assert!(kills >= 5, "only {kills} were killed in time");
    kept.retain(|(id, _)| !doomed.contains(id));
    kept.extend(added);
    moves(&app, "main", "other", &[]);
    assert_eq!(named(&app).await, [0, kept.len() as i64]);
    app.running.gallery.sweep().await.unwrap();
    all_there(&client, &kept).await;
    // What a killed mover had in hand goes with its lease.
    eventually("none is there twice, and nothing is left behind", || async {
        app.running.gallery.sweep().await.unwrap();
        (files(&other(&app)).len() == kept.len() && files(&app.library()).is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn people_who_look_while_it_moves_see_no_difference() {
    let app = two(false).await;
    let client = app.sign_up().await;
    let kept = uploads(&client, 0..6).await;
    for (id, _) in &kept {
        client.processed(id).await;
    }
    let look = async {
        let mut looks = 0;
        loop {
            for (id, seed) in &kept {
                assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(*seed));
                let preview = client.request(Method::GET, &format!("/assets/{id}/thumbnail?size=preview"));
                assert!(preview.send().await.unwrap().status().is_success(), "photo {seed}");
                looks += 1;
            }
            if looks > 1_000_000 {
                break;
            }
        }
    };
    let moved = async {
        for round in 0..4 {
            let (from, to) = if round % 2 == 0 { ("main", "other") } else { ("other", "main") };
            let mut command = tokio::process::Command::from(latent(&app, &move_args(from, to, &[])));
            let output = command.output().await.unwrap();
            assert!(output.status.success(), "{}", text(&output));
        }
    };
    tokio::select! {
        () = look => unreachable!("it looks for ever"),
        () = moved => {}
    }
}

#[tokio::test]
async fn an_administrator_sees_what_each_storage_holds_and_what_is_wrong_with_it() {
    let app = two(true).await;
    let client = app.sign_up().await;
    uploads(&client, 0..2).await;
    let bytes = (photos::jpeg(0).len() + photos::jpeg(1).len()) as u64;
    let seen = client.get("/latent/storage").await.ok();
    assert_eq!(seen[0]["name"], "main");
    assert_eq!((&seen[0]["ok"], &seen[0]["objects"], &seen[0]["bytes"]), (&json!(true), &json!(2), &json!(bytes)));
    assert_eq!((&seen[0]["takes"], &seen[1]["takes"]), (&json!(["originals", "derivatives"]), &json!([])));
    assert_eq!((&seen[1]["name"], &seen[1]["objects"]), (&json!("other"), &json!(0)));
    std::fs::remove_file(other(&app).join(".latent")).unwrap();
    let seen = client.get("/latent/storage").await.ok();
    assert_eq!(seen[1]["ok"], false);
    assert!(seen[1]["error"].as_str().unwrap().contains("is the disk mounted?"), "{seen}");
    let ready = client.http.get(format!("{}/readyz", client.url)).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.text().await.unwrap().contains("storage backend other"));
    let output = latent(&app, &["admin", "storage", "check"]).output().unwrap();
    assert!(!output.status.success());
    assert!(text(&output).contains("is the disk mounted?"), "{}", text(&output));
    let other_person = client.beside(&app.running.gallery, "Bob").await;
    assert_eq!(other_person.get("/latent/storage").await.status, 403);
}
