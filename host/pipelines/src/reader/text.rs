//! Keys: one that nobody knows is a mistake of its own, with the nearest that there is.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Reader;
use crate::suggest;

const FILE: &[&str] = &["on", "schedule", "step"];
const SCHEDULE: &[&str] = &["cron", "time-zone", "over"];
const STEP: &[&str] = &["id", "use", "after", "when", "queue", "retry", "on-failure", "optional", "set", "message"];
const RETRY: &[&str] = &["attempts", "backoff"];
const SET: &[&str] = &["favorite", "visibility", "rating"];

impl Reader<'_> {
    /// `false`: it is no TOML at all, or none that could hold a pipeline.
    pub(super) fn check_keys(&self) -> bool {
        let table = match DeTable::parse(self.text) {
            Ok(table) => table,
            Err(error) => {
                self.mistake(
                    error.span().map_or(0, |span| span.start),
                    format!("this is no TOML: {}", error.message()),
                );
                return false;
            }
        };
        let mut is_shaped = true;
        self.keys(table.get_ref(), FILE, "a pipeline");
        for (key, value) in table.get_ref() {
            match (&**key.get_ref(), value.get_ref()) {
                ("schedule", DeValue::Table(table)) => self.keys(table, SCHEDULE, "a schedule"),
                ("step", DeValue::Array(steps)) => steps.iter().for_each(|step| self.step_keys(step)),
                ("step", _) => {
                    self.mistake(key.span().start, "a step is written as [[step]], with two brackets");
                    is_shaped = false;
                }
                _ => {}
            }
        }
        is_shaped
    }

    fn step_keys(&self, step: &Spanned<DeValue<'_>>) {
        let DeValue::Table(table) = step.get_ref() else { return };
        self.keys(table, STEP, "a step");
        for (key, value) in table {
            let DeValue::Table(inner) = value.get_ref() else { continue };
            match &**key.get_ref() {
                "retry" => self.keys(inner, RETRY, "retry"),
                "set" => self.keys(inner, SET, "set"),
                _ => {}
            }
        }
    }

    fn keys(&self, table: &DeTable<'_>, known: &[&str], what: &str) {
        for key in table.keys() {
            let word: &str = key.get_ref();
            if !known.contains(&word) {
                let hint = suggest::hint(word, known.iter().copied());
                self.mistake(key.span().start, format!("{what} has no key {word:?}{hint}"));
            }
        }
    }
}
