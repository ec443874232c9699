//! One pipeline on one asset: the steps of one queue that are due, in their order. What is read or decoded is read once; other
//! queues go on in jobs of their own, so that a queue that is paused holds only its own steps.

use std::sync::LazyLock;

use bytes::Bytes;
use gallery::{Gallery, GalleryError, Looker, Plugins, failpoint};
use media::{Limits, Pixels, ThumbnailSpec};
use plugin_host::PluginError;
use serde_json::{Map, Value};
use store::assets::{Asset, AssetChanges};
use store::steps::StepResult;
use tokio::sync::Semaphore;
use types::{AssetId, AssetType, Job, JobId, JobKind, Priority, QueueName};

use crate::darkroom::Darkroom;
use crate::definition::{Definition, Settable, Step, Use};
use crate::plan::Plan;
use crate::settle::{Failure, Outcome};
use crate::trigger::Trigger;

/// What a run needs beside the asset.
pub struct Tools {
    pub gallery: Gallery,
    pub spec: ThumbnailSpec,
    pub limits: Limits,
    pub darkroom: Darkroom,
}

/// What a run asks for.
pub struct Request<'a> {
    pub pipeline: &'a Definition,
    pub asset: AssetId,
    /// Empty: every step that is due.
    pub steps: &'a [String],
    /// Also where a result of the same recipe is there.
    pub force: bool,
    /// Whose steps are run.
    pub queue: &'a QueueName,
    pub priority: Priority,
    /// The first is 1.
    pub attempt: u32,
}

/// A step that may succeed later.
#[derive(Debug)]
pub struct Later {
    pub step: String,
    pub error: String,
    pub retry: crate::Retry,
}

/// What the steps of a run share.
#[derive(Default)]
pub struct Seen {
    original: Option<Bytes>,
    pub(crate) preview: Option<Pixels>,
    /// How steps before this one ended.
    steps: Map<String, Value>,
    /// The step that is run.
    pub(crate) step: String,
}

/// Processes that began a step and died, after which the file is taken for what kills them.
const STARTS: i32 = 3;

/// This process, among those that begin steps.
static PROCESS: LazyLock<JobId> = LazyLock::new(JobId::generate);

/// What was in hand when a process died is begun again one at a time: so the innocent beside a file that kills are not counted
/// with it each time.
static SUSPECTS: Semaphore = Semaphore::const_new(1);

impl Tools {
    /// Runs what is due in this queue, then hands over to others. An asset that is gone needs nothing.
    pub async fn run(&self, request: &Request<'_>) -> Result<(), Later> {
        let first = &request.pipeline.steps[0];
        let later =
            |error: GalleryError| Later { step: first.id.clone(), error: error.to_string(), retry: first.retry };
        let pipeline = &request.pipeline.name;
        if matches!(request.pipeline.on, Trigger::Deleted) {
            return self.run_deleted(request).await;
        }
        let Some(mut asset) = self.gallery.for_ingest(request.asset).await.map_err(later)? else { return Ok(()) };
        let progress = self.gallery.store().progress(asset.id, pipeline).await;
        let progress = progress.map_err(|error| later(error.into()))?;
        let plugins = self.gallery.plugins();
        let mut plan = Plan::new(request, &progress.results, &plugins, &self.spec);
        let mut seen = Seen::default();
        while let Some((step, recipe)) = plan.next(request.queue) {
            let later =
                |error: GalleryError| Later { step: step.id.clone(), error: error.to_string(), retry: step.retry };
            let before = progress.starts.iter().find(|(id, _)| *id == step.id).map_or(0, |(_, starts)| *starts);
            seen.steps = plan.statuses().clone();
            let ended = self.survived(request, step, before, &asset, &mut seen, &plugins).await?;
            let status = self.write_down(request, step, recipe, &asset, ended).await.map_err(later)?;
            failpoint::hit("ingest.step-saved");
            if progress.is_new && step.uses == Use::Thumbnails {
                self.gallery.announce(&asset, pipeline).await.map_err(later)?;
            }
            plan.end(step, status);
            // What one step found, the condition of the next may ask for.
            match self.gallery.for_ingest(request.asset).await {
                Ok(Some(fresh)) => asset = fresh,
                Ok(None) => return Ok(()),
                Err(error) => return Err(later(error)),
            }
        }
        self.skip_what_does_not_concern(request, &mut plan, &asset).await.map_err(later)?;
        let is_handed_over = self.hand_over(request, &plan).await.map_err(later)?;
        if let Some(round) = progress.round.filter(|_| !is_handed_over) {
            let closed = self.gallery.store().close_asset(asset.id, pipeline, &plan.wanted(), round).await;
            closed.map_err(|error| later(error.into()))?;
        }
        failpoint::hit("ingest.ended");
        Ok(())
    }

