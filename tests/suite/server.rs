//! The server as operators see it: health, metrics, starting and stopping.

use std::sync::Arc;

use blobs::Inbox;
use reqwest::StatusCode;
use runtime::{RuntimeConfig, Services};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use store::{Store, StoreConfig};
use tests::{Client, Database, Program, TestApp, eventually, photos};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
    assert!(upload.status == 503 && upload.body.to_string().contains("is the disk mounted?"), "{}", upload.body);
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
    let client = program.anonymous.clone().sign_up().await;
    client.uploaded("a.jpg", photos::jpeg(1)).await;
    let metrics = client.http.get(format!("{}/metrics", client.url)).send().await.unwrap().text().await.unwrap();
    for series in [
        "latent_http_requests_total{method=\"POST\",route=\"/api/assets\",status=\"201\"} 1",
        "latent_http_request_seconds_bucket{",
        "latent_uploads_total{outcome=\"created\"} 1",
        "latent_queue_jobs{queue=\"thumbnails\",state=\"waiting\"}",
        "latent_database_connections{state=\"open\"}",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(series), "{series} is not in\n{metrics}");
    }
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

#[tokio::test]
async fn an_inbox_is_swept_when_its_process_is_gone_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let inbox = Inbox::open(folder.path().into()).unwrap();
    let mut arriving = inbox.create().await.unwrap();
    let dead = folder.path().join("019353a0-0000-7000-8000-000000000000");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("x.part"), b"half").unwrap();
    let second = Inbox::open(folder.path().into()).unwrap();
    assert!(!dead.exists());
    arriving.write("whole".into()).await.unwrap();
    let received = arriving.finish().await.unwrap();
    assert_eq!(received.blob().unwrap().read().await.unwrap(), "whole");
    drop(second);
}

#[tokio::test]
async fn another_librarys_disk_is_refused_while_running_and_at_the_start() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let marker = app.library().join(".latent");
    let ours = std::fs::read_to_string(&marker).unwrap();
    let another = ours.replace("library = ", "library = 0");
    std::fs::write(&marker, &another).unwrap();
    let upload = client.upload("a.jpg", photos::jpeg(1)).await;
    assert!(upload.status == 503 && upload.body.to_string().contains("another Latent library"), "{}", upload.body);
    let start = || server::start(&app.settings, server::Role::Work, Vec::new(), Arc::new(String::new));
    let Err(error) = start().await else { panic!("it started on another library's disk") };
    assert!(format!("{error:#}").contains("another Latent library"), "{error:#}");
    // One of an earlier version says nothing of a library; it is given one.
    std::fs::write(&marker, "This folder belongs to a Latent library.\n").unwrap();
    start().await.unwrap().stop().await;
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), ours);
    assert_eq!(client.upload("a.jpg", photos::jpeg(1)).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn serve_and_work_share_the_services_of_a_folder_with_any_name() {
    let folder = tempfile::Builder::new().prefix("my 100% photos?").tempdir().unwrap();
    let serving = Program::role(folder.path(), &["serve"], &[]).unwrap();
    let client = serving.anonymous.clone().sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let worker = Program::work(folder.path(), &[]);
    client.processed(&id).await;
    assert!(!client.bytes(&format!("/assets/{id}/thumbnail")).await.is_empty());
    assert!(worker.stop().success());
    assert!(serving.stop().success());
}

fn config(folder: &std::path::Path) -> RuntimeConfig {
    RuntimeConfig { data_dir: folder.into(), kit: tests::kit(), postgres: true, valkey: false }
}

#[test]
fn a_postmaster_pid_of_somebody_else_does_not_keep_postgres_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let services = Services::start(&config).unwrap();
    let pid_file = folder.path().join("postgres/postmaster.pid");
    let text = std::fs::read_to_string(&pid_file).unwrap();
    services.stop();
    // As after a crash of a container: the number is another process's now.
    let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&pid_file, format!("{}\n{rest}", sleeper.id())).unwrap();
    let services = Services::start(&config);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    services.unwrap().stop();
}

#[test]
fn a_cluster_of_another_major_is_left_alone_and_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("postgres")).unwrap();
    std::fs::write(folder.path().join("postgres/PG_VERSION"), "17\n").unwrap();
    let error = Services::start(&config(folder.path())).unwrap_err().to_string();
    assert!(error.contains("PostgreSQL 17") && error.contains("pg_dump"), "{error}");
}

/// A PostgreSQL that speaks TLS, with a certificate that it signed itself: before the one of the tests, which does not.
async fn with_tls(database: &Database) -> u16 {
    let folder = tests::root().join("tests/fixtures/tls");
    let certificate = CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let host = database.url.split_whitespace().find_map(|part| part.strip_prefix("host=")).unwrap();
    let socket = format!("{host}/.s.PGSQL.5432");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (acceptor, socket) = (acceptor.clone(), socket.clone());
            tokio::spawn(async move {
                let mut request = [0; 8];
                stream.read_exact(&mut request).await?;
                stream.write_all(b"S").await?;
                let mut client = acceptor.accept(stream).await?;
                let mut server = tokio::net::UnixStream::connect(socket).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

#[tokio::test]
async fn a_self_signed_database_is_taken_by_prefer_and_by_its_own_certificate_and_refused_by_require() {
    let database = Database::new().await;
    let port = with_tls(&database).await;
    let name = database.url.split_whitespace().find_map(|part| part.strip_prefix("dbname=")).unwrap();
    let ping = async |mode: &str, ca: Option<&std::path::Path>| {
        let url = format!("postgresql://latent@localhost:{port}/{name}{mode}");
        Store::trusting(&StoreConfig { url, pool_size: 1 }, ca).unwrap().ping().await
    };
    let own = tests::root().join("tests/fixtures/tls/cert.pem");
    ping("", None).await.unwrap();
    let error = ping("?sslmode=require", None).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    ping("?sslmode=require", Some(&own)).await.unwrap();
    ping("?sslmode=verify-full", Some(&own)).await.unwrap();
}

#[tokio::test]
async fn a_second_signal_leaves_at_once_and_the_next_start_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(folder.path(), &[]);
    let client = program.anonymous.clone().sign_up().await;
    // A request that does not end keeps the stop waiting.
    let body = reqwest::Body::wrap_stream(futures::stream::pending::<std::io::Result<Vec<u8>>>());
    let form = Client::form("a.jpg", photos::jpeg(1)).part("slow", reqwest::multipart::Part::stream(body));
    let hanging = tokio::spawn(client.request(reqwest::Method::POST, "/assets").multipart(form).send());
    eventually("the upload has begun", || async {
        let inbox = std::fs::read_dir(folder.path().join("data/library/.inbox")).ok()?;
        inbox.flatten().find(|entry| std::fs::read_dir(entry.path()).is_ok_and(|files| files.count() > 1))
    })
    .await;
    program.signal(libc::SIGINT);
    eventually("the first is heard", || async { program.log().contains("Stopping").then_some(()) }).await;
    program.signal(libc::SIGINT);
    assert_eq!(program.wait().code(), Some(130));
    hanging.abort();
    assert!(Program::start(folder.path(), &[]).stop().success());
}
