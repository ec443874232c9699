//! Settings from the defaults, a file and the environment, in that order. An unknown key is an error that names it.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::Settings;

const DEFAULTS: &str = include_str!("../../../config/default.toml");
const PREFIX: &str = "LATENT__";

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{origin} is no TOML: {why}")]
    Syntax { origin: String, why: String },
    #[error("{origin}: there is no setting {key:?}{hint}")]
    Unknown { origin: String, key: String, hint: String },
    #[error("{0}")]
    Value(String),
}

/// Reads and merges. `environment` is what [`std::env::vars`] gives.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, ConfigError> {
    let defaults = parse("config/default.toml", DEFAULTS)?;
    let mut merged = defaults.clone();
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let origin = path.display().to_string();
        let table = parse(&origin, &text)?;
        check(&origin, &defaults, &table, "")?;
        merge(&mut merged, table);
    }
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(PREFIX) {
            let table = from_environment(key, &value);
            check(&name, &defaults, &table, "")?;
            merge(&mut merged, table);
        }
    }
    let mut settings: Settings =
        merged.try_into().map_err(|error: toml::de::Error| ConfigError::Value(error.message().to_owned()))?;
    fill_in(&mut settings);
    Ok(settings)
}

/// The settings in force as TOML, without what must not be seen.
pub fn print(settings: &Settings) -> String {
    let mut shown = settings.clone();
    shown.database.url = without_password(&shown.database.url);
    shown.redis.url = without_password(&shown.redis.url);
    toml::to_string_pretty(&shown).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
}

fn parse(origin: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax { origin: origin.into(), why: error.to_string() })
}

/// `SERVER__PORT` and `8080` become `server.port = 8080`; what is no TOML value is a text.
fn from_environment(key: &str, value: &str) -> Table {
    let wrapped = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    let mut value = wrapped.unwrap_or_else(|| Value::String(value.to_owned()));
    for part in key.rsplit("__") {
        let mut table = Table::new();
        table.insert(part.to_lowercase().replace('_', "-"), value);
        value = Value::Table(table);
    }
    match value {
        Value::Table(table) => table,
        _ => Table::new(),
    }
}

/// The keys below these are names that an operator chose; each has the keys of the default one.
fn pattern<'a>(defaults: &'a Table, path: &str, key: &str) -> Option<&'a Value> {
    let is_named = path == "storage.backend" || path == "plugins";
    defaults.get(key).or_else(|| if is_named { defaults.values().next() } else { None })
}

fn check(origin: &str, defaults: &Table, given: &Table, path: &str) -> Result<(), ConfigError> {
    for (key, value) in given {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        // What plugins call their models and settings is theirs.
        if path.starts_with("plugins.") && ["models", "settings"].contains(&&**key) {
            continue;
        }
        match (pattern(defaults, path, key), value) {
            (Some(Value::Table(defaults)), Value::Table(given)) => check(origin, defaults, given, &full)?,
            (Some(_), _) => {}
            // A backend's own settings.
            (None, _) if path.starts_with("storage.backend.") && key == "settings" => {}
            (None, _) => {
                let nearest = defaults
                    .keys()
                    .max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
                let near = nearest.filter(|nearest| strsim::jaro_winkler(nearest, key) > 0.7);
                let hint = match near {
                    Some(near) if path.is_empty() => format!("; did you mean {near:?}?"),
                    Some(near) => format!("; did you mean \"{path}.{near}\"?"),
                    None => format!("; known here are {}", defaults.keys().cloned().collect::<Vec<_>>().join(", ")),
                };
                return Err(ConfigError::Unknown { origin: origin.into(), key: full, hint });
            }
        }
    }
    Ok(())
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// What is empty because it depends on the machine.
fn fill_in(settings: &mut Settings) {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let or = |value: &mut usize, otherwise: usize| {
        if *value == 0 {
            *value = otherwise;
        }
    };
    or(&mut settings.workers.concurrency, cores);
    or(&mut settings.workers.decoding, cores);
    or(&mut settings.plugin_host.threads, cores.min(4));
    or(&mut settings.inference.parallel, cores);
    or(&mut settings.inference.threads, cores);
    if settings.data_dir.as_os_str().is_empty() {
        settings.data_dir = default_data_dir();
    }
    if settings.kit.as_os_str().is_empty() {
        settings.kit = default_kit();
    }
    if settings.plugin_host.cache.as_os_str().is_empty() {
        settings.plugin_host.cache = settings.data_dir.join("compiled");
    }
    if settings.inference.models.as_os_str().is_empty() {
        settings.inference.models = settings.data_dir.join("models");
    }
    for (name, backend) in &mut settings.storage.backend {
        if backend.files.as_os_str().is_empty() {
            let folder = if name == "main" { "library".to_owned() } else { format!("library-{name}") };
            backend.files = settings.data_dir.join(folder);
        }
    }
}

fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return "/var/lib/latent".into();
    }
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    std::env::var_os("XDG_DATA_HOME").map_or_else(|| home().join(".local/share"), PathBuf::from).join("latent")
}

fn default_kit() -> PathBuf {
    if let Some(kit) = std::env::var_os("LATENT_KIT") {
        return kit.into();
    }
    std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("kit"))).unwrap_or_else(|| "kit".into())
}

/// `postgresql://user:secret@host` and `password=secret` without the secret.
fn without_password(url: &str) -> String {
    if let Some((scheme, rest)) = url.split_once("://")
        && let Some((login, host)) = rest.rsplit_once('@')
    {
        let user = login.split_once(':').map_or(login, |(user, _)| user);
        return format!("{scheme}://{user}:***@{host}");
    }
    url.split_whitespace()
        .map(|part| if part.starts_with("password=") { "password=***" } else { part })
        .collect::<Vec<_>>()
        .join(" ")
}
