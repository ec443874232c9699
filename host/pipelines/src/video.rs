//! The steps of a video: what the camera wrote, a frame that stands for it, and what is played.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gallery::{GalleryError, failpoint};
use media::video::{Cancel, Made, Output, Transcode, VideoError, VideoInfo};
use plugin_host::Transcoder;
use store::assets::Asset;

use crate::plan::Plan;
use crate::run::{Request, Seen, Tools};
use crate::settle::{Failure, Outcome};

/// How often a transcode says how far it is, and whether the video is still there is asked.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How often the log is told.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// A failure of ffmpeg as the end of a step, or as something to be tried again.
fn ended(error: VideoError) -> Result<Outcome, GalleryError> {
    match error {
        VideoError::Machine { source, .. } => Err(GalleryError::Io(source)),
        VideoError::Cancelled => Err(GalleryError::Io(std::io::ErrorKind::TimedOut.into())),
        other => Ok(Outcome::Impossible(other.to_string())),
    }
}

/// What the owner of a video is told where there is no ffmpeg.
fn without_tools(error: GalleryError) -> Result<Outcome, GalleryError> {
    match error {
        GalleryError::Invalid(why) => Ok(Outcome::Impossible(why)),
        other => Err(other),
    }
}

impl Tools {
    pub(crate) async fn video_metadata(&self, asset: &Asset) -> Result<Outcome, GalleryError> {
        let work = match self.gallery.video() {
            Ok(work) => work,
            Err(error) => {
                self.gallery.save_metadata(asset, media::Metadata::default(), None).await?;
                return without_tools(error);
            }
        };
        let file = self.gallery.original_file(asset).await?;
        let info = match work.look(move |tools, cancel| tools.probe(&file, cancel)).await {
            Ok(info) => info,
            Err(error) => {
                let outcome = ended(error)?;
                self.gallery.save_metadata(asset, media::Metadata::default(), None).await?;
                return Ok(outcome);
            }
        };
        let shown = info.video().and_then(|stream| Some((stream.upright()?, stream.frame_rate)));
        self.gallery.save_video_info(asset, &info).await?;
        self.gallery.save_metadata(asset, info.metadata(), shown).await?;
        Ok(info.complaint.map_or(Outcome::Done, Outcome::Impossible))
    }

    pub(crate) async fn video_thumbnails(&self, asset: &Asset, seen: &mut Seen) -> Result<Outcome, GalleryError> {
        let work = match self.gallery.video() {
            Ok(work) => work,
            Err(error) => return without_tools(error),
        };
        let (file, spec) = (self.gallery.original_file(asset).await?, self.spec.clone());
        let made = work.look(move |tools, cancel| {
            let info = tools.probe(&file, cancel)?;
            tools.thumbnails(&file, &info, &spec, cancel)
        });
        let made = match made.await {
            Ok(made) => made,
            Err(error) => return ended(error),
        };
        self.gallery.save_thumbnails(asset, &made).await?;
        self.gallery.search().save_colours(asset.id, &made.pixels).await?;
        seen.preview = Some(made.pixels);
        Ok(Outcome::Done)
    }

