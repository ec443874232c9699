//! The part of JSON Schema that a plugin's settings are written in. A keyword that is not known here is refused when the plugin is
//! loaded: a rule that nobody checks is worse than none.

use serde_json::{Map, Value};

/// Keywords that say something to people only.
const FOR_PEOPLE: &[&str] = &["$schema", "title", "description", "default", "examples", "deprecated"];
const CHECKED: &[&str] = &[
    "type",
    "enum",
    "const",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
];
/// Schemas in schemas.
const DEEPEST: usize = 16;

/// Is every rule of the schema one that is checked? `at` is its place.
pub fn known(schema: &Value, at: &str) -> Result<(), String> {
    if at.split('.').count() > DEEPEST {
        return Err(format!("{at} lies too deep"));
    }
    let schema = match schema {
        Value::Bool(_) => return Ok(()),
        Value::Object(schema) => schema,
        other => return Err(format!("{} is {}, not a schema", place(at), kind(other))),
    };
    let is_known = |word: &&String| FOR_PEOPLE.contains(&word.as_str()) || CHECKED.contains(&word.as_str());
    if let Some(word) = schema.keys().find(|word| !is_known(word)) {
        return Err(format!("{}: this host does not check {word:?}; it checks {}", place(at), CHECKED.join(", ")));
    }
    for (key, inner) in properties(schema) {
        known(inner, &join(at, key))?;
    }
    let more = [("items", "[]"), ("additionalProperties", "*")];
    more.iter().try_for_each(|(word, step)| schema.get(*word).map_or(Ok(()), |inner| known(inner, &join(at, step))))
}

/// Does the value fit? The error names the key.
pub fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Value::Object(schema) = schema else {
        return if *schema == Value::Bool(false) { Err(format!("{} is not known", place(at))) } else { Ok(()) };
    };
    if let Some(wanted) = schema.get("type")
        && !types(wanted).any(|wanted| is_of(value, wanted))
    {
        let wanted: Vec<_> = types(wanted).collect();
        return Err(format!("{} is {}, but has to be of type {}", place(at), kind(value), wanted.join(" or ")));
    }
    if let Some(Value::Array(choices)) = schema.get("enum")
        && !choices.contains(value)
    {
        let choices: Vec<_> = choices.iter().map(Value::to_string).collect();
        return Err(format!("{} is {value}, but has to be one of {}", place(at), choices.join(", ")));
    }
    if let Some(only) = schema.get("const").filter(|only| *only != value) {
        return Err(format!("{} is {value}, but has to be {only}", place(at)));
    }
    bounds(schema, value, at)?;
    match value {
        Value::Object(object) => check_object(schema, object, at),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            schema.get("items").map_or(Ok(()), |inner| check(inner, item, &format!("{at}[{index}]")))
        }),
        _ => Ok(()),
    }
}

fn check_object(schema: &Map<String, Value>, object: &Map<String, Value>, at: &str) -> Result<(), String> {
    if let Some(Value::Array(required)) = schema.get("required")
        && let Some(missing) = required.iter().filter_map(Value::as_str).find(|key| !object.contains_key(*key))
    {
        return Err(format!("{} is missing", join(at, missing)));
    }
    for (key, value) in object {
        let own = schema.get("properties").and_then(|properties| properties.get(key));
        if let Some(inner) = own.or_else(|| schema.get("additionalProperties")) {
            check(inner, value, &join(at, key)).map_err(|why| match own {
                None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                    let known: Vec<_> = properties(schema).map(|(key, _)| key.as_str()).collect();
                    format!("{why}; there are {}", if known.is_empty() { "none".into() } else { known.join(", ") })
                }
                _ => why,
            })?;
        }
    }
    Ok(())
}

fn bounds(schema: &Map<String, Value>, value: &Value, at: &str) -> Result<(), String> {
    let (what, low, high, found) = match value {
        Value::Number(number) => ("", "minimum", "maximum", number.as_f64()),
        Value::String(text) => (" characters", "minLength", "maxLength", Some(text.chars().count() as f64)),
        Value::Array(items) => (" items", "minItems", "maxItems", Some(items.len() as f64)),
        _ => return Ok(()),
    };
    let limit = |word: &str| schema.get(word).and_then(Value::as_f64);
    let Some(found) = found else { return Ok(()) };
    match (limit(low), limit(high)) {
        (Some(low), _) if found < low => Err(format!("{} has {found}{what}, but at least {low} are needed", place(at))),
        (_, Some(high)) if found > high => {
            Err(format!("{} has {found}{what}, but at most {high} are taken", place(at)))
        }
        _ => Ok(()),
    }
}

fn properties(schema: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn types(wanted: &Value) -> impl Iterator<Item = &str> {
    let one = wanted.as_str().into_iter();
    one.chain(wanted.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn is_of(value: &Value, wanted: &str) -> bool {
    match wanted {
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        other => kind(value) == other,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

fn place(at: &str) -> &str {
    if at.is_empty() { "the whole" } else { at }
}
