//! Tag "Plugins": what Immich's clients know of plugins. Everything else is Latent's own, under /latent/plugins.

use axum::Json as Answer;
use axum::extract::{Path, State};
use gallery::plugins::Shown;
use serde::Deserialize;
use serde_json::{Value, json};
use types::wire::iso;

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Query};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    Routes::new()
        .get("/plugins", "searchPlugins", Access::User("plugin.read"), search_plugins)
        .get("/plugins/methods", "searchPluginMethods", Access::User("plugin.read"), search_plugin_methods)
        .get("/plugins/templates", "searchPluginTemplates", Access::User("plugin.read"), search_plugin_templates)
        .get("/plugins/{id}", "getPlugin", Access::User("plugin.read"), get_plugin)
}

/// What a plugin of a world can be called for by a pipeline: name and title.
fn methods_of(plugin: &Shown) -> Vec<(&'static str, &'static str)> {
    match plugin.manifest.world_name() {
        Some("face-detector") => vec![("detect", "Find faces")],
        Some("embedder") => vec![("embed-images", "Give pictures a place in the space of searches")],
        _ => Vec::new(),
    }
}

fn methods(plugin: &Shown) -> Vec<Value> {
    let (id, schema) = (&plugin.manifest.id, json!(plugin.manifest.settings.schema));
    let one = |(name, title): (&str, &str)| {
        json!({
            "key": format!("{id}#{name}"),
            "name": name,
            "title": title,
            "description": plugin.manifest.description,
            "hostFunctions": true,
            "schema": schema,
            "types": ["AssetV1"],
            "uiHints": [],
        })
    };
    methods_of(plugin).into_iter().map(one).collect()
}

/// The author is not in a manifest: the id begins with who it is.
fn plugin(plugin: &Shown) -> Value {
    let manifest = &plugin.manifest;
    json!({
        "id": manifest.id,
        "name": manifest.id,
        "title": manifest.title,
        "description": manifest.description,
        "version": manifest.version,
        "author": manifest.id.rsplit_once('.').map_or("", |(author, _)| author),
        "methods": methods(plugin),
        "createdAt": iso(plugin.installed_at),
        "updatedAt": iso(plugin.updated_at),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    id: Option<String>,
    name: Option<String>,
    title: Option<String>,
    description: Option<String>,
    version: Option<String>,
    enabled: Option<bool>,
}

async fn search_plugins(
    State(state): State<ApiState>,
    _: Auth,
    Query(wanted): Query<Wanted>,
) -> Result<Answer<Vec<Value>>> {
    let fits = |shown: &Shown| {
        let manifest = &shown.manifest;
        is(&wanted.id, &manifest.id)
            && is(&wanted.name, &manifest.id)
            && is(&wanted.title, &manifest.title)
            && is(&wanted.description, &manifest.description)
            && is(&wanted.version, &manifest.version)
            && wanted.enabled.is_none_or(|enabled| enabled == shown.enabled)
    };
    let all = state.gallery.manager()?.manifests().await?;
    Ok(Answer(all.iter().filter(|shown| fits(shown)).map(plugin).collect()))
}

fn is(wanted: &Option<String>, value: &str) -> bool {
    wanted.as_deref().is_none_or(|wanted| wanted == value)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WantedMethod {
    #[serde(rename = "$type")]
    kind: Option<String>,
    /// A method's key.
    id: Option<String>,
    name: Option<String>,
    title: Option<String>,
    description: Option<String>,
    enabled: Option<bool>,
    plugin_name: Option<String>,
    plugin_version: Option<String>,
    trigger: Option<String>,
}

async fn search_plugin_methods(
    State(state): State<ApiState>,
    _: Auth,
    Query(wanted): Query<WantedMethod>,
) -> Result<Answer<Vec<Value>>> {
    let of_plugin = |shown: &&Shown| {
        is(&wanted.plugin_name, &shown.manifest.id)
            && is(&wanted.plugin_version, &shown.manifest.version)
            && wanted.enabled.is_none_or(|enabled| enabled == shown.enabled)
    };
    let fits = |method: &Value| {
        let of = |name: &str| method[name].as_str().unwrap_or_default();
        is(&wanted.id, of("key"))
            && is(&wanted.name, of("name"))
            && is(&wanted.title, of("title"))
            && is(&wanted.description, of("description"))
            && is(&wanted.kind, "AssetV1")
            // Its tags and its metadata trigger nothing here yet.
            && is(&wanted.trigger, "AssetCreate")
    };
    let all = state.gallery.manager()?.manifests().await?;
    Ok(Answer(all.iter().filter(of_plugin).flat_map(methods).filter(fits).collect()))
}

/// Workflows that a plugin proposes: no manifest has any yet.
async fn search_plugin_templates(_: Auth) -> Result<Answer<Vec<Value>>> {
    Ok(Answer(Vec::new()))
}

async fn get_plugin(State(state): State<ApiState>, _: Auth, Path(id): Path<String>) -> Result<Answer<Value>> {
    let all = state.gallery.manager()?.manifests().await?;
    let found = all.iter().find(|shown| shown.manifest.id == id);
    // Immich's words, and its status, for an id that there is not.
    found.map(|shown| Answer(plugin(shown))).ok_or_else(|| ApiError::bad_request("Plugin not found"))
}
