//! `latent admin`: what an operator does to a library. Works beside a running server, or without one.

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use gallery::moving::{Kind, Move, Moved, Plan, Progress};
use gallery::{Gallery, GallerySettings, Parts};
use indicatif::{ProgressBar, ProgressStyle};
use plugin_host::{ByteSize, HostConfig, Lent, PluginHost, Time};
use runtime::Services;
use types::SystemClock;

use crate::plugin_state::PluginState;
use crate::{Role, Settings, compose, storage};

/// How often a line says how far a move is, where nobody watches a bar.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What `latent admin storage move` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct MoveArgs {
    /// The backend that the objects are in: the name of a [storage.backend.NAME].
    #[arg(long)]
    pub from: String,
    /// The backend that they go to. A running server has to know it too: write it into the settings and restart first.
    #[arg(long)]
    pub to: String,
    /// Only these; all unless said.
    #[arg(long = "class", value_enum)]
    pub classes: Vec<Class>,
    /// At most so many bytes a second: 50MiB/s.
    #[arg(long, value_parser = rate)]
    pub rate: Option<u64>,
    /// Objects under way at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub at_once: u16,
    /// How long to wait for a storage or a database that is away before stopping.
    #[arg(long, default_value = "1m", value_parser = patience)]
    pub patience: Duration,
    /// Says what would move, and moves nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What moves together.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Class {
    Original,
    Derivative,
    EncodedVideo,
}

impl From<Class> for Kind {
    fn from(class: Class) -> Self {
        match class {
            Class::Original => Self::Originals,
            Class::Derivative => Self::Derivatives,
            Class::EncodedVideo => Self::EncodedVideos,
        }
    }
}

fn rate(text: &str) -> Result<u64, String> {
    let size: ByteSize = text.strip_suffix("/s").unwrap_or(text).parse()?;
    if size.0 == 0 { Err("it would never end".into()) } else { Ok(size.0) }
}

fn patience(text: &str) -> Result<Duration, String> {
    Ok(text.parse::<Time>()?.0)
}

/// Moves objects between backends, with a bar or lines of progress on standard error and a summary on standard output.
///
/// # Errors
/// Something stays where it was; what and why was printed.
pub async fn move_storage(settings: &Settings, args: &MoveArgs) -> Result<()> {
    let (gallery, services) = attach(settings).await?;
    let done = moved(&gallery, args).await;
    end(services).await?;
    done
}

async fn moved(gallery: &Gallery, args: &MoveArgs) -> Result<()> {
    let what: HashSet<Kind> = match args.classes.is_empty() {
        true => Kind::ALL.into(),
        false => args.classes.iter().map(|class| Kind::from(*class)).collect(),
    };
    let order = Move {
        from: args.from.clone(),
        to: args.to.clone(),
        what,
        at_once: args.at_once.into(),
        rate: args.rate,
        patience: args.patience,
    };
    let plan = gallery.plan_move(&order).await?;
    let (objects, bytes) = print_plan(&plan, args);
    if args.dry_run {
        return Ok(());
    }
    if plan.free.is_some_and(|free| free < bytes) {
        bail!("{} has less room than that. Nothing was moved", args.to);
    }
    let progress = Progress::default();
    let work = gallery.move_objects(&order, &progress);
    let done = if std::io::stderr().is_terminal() {
        with_bar(objects, &progress, work).await?
    } else {
        with_lines(objects, &progress, work).await?
    };
    summary(&done)
}

fn print_plan(plan: &Plan, args: &MoveArgs) -> (u64, u64) {
    let (mut objects, mut bytes) = (0, 0);
    for (kind, held) in &plan.held {
        let name = match kind {
            Kind::Originals => "originals",
            Kind::Derivatives => "previews and thumbnails",
            Kind::EncodedVideos => "encoded videos",
        };
        let (count, size) = (held.objects.max(0) as u64, held.bytes.max(0) as u64);
        println!("{count:>9} {name}, {}", human(size));
        objects += count;
        bytes += size;
    }
    let free = plan.free.map_or_else(|| "says nothing of its room".into(), |free| format!("has {} free", human(free)));
    println!("{objects:>9} objects, {}, from {} to {}, which {free}", human(bytes), args.from, args.to);
    (objects, bytes)
}

