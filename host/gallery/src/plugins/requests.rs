//! What plugins ask for and what they were granted, as JSON in the shape of `[requests]`: compared, carried over, put into words.
//! Knows nearly nothing of single requests, so that a new one needs a sentence here and no more.

use std::collections::BTreeMap;
use std::str::FromStr;

use plugin_host::http::{Origin, OriginPattern};
use plugin_host::{BoundSecret, ByteSize, Ceiling, HttpOrigin, Manifest, OperatorGrant, Time};
use serde_json::{Map, Value};

/// What the settings allow at most.
#[derive(Debug, Clone, Default)]
pub struct OperatorCeiling {
    pub pixels: Option<bool>,
    /// The only origins that there can be, with what is to be known of each. `None`: any at a public address.
    pub http: Option<Vec<HttpOrigin>>,
    /// Secrets are given by the settings alone; an approval says whether they are used.
    pub secrets: BTreeMap<String, BoundSecret>,
    pub models: BTreeMap<String, String>,
    pub limits: Ceiling,
    /// `enabled = false`.
    pub is_off: bool,
}

/// What a manifest asks for, without what it does not.
pub fn of(manifest: &Manifest) -> Map<String, Value> {
    let all = serde_json::to_value(&manifest.requests).unwrap_or_default();
    let Value::Object(all) = all else { return Map::new() };
    all.into_iter().filter(|(_, value)| !is_nothing(value)).collect()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// What `new` asks for beyond `old`.
pub fn wider(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let more = |(name, value): (&String, &Value)| {
        let more = match old.get(name) {
            None => Some(value.clone()),
            Some(before) => beyond(before, value),
        };
        more.map(|more| (name.clone(), more))
    };
    new.iter().filter_map(more).collect()
}

fn beyond(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Array(old), Value::Array(new)) => {
            let more: Vec<Value> = new.iter().filter(|item| !old.contains(item)).cloned().collect();
            (!more.is_empty()).then(|| more.into())
        }
        (Value::Object(old), Value::Object(new)) => {
            let more = wider(old, new);
            (!more.is_empty()).then(|| more.into())
        }
        // What can be measured is compared; of anything else a change is more.
        _ => match (measure(old), measure(new)) {
            (Some(old), Some(more)) if more <= old => None,
            _ if old == new => None,
            _ => Some(new.clone()),
        },
    }
}

fn measure(value: &Value) -> Option<u128> {
    match value {
        Value::Number(number) => number.as_u64().map(u128::from),
        Value::String(text) => {
            let bytes = ByteSize::from_str(text).ok().map(|size| u128::from(size.0));
            bytes.or_else(|| Time::from_str(text).ok().map(|time| time.0.as_nanos()))
        }
        _ => None,
    }
}

/// Of what was granted, what is still asked for.
pub fn carried(grants: &Map<String, Value>, requests: &Map<String, Value>) -> Map<String, Value> {
    let kept = |(name, granted): (&String, &Value)| {
        let asked = requests.get(name)?;
        let kept = match (granted, asked) {
            (Value::Array(granted), Value::Array(asked)) if name == "http" => {
                granted.iter().filter(|origin| is_among(origin, asked)).cloned().collect()
            }
            // Labels with what is bound to them.
            (Value::Object(bound), Value::Array(asked)) => {
                let is_asked = |label: &String| asked.iter().any(|item| item == label.as_str());
                bound.iter().filter(|(label, _)| is_asked(label)).map(|(k, v)| (k.clone(), v.clone())).collect()
            }
            (Value::Array(granted), Value::Array(asked)) => {
                granted.iter().filter(|item| asked.contains(item)).cloned().collect()
            }
            _ => granted.clone(),
        };
        (!is_nothing(&kept)).then(|| (name.clone(), kept))
    };
    grants.iter().filter_map(kept).collect()
}

/// An operator's changes on top of what is approved: a name that is set replaces what was there, `false`, `[]` and null take it
/// away, and models are bound label by label.
///
/// # Errors
/// A name or an item that the plugin does not ask for.
pub fn changed(
    grants: &Map<String, Value>,
    changes: &Map<String, Value>,
    requests: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let mut all = grants.clone();
    for (name, value) in changes {
        if is_nothing(value) {
            all.remove(name);
            continue;
        }
        let Some(asked) = requests.get(name) else {
            let known: Vec<&str> = requests.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            return Err(format!("it does not ask for {name:?}; it asks for {known}"));
        };
        let new = fitting(name, value, asked)?;
        match (all.get_mut(name), new) {
            (Some(Value::Object(bound)), Value::Object(new)) => bound.extend(new),
            (_, new) => drop(all.insert(name.clone(), new)),
        }
    }
    Ok(all)
}

