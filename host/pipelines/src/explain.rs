//! A pipeline in words, and what it did to an asset: `latent pipeline explain`.

use std::fmt::Write as _;

use gallery::GalleryError;
use store::steps::{Progress, StepResult};
use types::AssetId;

use crate::definition::{Definition, Step, Use};
use crate::feeder::Feeder;
use crate::overview::Standing;
use crate::recipe::difference;
use crate::source::unmet;
use crate::trigger::Trigger;

impl Feeder {
    /// The graph of a pipeline, and how its steps stand over the library.
    pub async fn explain(&self, pipeline: &Definition) -> Result<String, GalleryError> {
        let (states, assets) = self.store().step_states(&pipeline.name).await?;
        let mut text = format!("{} ({}): {}\n", pipeline.name, pipeline.file, pipeline.on.words());
        for (at, step) in pipeline.steps.iter().enumerate() {
            let recipe = self.recipe(step);
            let _ = writeln!(text, "  {}. {}", at + 1, self.step_words(step, recipe.as_deref()));
            let standing = Standing::of(&step.id, recipe.as_deref(), &states);
            if recipe.is_some() && !matches!(pipeline.on, Trigger::Deleted) {
                let _ = writeln!(text, "       {}", counts(&standing, assets, &pipeline.on));
            }
            for (old, count) in &standing.stale {
                let why = recipe.as_deref().map_or_else(String::new, |new| difference(old, new));
                let _ = writeln!(text, "       stale: {count} by {old}: {why}");
            }
        }
        for problem in unmet(pipeline, &self.gallery().plugins()) {
            let _ = writeln!(text, "  wrong: {problem}");
        }
        let open = self.store().count_open(&pipeline.name).await?;
        let _ = writeln!(text, "  {open} assets have something left to do, of {assets}");
        Ok(text)
    }

    fn step_words(&self, step: &Step, recipe: Option<&str>) -> String {
        let mut text = format!("{}: {}", step.id, step.uses.name());
        if !step.after.is_empty() {
            let _ = write!(text, ", after {}", step.after.join(" and "));
        }
        if let Some(condition) = &step.when {
            let _ = write!(text, ", when {}", condition.text);
        }
        let (retry, queue) = (&step.retry, &step.queue);
        let hours = self.pipelines().rules().of(queue).and_then(|rule| rule.hours.as_ref());
        let hours = hours.map_or_else(String::new, |hours| format!(" (works {hours})"));
        let _ = write!(
            text,
            "\n       queue {queue}{hours}; {} attempts, the second after {:?}; on failure: {}",
            retry.attempts, retry.backoff, step.on_failure
        );
        match (recipe, &step.uses) {
            (Some(recipe), _) => {
                let _ = write!(text, "\n       recipe {recipe}");
            }
            (None, Use::Plugin(name)) => {
                let _ = write!(text, "\n       left out: the plugin {name:?} is not installed");
            }
            (None, _) => {}
        }
        text
    }

    /// What a pipeline did to an asset, and what it will do.
    ///
    /// # Errors
    /// There is no such asset.
    pub async fn explain_asset(&self, pipeline: &Definition, asset: AssetId) -> Result<String, GalleryError> {
        if self.store().asset(asset).await?.is_none() {
            return Err(GalleryError::NotFound(format!("there is no asset {asset}")));
        }
        let progress = self.store().progress(asset, &pipeline.name).await?;
        let errors = self.store().asset_errors(asset).await?;
        let mut text = format!("{} on {asset}:\n", pipeline.name);
        for step in &pipeline.steps {
            let error = errors.iter().find(|error| error.step == step.id).map(|error| &*error.message);
            let _ = writeln!(text, "  {}: {}", step.id, self.stands(pipeline, step, &progress, error).await?);
        }
        Ok(text)
    }

    async fn stands(
        &self,
        pipeline: &Definition,
        step: &Step,
        progress: &Progress,
        error: Option<&str>,
    ) -> Result<String, GalleryError> {
        let Some(recipe) = self.recipe(step) else { return Ok("left out: its plugin is not installed".into()) };
        let result = progress.results.iter().find(|result| result.step == step.id);
        let is_open = progress.round.is_some() || matches!(pipeline.on, Trigger::Created);
        let why = match result {
            Some(result) if result.recipe == recipe => return Ok(ended(step, result, error)),
            Some(result) if !is_open => {
                let stale = difference(&result.recipe, &recipe);
                return Ok(format!("{}; stale: {stale}", ended(step, result, error)));
            }
            Some(result) => format!("due again: {}", difference(&result.recipe, &recipe)),
            None if !is_open => return Ok("not run: nothing has started the pipeline on this asset".into()),
            None => "due".into(),
        };
        Ok(format!("{why}, {}", self.waits_for(pipeline, step, progress, error).await?))
    }

    async fn waits_for(
        &self,
        pipeline: &Definition,
        step: &Step,
        progress: &Progress,
        error: Option<&str>,
    ) -> Result<String, GalleryError> {
        let is_due = |id: &&String| {
            let recipe = pipeline.step(id).and_then(|step| self.recipe(step));
            let is_there =
                |recipe: &String| progress.results.iter().any(|result| result.step == **id && result.recipe == *recipe);
            recipe.is_some_and(|recipe| !is_there(&recipe))
        };
        if let Some(before) = step.after.iter().find(is_due) {
            return Ok(format!("waits for {before}"));
        }
        if progress.starts.iter().any(|(id, _)| *id == step.id) {
            return Ok("under way, or the process that did it died".into());
        }
        let queue = &step.queue;
        if self.queue().is_paused(queue).await? {
            return Ok(format!("and the queue {queue} is paused"));
        }
        let (rules, now) = (self.pipelines().rules(), self.now());
        if let Some(hours) = rules.of(queue).and_then(|rule| rule.hours.as_ref()).filter(|hours| !hours.contain(now)) {
            return Ok(format!("and the queue {queue} works {hours}, next at {}", hours.next(now)));
        }
        Ok(match error {
            Some(error) => format!("and will be tried again; the last try: {error}"),
            None => format!("and waits in the queue {queue}"),
        })
    }
}

fn ended(step: &Step, result: &StepResult, error: Option<&str>) -> String {
    match (result.status.as_str(), &step.when) {
        ("failed", _) => format!("failed: {}", error.unwrap_or("nobody noted why")),
        ("skipped", Some(condition)) => {
            format!(
                "skipped: its condition did not hold ({}), there was nothing to see, or its plugin failed",
                condition.text
            )
        }
        ("skipped", None) => "skipped: there was nothing to see, or its plugin failed".into(),
        (status, _) => format!("{status}, by {}", result.recipe),
    }
}

fn counts(standing: &Standing, assets: i64, on: &Trigger) -> String {
    let mut text = format!("{} done, {} skipped, {} failed", standing.done, standing.skipped, standing.failed);
    let stale = standing.stale_assets();
    if stale > 0 {
        let _ = write!(text, ", {stale} stale");
    }
    let missing = assets - standing.known();
    if missing > 0 {
        let what = if let Trigger::Created = on { "to come" } else { "never run" };
        let _ = write!(text, ", {missing} {what}");
    }
    text
}
