//! libonnxruntime.so, loaded once per process, and the memory that it leaves behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::environment::Environment;
use ort::logging::LogLevel;
use parking_lot::Mutex;

use crate::InferenceError;

static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// The C library serves blocks from here on by mapping them, so that they go back to the system when they are freed.
const MAPPED_FROM: libc::c_int = 4 << 20;
/// Free memory at the end of each heap that the C library keeps; every thread may have a heap.
const KEPT: libc::c_int = 1 << 20;

/// The one environment of this process. The library that came first stays: a process can hold only one.
pub(crate) fn environment(path: &Path) -> Result<Environment, InferenceError> {
    let mut loaded = LOADED.lock();
    if let Some((first, environment)) = &*loaded {
        if first != path {
            tracing::debug!(library = %first.display(), "ONNX Runtime is loaded already, from another path");
        }
        return Ok(environment.clone());
    }
    let environment = load(path)?;
    tame_allocator();
    *loaded = Some((path.to_owned(), environment.clone()));
    Ok(environment)
}

/// Gives freed memory back to the system: ONNX Runtime allocates with the C library, which otherwise keeps it.
pub(crate) fn return_memory() {
    // SAFETY: malloc_trim takes no pointer and may be called from any thread at any time.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Without this the C library learns to keep blocks of up to 32 MiB: of closed models' memory, 50 MB stayed (measured).
fn tame_allocator() {
    // SAFETY: mallopt takes no pointer; it changes thresholds only, for what is allocated from now on.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}

fn load(path: &Path) -> Result<Environment, InferenceError> {
    let fail = |reason: String| InferenceError::Library { path: path.to_owned(), reason };
    if !path.exists() {
        return Err(fail("there is no such file".to_owned()));
    }
    let builder = ort::init_from(path).map_err(|error| fail(error.to_string()))?;
    let environment = builder
        .with_name("latent")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|error| fail(error.to_string()))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// ONNX Runtime warns of what a graph could do better, which an operator cannot change: only its errors are loud.
fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => tracing::warn!(category, location, "ONNX Runtime: {message}"),
        _ => tracing::debug!(category, location, "ONNX Runtime: {message}"),
    }
}
