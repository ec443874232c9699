//! Reads a pipeline's TOML and says everything that is wrong with it.

mod step;
mod text;

use std::cell::RefCell;
use std::collections::HashSet;

use serde::Deserialize;
use toml::Spanned;

use crate::definition::{Definition, DefinitionError, Step};
use crate::hours::zone;
use crate::suggest;
use crate::trigger::{Schedule, TRIGGERS, Trigger};
use step::StepText;

#[derive(Deserialize)]
struct File {
    on: Option<Spanned<String>>,
    schedule: Option<Spanned<ScheduleText>>,
    #[serde(default)]
    step: Vec<Spanned<StepText>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ScheduleText {
    cron: Option<Spanned<String>>,
    time_zone: Option<Spanned<String>>,
    over: Option<Spanned<String>>,
}

/// Reads and checks a file.
pub fn read(file: &str, text: &str) -> Result<Definition, Vec<DefinitionError>> {
    let reader = Reader { file, text, mistakes: RefCell::default() };
    let definition = reader.definition();
    let mut mistakes = reader.mistakes.into_inner();
    mistakes.sort();
    mistakes.dedup();
    match definition {
        Some(definition) if mistakes.is_empty() => Ok(definition),
        _ => Err(mistakes),
    }
}

/// The name of the pipeline in this file.
pub fn name_of(file: &str) -> String {
    file.rsplit('/').next().unwrap_or(file).trim_end_matches(".toml").to_owned()
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    mistakes: RefCell<Vec<DefinitionError>>,
}

impl Reader<'_> {
    fn definition(&self) -> Option<Definition> {
        if !self.check_keys() {
            return None;
        }
        let parsed: File = match toml::from_str(self.text) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.mistake(error.span().map_or(0, |span| span.start), error.message());
                return None;
            }
        };
        let on = self.trigger(&parsed);
        if parsed.step.is_empty() {
            self.mistake(self.text.len(), "the pipeline has no [[step]]");
        }
        let ids = self.ids(&parsed.step);
        let known: Vec<&str> = ids.iter().map(String::as_str).collect();
        let before = ancestors(&parsed.step, &ids);
        let mut steps = Vec::new();
        for ((step, id), before) in parsed.step.iter().zip(&ids).zip(&before) {
            let before: Vec<&str> = before.iter().map(String::as_str).collect();
            if let Some(step) = self.step(step, id, &known, &before, on.as_ref()) {
                steps.push(step);
            }
        }
        let is_whole = steps.len() == parsed.step.len();
        let steps = self.sorted(steps, is_whole)?;
        Some(Definition { name: name_of(self.file), on: on?, steps, file: self.file.to_owned() })
    }

    fn mistake(&self, at: usize, what: impl Into<String>) {
        let line = self.line(at);
        self.mistakes.borrow_mut().push(DefinitionError { file: self.file.to_owned(), line, what: what.into() });
    }

    /// The value, or a mistake at `at`.
    fn noted<T>(&self, at: usize, result: Result<T, String>) -> Option<T> {
        result.map_err(|what| self.mistake(at, what)).ok()
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at.min(self.text.len())].matches('\n').count() + 1
    }

    fn known(&self, value: &Spanned<String>, known: &[&str], what: &str) -> bool {
        let word = value.get_ref().as_str();
        let is_known = known.contains(&word);
        if !is_known {
            let hint = suggest::hint(word, known.iter().copied());
            self.mistake(value.span().start, format!("there is no {what} {word:?}{hint}"));
        }
        is_known
    }

    fn trigger(&self, parsed: &File) -> Option<Trigger> {
        let Some(on) = &parsed.on else {
            self.mistake(
                0,
                format!("`on` is missing: write what starts the pipeline, on = \"{}\" for instance", TRIGGERS[0]),
            );
            return None;
        };
        if !self.known(on, TRIGGERS, "trigger") {
            return None;
        }
        if let (Some(schedule), true) = (&parsed.schedule, on.get_ref() != "schedule") {
            let what =
                format!("the pipeline has a schedule, and is started on {:?}: write on = \"schedule\"", on.get_ref());
            self.mistake(schedule.span().start, what);
        }
        Some(match on.get_ref().as_str() {
            "asset.created" => Trigger::Created,
            "asset.updated" => Trigger::Updated,
            "asset.deleted" => Trigger::Deleted,
            "person.recognized" => Trigger::Recognized,
            "manual" => Trigger::Manual,
            _ => Trigger::Schedule(Box::new(self.schedule(on, parsed.schedule.as_ref())?)),
        })
    }

    fn schedule(&self, on: &Spanned<String>, text: Option<&Spanned<ScheduleText>>) -> Option<Schedule> {
        let how = "write schedule = { cron = \"0 3 * * *\", time-zone = \"Europe/Berlin\" }";
        let Some(text) = text else {
            self.mistake(on.span().start, format!("the schedule is missing: {how}"));
            return None;
        };
        let Some(cron) = &text.get_ref().cron else {
            self.mistake(text.span().start, format!("the schedule has no cron: {how}"));
            return None;
        };
        let zone_text = text.get_ref().time_zone.as_ref();
        let zone = zone(zone_text.map_or("", |zone| zone.get_ref()));
        let zone = self.noted(zone_text.map_or(0, |zone| zone.span().start), zone)?;
        let over = text.get_ref().over.as_ref();
        if let Some(over) = over {
            self.known(over, &["missing", "all"], "such thing to run a schedule over:");
        }
        let force = over.is_some_and(|over| over.get_ref() == "all");
        self.noted(cron.span().start, Schedule::new(cron.get_ref(), zone, force))
    }

    /// Each in its place; one that is missing or wrong is a name of its own.
    fn ids(&self, steps: &[Spanned<StepText>]) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let Some(id) = &step.get_ref().id else {
                self.mistake(step.span().start, "a step has no id: write id = \"…\"");
                ids.push(format!("step {}", at + 1));
                continue;
            };
            let is_name = |id: &str| {
                !id.is_empty()
                    && id.len() <= 64
                    && id.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
            };
            if !is_name(id.get_ref()) {
                let what = format!("the id {:?} is no name: small letters, digits and dashes", id.get_ref());
                self.mistake(id.span().start, what);
            }
            if ids.contains(id.get_ref()) {
                self.mistake(id.span().start, format!("a second step has the id {:?}", id.get_ref()));
            }
            ids.push(id.get_ref().clone());
        }
        ids
    }

    /// Each after those it waits for; a step that can never come is part of a cycle.
    fn sorted(&self, steps: Vec<Step>, is_whole: bool) -> Option<Vec<Step>> {
        let mut left = steps;
        let mut sorted: Vec<Step> = Vec::new();
        while !left.is_empty() {
            let is_done = |id: &String| sorted.iter().any(|step| step.id == *id);
            let Some(at) = left.iter().position(|step| step.after.iter().all(is_done)) else {
                // With a step that is wrong itself, others wait for what is not there.
                if is_whole && self.mistakes.borrow().is_empty() {
                    self.cycle(&left);
                }
                return None;
            };
            sorted.push(left.remove(at));
        }
        Some(sorted)
    }

    fn cycle(&self, left: &[Step]) {
        let mut path: Vec<&Step> = vec![&left[0]];
        let start = loop {
            let last = path[path.len() - 1];
            let Some(next) = left.iter().find(|step| last.after.contains(&step.id)) else { return };
            if let Some(at) = path.iter().position(|step| step.id == next.id) {
                break at;
            }
            path.push(next);
        };
        let ids: Vec<&str> = path[start..].iter().map(|step| &*step.id).collect();
        let what = format!("these steps wait for each other: {}", ids.join(", "));
        self.mistakes.borrow_mut().push(DefinitionError { file: self.file.to_owned(), line: path[start].line, what });
    }
}

/// What has ended when each step begins, as far as it is said.
fn ancestors(steps: &[Spanned<StepText>], ids: &[String]) -> Vec<Vec<String>> {
    let after = |at: usize| steps[at].get_ref().after.iter().map(|after| after.get_ref().clone());
    (0..steps.len())
        .map(|at| {
            let (mut found, mut ahead) = (HashSet::new(), after(at).collect::<Vec<String>>());
            while let Some(id) = ahead.pop() {
                if let Some(next) = ids.iter().position(|known| *known == id)
                    && next != at
                    && found.insert(id)
                {
                    ahead.extend(after(next));
                }
            }
            let mut found: Vec<String> = found.into_iter().collect();
            found.sort();
            found
        })
        .collect()
}