fn summary(done: &Moved) -> Result<()> {
    for failure in &done.failures {
        println!("stays: {} at {}: {}", failure.what, failure.location, failure.why);
    }
    println!("moved {} objects, {}", done.objects, human(done.bytes));
    let stay = done.failures.len();
    if let Some(why) = &done.stopped {
        bail!("stopped: {why}. What has moved stays moved: the same command goes on from there");
    }
    ensure!(stay == 0, "{stay} objects stay where they were, as said above; the same command tries them again");
    Ok(())
}

async fn with_bar<T>(objects: u64, progress: &Progress, work: impl Future<Output = T>) -> T {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} objects, {msg}, {eta} left");
    let bar = ProgressBar::new(objects).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let done = beside(Duration::from_millis(200), work, || {
        let moved = progress.objects.load(Ordering::Relaxed);
        // Others may have added some since they were counted.
        bar.set_length(objects.max(moved));
        bar.set_position(moved);
        bar.set_message(said(progress));
    })
    .await;
    bar.finish_and_clear();
    done
}

async fn with_lines<T>(objects: u64, progress: &Progress, work: impl Future<Output = T>) -> T {
    let say = || {
        let moved = progress.objects.load(Ordering::Relaxed);
        eprintln!("{moved} of {objects} objects, {}", said(progress));
    };
    beside(SAY_EVERY, work, say).await
}

fn said(progress: &Progress) -> String {
    let bytes = human(progress.bytes.load(Ordering::Relaxed));
    match progress.failed.load(Ordering::Relaxed) {
        0 => bytes,
        failed => format!("{bytes}, {failed} failed"),
    }
}

/// Says something every now and then until the work has ended.
async fn beside<T>(every: Duration, work: impl Future<Output = T>, say: impl Fn()) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(every) => say(),
        }
    }
}

/// One line a backend: its plugin, what it holds, its room, and what is wrong with it.
///
/// # Errors
/// One of them cannot be used.
pub async fn check_storage(settings: &Settings) -> Result<()> {
    let (gallery, services) = attach(settings).await?;
    let backends = gallery.backends().await;
    end(services).await?;
    let mut wrong = 0;
    for backend in &backends {
        let held = format!("{} objects, {}", backend.objects, human(backend.bytes));
        let free = backend.usage.map_or_else(String::new, |(_, free)| format!(", {} free", human(free)));
        let state = match &backend.error {
            None => "in order".to_owned(),
            Some(why) => {
                wrong += 1;
                why.clone()
            }
        };
        println!("{}: {held}{free}: {state}", backend.name);
    }
    ensure!(wrong == 0, "{wrong} of {} backends cannot be used", backends.len());
    Ok(())
}

/// The library of these settings, with the services of a running server or its own.
async fn attach(settings: &Settings) -> Result<(Gallery, Option<Services>)> {
    let services = compose::services(settings, Role::Work).await?;
    let (store, queue) = compose::connect(settings, services.as_ref()).await?;
    let config = HostConfig { cache_dir: settings.plugin_host.cache.clone(), threads: settings.plugin_host.threads };
    let kv = Arc::new(PluginState(store.clone()));
    let host = PluginHost::lending(&config, Lent { kv: Some(kv), ..Lent::default() })?;
    let blobs = storage::open(settings, &store, &host, true).await?;
    let gallery = Gallery::new(Parts {
        store,
        blobs: Arc::new(blobs),
        queue,
        clock: Arc::new(SystemClock),
        settings: GallerySettings { lease: Duration::from_secs(settings.uploads.lease), ..GallerySettings::default() },
    });
    Ok((gallery, services))
}

async fn end(services: Option<Services>) -> Result<()> {
    if let Some(services) = services {
        tokio::task::spawn_blocking(move || services.stop()).await.context("the services did not stop in order")?;
    }
    Ok(())
}

/// `1.5 GiB`.
fn human(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
