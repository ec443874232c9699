//! Conditions: CEL over what is known of an asset, checked when a pipeline is read, with bounds for what one may cost.

mod check;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, ExecutionError, Program, Value};
use gallery::facts::{Asked, ROOTS};
use serde_json::Value as Json;

/// Bytes of a condition's text at most: it is parsed by recursion.
const LONGEST: usize = 2_000;
/// Brackets within brackets at most.
const DEEPEST: usize = 40;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    if let Err(error) = env.add_extension(cel::extensions::strings) {
        tracing::error!(%error, "Conditions have no lowerAscii, upperAscii and trim");
    }
    Arc::new(env)
});

/// A condition that was checked.
pub struct Condition {
    pub text: String,
    program: Program,
    /// What has to be known to evaluate it.
    pub asked: Asked,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Condition {
    /// `before`: the steps that have ended when it is evaluated.
    ///
    /// # Errors
    /// It does not parse, asks for what there is not, compares what cannot be compared, or is too large.
    pub fn new(text: &str, before: &[&str]) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!(
                "the condition is longer than {LONGEST} bytes: make two steps of it, or two conditions"
            ));
        }
        if depth(text) > DEEPEST {
            return Err(format!("the condition has more than {DEEPEST} brackets within each other"));
        }
        let compiled = catch_unwind(AssertUnwindSafe(|| ENV.compile(text)));
        let program = compiled
            .map_err(|_| "the condition does not parse: the parser broke on it".to_owned())?
            .map_err(|errors| {
                let first = errors.errors.first().map_or_else(|| errors.to_string(), |error| error.msg.clone());
                format!("the condition does not parse: {}", first.lines().next().unwrap_or_default())
            })?;
        check::check(program.expression(), before)?;
        let references = program.references();
        let asked = Asked { owner: references.has_variable("owner"), findings: references.has_variable("findings") };
        Ok(Self { text: text.to_owned(), program, asked })
    }

    /// Does it hold? What it asks for and nobody knows of this asset makes it not hold, as NULL does in SQL.
    ///
    /// # Errors
    /// It cannot be evaluated.
    pub fn holds(&self, facts: &Json) -> Result<bool, String> {
        let wrong = |why: String| format!("the condition {:?} cannot be evaluated: {why}", self.text);
        let mut context = Context::with_env(ENV.clone());
        for (root, _) in ROOTS {
            context.add_variable_from_value(*root, value(&facts[*root]));
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.program.execute(&context)));
        match result.map_err(|_| wrong("its evaluation broke".into()))? {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(wrong(format!("it gives {other:?}, not true or false"))),
            Err(ExecutionError::NoSuchKey(_)) => Ok(false),
            Err(error) => Err(wrong(error.to_string())),
        }
    }
}

/// Whole numbers become CEL's `int`, whatever their sign.
fn value(json: &Json) -> Value {
    match json {
        Json::Bool(truth) => (*truth).into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(values) => values.iter().map(value).collect::<Vec<Value>>().into(),
        Json::Object(fields) => {
            let fields: HashMap<String, Value> =
                fields.iter().map(|(name, field)| (name.clone(), value(field))).collect();
            fields.into()
        }
        Json::Null => HashMap::<String, Value>::new().into(),
    }
}

fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    // `!!!!x` and `a ? b : c ? …` recurse without brackets.
    deepest.max(text.matches('!').count()).max(text.matches('?').count())
}
