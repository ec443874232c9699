//! One step of a pipeline's TOML.

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use types::{QueueName, Visibility};

use super::Reader;
use crate::condition::Condition;
use crate::definition::{OnFailure, Retry, Settable, Step, Then, Use};
use crate::trigger::Trigger;

const HOST_STEPS: &[&str] = &["host:metadata", "host:thumbnails", "host:set", "host:log"];
/// What `on-failure` may say.
const HOW: &str = "write \"skip\", \"error\", \"retry\" or \"fallback:<plugin>\"";
const MOST_ATTEMPTS: u32 = 100;
const LONGEST_BACKOFF: Duration = Duration::from_secs(24 * 3_600);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StepText {
    pub(super) id: Option<Spanned<String>>,
    #[serde(rename = "use")]
    uses: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) after: Vec<Spanned<String>>,
    when: Option<Spanned<String>>,
    queue: Option<Spanned<String>>,
    retry: Option<RetryText>,
    /// A text or a list of texts.
    on_failure: Option<Spanned<toml::Value>>,
    #[serde(default)]
    optional: Option<Spanned<bool>>,
    set: Option<Spanned<SetText>>,
    message: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct RetryText {
    attempts: Option<Spanned<i64>>,
    backoff: Option<Spanned<String>>,
}

#[derive(Deserialize)]
struct SetText {
    favorite: Option<bool>,
    visibility: Option<Spanned<String>>,
    rating: Option<Spanned<i64>>,
}

