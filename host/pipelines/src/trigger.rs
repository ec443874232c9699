//! What starts a pipeline.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What starts a pipeline.
#[derive(Debug, Clone)]
pub enum Trigger {
    /// A new asset. Every asset is kept up to date with such a pipeline: where a recipe changes, it is done again.
    Created,
    /// Somebody changed what is known of an asset.
    Updated,
    /// An asset is gone for good; what was known of it is still known to the pipeline.
    Deleted,
    /// A photo shows somebody with a name.
    Recognized,
    /// At times of the clock, for the library.
    Schedule(Box<Schedule>),
    /// When somebody says so.
    Manual,
}

/// As pipelines write them.
pub const TRIGGERS: &[&str] =
    &["asset.created", "asset.updated", "asset.deleted", "person.recognized", "schedule", "manual"];

impl Trigger {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created => "asset.created",
            Self::Updated => "asset.updated",
            Self::Deleted => "asset.deleted",
            Self::Recognized => "person.recognized",
            Self::Schedule(_) => "schedule",
            Self::Manual => "manual",
        }
    }

    /// In words, behind the name of a pipeline.
    pub fn words(&self) -> String {
        match self {
            Self::Created => "on each new asset; all assets are kept up to date with it".into(),
            Self::Updated => "on each asset that somebody changes".into(),
            Self::Deleted => "on each asset that is gone for good".into(),
            Self::Recognized => "on each photo that shows somebody with a name".into(),
            Self::Schedule(schedule) => {
                let over = if schedule.force { "all assets" } else { "assets that lack a result" };
                format!("at {:?} ({}), over {over}", schedule.text, schedule.zone_name())
            }
            Self::Manual => "when it is started by hand".into(),
        }
    }
}

/// Times of the clock.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub text: String,
    cron: Cron,
    zone: TimeZone,
    /// Over all assets, rather than those that lack a result.
    pub force: bool,
}

impl Schedule {
    /// Five parts: minute, hour, day of the month, month, day of the week.
    ///
    /// # Errors
    /// What is wrong with it, or that it never comes.
    pub fn new(text: &str, zone: TimeZone, force: bool) -> Result<Self, String> {
        let how = "write five parts: minute, hour, day of the month, month, day of the week, as \"0 3 * * *\" for three in the morning";
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| {
            let why = error.to_string();
            let why = why.split_once(": ").map_or(&*why, |(_, rest)| rest).trim_end_matches('.').to_owned();
            format!("{text:?} is no cron expression ({why}): {how}")
        })?;
        let schedule = Self { text: text.to_owned(), cron, zone, force };
        // Some moment that is the same for everybody: whether it ever comes does not depend on it.
        match schedule.after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(format!("{text:?} is a time that never comes")),
        }
    }

    /// The first time after this one.
    pub fn after(&self, then: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&then.to_zoned(self.zone.clone()), false).ok()?;
        Some(next.timestamp())
    }

    pub fn zone_name(&self) -> String {
        self.zone.iana_name().unwrap_or("this machine's time zone").to_owned()
    }
}
