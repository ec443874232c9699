//! A handle to a model: checks what is given to it, runs it on a bounded pool, opens it again when it was unloaded.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::inference::{Shared, blocking};
use crate::manifest::{Limits, Manifest};
use crate::session::Session;
use crate::weights::Located;
use crate::{InferenceError, Port, Tensor};

/// A run that is over sooner than another thread has taken it up and handed it back is made where it is asked for.
const QUICK: Duration = Duration::from_millis(1);

/// A model that can be run. Shared as `Arc<Model>`; it stays good when the memory behind it is given back.
pub struct Model {
    inner: Arc<Inner>,
}

/// A place among the runs that are under way.
pub struct Turn {
    _model: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

struct Inner {
    shared: Arc<Shared>,
    manifest: Manifest,
    revision: String,
    settings: String,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    weight_bytes: u64,
    session: Mutex<Open>,
    /// How long the last run took for each value that it was given, in picoseconds; 0: none yet.
    pace: AtomicU64,
    permits: Arc<Semaphore>,
}

struct Open {
    session: Option<Arc<Session>>,
    used: Instant,
}

impl Model {
    /// The manifest's name.
    pub fn name(&self) -> &str {
        &self.inner.manifest.name
    }

    /// Twelve hex digits that change when any file of the model does.
    pub fn revision(&self) -> &str {
        &self.inner.revision
    }

    /// The manifest's settings, as JSON.
    pub fn settings_json(&self) -> String {
        self.inner.settings.clone()
    }

    /// What [`Model::run`] takes.
    pub fn inputs(&self) -> &[Port] {
        &self.inner.inputs
    }

    /// What [`Model::run`] gives, in this order.
    pub fn outputs(&self) -> &[Port] {
        &self.inner.outputs
    }

    /// A file of the model, such as its tokenizer; read and verified anew. Blocks for the time that takes.
    pub fn asset(&self, name: &str) -> Result<Bytes, InferenceError> {
        self.inner.asset(name)
    }

