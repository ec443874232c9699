//! What a run has to do, in which order, and what others go on with.

use std::collections::{HashMap, HashSet};

use gallery::Plugins;
use media::ThumbnailSpec;
use serde_json::{Map, Value};
use store::steps::{StepResult, Wanted};
use types::QueueName;

use crate::definition::Step;
use crate::recipe::recipe;
use crate::run::Request;

/// The steps of one asset that are due.
pub struct Plan<'a> {
    due: Vec<&'a Step>,
    recipes: HashMap<&'a str, String>,
    /// Steps that have ended at some time, with whatever recipe, or that are not there without their plugin.
    ended: HashSet<&'a str>,
    /// Ended in this run.
    ran: HashSet<&'a str>,
    /// How each step ended, with whatever recipe: what `findings.steps` says.
    statuses: Map<String, Value>,
}

impl<'a> Plan<'a> {
    pub fn new(request: &Request<'a>, results: &[StepResult], plugins: &Plugins, spec: &ThumbnailSpec) -> Self {
        let steps = &request.pipeline.steps;
        let mut plan = Self {
            due: Vec::new(),
            recipes: HashMap::new(),
            ended: HashSet::new(),
            ran: HashSet::new(),
            statuses: Map::new(),
        };
        for step in steps {
            let result = results.iter().find(|result| result.step == step.id);
            let Some(recipe) = recipe(step, spec, plugins) else {
                plan.ended.insert(&step.id);
                continue;
            };
            if let Some(result) = result {
                plan.ended.insert(&step.id);
                plan.statuses.insert(step.id.clone(), result.status.clone().into());
            }
            let is_named = request.steps.is_empty() || request.steps.contains(&step.id);
            let is_there = result.is_some_and(|result| result.recipe == recipe);
            if is_named && (request.force || !is_there) {
                plan.due.push(step);
            }
            plan.recipes.insert(&step.id, recipe);
        }
        plan
    }

    /// The next step of this queue, and its recipe.
    pub fn next(&self, queue: &QueueName) -> Option<(&'a Step, String)> {
        let step = *self.due.iter().find(|step| step.queue == *queue && self.is_ready(step))?;
        Some((step, self.recipes.get(&*step.id)?.clone()))
    }

    pub fn end(&mut self, step: &'a Step, status: &str) {
        self.statuses.insert(step.id.clone(), status.into());
        self.due.retain(|due| due.id != step.id);
        self.ended.insert(&step.id);
        self.ran.insert(&step.id);
    }

    /// The queues that go on: with what this run made possible, or, if it had nothing to do, with all that is possible.
    pub fn others(&self, queue: &QueueName) -> Vec<QueueName> {
        let goes_on = |step: &Step| self.ran.is_empty() || step.after.iter().any(|after| self.ran.contains(&**after));
        let ready = self.due.iter().filter(|step| step.queue != *queue && self.is_ready(step) && goes_on(step));
        let mut queues: Vec<QueueName> = ready.map(|step| step.queue.clone()).collect();
        queues.dedup();
        queues
    }

    /// Steps of other queues that could go on now, and their recipes.
    pub fn ready_elsewhere(&self, queue: &QueueName) -> Vec<(&'a Step, String)> {
        let ready = self.due.iter().filter(|step| step.queue != *queue && self.is_ready(step));
        ready.filter_map(|step| Some((*step, self.recipes.get(&*step.id)?.clone()))).collect()
    }

    /// Everything that shall have ended, with its recipe.
    pub fn wanted(&self) -> Vec<Wanted> {
        let wanted = |(step, recipe): (&&str, &String)| Wanted { step: (*step).to_owned(), recipe: recipe.clone() };
        self.recipes.iter().map(wanted).collect()
    }

    /// How steps ended, by their ids.
    pub fn statuses(&self) -> &Map<String, Value> {
        &self.statuses
    }

    /// What is left.
    pub fn left(&self) -> Vec<String> {
        self.due.iter().map(|step| step.id.clone()).collect()
    }

    fn is_ready(&self, step: &Step) -> bool {
        let is_done = |after: &String| self.ended.contains(&**after) && !self.due.iter().any(|due| due.id == *after);
        step.after.iter().all(is_done)
    }
}
