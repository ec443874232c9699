//! HTTP in the shape of Immich's API. The only room that knows axum and status codes.

mod activities;
mod admin_users;
mod albums;
mod api_keys;
mod asset_metadata;
mod assets;
mod auth;
mod bulk;
mod config;
mod cookies;
mod downloads;
mod duplicates;
mod edits;
mod error;
mod extract;
mod faces;
mod jobs;
mod latent;
mod linger;
mod map;
mod memories;
mod metrics;
mod notifications;
mod openapi;
mod operate;
mod partners;
mod people;
mod permissions;
mod pipelines;
mod plugins;
mod queues;
mod ranges;
mod routes;
mod search;
mod serve;
mod server;
mod sessions;
mod shared_links;
mod stacks;
mod storage;
mod sync;
mod system;
mod tags;
mod timeline;
mod trash;
mod users;
mod views;
mod web;
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use gallery::Gallery;
use jiff::Timestamp;
use serde_json::Value;
use tower::ServiceBuilder;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use types::{AssetId, QueueName, RunId};

use routes::Routes;

pub use error::ApiError;
pub use permissions::PERMISSIONS;
pub use routes::{Access, Operation};
pub use serve::serve;
pub use server::version_text;

/// A JSON body is no photo.
const JSON_LIMIT: usize = 4 << 20;

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub gallery: Gallery,
    pub jobs: Arc<dyn Jobs>,
    /// Renders /metrics.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Behind TLS, so that cookies are marked `Secure`.
    pub secure_cookies: bool,
    /// What of Immich's configuration stands in the operator's settings: a part of AdminConfigDto.
    pub config: Arc<Value>,
}

/// What the job commands need of the pipelines, which are not below this room.
#[async_trait::async_trait]
pub trait Jobs: Send + Sync + 'static {
    /// The queues that there are.
    fn queues(&self) -> Vec<QueueName>;
    /// Runs the steps of a queue again: on all assets, or on those that miss a result. `only`: on none but these. Returns on how
    /// many.
    async fn backfill(&self, queue: &QueueName, force: bool, only: Option<&[AssetId]>) -> gallery::Result<i64>;
    /// How far the pipelines are with an asset: each step with `pending`, `done`, `skipped` or `failed`.
    async fn steps(&self, asset: AssetId) -> gallery::Result<Vec<(String, String)>>;
    /// The pipelines with their queues, runs and problems. `counts`: also how the results of each step stand.
    async fn overview(&self, counts: bool) -> gallery::Result<Value>;
    /// Begins a run of a pipeline.
    async fn run(&self, asked: AskedRun) -> gallery::Result<Value>;
    /// How far a run is.
    async fn progress(&self, run: RunId) -> gallery::Result<Value>;
    /// Reads the pipelines again. Returns what is wrong with them; such a pipeline stays as it was.
    async fn reload(&self) -> gallery::Result<Value>;
}

/// A run of a pipeline that somebody asks for.
#[derive(Debug, Clone)]
pub struct AskedRun {
    pub pipeline: String,
    /// Empty: all.
    pub steps: Vec<String>,
    /// Also where there is a result already.
    pub force: bool,
    /// `None`: all.
    pub assets: Option<Vec<AssetId>>,
    /// Only counts the assets.
    pub dry_run: bool,
}

/// What there is below /api, and who may call it.
pub fn operations() -> Vec<Operation> {
    routes().operations
}

fn routes() -> Routes {
    Routes::new()
        .merge(server::routes())
        .merge(auth::routes())
        .merge(sessions::routes())
        .merge(users::routes())
        .merge(admin_users::routes())
        .merge(notifications::routes())
        .merge(config::routes())
        .merge(system::routes())
        .merge(api_keys::routes())
        .merge(assets::routes())
        .merge(timeline::routes())
        .merge(trash::routes())
        .merge(people::routes())
        .merge(faces::routes())
        .merge(search::routes())
        .merge(jobs::routes())
        .merge(plugins::routes())
        .merge(queues::routes())
        .merge(pipelines::routes())
        .merge(latent::routes())
        .merge(openapi::routes())
        .merge(storage::routes())
        .merge(albums::routes())
        .merge(shared_links::routes())
        .merge(partners::routes())
        .merge(activities::routes())
        .merge(downloads::routes())
        .merge(stacks::routes())
        .merge(tags::routes())
        .merge(memories::routes())
        .merge(duplicates::routes())
        .merge(asset_metadata::routes())
        .merge(map::routes())
        .merge(views::routes())
        .merge(edits::routes())
        .merge(sync::routes())
}

/// Everything under one router.
pub fn router(state: ApiState) -> Router {
    let (socket, events) = websocket::layer(&state);
    tokio::spawn(events);
    let api = routes()
        .router
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::unknown_method)
        .layer(DefaultBodyLimit::max(JSON_LIMIT))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(is_long_json));
    let correlation = HeaderName::from_static("x-correlation-id");
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(correlation.clone(), MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(correlation))
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ));
    Router::new()
        .nest("/api", api)
        .merge(operate::routes())
        .merge(web::routes())
        .layer(axum::middleware::from_fn(metrics::count))
        .layer(socket)
        .layer(layers)
        .with_state(state)
}

/// Is this an instant that PostgreSQL and JavaScript both hold?
fn is_kept(at: Timestamp) -> bool {
    (-62_135_596_800..253_402_300_800).contains(&at.as_second())
}

/// A month of a large library is a megabyte of columns; a photo gets no smaller.
fn is_long_json(status: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let short = header(header::CONTENT_LENGTH).and_then(|len| len.parse::<u64>().ok()).is_some_and(|len| len < 1_024);
    status.is_success()
        && !short
        && header(header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/json"))
}
