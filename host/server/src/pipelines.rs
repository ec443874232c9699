//! Pipelines as the settings name them, and `latent pipeline`.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use pipelines::{
    Definition, DefinitionError, Feeder, Hours, Pipelines, Progress, QueueRule, QueueRules, RunRequest, Source, hint,
    zone,
};
use runtime::Services;
use types::{AssetId, QueueName};

use crate::Settings;
use crate::compose;

const BUILT_IN: &[(&str, &str)] = &[("ingest.toml", include_str!("../../../config/pipelines/ingest.toml"))];
/// The queue of the built-in pipeline in which videos are transcoded.
const TRANSCODES: &str = "video-conversion";
/// How often a run that is waited for is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// An operator's own pipelines, or those that the binary carries.
pub fn source(settings: &Settings) -> Source {
    Source { folder: settings.pipelines.clone(), built_in: BUILT_IN.to_vec() }
}

/// When queues work, and how many of their jobs at once.
///
/// # Errors
/// The first setting that is not understood.
pub fn rules(settings: &Settings) -> Result<QueueRules> {
    let mut rules: HashMap<QueueName, QueueRule> = HashMap::new();
    for (name, queue) in &settings.queue {
        let wrong = |key: &str, why: String| anyhow!("queue.{name}.{key}: {why}");
        let zone = zone(&queue.time_zone).map_err(|why| wrong("time-zone", why))?;
        let hours = match queue.active.trim() {
            "" => None,
            active => Some(Hours::parse(active, zone).map_err(|why| wrong("active", why))?),
        };
        let concurrency = Some(queue.concurrency).filter(|most| *most > 0);
        rules.insert(QueueName(name.clone()), QueueRule { hours, concurrency });
    }
    // Each may take hours: those that wait would stand in the way of photos.
    let transcodes = rules.entry(QueueName(TRANSCODES.into())).or_default();
    transcodes.concurrency = transcodes.concurrency.or(Some(settings.video.at_once));
    Ok(QueueRules(rules))
}

/// Says of a queue that no pipeline has what a rule would do: nothing.
///
/// # Errors
/// The first of them, with the nearest that there is.
pub fn known_queues(settings: &Settings, pipelines: &Pipelines) -> Result<()> {
    let known: Vec<String> = pipelines.queues().into_iter().map(|queue| queue.0).collect();
    for (name, queue) in &settings.queue {
        let says_something = !queue.active.is_empty() || queue.concurrency > 0;
        if says_something && !known.contains(name) {
            bail!("queue.{name}: no pipeline has such a queue{}", hint(name, known.iter().map(String::as_str)));
        }
    }
    Ok(())
}

/// One mistake a line.
pub fn lines(mistakes: &[DefinitionError]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// `latent pipeline check`: a file, a folder, or what the settings name. Needs no server and no database.
///
/// # Errors
/// Every mistake, each with its file and line.
pub fn check(settings: &Settings, path: Option<&Path>) -> Result<()> {
    let mut checked = match path {
        Some(path) if path.is_file() => {
            let file = path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
            vec![(file.clone(), Definition::parse_all(&file, &text))]
        }
        path => {
            let mut source = source(settings);
            if let Some(path) = path {
                source.folder = path.to_path_buf();
            }
            source.read().map_err(|mistake| anyhow!("{mistake}"))?
        }
    };
    let mut mistakes = Vec::new();
    for (file, result) in &mut checked {
        match result {
            Ok(definition) => println!("{file}: in order, {} steps, {}", definition.steps.len(), definition.on.words()),
            Err(found) => mistakes.append(found),
        }
    }
    if mistakes.is_empty() { Ok(()) } else { bail!("the pipelines are not in order:\n{}", lines(&mistakes)) }
}

/// `latent pipeline explain`.
pub async fn explain(settings: &Settings, name: Option<&str>, asset: Option<AssetId>) -> Result<()> {
    let (feeder, services) = compose::feeder(settings).await?;
    let explained = explained(&feeder, name, asset).await;
    feeder.close();
    stop(services).await;
    print!("{}", explained?);
    Ok(())
}

async fn explained(feeder: &Feeder, name: Option<&str>, asset: Option<AssetId>) -> Result<String> {
    let pipelines = match name {
        Some(name) => vec![feeder.pipelines().named(name).map_err(|why| anyhow!(why))?],
        None => feeder.pipelines().all(),
    };
    let mut text = String::new();
    for pipeline in &pipelines {
        text += &match asset {
            Some(asset) => feeder.explain_asset(pipeline, asset).await?,
            None => feeder.explain(pipeline).await?,
        };
    }
    Ok(text)
}

/// `latent pipeline run`: writes the run into the database, where a server that runs finds it, and one that starts.
pub async fn run(settings: &Settings, request: &RunRequest, dry_run: bool, wait: bool) -> Result<()> {
    let (feeder, services) = compose::feeder(settings).await?;
    // Where this command had to start the services, nobody else is there.
    let is_alone = services.as_ref().is_some_and(|services| services.postgres_pid().is_some());
    if wait && is_alone {
        eprintln!("No server runs: this is not waited for.");
    }
    let ran = run_with(&feeder, request, dry_run, wait && !is_alone).await;
    feeder.close();
    stop(services).await;
    ran
}

async fn run_with(feeder: &Feeder, request: &RunRequest, dry_run: bool, wait: bool) -> Result<()> {
    if dry_run {
        println!("{} assets would be run through {:?}.", feeder.count(request).await?, request.pipeline);
        return Ok(());
    }
    let mut progress = feeder.start(request).await?;
    println!("Run {} of {:?} on {} assets.", progress.run.id, request.pipeline, progress.run.total);
    if progress.run.total > 0 && !wait {
        println!("A server does it, this one or the next that starts; `--wait` shows how far it is.");
    }
    while wait && progress.run.ended_at.is_none() && progress.left > 0 {
        tokio::time::sleep(LOOK).await;
        progress = feeder.progress(progress.run.id).await?;
        println!("{}", pace(&progress));
    }
    if wait && progress.failed > 0 {
        bail!("{} steps failed: `latent pipeline explain {}` says how they stand", progress.failed, request.pipeline);
    }
    Ok(())
}

fn pace(progress: &Progress) -> String {
    let mut text = format!("{} of {} done", progress.done(), progress.run.total);
    if let Some(per_second) = progress.per_second.filter(|pace| *pace > 0.0) {
        text += &format!(", {per_second:.1} a second");
    }
    if let Some(seconds) = progress.seconds_left() {
        text += &format!(", {} s left", seconds);
    }
    if progress.failed > 0 {
        text += &format!(", {} steps failed", progress.failed);
    }
    text
}

async fn stop(services: Option<Services>) {
    if let Some(services) = services {
        let _ = tokio::task::spawn_blocking(move || services.stop()).await;
    }
}