    /// Runs the model on `inputs`, one tensor for each of [`Model::inputs`], by name. Waits while too many runs are under
    /// way; a run that has begun goes on when the caller stops waiting, and keeps its place until it ends.
    pub async fn run(&self, inputs: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>, InferenceError> {
        let turn = self.turn(&inputs).await?;
        self.run_now(turn, inputs).await
    }

    /// Waits until `inputs` may be run. For callers that count the wait apart from the run.
    pub async fn turn(&self, inputs: &[(String, Tensor)]) -> Result<Turn, InferenceError> {
        self.inner.check(inputs)?;
        let model = acquire(&self.inner.permits, self.name()).await?;
        let all = acquire(&self.inner.shared.permits, self.name()).await?;
        Ok(Turn { _model: model, _all: all })
    }

    /// The second half of [`Model::run`]. What takes less than a millisecond, by what the last run took, is run on this thread.
    pub async fn run_now(
        &self,
        turn: Turn,
        inputs: Vec<(String, Tensor)>,
    ) -> Result<Vec<(String, Tensor)>, InferenceError> {
        self.inner.check(&inputs)?;
        if self.inner.is_quick(&inputs) {
            let _turn = turn;
            return self.inner.run(&inputs);
        }
        let inner = Arc::clone(&self.inner);
        blocking(self.name(), move || {
            let _turn = turn;
            inner.run(&inputs)
        })
        .await
    }

    /// Verifies the files and opens the session. Blocks.
    pub(crate) fn open(shared: Arc<Shared>, manifest: Manifest) -> Result<Self, InferenceError> {
        let files = shared.weights.locate(&manifest)?;
        let graph = graph_path(&manifest, &files)?;
        let session = Session::open(&shared.config, &manifest, &graph)?;
        // Only the processor's own kernels are known to take several runs of one session at once.
        let parallel = if session.is_on_cpu() { shared.config.parallel.max(1) } else { 1 };
        let weight_bytes = std::fs::metadata(&graph).map_or(0, |metadata| metadata.len());
        let inner = Inner {
            revision: revision(&files),
            settings: manifest.settings_json(),
            inputs: session.inputs(),
            outputs: session.outputs(),
            weight_bytes,
            session: Mutex::new(Open { session: Some(Arc::new(session)), used: Instant::now() }),
            pace: AtomicU64::new(0),
            permits: Arc::new(Semaphore::new(parallel)),
            manifest,
            shared,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.inner.session.lock().session.is_some()
    }

    pub(crate) fn weight_bytes(&self) -> u64 {
        self.inner.weight_bytes
    }

    /// Closes the session if nobody ran it for `idle`. Did it?
    pub(crate) fn unload_if_idle(&self, idle: Duration) -> bool {
        // A lock that is held means that the model is being opened: it is not idle.
        let Some(mut open) = self.inner.session.try_lock() else { return false };
        let busy = open.session.as_ref().is_some_and(|session| Arc::strong_count(session) > 1);
        if busy || open.session.is_none() || open.used.elapsed() < idle {
            return false;
        }
        open.session = None;
        tracing::debug!(model = self.name(), "Unloaded the idle model");
        true
    }
}

impl Inner {
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>, InferenceError> {
        let session = self.session()?;
        let start = Instant::now();
        let result = session.run(inputs);
        let took = start.elapsed();
        metrics::histogram!("latent_inference_seconds", "model" => self.manifest.name.clone()).record(took);
        self.pace.store(pace(took, inputs), Ordering::Relaxed);
        drop(session);
        self.session.lock().used = Instant::now();
        result
    }

    /// Is the model open, and was its last run so fast that one on these inputs is over at once? Never waits.
    fn is_quick(&self, inputs: &[(String, Tensor)]) -> bool {
        if self.session.try_lock().is_none_or(|open| open.session.is_none()) {
            return false;
        }
        let expected = self.pace.load(Ordering::Relaxed).saturating_mul(values(inputs));
        expected > 0 && u128::from(expected) < QUICK.as_nanos() * 1_000
    }

    fn session(&self) -> Result<Arc<Session>, InferenceError> {
        let mut open = self.session.lock();
        open.used = Instant::now();
        if let Some(session) = &open.session {
            return Ok(Arc::clone(session));
        }
        let files = self.shared.weights.locate(&self.manifest)?;
        if revision(&files) != self.revision {
            return Err(InferenceError::Mismatch {
                model: self.manifest.name.clone(),
                reason: "its files changed while it was unloaded: restart the server".to_owned(),
            });
        }
        let graph = graph_path(&self.manifest, &files)?;
        let session = Arc::new(Session::open(&self.shared.config, &self.manifest, &graph)?);
        open.session = Some(Arc::clone(&session));
        Ok(session)
    }

    fn check(&self, inputs: &[(String, Tensor)]) -> Result<(), InferenceError> {
        let fail = |reason| InferenceError::Input { model: self.manifest.name.clone(), reason };
        for (index, (name, tensor)) in inputs.iter().enumerate() {
            let port =
                self.inputs.iter().find(|port| port.name == *name).ok_or_else(|| {
                    fail(format!("it has no input \"{name}\"; its inputs are {}", names(&self.inputs)))
                })?;
            if inputs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(fail(format!("input \"{name}\" is given twice")));
            }
            check_tensor(port, tensor, &self.manifest.limits)
                .map_err(|reason| fail(format!("input \"{name}\" {reason}")))?;
        }
        match self.inputs.iter().find(|port| !inputs.iter().any(|(name, _)| *name == port.name)) {
            Some(port) => Err(fail(format!("input \"{}\" is not given", port.name))),
            None => Ok(()),
        }
    }

    fn asset(&self, name: &str) -> Result<Bytes, InferenceError> {
        let Some(file) = self.manifest.files.iter().find(|file| file.name == name && file.name != self.manifest.graph)
        else {
            let assets = self.manifest.files.iter().map(|file| file.name.as_str());
            return Err(InferenceError::UnknownAsset {
                model: self.manifest.name.clone(),
                name: name.to_owned(),
                known: assets.filter(|name| *name != self.manifest.graph).collect::<Vec<_>>().join(", "),
            });
        };
        self.shared.weights.read(&self.manifest, file).map(Bytes::from)
    }
}

/// Picoseconds for each value, at least one.
fn pace(took: Duration, inputs: &[(String, Tensor)]) -> u64 {
    let picos = took.as_nanos().saturating_mul(1_000) / u128::from(values(inputs).max(1));
    u64::try_from(picos).unwrap_or(u64::MAX).max(1)
}

fn values(inputs: &[(String, Tensor)]) -> u64 {
    inputs.iter().map(|(_, tensor)| tensor.len() as u64).sum()
}

fn check_tensor(port: &Port, tensor: &Tensor, limits: &Limits) -> Result<(), String> {
    if tensor.dtype() != port.dtype {
        return Err(format!("is {}, but must be {}", tensor.dtype(), port.dtype));
    }
    if tensor.shape.len() != port.shape.len() {
        return Err(format!("has {} dimensions, but must have {}", tensor.shape.len(), shape(&port.shape)));
    }
    let fits = |(given, wanted): (&u32, &Option<u32>)| wanted.is_none_or(|wanted| wanted == *given);
    if !tensor.shape.iter().zip(&port.shape).all(fits) {
        return Err(format!("has shape {:?}, but must have {}", tensor.shape, shape(&port.shape)));
    }
    if !tensor.fits() || tensor.is_empty() {
        return Err(format!("holds {} values, which do not fill its shape {:?}", tensor.len(), tensor.shape));
    }
    let &Limits { max_batch, max_elements } = limits;
    if tensor.len() as u64 > max_elements {
        return Err(format!("holds {} values; at most {max_elements} are taken", tensor.len()));
    }
    match tensor.shape.first() {
        Some(batch) if tensor.shape.len() > 1 && *batch > max_batch => {
            Err(format!("is a batch of {batch}; at most {max_batch} are taken"))
        }
        _ => Ok(()),
    }
}

/// `[?, 3, ?, ?]`
fn shape(dims: &[Option<u32>]) -> String {
    let dims: Vec<_> = dims.iter().map(|dim| dim.map_or("?".to_owned(), |dim| dim.to_string())).collect();
    format!("[{}]", dims.join(", "))
}

fn names(ports: &[Port]) -> String {
    ports.iter().map(|port| format!("\"{}\"", port.name)).collect::<Vec<_>>().join(", ")
}

fn revision(files: &[Located]) -> String {
    let mut hasher = Sha256::new();
    files.iter().for_each(|file| hasher.update(&file.sha256));
    hex::encode(hasher.finalize())[..12].to_owned()
}

fn graph_path(manifest: &Manifest, files: &[Located]) -> Result<PathBuf, InferenceError> {
    let index = manifest.files.iter().position(|file| file.name == manifest.graph);
    index.and_then(|index| files.get(index)).map(|file| file.path.clone()).ok_or_else(|| InferenceError::Manifest {
        origin: manifest.name.clone(),
        reason: format!("graph = \"{}\" is none of its files", manifest.graph),
    })
}

async fn acquire(permits: &Arc<Semaphore>, model: &str) -> Result<OwnedSemaphorePermit, InferenceError> {
    let acquired = Arc::clone(permits).acquire_owned().await;
    acquired.map_err(|_| InferenceError::Stopping { model: model.to_owned() })
}