    /// The step, unless it has ended processes before; that it began is written down, so that the next one knows.
    async fn survived(
        &self,
        request: &Request<'_>,
        step: &Step,
        before: i32,
        asset: &Asset,
        seen: &mut Seen,
        plugins: &Plugins,
    ) -> Result<Outcome, Later> {
        let later = |error: String| Later { step: step.id.clone(), error, retry: step.retry };
        let suspect =
            if before > 0 { Some(SUSPECTS.acquire().await.map_err(|error| later(error.to_string()))?) } else { None };
        let (store, pipeline) = (self.gallery.store(), &request.pipeline.name);
        let starts = store.start_step(asset.id, pipeline, &step.id, PROCESS.0).await;
        if starts.map_err(|error| later(error.to_string()))? > STARTS {
            return Ok(Outcome::Impossible(format!(
                "the server died {STARTS} times while it worked on this file, so it is left alone; start the step again to try it"
            )));
        }
        failpoint::hit("ingest.started");
        let ended = self.settled(step, asset, seen, plugins, request.attempt).await;
        drop(suspect);
        let failure = match ended {
            Ok(outcome) => return Ok(outcome),
            Err(failure) => failure.to_string(),
        };
        // It stays due; from the last try on its owner sees why.
        let shown = (request.attempt >= step.retry.attempts).then_some(&*failure);
        if let Err(error) = store.pause_step(asset.id, pipeline, &step.id, shown).await {
            tracing::warn!(asset.id = %asset.id, step = step.id, %error, "Cannot write down that a step is to be tried again");
        }
        Err(later(failure))
    }

