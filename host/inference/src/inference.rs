//! The door of the room: which models there are, and which of them are open.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use crate::manifest::{self, Manifest};
use crate::model::Model;
use crate::weights::Weights;
use crate::{InferenceError, library};

/// How models are found and run.
#[derive(Debug, Clone)]
pub struct InferenceConfig {
    /// libonnxruntime.so.
    pub library: PathBuf,
    /// Folders searched for a model's files, as `<model>/<file>`, `<file>` or `<sha256>`.
    pub weights: Vec<PathBuf>,
    /// A folder of manifests that replaces the built-in ones; empty: the built-in ones.
    pub manifests: PathBuf,
    /// Where fetched files go, as `<model>/<file>`; searched too.
    pub downloads: PathBuf,
    /// Threads of one run. 1 unless there are more cores than work.
    pub threads: usize,
    /// Runs of one model at once.
    pub parallel: usize,
    /// A model that nobody ran for this long gives its memory back at the next [`Inference::unload_idle`].
    pub idle_unload: Duration,
    /// `cpu`, `cuda`, `openvino` or `coreml`; what the machine or the library lacks falls back to `cpu`, saying so once.
    pub provider: String,
}

impl Default for InferenceConfig {
    fn default() -> Self {
        Self {
            library: "libonnxruntime.so".into(),
            weights: Vec::new(),
            manifests: PathBuf::new(),
            downloads: std::env::temp_dir().join("latent-models"),
            threads: 1,
            parallel: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            idle_unload: Duration::from_secs(300),
            provider: "cpu".to_owned(),
        }
    }
}

/// Models by name. Cheap to make: the library is loaded with the first model.
pub struct Inference {
    shared: Arc<Shared>,
    manifests: Vec<Manifest>,
    models: Mutex<HashMap<String, Arc<OnceCell<Arc<Model>>>>>,
}

/// What every model needs.
pub(crate) struct Shared {
    pub config: InferenceConfig,
    pub weights: Weights,
    /// Runs of all models at once: as many as the cores can serve.
    pub permits: Arc<Semaphore>,
}

impl Inference {
    /// Reads the manifests; opens nothing.
    pub fn new(config: InferenceConfig) -> Result<Arc<Self>, InferenceError> {
        let manifests = manifest::load(&config.manifests)?;
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let at_once = config.parallel.max(cores / config.threads.max(1)).max(1);
        let weights = Weights::new(config.weights.clone(), config.downloads.clone());
        let shared = Arc::new(Shared { config, weights, permits: Arc::new(Semaphore::new(at_once)) });
        Ok(Arc::new(Self { shared, manifests, models: Mutex::default() }))
    }

    /// All models that are described, by name, whether they are here or not.
    pub fn manifests(&self) -> Vec<&Manifest> {
        self.manifests.iter().collect()
    }

    /// A handle to a model. The first call fetches and verifies its files and opens it, on a blocking thread.
    pub async fn model(&self, name: &str) -> Result<Arc<Model>, InferenceError> {
        let manifest = self.manifest(name)?;
        let cell = Arc::clone(self.models.lock().entry(name.to_owned()).or_default());
        cell.get_or_try_init(|| self.open(manifest)).await.cloned()
    }

    /// Closes the models that nobody ran for `idle_unload`. Their handles stay good: the next run opens them again.
    /// Whoever composes the server calls this every few seconds.
    pub fn unload_idle(&self) {
        let idle = self.shared.config.idle_unload;
        let closed = self.opened().iter().filter(|model| model.unload_if_idle(idle)).count();
        if closed > 0 {
            library::return_memory();
        }
    }

    /// The open models, and the bytes of their weights. What ONNX Runtime takes beside them depends on the inputs.
    pub fn resident(&self) -> Vec<(String, u64)> {
        let mut resident: Vec<_> = self
            .opened()
            .iter()
            .filter(|model| model.is_open())
            .map(|model| (model.name().to_owned(), model.weight_bytes()))
            .collect();
        resident.sort();
        resident
    }

    /// Are all files of this model here? Looks at names and sizes only; [`Inference::verify`] reads them.
    pub fn is_here(&self, name: &str) -> Result<bool, InferenceError> {
        Ok(self.shared.weights.is_complete(self.manifest(name)?))
    }

    /// Fetches the files of a model that are not here. `progress` gets the bytes done and the bytes in all.
    pub async fn pull(&self, name: &str, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<(), InferenceError> {
        self.shared.weights.fetch_missing(self.manifest(name)?, progress).await
    }

    /// Reads every file of a model again and compares it with its manifest.
    pub async fn verify(&self, name: &str) -> Result<(), InferenceError> {
        let manifest = self.manifest(name)?.clone();
        let shared = Arc::clone(&self.shared);
        blocking(name, move || {
            shared.weights.forget(&manifest);
            shared.weights.locate(&manifest).map(drop)
        })
        .await
    }

    async fn open(&self, manifest: &Manifest) -> Result<Arc<Model>, InferenceError> {
        self.shared.weights.fetch_missing(manifest, &|_, _| {}).await?;
        let shared = Arc::clone(&self.shared);
        let manifest = manifest.clone();
        let name = manifest.name.clone();
        blocking(&name, move || Model::open(shared, manifest).map(Arc::new)).await
    }

    fn manifest(&self, name: &str) -> Result<&Manifest, InferenceError> {
        self.manifests.iter().find(|manifest| manifest.name == name).ok_or_else(|| InferenceError::UnknownModel {
            name: name.to_owned(),
            known: self.manifests.iter().map(|manifest| manifest.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    fn opened(&self) -> Vec<Arc<Model>> {
        self.models.lock().values().filter_map(|cell| cell.get().cloned()).collect()
    }
}

/// Runs `work` where it may block. The work goes on when the caller stops waiting.
pub(crate) async fn blocking<T: Send + 'static>(
    model: &str,
    work: impl FnOnce() -> Result<T, InferenceError> + Send + 'static,
) -> Result<T, InferenceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(InferenceError::Stopping { model: model.to_owned() }),
    }
}