    /// The plugin says what a video needs; it is made and kept. Where the original serves, what was made before goes.
    pub(crate) async fn transcode(
        &self,
        transcoder: &Transcoder,
        asset: &Asset,
        step: &str,
    ) -> Result<Outcome, Failure> {
        let work = match self.gallery.video() {
            Ok(work) => work,
            Err(error) => return Ok(without_tools(error)?),
        };
        let file = self.gallery.original_file(asset).await?;
        let probed = file.clone();
        let info = match work.look(move |tools, cancel| tools.probe(&probed, cancel)).await {
            Ok(info) => info,
            Err(error) => return Ok(ended(error)?),
        };
        let extension = asset.file_name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        let failed = |error| Failure::Plugin { id: transcoder.plugin().manifest().id.clone(), error };
        let mut outputs = transcoder.plan(&info, &extension).await.map_err(failed)?;
        let Some(output) = outputs.pop() else {
            self.gallery.forget_encoded(asset).await?;
            return Ok(Outcome::Done);
        };
        let made = self.watched(asset, step, (file, info, output.clone())).await?;
        let (made, result) = match made {
            Ok(made) => made,
            // Whoever deleted it wants nothing of it.
            Err(VideoError::Cancelled) => return Ok(Outcome::Skipped),
            Err(error) => return Ok(ended(error)?),
        };
        if let Some(why) = &made.fallback {
            tracing::warn!(asset.id = %asset.id, why, "The encoder in hardware failed, so a video was encoded without it");
        }
        self.gallery.save_encoded(asset, &output, result, made.len).await?;
        Ok(Outcome::Done)
    }

    /// Transcodes, writes down how far it is, and stops where the video is deleted meanwhile.
    async fn watched(
        &self,
        asset: &Asset,
        step: &str,
        (file, info, output): (Arc<std::fs::File>, VideoInfo, Output),
    ) -> Result<Result<(Made, std::fs::File), VideoError>, GalleryError> {
        let work = self.gallery.video()?;
        let (result, folder) = (work.scratch.file()?, work.scratch.folder()?);
        let (cancel, part) = (Cancel::default(), Arc::new(AtomicU64::new(0)));
        let told = part.clone();
        let running = work.transcode(cancel.clone(), move |tools, cancel| {
            failpoint::hit("transcode.started");
            let work = Transcode { input: &file, info: &info, output: &output, into: &result, folder: folder.path() };
            let mut progress = |part: f64| told.store(part.to_bits(), Ordering::Relaxed);
            Ok((tools.transcode(&work, cancel, &mut progress)?, result))
        });
        tokio::pin!(running);
        let (begun, mut logged) = (Instant::now(), Instant::now());
        let mut tick = tokio::time::interval(TELL_EVERY);
        tick.tick().await;
        loop {
            tokio::select! {
                made = &mut running => {
                    if let Ok((made, _)) = &made {
                        let took = begun.elapsed();
                        tracing::info!(asset.id = %asset.id, bytes = made.len, ?took, with = ?made.acceleration, "Transcoded a video");
                        metrics::histogram!("latent_transcode_seconds").record(took.as_secs_f64());
                    }
                    return Ok(made);
                }
                _ = tick.tick() => {
                    let part = f64::from_bits(part.load(Ordering::Relaxed));
                    match self.gallery.store().step_progress(asset.id, step, part as f32).await {
                        Ok(true) => {}
                        Ok(false) => {
                            tracing::info!(asset.id = %asset.id, "A video was deleted while it was transcoded");
                            cancel.cancel();
                        }
                        Err(error) => tracing::warn!(%error, "Cannot write down how far a transcode is"),
                    }
                    if logged.elapsed() > LOG_EVERY {
                        logged = Instant::now();
                        let percent = (part * 100.0).round();
                        tracing::info!(asset.id = %asset.id, percent, "Transcoding a video");
                    }
                }
            }
        }
    }

    /// What a condition rules out is written down here: a job of another queue for that would cost more than the condition.
    pub(crate) async fn skip_what_does_not_concern(
        &self,
        request: &Request<'_>,
        plan: &mut Plan<'_>,
        asset: &Asset,
    ) -> Result<(), GalleryError> {
        for (step, recipe) in plan.ready_elsewhere(request.queue) {
            // What is asked of findings may not be found yet.
            let Some(condition) = step.when.as_ref().filter(|condition| !condition.asked.findings) else { continue };
            let facts = self.gallery.facts(asset, condition.asked).await?;
            if condition.holds(&facts) == Ok(false) {
                let status = self.write_down(request, step, recipe, asset, Outcome::Skipped).await?;
                plan.end(step, status);
            }
        }
        Ok(())
    }
}
