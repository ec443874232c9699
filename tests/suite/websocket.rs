//! Events, as Immich's clients listen for them: socket.io 4 over websocket.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tests::{Client, TestApp, photos};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(client: &Client) -> Socket {
    let url = format!("{}/api/socket.io/?EIO=4&transport=websocket", client.url.replace("http", "ws"));
    let mut request = url.into_client_request().unwrap();
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
    assert!(!client.bytes(&format!("/assets/{id}/thumbnail")).await.is_empty(), "told when it is there");
    client.put(&format!("/assets/{id}"), &serde_json::json!({ "isFavorite": true })).await.ok();
    assert_eq!(event(&mut socket, "on_asset_update").await["isFavorite"], true);
    client.delete("/assets", &serde_json::json!({ "ids": [id] })).await.ok();
    assert_eq!(event(&mut socket, "on_asset_trash").await, serde_json::json!([id]));
    client.delete("/assets", &serde_json::json!({ "ids": [id], "force": true })).await.ok();
    assert_eq!(event(&mut socket, "on_asset_delete").await, id.as_str());
}

#[tokio::test]
async fn tells_nothing_to_somebody_without_a_token() {
    let app = TestApp::start().await;
    let mut socket = connect(&app.anonymous).await;
    let client = app.sign_up().await;
    client.uploaded("a.jpg", photos::jpeg(1)).await;
    loop {
        let text = text(&mut socket).await;
        assert!(!text.contains("on_"), "{text}");
        if text == "41" || text == "closed" {
            break;
        }
    }
}