/// A grant in the form of its request.
fn fitting(name: &str, value: &Value, asked: &Value) -> Result<Value, String> {
    match (asked, value) {
        (Value::Array(asked), Value::Object(bound)) => {
            match bound.iter().find(|(label, to)| !asked.contains(&Value::from(label.as_str())) || !to.is_string()) {
                Some((label, _)) => Err(format!("{name}: it has no label {label:?}; there are {}", listed(asked))),
                None => Ok(value.clone()),
            }
        }
        (Value::Array(asked), Value::Array(some)) if name == "http" => {
            match some.iter().find(|origin| !is_among(origin, asked)) {
                Some(origin) => {
                    Err(format!("http: {origin} is no origin of those that it asks for: {}", listed(asked)))
                }
                None => Ok(value.clone()),
            }
        }
        (Value::Array(asked), Value::Array(some)) => match some.iter().find(|item| !asked.contains(item)) {
            Some(item) => Err(format!("{name}: it does not ask for {item}; it asks for {}", listed(asked))),
            None => Ok(value.clone()),
        },
        (Value::Bool(_), Value::Bool(_)) | (Value::Object(_), Value::Object(_)) => Ok(value.clone()),
        _ if measure(asked).is_some() && measure(value).is_some() => {
            // More than it asks for would be approved before it is asked for.
            Ok(if measure(value) > measure(asked) { asked.clone() } else { value.clone() })
        }
        _ => Err(format!("{name}: {value} is not in the form of {asked}, which it asks for")),
    }
}

