//! Events to clients: socket.io v4 over websocket, at /api/socket.io.

use std::time::{Duration, Instant};

use gallery::accounts::Means;
use gallery::{Event, Gallery};
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::TransportType;
use socketioxide::extract::SocketRef;
use socketioxide::layer::SocketIoLayer;
use store::assets::Asset;
use tokio::sync::broadcast::error::RecvError;
use types::Visibility;

use crate::extract::identify;
use crate::{ApiState, assets, notifications, server, sync};

/// Sockets of one user at once: the oldest go when there are more.
const MOST_OF_USER: usize = 50;
/// Bytes of a message: clients have nothing to say.
const LONGEST_MESSAGE: usize = 16 << 10;
/// Whoever opens a socket and does not say what for.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The answer to a logout arrives before its sockets end, as clients of Immich expect it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The layer that takes the connections, and the task that feeds them.
pub fn layer(state: &ApiState) -> (SocketIoLayer, impl Future<Output = ()> + Send + 'static) {
    let (layer, io) = SocketIo::builder()
        .req_path("/api/socket.io")
        .transports([TransportType::Websocket])
        .connect_timeout(CONNECT_LIMIT)
        .max_payload(LONGEST_MESSAGE as u64)
        .ws_max_message_size(LONGEST_MESSAGE)
        .ws_max_frame_size(LONGEST_MESSAGE)
        .build_layer();
    let (connecting, of_user) = (state.clone(), io.clone());
    io.ns("/", move |socket: SocketRef| {
        let (state, io) = (connecting.clone(), of_user.clone());
        async move { connect(socket, state, &io).await }
    });
    (layer, feed(io, state.gallery.clone()))
}

/// By cookie (browser, phone) or header (tools), as for any request.
async fn connect(socket: SocketRef, state: ApiState, io: &SocketIo) {
    let request = socket.req_parts().clone();
    match identify(&request, &state).await {
        Ok(identity) => {
            let user = identity.user.id.to_string();
            let mut others = io.to(user.clone()).sockets();
            others.sort_by_key(|other| other.extensions.get::<Since>().map(|since| since.0));
            let too_many = (others.len() + 1).saturating_sub(MOST_OF_USER);
            for other in others.into_iter().take(too_many) {
                let _ = other.disconnect();
            }
            socket.extensions.insert(Since(Instant::now()));
            socket.join(user);
            socket.join(means_room(&identity.means));
            socket.join(EVERYBODY);
            let _ = socket.emit("on_server_version", &server::version());
        }
        Err(_) => {
            let _ = socket.emit("error", "unauthorized");
            let _ = socket.disconnect();
        }
    }
}

/// The room of all who are signed in.
const EVERYBODY: &str = "everybody";

/// When a socket came.
#[derive(Clone)]
struct Since(Instant);

/// The room of those who came with this session or key, and leave with it.
fn means_room(means: &Means) -> String {
    match means {
        Means::Session(id) => format!("session {id}"),
        Means::ApiKey(key) => format!("key {}", key.id),
    }
}

/// A room is a user's, or that of a session or key.
async fn feed(io: SocketIo, gallery: Gallery) {
    let mut events = gallery.events().listen();
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Event::AccountChanged { .. } | Event::SessionEnded { .. } | Event::ApiKeyDeleted { .. } = event {
                    // It may have happened in another process.
                    gallery.forget_identities();
                }
                let room = event.owner().map_or_else(|| EVERYBODY.to_owned(), |owner| owner.to_string());
                for (name, payload) in messages(&gallery, &event).await {
                    if let Err(error) = io.to(room.clone()).emit(name, &payload).await {
                        tracing::debug!(%error, name, "Cannot tell all clients");
                    }
                }
                end(&io, &event).await;
            }
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "Clients missed events"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Nobody listens with a session or a key that is no more: from now on they hear nothing, and in a moment their sockets end.
async fn end(io: &SocketIo, event: &Event) {
    let (owner, room, session) = match event {
        Event::SessionEnded { owner, session } => (owner, format!("session {session}"), Some(session.to_string())),
        Event::ApiKeyDeleted { owner, key } => (owner, format!("key {key}"), None),
        _ => return,
    };
    let io = io.clone();
    if io.to(room.clone()).leave(owner.to_string()).await.is_err() {
        tracing::debug!(room, "Cannot take all clients out of their user's room");
    }
    tokio::spawn(async move {
        tokio::time::sleep(LAST_WORDS).await;
        if let Some(session) = session {
            let _ = io.to(room.clone()).emit("on_session_delete", &session).await;
        }
        if let Err(error) = io.to(room).disconnect().await {
            tracing::debug!(%error, "Cannot disconnect all clients");
        }
    });
}

async fn messages(gallery: &Gallery, event: &Event) -> Vec<(&'static str, Value)> {
    match event {
        Event::UploadReady { asset, .. } => match asset_of(gallery, *asset).await {
            // The page and tools wait for the first, the phone for the second alone.
            Some(asset) => {
                vec![("on_upload_success", assets::json(&asset)), ("AssetUploadReadyV2", sync::upload_ready(&asset))]
            }
            None => Vec::new(),
        },
        Event::AssetUpdated { asset, .. } => match asset_of(gallery, *asset).await {
            // The video of a photo that moves is not shown beside it; of what is locked away not every session may know more.
            Some(asset) if matches!(asset.visibility, Visibility::Hidden | Visibility::Locked) => {
                vec![("on_asset_hidden", asset.id.to_string().into())]
            }
            Some(asset) => vec![("on_asset_update", assets::json(&asset))],
            None => Vec::new(),
        },
        Event::AssetDeleted { asset, .. } => vec![("on_asset_delete", asset.to_string().into())],
        Event::PersonThumbnail { person, .. } => vec![("on_person_thumbnail", person.to_string().into())],
        Event::AlbumUpdated { album, .. } => vec![("on_album_update", album.to_string().into())],
        Event::AssetsTrashed { assets, .. } => vec![("on_asset_trash", ids(assets))],
        Event::AssetsRestored { assets, .. } => vec![("on_asset_restore", ids(assets))],
        Event::AssetEdited { asset, .. } => match asset_of(gallery, *asset).await {
            Some(asset) => {
                let edits = gallery.store().edits(asset.id).await.unwrap_or_default();
                vec![("on_asset_update", assets::json(&asset)), ("AssetEditReadyV2", sync::edit_ready(&asset, &edits))]
            }
            None => Vec::new(),
        },
        Event::StacksChanged { .. } => vec![("on_asset_stack_update", Value::Array(Vec::new()))],
        Event::Notified { owner, notification } => {
            match gallery.notification(*owner, *notification, "notification.read").await {
                Ok(notification) => vec![("on_notification", notifications::json(&notification))],
                Err(_) => Vec::new(),
            }
        }
        Event::UserDeleted { user } => vec![("on_user_delete", user.to_string().into())],
        Event::ConfigChanged => vec![("on_config_update", Value::Null)],
        Event::SessionEnded { .. } | Event::ApiKeyDeleted { .. } | Event::AccountChanged { .. } => Vec::new(),
    }
}

async fn asset_of(gallery: &Gallery, id: types::AssetId) -> Option<Asset> {
    gallery.for_ingest(id).await.ok().flatten()
}

fn ids(assets: &[types::AssetId]) -> Value {
    assets.iter().map(|id| Value::from(id.to_string())).collect()
}
