//! Named points between two durable actions, where a test kills the process. Off unless `LATENT_FAILPOINT` names one.

use std::sync::LazyLock;

/// Every point of upload and ingest, in their order.
pub const ALL: &[&str] = &[
    "upload.received",
    "upload.intent",
    "upload.put",
    "upload.located",
    "upload.committed",
    "outbox.pushed",
    "ingest.claimed",
    "ingest.metadata-saved",
    "ingest.preview-put",
    "ingest.thumbnail-put",
    "ingest.derivatives-saved",
    "ingest.step-saved",
];

static CHOSEN: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("LATENT_FAILPOINT").ok());

/// Ends the process, as a power cut would, when this point is the chosen one.
pub fn hit(point: &'static str) {
    debug_assert!(ALL.contains(&point), "{point} is not in failpoint::ALL");
    if CHOSEN.as_deref() == Some(point) {
        std::process::abort();
    }
}
