//! Installing, approving, upgrading and removing plugins: what `latent plugin` does, for administrators.

use axum::Json as Answer;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Path, Request, State};
use axum::http::Method;
use axum::routing::post;
use gallery::plugins::{Approval, Candidate, LONGEST, Manager, Offer, Source, key_id};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};

/// The component, its signature, and what lies around them in a form.
const LONGEST_FORM: usize = LONGEST + (64 << 10);

pub fn routes() -> Routes {
    let upload = post(upload_plugin).layer(DefaultBodyLimit::max(LONGEST_FORM));
    Routes::new()
        .get("/latent/plugins", "listPlugins", Access::Admin("plugin.read"), list_plugins)
        .post("/latent/plugins", "installPlugin", Access::Admin("plugin.create"), install_plugin)
        .add(Method::POST, "/latent/plugins/upload", "uploadPlugin", Access::Admin("plugin.create"), upload)
        .get("/latent/plugins/{id}", "showPlugin", Access::Admin("plugin.read"), show_plugin)
        .post("/latent/plugins/{id}/approve", "approvePlugin", Access::Admin("plugin.update"), approve_plugin)
        .put("/latent/plugins/{id}/grants", "grantPlugin", Access::Admin("plugin.update"), grant_plugin)
        .post("/latent/plugins/{id}/enable", "enablePlugin", Access::Admin("plugin.update"), enable_plugin)
        .post("/latent/plugins/{id}/disable", "disablePlugin", Access::Admin("plugin.update"), disable_plugin)
        .post("/latent/plugins/{id}/upgrade", "upgradePlugin", Access::Admin("plugin.update"), upgrade_plugin)
        .post("/latent/plugins/{id}/rollback", "rollbackPlugin", Access::Admin("plugin.update"), rollback_plugin)
        .post("/latent/plugins/{id}/discard", "discardPlugin", Access::Admin("plugin.update"), discard_plugin)
        .delete("/latent/plugins/{id}", "removePlugin", Access::Admin("plugin.delete"), remove_plugin)
        .get("/latent/plugin-keys", "listPluginKeys", Access::Admin("plugin.read"), list_keys)
        .post("/latent/plugin-keys", "trustPluginKey", Access::Admin("plugin.update"), trust_key)
        .delete("/latent/plugin-keys", "distrustPluginKey", Access::Admin("plugin.update"), distrust_key)
}

/// Where a plugin is to come from. Never a file of the server's: that is the command line's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct From {
    /// `https://…`, `oci://…` or `index+https://…#id`; for an upgrade, where it came from unless said.
    source: Option<String>,
    digest: Option<String>,
    #[serde(default)]
    allow_unsigned: bool,
    #[serde(default)]
    allow_http: bool,
}

impl From {
    fn offer(self, source: Option<Source>) -> Result<Offer> {
        let wrong = |why: String| ApiError::field("source", why);
        let source = match (self.source, source) {
            (Some(text), _) => Source::parse(&text).map_err(wrong)?,
            (None, Some(source)) => source,
            (None, None) => return Err(wrong("must be said".into())),
        };
        if matches!(source, Source::File(_)) {
            return Err(wrong("is no address: begin with https:// or oci://, or upload the file".into()));
        }
        Ok(Offer { source, digest: self.digest, allow_unsigned: self.allow_unsigned, allow_http: self.allow_http })
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Approve {
    /// What differs from what it asks for.
    #[serde(default)]
    grants: Map<String, Value>,
    settings: Option<Map<String, Value>>,
}

impl Approve {
    fn approval(self) -> Approval {
        Approval { grants: self.grants, settings: self.settings }
    }
}

/// As it is after a change, which this process has taken up.
async fn shown(state: &ApiState, manager: &Manager, id: &str) -> Result<Answer<Value>> {
    state.gallery.sync_plugins().await?;
    Ok(Answer(manager.show(id).await?))
}

async fn list_plugins(State(state): State<ApiState>, _: Auth) -> Result<Answer<Vec<Value>>> {
    Ok(Answer(state.gallery.manager()?.list().await?))
}

async fn show_plugin(State(state): State<ApiState>, _: Auth, Path(id): Path<String>) -> Result<Answer<Value>> {
    Ok(Answer(state.gallery.manager()?.show(&id).await?))
}

/// Takes it; it waits for an approval.
async fn install_plugin(State(state): State<ApiState>, _: Auth, Json(from): Json<From>) -> Result<Answer<Value>> {
    let manager = state.gallery.manager()?;
    let candidate = manager.look(&from.offer(None)?).await?;
    taken(&state, manager, &candidate).await
}

/// A new one, or a version of one that is there.
async fn taken(state: &ApiState, manager: &Manager, candidate: &Candidate) -> Result<Answer<Value>> {
    let id = &candidate.package.manifest.id;
    manager.install(candidate, None).await?;
    shown(state, manager, id).await
}

/// A form: `component`, `signature` where there is one, `allowUnsigned`, and `upgrade` with the id of the one that it is to
/// replace.
async fn upload_plugin(State(state): State<ApiState>, _: Auth, request: Request) -> Result<Answer<Value>> {
    let broken = |error: MultipartError| ApiError::new(error.status(), error.body_text());
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text()))?;
    let (mut wasm, mut name, mut signature) = (None, String::new(), None);
    let (mut allow_unsigned, mut upgrade) = (false, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name().unwrap_or_default() {
            "component" => {
                name = field.file_name().unwrap_or("plugin.wasm").to_owned();
                wasm = Some(field.bytes().await.map_err(broken)?);
            }
            "signature" => signature = Some(text(field).await?),
            "allowUnsigned" => allow_unsigned = text(field).await? == "true",
            "upgrade" => upgrade = Some(text(field).await?),
            other => return Err(ApiError::field(other, "is not known here")),
        }
    }
    let wasm = wasm.ok_or_else(|| ApiError::field("component", "is missing"))?;
    let offer = Offer { allow_unsigned, ..Offer::new(Source::Sent { name, wasm, signature }) };
    let manager = state.gallery.manager()?;
    let candidate = manager.look(&offer).await?;
    match upgrade {
        Some(id) => {
            manager.upgrade(&id, &candidate, None).await?;
            shown(&state, manager, &id).await
        }
        None => taken(&state, manager, &candidate).await,
    }
}

