//! What a process leaves that dies: at the fail-points that taking in one photo does not reach, and again and again.

use std::path::Path;

use gallery::failpoint;
use reqwest::Method;
use serde_json::{Value, json};
use tests::photos::{self, Exif};
use tests::{Client, Program, eventually};

async fn again(program: &Program) -> Client {
    let mut client = program.anonymous.clone();
    client.log_in().await;
    client
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path().display().to_string()),
        }
    }
    found.sort();
    found
}

/// Leases of a second are over.
async fn leases_end() {
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
}

/// How the thumbnails of the only photo ended; `None`: the server died first.
async fn thumbnails_ended(program: &Program) -> Option<(Client, String)> {
    let mut client = program.anonymous.clone();
    let ask = async |client: &Client, method: Method, path: &str, body: Value| {
        client.request(method, path).json(&body).send().await.ok()?.json::<Value>().await.ok()
    };
    let login = json!({ "email": "ann@example.org", "password": "correct horse" });
    let login = ask(&client, Method::POST, "/auth/login", login).await?;
    client.token = login["accessToken"].as_str().map(str::to_owned);
    loop {
        let found = ask(&client, Method::POST, "/search/metadata", json!({})).await?;
        let id = found["assets"]["items"][0]["id"].as_str()?.to_owned();
        let steps = ask(&client, Method::GET, &format!("/latent/assets/{id}/steps"), json!({})).await?;
        if steps["steps"]["ingest/thumbnails"] != "pending" {
            return Some((client, id));
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_file_that_kills_the_server_is_left_alone_after_three_starts() {
    let folder = tempfile::tempdir().unwrap();
    // Whoever makes a thumbnail dies.
    let deadly = [("LATENT_FAILPOINT", "ingest.thumbnailing")];
    let mut program = Program::start(folder.path(), &deadly);
    let client = program.anonymous.clone().sign_up().await;
    let form = Client::form("deadly.jpg", photos::jpeg(1));
    let _ = client.request(Method::POST, "/assets").multipart(form).send().await;
    assert!(!program.wait().success());
    // A start that ends before its first step is no death of the step's: there may be more than three.
    let mut lived = None;
    for _ in 2..=6 {
        let Ok(program) = Program::try_start(folder.path(), &deadly) else { continue };
        if let Some((client, id)) = thumbnails_ended(&program).await {
            lived = Some((program, client, id));
            break;
        }
    }
    let (_program, client, id) = lived.expect("the server lives in the end");
    let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
    assert!(errors[0]["message"].as_str().unwrap().contains("died 3 times"), "{errors}");
    assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(1));
}

#[tokio::test]
async fn a_crash_at_every_point_of_a_move_leaves_the_photo_once_and_byte_for_byte() {
    let exif = Exif { taken: Some("2011:11:12 23:30:00"), offset: Some("-03:00"), ..Exif::default() };
    let mut photo = photos::encoded_jpeg(320, 240, 2, Some(&exif));
    for _ in 0..5 {
        photo = photos::with_segment(&photo, 0xe9, &[0; 60_000]);
    }
    for point in failpoint::BEYOND.iter().filter(|point| point.starts_with("relocate.")) {
        let folder = tempfile::tempdir().unwrap();
        let environment = [("LATENT_FAILPOINT", *point), ("LATENT__UPLOADS__LEASE", "1")];
        let mut program = Program::start(folder.path(), &environment);
        let client = program.anonymous.clone().sign_up().await;
        let form = Client::form("late.jpg", photo.clone());
        let _ = client.request(Method::POST, "/assets").multipart(form).send().await;
        assert!(!program.wait().success(), "{point} was never reached");
        leases_end().await;
        let program = Program::start(folder.path(), &environment[1..]);
        let client = again(&program).await;
        let ids = client.timeline().await;
        assert_eq!(ids.len(), 1, "{point}");
        client.processed(&ids[0]).await;
        assert_eq!(client.bytes(&format!("/assets/{}/original", ids[0])).await, photo, "{point}");
        // What the crash left goes with its lease.
        let originals = || files(&folder.path().join("data/library/library"));
        eventually(&format!("{point}: one file at its place"), || async {
            (originals().len() == 1 && originals()[0].ends_with("2011/2011-11-12/late.jpg")).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_crash_while_something_is_deleted_for_ever_leaves_no_file() {
    for point in ["delete.committed", "sweep.deleted"] {
        let folder = tempfile::tempdir().unwrap();
        let mut program = Program::start(folder.path(), &[("LATENT_FAILPOINT", point)]);
        let client = program.anonymous.clone().sign_up().await;
        let id = client.uploaded("a.jpg", photos::jpeg(3)).await;
        client.processed(&id).await;
        let body = json!({ "ids": [id], "force": true });
        let _ = client.request(Method::DELETE, "/assets").json(&body).send().await;
        assert!(!program.wait().success(), "{point} was never reached");
        let program = Program::start(folder.path(), &[]);
        let client = again(&program).await;
        assert_eq!(client.timeline().await, Vec::<String>::new());
        let left = || {
            let mut left = files(&folder.path().join("data/library/library"));
            left.extend(files(&folder.path().join("data/library/thumbs")));
            left
        };
        // What the dead sweeper had in hand is another's after a minute.
        eventually(&format!("{point}: all files are gone"), || async { (left().len() <= 2).then_some(()) }).await;
        if point == "delete.committed" {
            eventually("all files are gone", || async { left().is_empty().then_some(()) }).await;
        }
    }
}

#[tokio::test]
async fn a_crash_while_an_account_is_deleted_leaves_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[("LATENT_FAILPOINT", "user.assets-gone")]);
    let ann = program.anonymous.clone().sign_up().await;
    let account = json!({ "email": "bob@example.org", "name": "Bob", "password": "correct horse" });
    let bob = ann.post("/admin/users", &account).await.ok()["id"].as_str().unwrap().to_owned();
    let mut bobs = program.anonymous.clone();
    bobs.log_in_as("bob@example.org").await;
    let id = bobs.uploaded("a.jpg", photos::jpeg(7)).await;
    bobs.processed(&id).await;
    let path = format!("/admin/users/{bob}");
    let _ = ann.request(Method::DELETE, &path).json(&json!({ "force": true })).send().await;
    assert!(!program.wait().success(), "user.assets-gone was never reached");
    let program = Program::start(folder.path(), &[]);
    let ann = again(&program).await;
    eventually("the account is gone", || async { (!ann.get(&path).await.status.is_success()).then_some(()) }).await;
    let left = || files(&folder.path().join("data/library/library"));
    eventually("its files are gone", || async { left().is_empty().then_some(()) }).await;
}

#[tokio::test]
async fn what_a_crash_left_of_an_upload_is_swept_with_its_lease() {
    let folder = tempfile::tempdir().unwrap();
    let environment = [("LATENT_FAILPOINT", "upload.located"), ("LATENT__UPLOADS__LEASE", "1")];
    let mut program = Program::start(folder.path(), &environment);
    let client = program.anonymous.clone().sign_up().await;
    let form = Client::form("a.jpg", photos::jpeg(4));
    let _ = client.request(Method::POST, "/assets").multipart(form).send().await;
    assert!(!program.wait().success());
    let originals = || files(&folder.path().join("data/library/library"));
    assert_eq!(originals().len(), 1);
    leases_end().await;
    let _program = Program::start(folder.path(), &environment[1..]);
    eventually("the file that nobody owns is gone", || async { originals().is_empty().then_some(()) }).await;
}

#[test]
fn every_fail_point_is_listed_and_every_listed_one_is_somewhere() {
    let listed: Vec<&str> = failpoint::ALL.iter().chain(failpoint::BEYOND).copied().collect();
    let mut sources = String::new();
    for file in files(&tests::root().join("host")) {
        if file.ends_with(".rs") && !file.ends_with("failpoint.rs") {
            sources += &std::fs::read_to_string(file).unwrap();
        }
    }
    for call in sources.split("failpoint::hit(\"").skip(1) {
        let point = call.split('"').next().unwrap();
        assert!(listed.contains(&point), "add {point:?} to failpoint::ALL or BEYOND, and a test that dies there");
    }
    for point in listed {
        assert!(sources.contains(&format!("\"{point}\"")), "{point:?} is listed and nowhere hit");
    }
}
