//! Tags "System config", "Admin config", "User config" and "Public config": Immich's configuration, as far as Latent has one
//! (docs/decisions/0051-immichs-configuration.md). What stands in the operator's settings is shown and refused where somebody
//! would change it; what an administrator may change is changed.

mod base;

use axum::Json as Answer;
use axum::extract::State;
use gallery::config::RunningConfig;
use serde_json::{Map, Value, json};

use crate::ApiState;
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Json};
use crate::routes::{Access, Routes};

pub fn routes() -> Routes {
    let (old, admin) = ("/system-config", "/admin/config");
    let read = Access::Admin("systemConfig.read");
    Routes::new()
        .get(old, "getConfig", read, get_config)
        .put(old, "updateConfig", Access::Admin("systemConfig.update"), update_config)
        .get("/system-config/defaults", "getConfigDefaults", read, get_config_defaults)
        .get("/system-config/storage-template-options", "getStorageTemplateOptions", read, get_storage_template_options)
        .get(admin, "getAdminConfig", Access::Admin("adminConfig.read"), get_config)
        .put(admin, "updateAdminConfig", Access::Admin("adminConfig.update"), update_config)
        .get("/admin/config/defaults", "getAdminConfigDefaults", Access::Admin("adminConfig.read"), get_config_defaults)
        .get("/config", "getUserConfig", Access::User("userConfig.read"), get_user_config)
        .get("/config/defaults", "getUserConfigDefaults", Access::User("userConfig.read"), get_user_config_defaults)
        .get("/public/config", "getPublicConfig", Access::Public, get_public_config)
        .get("/public/config/defaults", "getPublicConfigDefaults", Access::Public, get_public_config_defaults)
}

/// AdminConfigDto, in force with `running`.
fn whole(state: &ApiState, running: &RunningConfig) -> Value {
    let mut config = base::config();
    lay_over(&mut config, &state.config);
    let plugins = state.gallery.plugins();
    let (embedder, detector) = (plugins.embedder.is_some(), plugins.face_detector.is_some());
    lay_over(
        &mut config,
        &json!({
            "machineLearning": {
                "enabled": embedder || detector,
                "clip": { "enabled": embedder },
                "duplicateDetection": { "enabled": embedder },
                "facialRecognition": { "enabled": detector },
            },
            "trash": { "days": running.trash_days },
            "user": { "deleteDelay": running.user_delete_delay },
            "server": {
                "externalDomain": running.external_domain,
                "loginPageMessage": running.login_page_message,
                "publicUsers": running.public_users,
            },
            "theme": { "customCss": running.custom_css },
        }),
    );
    config
}

/// What `over` says of fields that there are.
fn lay_over(config: &mut Value, over: &Value) {
    match (config, over) {
        (Value::Object(config), Value::Object(over)) => {
            for (key, value) in config {
                if let Some(over) = over.get(key) {
                    lay_over(value, over);
                }
            }
        }
        (config, over) => *config = over.clone(),
    }
}

async fn present(state: &ApiState) -> Result<Value> {
    Ok(whole(state, &state.gallery.running_config().await?))
}

fn default(state: &ApiState) -> Value {
    whole(state, &state.gallery.default_config())
}

async fn get_config(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    Ok(Answer(present(&state).await?))
}

async fn get_config_defaults(State(state): State<ApiState>, _: Auth) -> Answer<Value> {
    Answer(default(&state))
}

async fn update_config(State(state): State<ApiState>, _: Auth, Json(body): Json<Value>) -> Result<Answer<Value>> {
    if !body.is_object() {
        return Err(ApiError::field("body", "must be an object"));
    }
    let mut running = state.gallery.running_config().await?;
    let mut changes = Vec::new();
    differences(&whole(&state, &running), &body, "", &mut changes);
    for (path, value) in &changes {
        change(&mut running, path, value)?;
    }
    if !changes.is_empty() {
        state.gallery.set_running_config(&running).await?;
    }
    Ok(Answer(whole(&state, &running)))
}

/// The paths at which `asked` wants something else. Fields that there are not are dropped, as everywhere.
fn differences(present: &Value, asked: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    match (present, asked) {
        (Value::Object(present), Value::Object(asked)) => {
            for (key, value) in present {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if let Some(asked) = asked.get(key) {
                    differences(value, asked, &path, found);
                }
            }
        }
        // 1 and 1.0 are one number.
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => {}
        (one, other) if one == other => {}
        (_, asked) => found.push((path.to_owned(), asked.clone())),
    }
}

fn change(running: &mut RunningConfig, path: &str, value: &Value) -> Result<()> {
    let days = || {
        let days = value.as_u64().and_then(|days| u32::try_from(days).ok());
        days.ok_or_else(|| ApiError::field(path, "must be a number of days"))
    };
    let text = || value.as_str().map(str::to_owned).ok_or_else(|| ApiError::field(path, "must be a text"));
    match path {
        "trash.days" => running.trash_days = days()?,
        "user.deleteDelay" => running.user_delete_delay = days()?,
        "server.externalDomain" => running.external_domain = text()?.trim_end_matches('/').to_owned(),
        "server.loginPageMessage" => running.login_page_message = text()?,
        "server.publicUsers" => {
            running.public_users = value.as_bool().ok_or_else(|| ApiError::field(path, "must be true or false"))?;
        }
        "theme.customCss" => running.custom_css = text()?,
        _ => {
            let why = "cannot be changed here: it stands in the settings of the server, or Latent has nothing of it";
            return Err(ApiError::field(path, why));
        }
    }
    Ok(())
}

/// Of each section these fields; an object stands for its own.
fn pick(config: &Value, wanted: &Value) -> Value {
    let Some(wanted) = wanted.as_object() else { return config.clone() };
    let picked: Map<String, Value> =
        wanted.iter().map(|(key, wanted)| (key.clone(), pick(&config[key], wanted))).collect();
    picked.into()
}

async fn get_user_config(State(state): State<ApiState>, _: Auth) -> Result<Answer<Value>> {
    Ok(Answer(pick(&present(&state).await?, &base::user_fields())))
}

async fn get_user_config_defaults(State(state): State<ApiState>, _: Auth) -> Answer<Value> {
    Answer(pick(&default(&state), &base::user_fields()))
}

async fn get_public_config(State(state): State<ApiState>) -> Result<Answer<Value>> {
    Ok(Answer(pick(&present(&state).await?, &base::public_fields())))
}

async fn get_public_config_defaults(State(state): State<ApiState>) -> Answer<Value> {
    Answer(pick(&default(&state), &base::public_fields()))
}

/// What the template of a storage plugin understands; it is the plugin's setting `template`.
async fn get_storage_template_options(_: Auth) -> Answer<Value> {
    Answer(json!({
        "yearOptions": ["yyyy"],
        "monthOptions": ["mm"],
        "weekOptions": [],
        "dayOptions": ["dd"],
        "hourOptions": ["hh"],
        "minuteOptions": [],
        "secondOptions": [],
        "presetOptions": [base::TEMPLATE, "library/{owner}/{yyyy}/{mm}/{name}", "library/{owner}/{yyyy}/{name}"],
    }))
}
