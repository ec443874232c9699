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
    #[error("{origin}: {key}: {why}")]
    Value { origin: String, key: String, why: String },
}

/// Reads and merges. `environment` is what [`environment`] gives.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, ConfigError> {
    let defaults = parse("config/default.toml", DEFAULTS)?;
    let mut layers = Vec::new();
    if let Some(path) = file {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let origin = path.display().to_string();
        layers.push((origin.clone(), parse(&origin, &text)?));
    }
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(PREFIX) {
            layers.push((name.clone(), from_environment(key, &value)));
        }
    }
    let mut merged = defaults.clone();
    for (origin, table) in &layers {
        check(origin, &defaults, table, "")?;
        merge(&mut merged, table.clone());
    }
    let mut settings: Settings = merged.try_into().map_err(|error: toml::de::Error| at(&layers, &error))?;
    ranges(&settings).map_err(|(key, why)| of(&layers, key.to_owned(), why))?;
    installed(&settings).map_err(|(key, why)| of(&layers, key, why))?;
    fill_in(&mut settings);
    Ok(settings)
}

/// The variables of this process that are settings.
///
/// # Errors
/// One of them is no UTF-8. What is none of ours may be anything.
pub fn environment() -> Result<Vec<(String, String)>, ConfigError> {
    let mut ours = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let Ok(value) = value.into_string() else {
            let key = name.trim_start_matches(PREFIX).to_lowercase();
            return Err(ConfigError::Value { origin: name.to_owned(), key, why: "is no UTF-8".into() });
        };
        ours.push((name.to_owned(), value));
    }
    Ok(ours)
}

/// Whose value a failed one is: toml says the key in a line of its own, "in `server.port`".
fn at(layers: &[(String, Table)], error: &toml::de::Error) -> ConfigError {
    let text = error.to_string();
    let key = text.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    of(layers, key.unwrap_or("(somewhere)").to_owned(), error.message().to_owned())
}

/// The last layer that sets the key has set what counts.
fn of(layers: &[(String, Table)], key: String, why: String) -> ConfigError {
    let sets = |table: &Table| {
        let mut parts = key.split('.');
        let first = parts.next().and_then(|part| table.get(part));
        parts
            .try_fold(first, |value, part| Some(value?.as_table().and_then(|table| table.get(part))))
            .flatten()
            .is_some()
    };
    let origin = layers.iter().rev().find(|(_, table)| sets(table)).map(|(origin, _)| origin.clone());
    ConfigError::Value { origin: origin.unwrap_or_else(|| "the settings".into()), key, why }
}

/// Numbers that a type allows and a server does not.
fn ranges(settings: &Settings) -> Result<(), (&'static str, String)> {
    let media = &settings.media;
    let bounded: [(&'static str, u64, u64, u64); 12] = [
        ("database.pool-size", settings.database.pool_size as u64, 1, 1_000),
        ("media.max-megapixels", media.max_megapixels, 1, 10_000),
        ("media.preview", media.preview.into(), 100, 8_000),
        ("media.preview-quality", media.preview_quality.into(), 1, 100),
        ("media.thumbnail", media.thumbnail.into(), 16, 2_000),
        ("media.thumbnail-quality", media.thumbnail_quality.into(), 1, 100),
        ("video.at-once", settings.video.at_once as u64, 1, 64),
        ("video.threads", settings.video.threads.into(), 0, 64),
        ("video.nice", settings.video.nice.try_into().unwrap_or(u64::MAX), 0, 19),
        ("video.memory", settings.video.memory.0, 256 << 20, 1 << 50),
        ("workers.takeover", settings.workers.takeover, 1, 86_400),
        ("uploads.max-size", settings.uploads.max_size, 1, u64::MAX),
    ];
    for (key, value, least, most) in bounded {
        if !(least..=most).contains(&value) {
            return Err((key, format!("{value} is not between {least} and {most}")));
        }
    }
    let factor = settings.video.seconds_per_second;
    if !(1.0..=100_000.0).contains(&factor) {
        return Err(("video.seconds-per-second", format!("{factor} is not between 1 and 100000")));
    }
    Ok(())
}

/// What is approved for an installed plugin stands in the database; the settings only say what may not be.
fn installed(settings: &Settings) -> Result<(), (String, String)> {
    for (id, plugin) in settings.plugins.iter().filter(|(_, plugin)| !plugin.is_pinned()) {
        let set =
            [("pixels", plugin.pixels), ("http", !plugin.http.is_empty()), ("settings", !plugin.settings.is_empty())];
        for (key, is_set) in set {
            if is_set {
                let why = "is for a plugin with a file; one that is installed gets it by `latent plugin grant`";
                return Err((format!("plugins.{id}.{key}"), why.to_owned()));
            }
        }
    }
    Ok(())
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
    let is_named = ["storage.backend", "plugins", "queue"].contains(&path);
    defaults.get(key).or_else(|| if is_named { defaults.values().next() } else { None })
}

fn check(origin: &str, defaults: &Table, given: &Table, path: &str) -> Result<(), ConfigError> {
    for (key, value) in given {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        // What plugins call their models, secrets and settings is theirs.
        let is_plugin = path.starts_with("plugins.") || path.starts_with("storage.backend.");
        if is_plugin && ["models", "settings", "secrets", "ceiling"].contains(&&**key) {
            continue;
        }
        match (pattern(defaults, path, key), value) {
            (Some(Value::Table(defaults)), Value::Table(given)) => check(origin, defaults, given, &full)?,
            (Some(_), _) => {}
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
    or(&mut settings.workers.concurrency, 2 * cores);
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
    if settings.video.scratch.as_os_str().is_empty() {
        settings.video.scratch = settings.data_dir.join("scratch");
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
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let share = || set("HOME").unwrap_or_else(|| PathBuf::from("/")).join(".local/share");
    set("XDG_DATA_HOME").unwrap_or_else(share).join("latent")
}

fn default_kit() -> PathBuf {
    if let Some(kit) = std::env::var_os("LATENT_KIT").filter(|kit| !kit.is_empty()) {
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
    // Values may be quoted, with spaces in them.
    let Some((before, secret)) = url.split_once("password=") else { return url.to_owned() };
    let mut escaped = false;
    let quoted = secret.starts_with('\'');
    let end = secret.char_indices().skip(usize::from(quoted)).find(|(_, letter)| {
        let ends = !escaped && if quoted { *letter == '\'' } else { letter.is_whitespace() || *letter == '&' };
        escaped = !escaped && *letter == '\\';
        ends
    });
    let rest = end.map_or("", |(at, _)| &secret[at + usize::from(quoted)..]);
    format!("{before}password=***{rest}")
}