fn listed(items: &[Value]) -> String {
    items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// Is it an origin that one of these patterns is for? More than its name (a private address, certificates) is the settings'.
fn is_among(origin: &Value, patterns: &[Value]) -> bool {
    let Some(origin) = origin.as_str().and_then(|text| Origin::from_str(text).ok()) else { return false };
    let mut patterns = patterns.iter().filter_map(|text| OriginPattern::from_str(text.as_str()?).ok());
    patterns.any(|pattern| pattern.fits(&origin))
}

/// A request as a grant of all of it. Origins are granted where it names them, not where it names a kind of them. Models need a name each, which an operator gives; a folder is not given here.
pub fn everything(requests: &Map<String, Value>) -> Map<String, Value> {
    let given = |(name, asked): (&String, &Value)| match (&**name, asked) {
        ("models" | "files", _) => None,
        ("http", Value::Array(patterns)) => {
            let named: Vec<Value> = patterns.iter().filter(|one| !one.to_string().contains('*')).cloned().collect();
            (!named.is_empty()).then(|| (name.clone(), named.into()))
        }
        _ => Some((name.clone(), asked.clone())),
    };
    requests.iter().filter_map(given).collect()
}

/// Both; of what is in both, all items of either, or the newer one.
pub fn with(mut grants: Map<String, Value>, more: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in more {
        match (grants.get_mut(&name), value) {
            (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
            (Some(Value::Object(fields)), Value::Object(more)) => fields.extend(more),
            (_, value) => drop(grants.insert(name, value)),
        }
    }
    grants
}

/// Labels that no model is bound to yet.
pub fn unnamed(requests: &Map<String, Value>, grants: &Map<String, Value>) -> Vec<String> {
    let bound = |label: &str| grants.get("models").is_some_and(|models| models.get(label).is_some());
    let labels = requests.get("models").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    labels.filter(|label| !bound(label)).map(str::to_owned).collect()
}

/// Manifest ∩ approved ∩ settings; the world's own bounds are the host's business.
///
/// # Errors
/// What was approved is not in the form that this version knows.
pub fn operator(
    grants: &Map<String, Value>,
    settings: &Map<String, Value>,
    ceiling: &OperatorCeiling,
) -> Result<OperatorGrant, String> {
    let mut models: BTreeMap<String, String> = part(grants, "models")?.unwrap_or_default();
    for (label, model) in &ceiling.models {
        if let Some(bound) = models.get_mut(label) {
            bound.clone_from(model);
        }
    }
    let limits = &ceiling.limits;
    let http = origins(part(grants, "http")?.unwrap_or_default(), ceiling);
    let used: Vec<String> = part(grants, "secrets")?.unwrap_or_default();
    let is_used = |name: &str, secret: &BoundSecret| {
        used.iter().any(|used| used == name) && http.iter().any(|granted| granted.origin == secret.origin)
    };
    let secrets = ceiling.secrets.iter().filter(|(name, secret)| is_used(name, secret));
    Ok(OperatorGrant {
        secrets: secrets.map(|(name, secret)| (name.clone(), secret.clone())).collect(),
        // A folder is given by the settings of a storage backend alone.
        files: None,
        models,
        pixels: part(grants, "pixels")?.unwrap_or(false) && ceiling.pixels != Some(false),
        http,
        scope: String::new(),
        settings: settings.clone(),
        ceiling: Ceiling {
            // What was not approved is not kept at all.
            kv: lesser(Some(part(grants, "kv")?.unwrap_or(ByteSize(0))), limits.kv),
            memory: lesser(part(grants, "memory")?, limits.memory),
            host_memory: lesser(part(grants, "host-memory")?, limits.host_memory),
            deadline: lesser(part(grants, "deadline")?, limits.deadline),
            concurrency: lesser(part(grants, "concurrency")?, limits.concurrency),
        },
    })
}

/// Of what was approved, what the settings allow, with what they know of it.
fn origins(approved: Vec<Origin>, ceiling: &OperatorCeiling) -> Vec<HttpOrigin> {
    let Some(allowed) = &ceiling.http else { return approved.into_iter().map(HttpOrigin::from).collect() };
    allowed.iter().filter(|one| approved.contains(&one.origin)).cloned().collect()
}

fn part<T: serde::de::DeserializeOwned>(grants: &Map<String, Value>, name: &str) -> Result<Option<T>, String> {
    let Some(value) = grants.get(name) else { return Ok(None) };
    serde_json::from_value(value.clone()).map(Some).map_err(|error| format!("the grant {name} = {value}: {error}"))
}

fn lesser<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Sentences that begin with the plugin, most serious first. For requests and for grants.
pub fn words(requests: &Map<String, Value>) -> Vec<String> {
    const ORDER: [&str; 5] = ["http", "pixels", "files", "secrets", "models"];
    let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let mut names: Vec<&String> = requests.keys().collect();
    names.sort_by_key(|name| (place(name), *name));
    let pixels = requests.get("pixels") == Some(&Value::Bool(true));
    names.into_iter().map(|name| sentence(name, &requests[name], pixels)).collect()
}

const WAY_OUT: &str = ": together with the pixels of your photos this is a way out of the house";

fn sentence(name: &str, value: &Value, pixels: bool) -> String {
    match (name, value) {
        ("http", Value::Array(places)) if places.iter().any(|place| place == "*") => {
            format!("may send requests to any place that you name{}", if pixels { WAY_OUT } else { "" })
        }
        ("http", _) if pixels => format!("may send requests to {}{WAY_OUT}", items(value)),
        ("http", _) => format!("may send requests to {}", items(value)),
        ("pixels", _) => "sees the pixels of your photos".into(),
        ("files", _) => "reads and writes one folder, which the settings name for a storage backend".into(),
        ("secrets", _) => format!("may use, but never see, these secrets: {}", items(value)),
        ("models", Value::Object(bound)) if !bound.is_empty() => {
            let bound: Vec<String> =
                bound.iter().map(|(label, model)| format!("{} as {label}", model.as_str().unwrap_or("?"))).collect();
            format!("runs the models {}", bound.join(", "))
        }
        ("models", _) => format!("may run the models that you bind to: {}", items(value)),
        ("kv", _) => format!("keeps up to {} of its own in the database", items(value)),
        ("memory", _) => format!("takes up to {} of memory an instance", items(value)),
        ("host-memory", _) => format!("holds up to {} of images and tensors an instance", items(value)),
        ("deadline", _) => format!("works up to {} at a call", items(value)),
        ("concurrency", _) => format!("works on up to {value} calls at once"),
        _ => format!("asks for {name}: {}", items(value)),
    }
}

fn items(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(items_of_one).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn items_of_one(value: &Value) -> String {
    match value {
        Value::Object(_) => value.to_string(),
        other => items(other),
    }
}
