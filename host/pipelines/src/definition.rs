//! A pipeline as its TOML says it, checked when it is read: a mistake names its file, its line and what was probably meant.

use std::time::Duration;

use cel::Program;
use serde::Deserialize;
use toml::Spanned;
use types::QueueName;

const TRIGGERS: &[&str] = &["asset.created"];
const HOST_STEPS: &[&str] = &["host:metadata", "host:thumbnails"];

/// A pipeline.
#[derive(Debug)]
pub struct Definition {
    /// The file's name without `.toml`.
    pub name: String,
    pub on: String,
    /// In an order in which each comes after those it waits for.
    pub steps: Vec<Step>,
    /// Where it was read.
    pub file: String,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    pub id: String,
    pub uses: Use,
    pub after: Vec<String>,
    /// CEL over `asset`.
    pub when: Option<Condition>,
    pub queue: QueueName,
    pub retry: Retry,
    pub on_failure: OnFailure,
    /// Without its plugin the step is not there, rather than a mistake.
    pub optional: bool,
    /// Where it stands.
    pub line: usize,
}

/// Who does a step's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    Metadata,
    Thumbnails,
    /// A plugin's id, or what comes after `latent.` in it. What its world exports decides what the step does.
    Plugin(String),
}

/// What becomes of a step whose plugin fails for good, or too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// Failed for good: its error stands on the asset. Too often: a dead letter, which the reconciler tries again.
    Retry,
    /// As if its condition did not hold.
    Skip,
    /// Its error stands on the asset, and it is not tried again.
    Error,
    /// Another plugin does it.
    Fallback(String),
}

/// How often a step is tried when something is down.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    pub attempts: u32,
    /// Doubled at each try.
    pub backoff: Duration,
}

