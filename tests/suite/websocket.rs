//! Events, as Immich's clients listen for them: socket.io 4 over websocket.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use server::Role;
use tests::videos::{PHONE, make};
use tests::{Client, TestApp, photos};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use types::SystemClock;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(client: &Client) -> Socket {
    open(client, "/api/socket.io/?EIO=4&transport=websocket").await
}

async fn open(client: &Client, path: &str) -> Socket {
    let mut request = format!("{}{path}", client.url.replace("http", "ws")).into_client_request().unwrap();
    if let Some(token) = &client.token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let (mut socket, _) = connect_async(request).await.unwrap();
    assert!(text(&mut socket).await.starts_with("0{"), "engine.io opens");
    socket.send(Message::text("40")).await.unwrap();
    assert!(text(&mut socket).await.starts_with("40"), "socket.io connects");
    socket
}

/// The next text; pings are answered.
async fn text(socket: &mut Socket) -> String {
    let wait = async {
        loop {
            match socket.next().await.expect("the socket is open").unwrap() {
                Message::Text(text) if text.as_str() == "2" => socket.send(Message::text("3")).await.unwrap(),
                Message::Text(text) => return text.to_string(),
                Message::Close(_) => return "closed".to_owned(),
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("an event within a minute")
}

/// The payload of the next event of this name.
async fn event(socket: &mut Socket, name: &str) -> Value {
    loop {
        let text = text(socket).await;
        let Some(body) = text.strip_prefix("42") else { panic!("{text}") };
        let event: Value = serde_json::from_str(body).unwrap();
        if event[0] == name {
            return event[1].clone();
        }
    }
}

#[tokio::test]
async fn tells_of_an_upload_when_its_thumbnail_is_there_and_of_what_becomes_of_it() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut socket = connect(&client).await;
    assert_eq!(event(&mut socket, "on_server_version").await["major"], 3);
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let ready = event(&mut socket, "on_upload_success").await;
    assert_eq!(ready["id"], id.as_str());
    // The phone listens to this one alone, and has a database table for each of its two halves.
    let phone = event(&mut socket, "AssetUploadReadyV2").await;
    insta::assert_json_snapshot!(phone, {
        ".asset.id" => "[id]", ".asset.ownerId" => "[id]", ".exif.assetId" => "[id]", ".asset.checksum" => "[sha1]",
        ".asset.createdAt" => "[date]", ".asset.thumbhash" => "[hash]", ".exif.fileSizeInByte" => "[bytes]",
    }, @r#"
        {
          "asset": {
            "checksum": "[sha1]",
            "createdAt": "[date]",
            "deletedAt": null,
            "duration": null,
            "fileCreatedAt": "2024-03-15T12:00:00.000Z",
            "fileModifiedAt": "2024-03-15T12:00:00.000Z",
            "height": 240,
            "id": "[id]",
            "isEdited": false,
            "isFavorite": false,
            "libraryId": null,
            "livePhotoVideoId": null,
            "localDateTime": "2024-03-15T12:00:00.000Z",
            "originalFileName": "a.jpg",
            "ownerId": "[id]",
            "stackId": null,
            "thumbhash": "[hash]",
            "type": "IMAGE",
            "visibility": "timeline",
            "width": 320
          },
          "exif": {
            "assetId": "[id]",
            "city": null,
            "country": null,
            "dateTimeOriginal": "2024-03-15T12:00:00.000Z",
            "description": "",
            "exifImageHeight": 240,
            "exifImageWidth": 320,
            "exposureTime": null,
            "fNumber": null,
            "fileSizeInByte": "[bytes]",
            "focalLength": null,
            "fps": null,
            "iso": null,
            "latitude": null,
            "lensModel": null,
            "longitude": null,
            "make": null,
            "model": null,
            "modifyDate": "2024-03-15T12:00:00.000Z",
            "orientation": null,
            "profileDescription": null,
            "projectionType": null,
            "rating": null,
            "state": null,
            "timeZone": null
          }
        }
        "#);
    assert!(!client.bytes(&format!("/assets/{id}/thumbnail")).await.is_empty(), "told when it is there");
    client.put(&format!("/assets/{id}"), &serde_json::json!({ "isFavorite": true })).await.ok();
    assert_eq!(event(&mut socket, "on_asset_update").await["isFavorite"], true);
    client.delete("/assets", &serde_json::json!({ "ids": [id] })).await.ok();
    assert_eq!(event(&mut socket, "on_asset_trash").await, serde_json::json!([id]));
    client.delete("/assets", &serde_json::json!({ "ids": [id], "force": true })).await.ok();
    assert_eq!(event(&mut socket, "on_asset_delete").await, id.as_str());
}

/// Everything that arrives until the socket closes or says nothing for a while.
async fn rest(socket: &mut Socket) -> Vec<String> {
    let mut heard = Vec::new();
    while let Ok(Some(Ok(message))) = tokio::time::timeout(Duration::from_millis(500), socket.next()).await {
        match message {
            // A ping.
            Message::Text(text) if text.as_str() == "2" => socket.send(Message::text("3")).await.unwrap(),
            Message::Text(text) => heard.push(text.to_string()),
            Message::Close(_) => break,
            _ => {}
        }
    }
    heard
}

async fn is_closed(socket: &mut Socket) -> bool {
    loop {
        match tokio::time::timeout(Duration::from_secs(5), socket.next()).await {
            Ok(None | Some(Ok(Message::Close(_)) | Err(_))) => return true,
            Ok(Some(Ok(Message::Text(text)))) if text.as_str() == "41" => return true,
            Ok(Some(Ok(_))) => {}
            Err(_) => return false,
        }
    }
}

#[tokio::test]
async fn tells_nothing_to_somebody_without_a_token() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut socket = connect(&app.anonymous).await;
    let heard = rest(&mut socket).await;
    assert!(heard.iter().any(|text| text.contains("unauthorized")), "{heard:?}");
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    assert_eq!(rest(&mut socket).await, Vec::<String>::new());
}

#[tokio::test]
async fn tells_each_of_two_users_of_their_own_alone() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let (mut anns, mut bobs) = (connect(&ann).await, connect(&bob).await);
    let id = ann.uploaded("a.jpg", photos::jpeg(1)).await;
    assert_eq!(event(&mut anns, "on_upload_success").await["id"], id.as_str());
    ann.delete("/assets", &serde_json::json!({ "ids": [id] })).await.ok();
    event(&mut anns, "on_asset_trash").await;
    let heard = rest(&mut bobs).await;
    assert!(heard.iter().all(|text| text.contains("on_server_version")), "{heard:?}");
    let own = bob.uploaded("a.jpg", photos::jpeg(1)).await;
    assert_eq!(event(&mut bobs, "on_upload_success").await["id"], own.as_str(), "and Bob hears of his");
}

#[tokio::test]
async fn a_logout_and_a_deleted_key_end_the_sockets_that_came_with_them() {
    let app = TestApp::start().await;
    let staying = app.sign_up().await;
    let mut leaving = staying.clone();
    leaving.log_in().await;
    let (mut stays, mut leaves) = (connect(&staying).await, connect(&leaving).await);
    leaving.post("/auth/logout", &serde_json::json!({})).await.ok();
    assert!(is_closed(&mut leaves).await, "the session is over, and so is its socket");
    let key = staying.post("/api-keys", &serde_json::json!({ "name": "x", "permissions": ["all"] })).await.ok();
    let url = format!("/api/socket.io/?EIO=4&transport=websocket&apiKey={}", key["secret"].as_str().unwrap());
    let mut by_key = open(&app.anonymous, &url).await;
    staying.delete(&format!("/api-keys/{}", key["id"].as_str().unwrap()), &serde_json::json!({})).await.ok();
    assert!(is_closed(&mut by_key).await, "the key is gone, and so is its socket");
    let id = staying.uploaded("a.jpg", photos::jpeg(1)).await;
    assert_eq!(event(&mut stays, "on_upload_success").await["id"], id.as_str(), "the other session hears on");
}

#[tokio::test]
async fn those_who_have_an_album_hear_that_it_changes() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let album = crate::albums::album_of(&ann, &[]).await;
    let mut socket = connect(&bob).await;
    crate::albums::let_in(&ann, &album, &bob, "viewer").await;
    assert_eq!(event(&mut socket, "on_album_update").await, album.as_str());
    ann.patch(&format!("/albums/{album}"), &serde_json::json!({ "albumName": "Amsterdam" })).await.ok();
    assert_eq!(event(&mut socket, "on_album_update").await, album.as_str());
    ann.delete(&format!("/albums/{album}/user/{}", bob.user_id), &serde_json::json!({})).await.ok();
    assert_eq!(event(&mut socket, "on_album_update").await, album.as_str());
}

