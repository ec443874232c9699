//! The contract of this server: an OpenAPI 3.1 document made from the table of operations, and a page to look at it.
//!
//! Which operations there are, where, and who may call them is the table's word (`routes.rs`), so nothing is claimed that is not
//! there. The bodies of those that are Immich's are as Immich publishes them: the tests hold every answer against the same file.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::Json as Answer;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::routes::{Access, Operation, Routes};
use crate::server::version_text;

/// Immich's operations and definitions as JSON Schema.
const PUBLISHED: &str = include_str!("../../../tests/fixtures/immich-api/schema.json");

const PAGE: &str = include_str!("openapi/explorer.html");
const SCRIPT: &str = include_str!("openapi/explorer.js");
const STYLE: &str = include_str!("openapi/explorer.css");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&crate::operations()));

pub fn routes() -> Routes {
    Routes::new()
        .get("/latent/openapi.json", "getOpenApi", Access::Public, get_open_api)
        .get("/latent/explorer", "getExplorer", Access::Public, get_explorer)
        .get("/latent/explorer/{file}", "getExplorerFile", Access::Public, get_explorer_file)
}

async fn get_open_api() -> Answer<&'static Value> {
    Answer(&DOCUMENT)
}

async fn get_explorer() -> Response {
    part(PAGE, "text/html; charset=utf-8")
}

async fn get_explorer_file(Path(file): Path<String>) -> Result<Response, ApiError> {
    match &*file {
        "explorer.js" => Ok(part(SCRIPT, "text/javascript; charset=utf-8")),
        "explorer.css" => Ok(part(STYLE, "text/css; charset=utf-8")),
        _ => Err(ApiError::new(StatusCode::NOT_FOUND, "Not found")),
    }
}

fn part(text: &'static str, kind: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, crate::web::POLICY),
    ];
    (headers, text).into_response()
}

fn document(operations: &[Operation]) -> Value {
    let published: Value = serde_json::from_str(PUBLISHED).unwrap_or_default();
    let mut paths = Map::new();
    let mut used = BTreeSet::new();
    for operation in operations {
        let known = &published["operations"][operation.id];
        let described = described(operation, known);
        references(&described, &mut used);
        let path = paths.entry(format!("/api{}", operation.path)).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_lowercase()] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Latent",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "A self-hosted photo and video platform. Speaks Immich's HTTP API, version {}; what is Latent's own lies under \
                 /api/latent.", version_text()
            ),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas(&published, used),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "The accessToken of a login." },
                "cookie": { "type": "apiKey", "in": "cookie", "name": "immich_access_token" },
                "link_key": { "type": "apiKey", "in": "query", "name": "key" },
                "link_slug": { "type": "apiKey", "in": "query", "name": "slug" },
                "api_key": { "type": "apiKey", "in": "header", "name": "x-api-key" },
            },
        },
    })
}

fn described(operation: &Operation, known: &Value) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "summary": summary(operation.id),
        "tags": [tag(operation.path)],
        "parameters": parameters(operation, known),
        "responses": responses(operation, known),
        "security": [],
    });
    let permission = match operation.access {
        Access::Public => None,
        Access::SignedIn | Access::SharedSignedIn => Some(None),
        Access::User(permission) | Access::Admin(permission) | Access::Shared(permission) => Some(Some(permission)),
    };
    if let Some(permission) = permission {
        described["security"] = json!([{ "bearer": [] }, { "cookie": [] }, { "api_key": [] }]);
        if let (Access::Shared(_) | Access::SharedSignedIn, Some(ways)) =
            (operation.access, described["security"].as_array_mut())
        {
            ways.extend([json!({ "link_key": [] }), json!({ "link_slug": [] })]);
        }
        if let Some(permission) = permission {
            described["x-immich-permission"] = permission.into();
        }
    }
    if let Access::Admin(_) = operation.access {
        described["x-immich-admin-only"] = true.into();
    }
    if known["body"].is_object() {
        let kind = if is_form(operation.id) { "multipart/form-data" } else { "application/json" };
        described["requestBody"] =
            json!({ "required": true, "content": { kind: { "schema": schema(&known["body"]) } } });
    }
    described
}