impl Reader<'_> {
    /// `ids`: of all steps; `before`: of those that have ended when this one begins.
    pub(super) fn step(
        &self,
        spanned: &Spanned<StepText>,
        id: &str,
        ids: &[&str],
        before: &[&str],
        on: Option<&Trigger>,
    ) -> Option<Step> {
        let step = spanned.get_ref();
        let at = step.id.as_ref().map_or(spanned.span().start, |id| id.span().start);
        for after in &step.after {
            if after.get_ref() == id {
                self.mistake(after.span().start, format!("the step {id:?} waits for itself"));
            } else {
                self.known(after, ids, "step");
            }
        }
        let when = step.when.as_ref().map(|text| self.noted(text.span().start, Condition::new(text.get_ref(), before)));
        let uses = self.uses(step, at, on);
        let queue = self.queue(step.queue.as_ref(), id);
        let retry = self.retry(step.retry.as_ref());
        let on_failure = self.on_failure(step.on_failure.as_ref(), uses.as_ref());
        if let (Some(optional), Some(uses)) = (&step.optional, &uses)
            && *optional.get_ref()
            && !matches!(uses, Use::Plugin(_))
        {
            self.mistake(
                optional.span().start,
                format!("{} is always there: only a plugin's step is optional", uses.name()),
            );
        }
        Some(Step {
            id: id.to_owned(),
            uses: uses?,
            after: step.after.iter().map(|after| after.get_ref().clone()).collect(),
            when: match when {
                Some(condition) => Some(condition?),
                None => None,
            },
            queue: queue?,
            retry: retry?,
            on_failure: on_failure?,
            optional: step.optional.as_ref().is_some_and(|optional| *optional.get_ref()),
            line: self.line(at),
        })
    }

    fn uses(&self, step: &StepText, at: usize, on: Option<&Trigger>) -> Option<Use> {
        let Some(text) = &step.uses else {
            self.mistake(
                at,
                format!("the step does not say what it uses: write use = \"{}\", or a plugin's id", HOST_STEPS[0]),
            );
            return None;
        };
        let uses = match text.get_ref().as_str() {
            "host:metadata" => Some(Use::Metadata),
            "host:thumbnails" => Some(Use::Thumbnails),
            "host:set" => self.settable(step, text).map(Use::Set),
            "host:log" => self.message(step, text).map(Use::Log),
            name if is_plugin_id(name) => Some(Use::Plugin(name.to_owned())),
            _ => {
                self.known(text, HOST_STEPS, "step to use called");
                None
            }
        };
        for (key, owner, span) in [
            ("set", "host:set", step.set.as_ref().map(Spanned::span)),
            ("message", "host:log", step.message.as_ref().map(Spanned::span)),
        ] {
            if let Some(span) = span.filter(|_| text.get_ref() != owner) {
                self.mistake(
                    span.start,
                    format!("`{key}` is for steps with use = {owner:?}, and this one uses {:?}", text.get_ref()),
                );
            }
        }
        if let (Some(Trigger::Deleted), Some(uses)) = (on, &uses)
            && !matches!(uses, Use::Log(_))
        {
            let what = format!(
                "nothing is left of an asset that was deleted but what was known of it, and {} needs the asset: use host:log",
                uses.name()
            );
            self.mistake(text.span().start, what);
            return None;
        }
        uses
    }

    fn settable(&self, step: &StepText, text: &Spanned<String>) -> Option<Settable> {
        let Some(set) = &step.set else {
            self.mistake(
                text.span().start,
                "host:set does not say what it sets: write set = { favorite = true } for instance",
            );
            return None;
        };
        let SetText { favorite, visibility, rating } = set.get_ref();
        let visibility = match visibility {
            Some(text) if !self.known(text, &["timeline", "archive"], "visibility that a pipeline may set:") => {
                return None;
            }
            Some(text) => Some(if text.get_ref() == "archive" { Visibility::Archive } else { Visibility::Timeline }),
            None => None,
        };
        let rating = match rating {
            Some(rating) if !(1..=5).contains(rating.get_ref()) => {
                self.mistake(rating.span().start, format!("a rating is 1 to 5, not {}", rating.get_ref()));
                return None;
            }
            Some(rating) => i16::try_from(*rating.get_ref()).ok(),
            None => None,
        };
        let settable = Settable { favorite: *favorite, visibility, rating };
        if settable == Settable::default() {
            self.mistake(set.span().start, "`set` is empty: write favorite, visibility or rating");
            return None;
        }
        Some(settable)
    }

    fn message(&self, step: &StepText, text: &Spanned<String>) -> Option<String> {
        let message = step.message.as_ref().filter(|message| !message.get_ref().trim().is_empty());
        if message.is_none() {
            self.mistake(text.span().start, "host:log does not say what it writes: write message = \"…\"");
        }
        message.map(|message| message.get_ref().clone())
    }

    fn queue(&self, text: Option<&Spanned<String>>, id: &str) -> Option<QueueName> {
        let Some(text) = text else { return Some(QueueName(id.to_owned())) };
        let name = text.get_ref();
        let is_name = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        if !is_name {
            self.mistake(text.span().start, format!("the queue {name:?} is no name: small letters, digits and dashes"));
            return None;
        }
        Some(QueueName(name.clone()))
    }

    fn retry(&self, text: Option<&RetryText>) -> Option<Retry> {
        let mut retry = Retry { attempts: 3, backoff: Duration::from_secs(10) };
        let Some(text) = text else { return Some(retry) };
        if let Some(attempts) = &text.attempts {
            let number = u32::try_from(*attempts.get_ref()).ok().filter(|number| (1..=MOST_ATTEMPTS).contains(number));
            let Some(number) = number else {
                self.mistake(
                    attempts.span().start,
                    format!("{} attempts: write 1 to {MOST_ATTEMPTS}", attempts.get_ref()),
                );
                return None;
            };
            retry.attempts = number;
        }
        if let Some(backoff) = &text.backoff {
            retry.backoff = self.noted(backoff.span().start, duration(backoff.get_ref()))?;
        }
        Some(retry)
    }

    fn on_failure(&self, text: Option<&Spanned<toml::Value>>, uses: Option<&Use>) -> Option<OnFailure> {
        let mut on_failure = OnFailure { fallbacks: Vec::new(), then: Then::Retry };
        let Some(text) = text else { return Some(on_failure) };
        let at = text.span().start;
        let words = match text.get_ref() {
            toml::Value::Array(words) => words.as_slice(),
            word => std::slice::from_ref(word),
        };
        for (number, word) in words.iter().enumerate() {
            let Some(word) = word.as_str() else {
                self.mistake(at, format!("on-failure holds {word}, which is no text: {HOW}"));
                return None;
            };
            let then = match word {
                "skip" => Some(Then::Skip),
                "error" => Some(Then::Error),
                "retry" => Some(Then::Retry),
                _ => None,
            };
            match then {
                Some(then) if number + 1 == words.len() => on_failure.then = then,
                Some(_) => {
                    self.mistake(at, format!("{word:?} is the end: what stands behind it never comes"));
                    return None;
                }
                None => {
                    let fallback = self.noted(at, fallback(word, uses, &on_failure.fallbacks))?;
                    on_failure.fallbacks.push(fallback);
                }
            }
        }
        Some(on_failure)
    }
}

fn fallback(text: &str, uses: Option<&Use>, before: &[String]) -> Result<String, String> {
    let Some(name) = text.strip_prefix("fallback:").filter(|name| is_plugin_id(name)) else {
        let near = crate::suggest::nearest(text, ["skip", "error", "retry"]);
        let hint = near.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        return Err(format!("on-failure = {text:?} is not known: {HOW}{hint}"));
    };
    match uses {
        Some(Use::Plugin(own)) if own == name => Err(format!("{name:?} cannot be its own fallback")),
        Some(Use::Plugin(_)) | None if before.iter().any(|other| other == name) => {
            Err(format!("{name:?} is its fallback already"))
        }
        Some(Use::Plugin(_)) | None => Ok(name.to_owned()),
        Some(uses) => Err(format!("only a plugin's step can fall back, and this one uses {}", uses.name())),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration: write 500ms, 10s or 5m");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(wrong()),
    };
    if duration > LONGEST_BACKOFF {
        return Err(format!("{text:?} is longer than a day"));
    }
    Ok(duration)
}

fn is_plugin_id(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-')
}
