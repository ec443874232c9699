//! Events to clients: socket.io v4 over websocket, at /api/socket.io.

use gallery::{Event, Gallery};
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::TransportType;
use socketioxide::extract::SocketRef;
use socketioxide::layer::SocketIoLayer;
use tokio::sync::broadcast::error::RecvError;

use crate::extract::identify;
use crate::{ApiState, assets, server};

/// The layer that takes the connections, and the task that feeds them.
pub fn layer(state: &ApiState) -> (SocketIoLayer, impl Future<Output = ()> + Send + 'static) {
    let (layer, io) =
        SocketIo::builder().req_path("/api/socket.io").transports([TransportType::Websocket]).build_layer();
    let connecting = state.clone();
    io.ns("/", move |socket: SocketRef| {
        let state = connecting.clone();
        async move { connect(socket, state).await }
    });
    (layer, feed(io, state.gallery.clone()))
}

/// By cookie (browser, phone) or header (tools), as for any request.
async fn connect(socket: SocketRef, state: ApiState) {
    let request = socket.req_parts().clone();
    match identify(&request, &state).await {
        Ok(identity) => {
            socket.join(identity.user.id.to_string());
            let _ = socket.emit("on_server_version", &server::version());
        }
        Err(_) => {
            let _ = socket.emit("error", "unauthorized");
            let _ = socket.disconnect();
        }
    }
}

/// A room is a user's.
async fn feed(io: SocketIo, gallery: Gallery) {
    let mut events = gallery.events().listen();
    loop {
        match events.recv().await {
            Ok(event) => {
                let room = event.owner().to_string();
                if let Some((name, payload)) = message(&gallery, &event).await
                    && let Err(error) = io.to(room).emit(name, &payload).await
                {
                    tracing::debug!(%error, name, "Cannot tell all clients");
                }
            }
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "Clients missed events"),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn message(gallery: &Gallery, event: &Event) -> Option<(&'static str, Value)> {
    Some(match event {
        Event::UploadReady { asset, .. } => ("on_upload_success", asset_json(gallery, *asset).await?),
        Event::AssetUpdated { asset, .. } => ("on_asset_update", asset_json(gallery, *asset).await?),
        Event::AssetDeleted { asset, .. } => ("on_asset_delete", asset.to_string().into()),
        Event::PersonThumbnail { person, .. } => ("on_person_thumbnail", person.to_string().into()),
        Event::AssetsTrashed { assets, .. } => ("on_asset_trash", ids(assets)),
        Event::AssetsRestored { assets, .. } => ("on_asset_restore", ids(assets)),
    })
}

async fn asset_json(gallery: &Gallery, id: types::AssetId) -> Option<Value> {
    gallery.for_ingest(id).await.ok().flatten().map(|asset| assets::json(&asset))
}

fn ids(assets: &[types::AssetId]) -> Value {
    assets.iter().map(|id| Value::from(id.to_string())).collect()
}