/// What comes as a form with a file.
fn is_form(id: &str) -> bool {
    ["uploadAsset", "createProfileImage"].contains(&id)
}

/// `getMyUser`: "Get my user".
fn summary(id: &str) -> String {
    let mut words = String::new();
    for letter in id.chars() {
        match letter.is_ascii_uppercase() {
            true => words.extend([' ', letter.to_ascii_lowercase()]),
            false => words.push(letter),
        }
    }
    words[..1].to_uppercase() + &words[1..]
}

/// By where it is: the first part of the path, or the first two of what is for administrators and of what is Latent's own.
fn tag(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{')).collect();
    match parts.as_slice() {
        [first @ ("admin" | "latent"), second, ..] => format!("{first} {}", second.trim_end_matches(".json")),
        [first, ..] => (*first).to_owned(),
        [] => String::new(),
    }
}

fn parameters(operation: &Operation, known: &Value) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let of_path = in_path.map(|name| {
        let known = &known["params"]["path"][name];
        let schema = if known.is_object() { schema(known) } else { json!({ "type": "string" }) };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let query = known["params"]["query"].as_object().into_iter().flatten().map(|(name, described)| {
        let required = described["required"] == true;
        // The SDK calls it so because `type` is a word of TypeScript.
        let name = name.trim_start_matches('$');
        json!({ "name": name, "in": "query", "required": required, "schema": schema(described) })
    });
    of_path.chain(query).collect()
}

fn responses(operation: &Operation, known: &Value) -> Value {
    let failed = || json!({ "$ref": "#/components/schemas/LatentError" });
    let error = |why: &str| json!({ "description": why, "content": { "application/json": { "schema": failed() } } });
    let success = match known["response"].as_str() {
        Some("none") => json!({ "description": "Done." }),
        Some(_) => json!({ "description": "Bytes.", "content": { "*/*": {} } }),
        None if known["response"].is_object() => json!({
            "description": "Done.",
            "content": { "application/json": { "schema": schema(&known["response"]) } },
        }),
        None => json!({ "description": "Done." }),
    };
    let mut responses = json!({ "2XX": success });
    responses["400"] = error("What was asked for cannot be.");
    if operation.access != Access::Public {
        responses["401"] = error("Not signed in.");
        responses["403"] = error("Signed in, but not allowed.");
    }
    responses
}

/// With references as OpenAPI writes them.
fn schema(known: &Value) -> Value {
    match known {
        Value::Object(fields) => {
            // `required: true` is a parameter's here, and no JSON Schema.
            let kept = fields.iter().filter(|(key, value)| *key != "required" || value.is_array());
            let mapped = kept.map(|(key, value)| match (key.as_str(), value) {
                ("$ref", Value::String(target)) => {
                    (key.clone(), target.replace("#/definitions/", "#/components/schemas/").into())
                }
                _ => (key.clone(), schema(value)),
            });
            Value::Object(mapped.collect())
        }
        Value::Array(items) => items.iter().map(schema).collect(),
        other => other.clone(),
    }
}

/// Those that are used, with those that they use.
fn schemas(published: &Value, mut used: BTreeSet<String>) -> Map<String, Value> {
    let mut found = Map::new();
    while let Some(name) = used.pop_first() {
        if found.contains_key(&name) || !published["definitions"][&name].is_object() {
            continue;
        }
        let schema = schema(&published["definitions"][&name]);
        references(&schema, &mut used);
        found.insert(name, schema);
    }
    let at = json!({
        "type": "object",
        "properties": { "path": { "type": "array", "items": { "type": "string" } }, "message": { "type": "string" } },
        "required": ["path", "message"],
    });
    let error = json!({
        "type": "object",
        "properties": { "message": { "type": "string" }, "errors": { "type": "array", "items": at } },
        "required": ["message"],
    });
    found.insert("LatentError".into(), error);
    found
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str).and_then(|target| target.rsplit('/').next())
            {
                found.insert(name.to_owned());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}