async fn text(field: Field<'_>) -> Result<String> {
    field.text().await.map_err(|error| ApiError::new(error.status(), error.body_text()))
}

async fn approve_plugin(
    State(state): State<ApiState>,
    _: Auth,
    Path(id): Path<String>,
    Json(approve): Json<Approve>,
) -> Result<Answer<Value>> {
    let manager = state.gallery.manager()?;
    manager.approve(&id, &approve.approval()).await?;
    shown(&state, manager, &id).await
}

async fn grant_plugin(
    State(state): State<ApiState>,
    _: Auth,
    Path(id): Path<String>,
    Json(approve): Json<Approve>,
) -> Result<Answer<Value>> {
    let manager = state.gallery.manager()?;
    manager.grant(&id, &approve.approval()).await?;
    shown(&state, manager, &id).await
}

async fn enable_plugin(State(state): State<ApiState>, _: Auth, Path(id): Path<String>) -> Result<Answer<Value>> {
    let manager = state.gallery.manager()?;
    manager.set_enabled(&id, true).await?;
    shown(&state, manager, &id).await
}

async fn disable_plugin(State(state): State<ApiState>, _: Auth, Path(id): Path<String>) -> Result<Answer<Value>> {
    let manager = state.gallery.manager()?;
    manager.set_enabled(&id, false).await?;
    shown(&state, manager, &id).await
}

/// Switches at once where it asks for no more; otherwise it waits for an approval.
async fn upgrade_plugin(
    State(state): State<ApiState>,
    _: Auth,
    Path(id): Path<String>,
    Json(from): Json<From>,
) -> Result<Answer<Value>> {
    let manager = state.gallery.manager()?;
    let installed = manager.installed(&id).await?;
    let before = match (&from.source, &installed.active) {
        (None, Some(active)) => Some(Source::again(&active.source).map_err(|why| ApiError::field("source", why))?),
        _ => None,
    };
    let candidate = manager.look(&from.offer(before)?).await?;
    manager.upgrade(&id, &candidate, None).await?;
    shown(&state, manager, &id).await
}

async fn rollback_plugin(State(state): State<ApiState>, _: Auth, Path(id): Path<String>) -> Result<Answer<Value>> {
    let manager = state.gallery.manager()?;
    manager.rollback(&id).await?;
    shown(&state, manager, &id).await
}

/// The version that waits is not taken. Of one that never ran nothing is left.
async fn discard_plugin(State(state): State<ApiState>, _: Auth, Path(id): Path<String>) -> Result<Answer<Value>> {
    state.gallery.manager()?.discard(&id).await?;
    state.gallery.sync_plugins().await?;
    Ok(Answer(json!({ "discarded": id })))
}

async fn remove_plugin(State(state): State<ApiState>, _: Auth, Path(id): Path<String>) -> Result<Answer<Value>> {
    state.gallery.manager()?.remove(&id).await?;
    state.gallery.sync_plugins().await?;
    Ok(Answer(json!({ "removed": id })))
}

/// Each with its number, which is what signatures name.
async fn list_keys(State(state): State<ApiState>, _: Auth) -> Result<Answer<Vec<Value>>> {
    let keys = state.gallery.manager()?.keys().await?;
    let shown = keys.iter().map(|key| {
        json!({
            "key": key_id(&key.public_key),
            "publicKey": key.public_key,
            "prefix": key.prefix,
            "addedAt": key.added_at.to_string(),
        })
    });
    Ok(Answer(shown.collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Trust {
    public_key: String,
    prefix: String,
}

async fn trust_key(State(state): State<ApiState>, _: Auth, Json(body): Json<Trust>) -> Result<Answer<Value>> {
    let key = state.gallery.manager()?.trust(&body.public_key, &body.prefix).await?;
    Ok(Answer(json!({ "key": key_id(&key.public_key), "publicKey": key.public_key, "prefix": key.prefix })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Distrust {
    public_key: String,
    prefix: Option<String>,
}

async fn distrust_key(State(state): State<ApiState>, _: Auth, Json(body): Json<Distrust>) -> Result<Answer<Value>> {
    state.gallery.manager()?.distrust(&body.public_key, body.prefix.as_deref()).await?;
    Ok(Answer(json!({ "removed": body.public_key })))
}