#[tokio::test]
async fn tells_of_news_of_ended_sessions_of_users_who_are_gone_and_of_the_configuration() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = app.anonymous.beside(&app.running.gallery, "Bob").await;
    let (mut anns, mut bobs) = (connect(&ann).await, connect(&bob).await);
    let news = serde_json::json!({ "userId": bob.user_id, "title": "Hello" });
    let told = ann.post("/admin/notifications", &news).await.ok();
    assert_eq!(event(&mut bobs, "on_notification").await, told);
    let mut config = ann.get("/system-config").await.ok();
    config["trash"]["days"] = 9.into();
    ann.put("/system-config", &config).await.ok();
    event(&mut bobs, "on_config_update").await;
    let session = bob.get("/sessions").await.ok()[0]["id"].clone();
    ann.delete(&format!("/admin/users/{}", bob.user_id), &serde_json::json!({ "force": true })).await.ok();
    assert_eq!(event(&mut bobs, "on_session_delete").await, session);
    assert!(is_closed(&mut bobs).await);
    assert_eq!(event(&mut anns, "on_user_delete").await, bob.user_id.as_str());
}

#[tokio::test]
async fn a_video_that_hides_behind_its_photo_is_told_hidden_and_a_logout_is_told_first() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut leaving = client.clone();
    leaving.log_in().await;
    let mut socket = connect(&leaving).await;
    let video = client.uploaded("a.mov", make("a.mov", PHONE)).await;
    let form = Client::form("a.jpg", photos::jpeg(1)).text("livePhotoVideoId", video.clone());
    client.upload_form(form).await.ok();
    assert_eq!(event(&mut socket, "on_asset_hidden").await, video.as_str());
    leaving.post("/auth/logout", &serde_json::json!({})).await.ok();
    let session = event(&mut socket, "on_session_delete").await;
    assert!(session.as_str().is_some_and(|id| id.parse::<uuid::Uuid>().is_ok()), "{session}");
    assert!(is_closed(&mut socket).await);
}