    pub(crate) async fn write_down(
        &self,
        request: &Request<'_>,
        step: &Step,
        recipe: String,
        asset: &Asset,
        ended: Outcome,
    ) -> Result<&'static str, GalleryError> {
        let (status, error) = match ended {
            Outcome::Done => ("done", None),
            Outcome::Skipped => ("skipped", None),
            Outcome::Impossible(why) => ("failed", Some(why)),
        };
        let result = StepResult { step: step.id.clone(), recipe, status: status.into() };
        if let Some(error) = &error {
            tracing::warn!(asset.id = %asset.id, step = step.id, error, "A step cannot be done on an asset");
        }
        self.gallery.store().save_step(asset.id, &request.pipeline.name, &result, error.as_deref()).await?;
        Ok(status)
    }

    /// One job for each queue that can go on. A crash before this job is acknowledged pushes them twice, which does no harm.
    /// `false`: there was nothing to hand over.
    async fn hand_over(&self, request: &Request<'_>, plan: &Plan<'_>) -> Result<bool, GalleryError> {
        let named = request.force || !request.steps.is_empty();
        let jobs: Vec<Job> = plan
            .others(request.queue)
            .into_iter()
            .map(|queue| Job {
                id: JobId::generate(),
                queue,
                priority: request.priority,
                kind: JobKind::Pipeline {
                    pipeline: request.pipeline.name.clone(),
                    asset: request.asset,
                    // What this run has forced must not be forced again.
                    steps: if named { plan.left() } else { Vec::new() },
                    force: request.force,
                },
                attempt: 0,
            })
            .collect();
        if !jobs.is_empty() {
            self.gallery.queue().push(&jobs).await?;
            failpoint::hit("ingest.handed-over");
        }
        Ok(!jobs.is_empty())
    }

    pub(crate) async fn step(
        &self,
        step: &Step,
        asset: &Asset,
        seen: &mut Seen,
        plugins: &Plugins,
    ) -> Result<Outcome, Failure> {
        if let Some(condition) = &step.when {
            let mut facts = self.gallery.facts(asset, condition.asked).await?;
            if condition.asked.findings {
                facts["findings"]["steps"] = Value::Object(seen.steps.clone());
            }
            if !condition.holds(&facts).map_err(Failure::Condition)? {
                return Ok(Outcome::Skipped);
            }
        }
        seen.step.clone_from(&step.id);
        let outcome = match &step.uses {
            Use::Metadata if asset.kind == AssetType::Video => self.video_metadata(asset).await?,
            Use::Thumbnails if asset.kind == AssetType::Video => self.video_thumbnails(asset, seen).await?,
            Use::Metadata => self.metadata(asset, seen).await?,
            Use::Thumbnails => self.thumbnails(asset, seen).await?,
            Use::Set(settable) => self.set(settable, asset).await?,
            Use::Log(message) => {
                log(message, asset.id, &step.id);
                Outcome::Done
            }
            Use::Plugin(name) => self.plugin(name, asset, seen, plugins).await?,
        };
        metrics::counter!("latent_steps_total", "step" => step.id.clone()).increment(1);
        Ok(outcome)
    }

    async fn set(&self, settable: &Settable, asset: &Asset) -> Result<Outcome, GalleryError> {
        let changes = AssetChanges {
            is_favorite: settable.favorite,
            visibility: settable.visibility,
            rating: settable.rating.map(Some),
            ..AssetChanges::default()
        };
        self.gallery.set_by_pipeline(asset, &changes).await?;
        Ok(Outcome::Done)
    }

    async fn original<'a>(&self, asset: &Asset, seen: &'a mut Seen) -> Result<&'a Bytes, GalleryError> {
        match &mut seen.original {
            Some(bytes) => Ok(bytes),
            original => Ok(original.insert(self.gallery.original_bytes(asset).await?)),
        }
    }

    async fn metadata(&self, asset: &Asset, seen: &mut Seen) -> Result<Outcome, GalleryError> {
        if asset.kind != AssetType::Image {
            self.gallery.save_metadata(asset, media::Metadata::default(), None).await?;
            return Ok(Outcome::Done);
        }
        let bytes = self.original(asset, seen).await?.clone();
        let read = bytes.clone();
        let (metadata, motion) = self
            .darkroom
            .run(move || {
                let motion = media::motion_video(&read).map(|range| read.slice(range));
                (media::metadata(&read), motion)
            })
            .await?;
        self.gallery.save_metadata(asset, metadata, None).await?;
        if let Some(video) = motion.filter(|_| asset.live_photo_video.is_none()) {
            self.gallery.keep_motion_video(asset, video).await?;
        }
        Ok(Outcome::Done)
    }

    async fn thumbnails(&self, asset: &Asset, seen: &mut Seen) -> Result<Outcome, GalleryError> {
        let bytes = self.original(asset, seen).await?.clone();
        let (spec, limits) = (self.spec.clone(), self.limits.clone());
        let made = self.darkroom.run(move || {
            failpoint::hit("ingest.thumbnailing");
            media::thumbnails(&bytes, &spec, &limits)
        });
        match made.await? {
            Ok(made) => {
                self.gallery.save_thumbnails(asset, &made).await?;
                self.gallery.search().save_colours(asset.id, &made.pixels).await?;
                seen.preview = Some(made.pixels);
                Ok(Outcome::Done)
            }
            Err(error) => Ok(Outcome::Impossible(error.to_string())),
        }
    }

    /// What the plugin's world exports decides what happens.
    pub(crate) async fn plugin(
        &self,
        name: &str,
        asset: &Asset,
        seen: &mut Seen,
        plugins: &Plugins,
    ) -> Result<Outcome, Failure> {
        let looker = plugins.named(name).ok_or_else(|| Failure::Missing(name.to_owned()))?;
        if let Looker::Transcoder(transcoder) = &looker {
            return self.transcode(transcoder, asset, &seen.step).await;
        }
        let Some(preview) = self.preview(asset, seen).await? else { return Ok(Outcome::Skipped) };
        let failed = |error| Failure::Plugin { id: looker.plugin().manifest().id.clone(), error };
        let nothing = || failed(PluginError::Other("it gave no result".into()));
        match &looker {
            Looker::Faces(detector) => {
                let mut found = detector.detect(vec![preview]).await.map_err(failed)?;
                let faces = found.pop().ok_or_else(nothing)?.map_err(failed)?;
                self.gallery.people().save_faces(asset.id, &gallery::plugins::face_space(detector), &faces).await?;
            }
            Looker::Embedder(embedder) => {
                let mut vectors = embedder.embed_images(vec![preview]).await.map_err(failed)?;
                let vector = vectors.pop().ok_or_else(nothing)?.map_err(failed)?;
                let space = gallery::plugins::embedding_space(embedder);
                self.gallery.search().save_embedding(asset.id, &space, &vector).await?;
            }
            // It looks at the original, see above.
            Looker::Transcoder(_) => {}
        }
        Ok(Outcome::Done)
    }

    /// The pixels that all plugins of a run look at: those of the preview, which is decoded once. `None`: there is no preview,
    /// because there is nothing to be seen.
    async fn preview(&self, asset: &Asset, seen: &mut Seen) -> Result<Option<Pixels>, GalleryError> {
        if let Some(pixels) = &seen.preview {
            return Ok(Some(pixels.clone()));
        }
        let Some(bytes) = self.gallery.preview_bytes(asset).await? else { return Ok(None) };
        let limits = self.limits.clone();
        let pixels = self.darkroom.run(move || media::decode(&bytes, None, &limits)).await?;
        let pixels =
            pixels.map_err(|error| GalleryError::Invalid(format!("the stored preview cannot be used: {error}")))?;
        Ok(Some(seen.preview.insert(pixels).clone()))
    }
}

/// What `host:log` writes. No names: the log is not for them.
pub fn log(message: &str, asset: AssetId, step: &str) {
    tracing::info!(asset.id = %asset, step, message, "A pipeline says");
}
