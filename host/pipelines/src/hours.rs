//! When a queue works, and how many of its jobs at once.

use std::collections::HashMap;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use types::QueueName;

use crate::suggest;

/// Hours of the day, on the clock on the wall of a time zone: where the clock goes back an hour is there twice, where it goes
/// forward one is not there.
#[derive(Debug, Clone)]
pub struct Hours {
    text: String,
    ranges: Vec<(Time, Time)>,
    zone: TimeZone,
}

impl Hours {
    /// `22:00-06:00`, or several with commas between them.
    ///
    /// # Errors
    /// What is wrong with it, and how it is written.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, String> {
        let ranges = text.split(',').map(|part| range(part.trim())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { text: text.to_owned(), ranges, zone })
    }

    pub fn contain(&self, now: Timestamp) -> bool {
        let time = self.zone.to_datetime(now).time();
        self.ranges
            .iter()
            .any(|(from, to)| if from < to { (*from..*to).contains(&time) } else { time >= *from || time < *to })
    }

    /// When they begin next; now, where they contain it.
    pub fn next(&self, now: Timestamp) -> Timestamp {
        if self.contain(now) {
            return now;
        }
        let today = self.zone.to_datetime(now).date();
        let begins = (0..3).flat_map(|days| {
            let day = today.saturating_add(days.days());
            self.ranges.iter().filter_map(move |(from, _)| self.zone.to_timestamp(day.to_datetime(*from)).ok())
        });
        begins.filter(|begin| *begin > now).min().unwrap_or(now)
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn range(text: &str) -> Result<(Time, Time), String> {
    let wrong = || format!("{text:?} are no hours: write \"22:00-06:00\", or several with commas between them");
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let (from, to) = (time(from.trim()).ok_or_else(wrong)?, time(to.trim()).ok_or_else(wrong)?);
    if from == to {
        return Err(format!("{text:?} is no time at all: leave `active` out for a queue that always works"));
    }
    Ok((from, to))
}

/// `24:00` is the midnight that ends a day.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let is_number = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(hour) || minute.len() != 2 || !is_number(minute) {
        return None;
    }
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = if (hour, minute) == (24, 0) { 0 } else { hour };
    Time::new(hour, minute, 0, 0).ok()
}

/// A time zone by its IANA name; an empty name: that of this machine.
///
/// # Errors
/// There is none of that name, with the nearest.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    if name.is_empty() {
        return Ok(TimeZone::system());
    }
    TimeZone::get(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        let near = suggest::nearest(name, known.iter().map(String::as_str));
        let hint = near.map_or_else(
            || "; write for instance \"Europe/Berlin\"".to_owned(),
            |near| format!("; did you mean {near:?}?"),
        );
        format!("there is no time zone {name:?}{hint}")
    })
}

/// What an operator says about a queue.
#[derive(Debug, Clone, Default)]
pub struct QueueRule {
    /// `None`: always.
    pub hours: Option<Hours>,
    /// Its jobs at once in one worker at most; `None`: as many as the worker has.
    pub concurrency: Option<usize>,
}

/// By queue; one without a rule always works.
#[derive(Debug, Clone, Default)]
pub struct QueueRules(pub HashMap<QueueName, QueueRule>);

impl QueueRules {
    pub fn of(&self, queue: &QueueName) -> Option<&QueueRule> {
        self.0.get(queue)
    }

    pub fn is_open(&self, queue: &QueueName, now: Timestamp) -> bool {
        self.of(queue).and_then(|rule| rule.hours.as_ref()).is_none_or(|hours| hours.contain(now))
    }

    /// Has this queue room for one more, with so many in hand?
    pub fn has_room(&self, queue: &QueueName, in_hand: usize) -> bool {
        self.of(queue).and_then(|rule| rule.concurrency).is_none_or(|most| in_hand < most)
    }
}