#[tokio::test]
async fn what_happens_in_one_process_is_told_by_all() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut settings = app.settings.clone();
    settings.data_dir = app.folder().join("beside");
    let beside =
        server::start_at(&settings, Role::Serve, Vec::new(), Arc::new(String::new), Arc::new(SystemClock)).await;
    let beside = beside.unwrap();
    let there = Client { url: format!("http://{}", beside.address.unwrap()), ..client.clone() };
    let mut socket = connect(&there).await;
    event(&mut socket, "on_server_version").await;
    // Redis carries what happens from the moment on that both listen.
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let mut told = None;
    for _ in 0..60 {
        client.put(&format!("/assets/{id}"), &serde_json::json!({ "isFavorite": true })).await.ok();
        let next = tokio::time::timeout(Duration::from_secs(1), event(&mut socket, "on_asset_update")).await;
        if let Ok(asset) = next {
            told = Some(asset);
            break;
        }
    }
    assert_eq!(told.expect("the other process tells of it")["id"], id.as_str());
    beside.stop().await;
}

#[tokio::test]
async fn a_flood_of_sockets_and_of_words_is_bounded() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let mut first = connect(&client).await;
    event(&mut first, "on_server_version").await;
    let mut others = Vec::new();
    for _ in 0..50 {
        others.push(connect(&client).await);
    }
    let last = others.last_mut().unwrap();
    event(last, "on_server_version").await;
    assert!(is_closed(&mut first).await, "the oldest of too many goes");
    last.send(Message::text(format!("42[\"x\",\"{}\"]", "y".repeat(1 << 20)))).await.ok();
    assert!(is_closed(last).await, "nobody has so much to say");
    let mut next = connect(&client).await;
    event(&mut next, "on_server_version").await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    assert_eq!(event(&mut next, "on_upload_success").await["id"], id.as_str(), "and the others hear on");
}
