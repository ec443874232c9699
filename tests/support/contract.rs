//! Immich's API as it is published: which operations there are, and the shape of what they answer.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

static CONTRACT: LazyLock<Value> = LazyLock::new(|| {
    let path = crate::root().join("tests/fixtures/immich-api/schema.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
});

/// One operation of Immich's.
#[derive(Debug, Clone)]
pub struct Published {
    pub id: &'static str,
    pub method: &'static str,
    /// With /api.
    pub path: &'static str,
    /// `public`, `user`, `user+link` or `admin`.
    pub auth: &'static str,
    pub permission: Option<&'static str>,
    response: &'static Value,
}

/// All of them by name.
pub fn operations() -> BTreeMap<&'static str, Published> {
    let operations = CONTRACT["operations"].as_object().unwrap().iter();
    operations.map(|(id, operation)| (id.as_str(), published(id, operation))).collect()
}

fn published(id: &'static str, operation: &'static Value) -> Published {
    let text = |name: &str| operation[name].as_str().unwrap();
    Published {
        id,
        method: text("method"),
        path: text("path"),
        auth: text("auth"),
        permission: operation["permission"].as_str(),
        response: &operation["response"],
    }
}

/// The values of an enumeration.
pub fn values(definition: &str) -> Vec<&'static str> {
    CONTRACT["definitions"][definition]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_str().unwrap())
        .collect()
}

/// Whose answer this is. `/people/merge` is rather that than `/people/{id}`.
pub fn operation(method: &str, path: &str) -> Option<Published> {
    let operations = CONTRACT["operations"].as_object().unwrap().iter();
    let fits = operations.filter(|(_, operation)| operation["method"] == method && matches(&operation["path"], path));
    fits.min_by_key(|(_, operation)| operation["path"].as_str().unwrap().matches('{').count())
        .map(|(id, operation)| published(id, operation))
}

fn matches(template: &Value, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) =
        (template.as_str().unwrap().split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(wanted, given)| wanted.starts_with('{') || wanted == given)
}

impl Published {
    /// What in a successful answer is not as published, each with where.
    pub fn violations(&self, body: &Value) -> Vec<String> {
        let mut found = Vec::new();
        match self.response.as_str() {
            // What streams is not published; sync.rs looks at it.
            Some("none") if self.id == "getSyncStream" => {}
            Some("none") if *body != Value::String(String::new()) && !body.is_null() => {
                found.push("answers something where nothing is published".into());
            }
            Some(_) => {}
            None => check(self.response, body, "$", &mut found),
        }
        found
    }
}

/// As much of JSON Schema as the contract uses: type, properties, required, items, enum, const, anyOf, $ref.
fn check(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = &CONTRACT["definitions"][name.rsplit('/').next().unwrap()];
        assert!(definition.is_object(), "the fixture lacks {name}");
        return check(definition, value, at, found);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &Value| {
            let mut inner = Vec::new();
            check(choice, value, at, &mut inner);
            inner.is_empty()
        };
        if !choices.iter().any(fits) {
            found.push(format!("{at}: {} is none of the {} shapes it may have", brief(value), choices.len()));
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|kind| is(kind, value)) {
        found.push(format!("{at}: {} is no {}", brief(value), types.join(" or ")));
        return;
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value) && !value.is_null()) {
        found.push(format!("{at}: {} is none of the values it may have", brief(value)));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{at}: {} is not {}", brief(value), schema["const"]));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(name).is_none() {
            found.push(format!("{at}.{name}: is missing"));
        }
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            check(schema, value, &format!("{at}.{name}"), found);
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        if schema.get("items").is_some() {
            check(&schema["items"], item, &format!("{at}[{index}]"), found);
        }
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" | "integer" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("the contract uses a type {other}"),
    }
}

fn brief(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
