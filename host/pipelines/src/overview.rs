//! The pipelines as an administrator's page shows them.

use gallery::GalleryError;
use serde_json::{Value, json};
use store::runs::StepState;
use types::QueueName;
use types::wire::iso;

use crate::definition::{Definition, DefinitionError, Step};
use crate::feeder::Feeder;
use crate::runs::Progress;
use crate::source::unmet;
use crate::trigger::Trigger;

/// How the results of a step stand, counted in assets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub done: i64,
    pub skipped: i64,
    pub failed: i64,
    /// By recipes that are not the present one any more, and how many by each.
    pub stale: Vec<(String, i64)>,
}

impl Standing {
    /// `recipe` `None`: nobody can do the step now, so nothing is stale.
    pub(crate) fn of(step: &str, recipe: Option<&str>, states: &[StepState]) -> Self {
        let mut standing = Self::default();
        for state in states.iter().filter(|state| state.step == step) {
            if recipe.is_some_and(|recipe| state.recipe != recipe) {
                match standing.stale.iter_mut().find(|(old, _)| *old == state.recipe) {
                    Some((_, assets)) => *assets += state.assets,
                    None => standing.stale.push((state.recipe.clone(), state.assets)),
                }
                continue;
            }
            match state.status.as_str() {
                "done" => standing.done += state.assets,
                "skipped" => standing.skipped += state.assets,
                _ => standing.failed += state.assets,
            }
        }
        standing
    }

    pub(crate) fn stale_assets(&self) -> i64 {
        self.stale.iter().map(|(_, assets)| assets).sum()
    }

    pub(crate) fn known(&self) -> i64 {
        self.done + self.skipped + self.failed + self.stale_assets()
    }
}

impl Feeder {
    /// `{"pipelines": […], "queues": […], "runs": […], "problems": […], "readAt": …}`. `counts`: also how the results of each step
    /// stand, which reads them all.
    pub async fn overview(&self, counts: bool) -> Result<Value, GalleryError> {
        let mut pipelines = Vec::new();
        for pipeline in self.pipelines().all() {
            pipelines.push(self.pipeline_json(&pipeline, counts).await?);
        }
        let mut queues = Vec::new();
        for queue in self.pipelines().queues() {
            queues.push(self.queue_json(&queue).await?);
        }
        let runs: Vec<Value> = self.runs().await?.iter().map(run_json).collect();
        let problems = self.pipelines().problems();
        Ok(json!({
            "pipelines": pipelines,
            "queues": queues,
            "runs": runs,
            "problems": problems.iter().map(problem_json).collect::<Vec<Value>>(),
            "readAt": iso(self.pipelines().read_at()),
        }))
    }

    async fn pipeline_json(&self, pipeline: &Definition, counts: bool) -> Result<Value, GalleryError> {
        let states = if counts { Some(self.store().step_states(&pipeline.name).await?) } else { None };
        let steps: Vec<Value> = pipeline
            .steps
            .iter()
            .map(|step| {
                let recipe = self.recipe(step);
                let mut shown = step_json(step, recipe.as_deref());
                if let Some((states, assets)) = &states {
                    let standing = Standing::of(&step.id, recipe.as_deref(), states);
                    shown["assets"] = json!({
                        "done": standing.done,
                        "skipped": standing.skipped,
                        "failed": standing.failed,
                        "stale": standing.stale_assets(),
                        "missing": (assets - standing.known()).max(0),
                    });
                }
                shown
            })
            .collect();
        let missing = unmet(pipeline, &self.gallery().plugins());
        Ok(json!({
            "name": pipeline.name,
            "file": pipeline.file,
            "on": pipeline.on.name(),
            "schedule": self.schedule_json(&pipeline.on),
            "steps": steps,
            "open": self.store().count_open(&pipeline.name).await?,
            "problems": missing.iter().map(problem_json).collect::<Vec<Value>>(),
        }))
    }

    fn schedule_json(&self, on: &Trigger) -> Value {
        let Trigger::Schedule(schedule) = on else { return Value::Null };
        json!({
            "cron": schedule.text,
            "timeZone": schedule.zone_name(),
            "over": if schedule.force { "all" } else { "missing" },
            "next": schedule.after(self.now()).map(iso),
        })
    }

    async fn queue_json(&self, queue: &QueueName) -> Result<Value, GalleryError> {
        let counts = self.queue().counts(queue).await?;
        let rule = self.pipelines().rules().of(queue).cloned().unwrap_or_default();
        let now = self.now();
        Ok(json!({
            "name": queue,
            "waiting": counts.waiting,
            "active": counts.active,
            "delayed": counts.delayed,
            "failed": counts.failed,
            "isPaused": counts.paused,
            "isOpen": rule.hours.as_ref().is_none_or(|hours| hours.contain(now)),
            "hours": rule.hours.as_ref().map(ToString::to_string),
            "opensAt": rule.hours.as_ref().filter(|hours| !hours.contain(now)).map(|hours| iso(hours.next(now))),
            "concurrency": rule.concurrency,
        }))
    }
}

fn step_json(step: &Step, recipe: Option<&str>) -> Value {
    json!({
        "id": step.id,
        "use": step.uses.name(),
        "after": step.after,
        "when": step.when.as_ref().map(|condition| &condition.text),
        "queue": step.queue,
        "attempts": step.retry.attempts,
        "backoffMs": u64::try_from(step.retry.backoff.as_millis()).unwrap_or(u64::MAX),
        "onFailure": step.on_failure.to_string(),
        "isOptional": step.optional,
        "line": step.line,
        "recipe": recipe,
    })
}

/// A mistake in a file.
pub fn problem_json(problem: &DefinitionError) -> Value {
    json!({ "file": problem.file, "line": problem.line, "what": problem.what })
}

/// A run and how far it is.
pub fn run_json(progress: &Progress) -> Value {
    let run = &progress.run;
    json!({
        "id": run.id,
        "pipeline": run.pipeline,
        "cause": run.cause,
        "steps": run.steps,
        "force": run.force,
        "total": run.total,
        "done": progress.done(),
        "left": progress.left,
        "failed": progress.failed,
        "perSecond": progress.per_second,
        "secondsLeft": progress.seconds_left(),
        "startedAt": iso(run.started_at),
        "endedAt": run.ended_at.map(iso),
    })
}
