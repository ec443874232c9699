//! Named points between two durable actions, where a test kills the process. Off unless `LATENT_FAILPOINT` names one: `point`
//! means its first hit, `point@3` its third.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Every point of upload and ingest, in their order. The suite kills a server at each while it takes in one photo.
pub const ALL: &[&str] = &[
    "upload.received",
    "upload.intent",
    "upload.put",
    "upload.located",
    "upload.committed",
    "outbox.opened",
    "outbox.pushed",
    "ingest.claimed",
    "ingest.started",
    "ingest.metadata-saved",
    "ingest.thumbnailing",
    "ingest.preview-put",
    "ingest.thumbnail-put",
    "ingest.derivatives-saved",
    "ingest.colours-saved",
    "ingest.faces-saved",
    "ingest.embedding-saved",
    "ingest.step-saved",
    "ingest.handed-over",
    "ingest.ended",
];

/// Points that other walks reach: people, dates that are corrected, what goes for ever, videos, and accounts.
pub const BEYOND: &[&str] = &[
    "person.thumbnail-cut",
    "person.thumbnail-put",
    "relocate.intent",
    "relocate.put",
    "relocate.located",
    "relocate.committed",
    "move.intent",
    "move.put",
    "move.located",
    "move.committed",
    "delete.committed",
    "sweep.deleted",
    "motion.intent",
    "motion.put",
    "motion.located",
    "motion.committed",
    "transcode.started",
    "transcode.intent",
    "transcode.put",
    "transcode.located",
    "transcode.saved",
    "user.assets-gone",
];

struct Chosen {
    point: String,
    hits_left: AtomicU32,
}

static CHOSEN: LazyLock<Option<Chosen>> = LazyLock::new(|| {
    let text = std::env::var("LATENT_FAILPOINT").ok()?;
    let (point, hits) = text.split_once('@').unwrap_or((&text, "1"));
    let hits_left = AtomicU32::new(hits.parse().unwrap_or(1));
    Some(Chosen { point: point.to_owned(), hits_left })
});

/// Ends the process, as a power cut would, when this point is the chosen one and was hit often enough.
pub fn hit(point: &'static str) {
    debug_assert!(ALL.contains(&point) || BEYOND.contains(&point), "{point} is in no list of fail-points");
    if let Some(chosen) = &*CHOSEN
        && chosen.point == point
        && chosen.hits_left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}