/// A condition and its text, which is part of nothing but reports.
pub struct Condition {
    pub text: String,
    pub program: Program,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// A mistake in a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {what}")]
pub struct DefinitionError {
    pub file: String,
    pub line: usize,
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    on: Spanned<String>,
    #[serde(default)]
    step: Vec<StepText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    id: Spanned<String>,
    #[serde(rename = "use")]
    uses: Spanned<String>,
    #[serde(default)]
    after: Vec<Spanned<String>>,
    when: Option<Spanned<String>>,
    queue: Option<String>,
    retry: Option<RetryText>,
    #[serde(rename = "on-failure")]
    on_failure: Option<Spanned<String>>,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryText {
    attempts: u32,
    backoff: Spanned<String>,
}

impl Definition {
    /// Reads and checks `text`; `file` is named in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, DefinitionError> {
        let reader = Reader { file, text };
        let parsed: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            reader.error(at, error.message().to_owned())
        })?;
        let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".toml").to_owned();
        reader.known(&parsed.on, TRIGGERS, "trigger")?;
        if parsed.step.is_empty() {
            return Err(reader.error(text.len(), "the pipeline has no [[step]]"));
        }
        let ids: Vec<&str> = parsed.step.iter().map(|step| step.id.get_ref().as_str()).collect();
        let mut steps = Vec::new();
        for (at, step) in parsed.step.iter().enumerate() {
            if ids[..at].contains(&ids[at]) {
                return Err(reader.error(step.id.span().start, format!("a second step has the id {:?}", ids[at])));
            }
            steps.push(reader.step(step, &ids)?);
        }
        let steps = reader.sorted(steps, &parsed.step)?;
        Ok(Self { name, on: parsed.on.into_inner(), steps, file: file.to_owned() })
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn error(&self, at: usize, what: impl Into<String>) -> DefinitionError {
        DefinitionError { file: self.file.to_owned(), line: self.line(at), what: what.into() }
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at.min(self.text.len())].matches('\n').count() + 1
    }

    fn known(&self, value: &Spanned<String>, known: &[&str], what: &str) -> Result<(), DefinitionError> {
        match known.contains(&value.get_ref().as_str()) {
            true => Ok(()),
            false => Err(self.unknown(value, known, what)),
        }
    }

    fn unknown(&self, value: &Spanned<String>, known: &[&str], what: &str) -> DefinitionError {
        let nearest = known.iter().max_by(|a, b| {
            strsim::jaro_winkler(a, value.get_ref()).total_cmp(&strsim::jaro_winkler(b, value.get_ref()))
        });
        let hint = nearest.map_or(String::new(), |nearest| format!("; did you mean {nearest:?}?"));
        self.error(value.span().start, format!("there is no {what} {:?}{hint}", value.get_ref()))
    }

    fn step(&self, step: &StepText, ids: &[&str]) -> Result<Step, DefinitionError> {
        for after in &step.after {
            self.known(after, ids, "step")?;
        }
        let when = step.when.as_ref().map(|text| self.condition(text)).transpose()?;
        let retry = match &step.retry {
            None => Retry { attempts: 3, backoff: Duration::from_secs(10) },
            Some(retry) => Retry { attempts: retry.attempts.max(1), backoff: self.duration(&retry.backoff)? },
        };
        let id = step.id.get_ref().clone();
        Ok(Step {
            uses: self.uses(&step.uses)?,
            after: step.after.iter().map(|after| after.get_ref().clone()).collect(),
            when,
            queue: QueueName(step.queue.clone().unwrap_or_else(|| id.clone())),
            retry,
            on_failure: step.on_failure.as_ref().map_or(Ok(OnFailure::Retry), |text| self.on_failure(text))?,
            optional: step.optional,
            line: self.line(step.id.span().start),
            id,
        })
    }

    fn uses(&self, text: &Spanned<String>) -> Result<Use, DefinitionError> {
        match text.get_ref().as_str() {
            "host:metadata" => Ok(Use::Metadata),
            "host:thumbnails" => Ok(Use::Thumbnails),
            name if is_plugin_id(name) => Ok(Use::Plugin(name.to_owned())),
            _ => Err(self.unknown(text, HOST_STEPS, "step to use called")),
        }
    }

    fn on_failure(&self, text: &Spanned<String>) -> Result<OnFailure, DefinitionError> {
        match text.get_ref().as_str() {
            "skip" => Ok(OnFailure::Skip),
            "error" => Ok(OnFailure::Error),
            other => match other.strip_prefix("fallback:").filter(|name| is_plugin_id(name)) {
                Some(name) => Ok(OnFailure::Fallback(name.to_owned())),
                None => Err(self.error(
                    text.span().start,
                    format!("on-failure = {other:?} is not known: write \"skip\", \"error\" or \"fallback:<plugin>\""),
                )),
            },
        }
    }

    fn condition(&self, text: &Spanned<String>) -> Result<Condition, DefinitionError> {
        let program = Program::compile(text.get_ref())
            .map_err(|error| self.error(text.span().start, format!("the condition does not parse: {error}")))?;
        Ok(Condition { text: text.get_ref().clone(), program })
    }

    fn duration(&self, text: &Spanned<String>) -> Result<Duration, DefinitionError> {
        let wrong =
            || self.error(text.span().start, format!("{:?} is no duration: write 500ms, 10s or 5m", text.get_ref()));
        let at = text.get_ref().find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.get_ref().split_at(at);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        match unit {
            "ms" => Ok(Duration::from_millis(number)),
            "s" => Ok(Duration::from_secs(number)),
            "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
            _ => Err(wrong()),
        }
    }

    /// Each after those it waits for; a step that can never come is part of a cycle.
    fn sorted(&self, steps: Vec<Step>, texts: &[StepText]) -> Result<Vec<Step>, DefinitionError> {
        let mut left = steps;
        let mut sorted: Vec<Step> = Vec::new();
        while !left.is_empty() {
            let is_done = |id: &String| sorted.iter().any(|step| step.id == *id);
            let Some(at) = left.iter().position(|step| step.after.iter().all(is_done)) else {
                let ids: Vec<&str> = left.iter().map(|step| &*step.id).collect();
                let at = texts.iter().find(|text| text.id.get_ref() == ids[0]).map_or(0, |text| text.id.span().start);
                return Err(self.error(at, format!("these steps wait for each other: {}", ids.join(", "))));
            };
            sorted.push(left.remove(at));
        }
        Ok(sorted)
    }
}

fn is_plugin_id(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-')
}
