//! The server as operators see it: health, metrics, starting and stopping.

use reqwest::StatusCode;
use tests::{Program, TestApp, photos};

#[tokio::test]
async fn says_that_it_lives_that_it_is_ready_and_what_it_does() {
    let app = TestApp::start().await;
    let get = |path: &str| app.anonymous.http.get(format!("{}{path}", app.anonymous.url)).send();
    assert_eq!(get("/healthz").await.unwrap().status(), StatusCode::OK);
    assert_eq!(get("/readyz").await.unwrap().status(), StatusCode::OK);
    let version = app.anonymous.get("/server/version").await.ok();
    assert_eq!((version["major"].as_u64(), version["minor"].as_u64()), (Some(3), Some(2)));
    assert_eq!(app.anonymous.get("/server/ping").await.ok()["res"], "pong");
}

#[tokio::test]
async fn a_storage_folder_that_is_not_mounted_is_neither_written_nor_hidden() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let (there, away) = (app.library(), app.folder().join("away"));
    std::fs::rename(&there, &away).unwrap();
    std::fs::create_dir(&there).unwrap();
    let ready = client.http.get(format!("{}/readyz", client.url)).send().await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    let why = ready.text().await.unwrap();
    assert!(why.contains("main") && why.contains(".latent"), "{why}");
    let upload = client.upload("b.jpg", photos::jpeg(2)).await;
    assert!(upload.status.is_server_error(), "{}", upload.body);
    assert_eq!(app.files(), Vec::<String>::new(), "nothing was written in its place");
    std::fs::remove_dir_all(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    assert_eq!(client.upload("b.jpg", photos::jpeg(2)).await.status, StatusCode::CREATED);
    assert_eq!(client.bytes(&format!("/assets/{id}/original")).await, photos::jpeg(1));
}

#[tokio::test]
async fn the_program_starts_with_its_own_services_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &[]);
    let metrics = program.anonymous.http.get(format!("{}/metrics", program.anonymous.url)).send().await.unwrap();
    assert!(metrics.text().await.unwrap().contains("# TYPE"));
    let services = [program.child("postgres").unwrap(), program.child("valkey").unwrap()];
    assert!(program.stop().success());
    for service in services {
        assert!(!std::path::Path::new(&format!("/proc/{service}")).exists(), "{service} is left");
    }
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Program::start(folder.path(), &[]);
    let Err(said) = Program::try_start(folder.path(), &[]) else { panic!("two servers share a folder") };
    assert!(said.contains("another") || said.contains("locked"), "{said}");
}
