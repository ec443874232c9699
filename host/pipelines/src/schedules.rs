//! Pipelines that the clock starts. When each was last looked at stands in the database: whichever node sees the time first starts
//! the run, and times that passed while nobody ran are made up for once.

use std::time::Duration;

use gallery::GalleryError;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::definition::Definition;
use crate::feeder::Feeder;
use crate::runs::RunRequest;
use crate::trigger::{Schedule, Trigger};

pub(crate) const LOOK: Duration = Duration::from_secs(1);

impl Feeder {
    /// Starts what is due.
    pub(crate) async fn keep_schedules(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            for pipeline in self.pipelines().all() {
                if let Trigger::Schedule(schedule) = &pipeline.on
                    && let Err(error) = self.on_time(&pipeline, schedule).await
                {
                    tracing::warn!(pipeline = pipeline.name, %error, "Cannot start a pipeline on time yet");
                }
            }
        }
    }

    async fn on_time(&self, pipeline: &Definition, schedule: &Schedule) -> Result<(), GalleryError> {
        let now = self.now();
        if !self.is_due(pipeline, schedule, now).await? {
            return Ok(());
        }
        let Some(_turn) = self.store().turn("schedules").await? else { return Ok(()) };
        // Another node may have had the turn since.
        if self.is_due(pipeline, schedule, now).await? {
            let request = RunRequest {
                pipeline: pipeline.name.clone(),
                cause: "schedule",
                force: schedule.force,
                ..RunRequest::default()
            };
            self.start(&request).await?;
            self.note_time(pipeline, schedule, now).await?;
        }
        Ok(())
    }

    /// A schedule that is new, or was changed, begins now.
    async fn is_due(&self, pipeline: &Definition, schedule: &Schedule, now: Timestamp) -> Result<bool, GalleryError> {
        let known = self.store().fact(&key(pipeline)).await?.unwrap_or_default();
        let last = known["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        match last.filter(|_| known["schedule"] == said(schedule)) {
            Some(last) => Ok(schedule.after(last).is_some_and(|next| next <= now)),
            None => {
                self.note_time(pipeline, schedule, now).await?;
                Ok(false)
            }
        }
    }

    async fn note_time(&self, pipeline: &Definition, schedule: &Schedule, at: Timestamp) -> Result<(), GalleryError> {
        let value = json!({ "at": at.to_string(), "schedule": said(schedule) });
        Ok(self.store().set_fact(&key(pipeline), &value).await?)
    }
}

fn key(pipeline: &Definition) -> String {
    format!("pipeline.{}.schedule", pipeline.name)
}

fn said(schedule: &Schedule) -> Value {
    json!([schedule.text, schedule.zone_name()])
}
