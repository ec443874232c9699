//! A plugin host with the kit's plugins and models, inside the bench.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use inference::{Inference, InferenceConfig};
use media::{Limits, Pixels, ThumbnailSpec};
use plugin_host::{Embedder, FaceDetector, HostConfig, Lent, OperatorGrant, Plugin, PluginHost};
use tests::kv::Memory;

use crate::{Place, photos};

/// The model for pictures that is shipped.
pub const EMBEDDER: &str = "starter-search-image";

/// The host, and what it lends.
pub struct House {
    pub host: PluginHost,
    pub inference: Arc<Inference>,
    place: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl House {
    /// With the built-in models, or those that lie in a folder of manifests and weights.
    pub fn new(place: &Place, models: Option<&Path>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut weights = vec![place.kit.join("models")];
        weights.extend(models.map(Path::to_path_buf));
        let inference = Inference::new(InferenceConfig {
            library: place.kit.join("onnxruntime/libonnxruntime.so"),
            weights,
            manifests: models.map(Path::to_path_buf).unwrap_or_default(),
            downloads: folder.path().join("models"),
            ..InferenceConfig::default()
        })?;
        let config = HostConfig { cache_dir: folder.path().join("compiled"), threads: 2 };
        let kv = Some(Arc::new(Memory::default()) as Arc<_>);
        let lent = Lent { inference: Some(inference.clone()), kv, ..Lent::default() };
        Ok(Self { host: PluginHost::lending(&config, lent)?, inference, place: place.kit.clone(), _folder: folder })
    }

    /// A plugin of the kit with a model for each of its labels.
    pub async fn load(&self, file: &str, models: &[(&str, &str)]) -> Result<Arc<Plugin>> {
        let models = models.iter().map(|(label, model)| ((*label).to_owned(), (*model).to_owned())).collect();
        self.granted(file, &OperatorGrant { models, ..OperatorGrant::default() }).await
    }

    /// storage-local in a folder.
    pub async fn storage(&self, folder: &Path) -> Result<Arc<Plugin>> {
        let grant = OperatorGrant { files: Some(folder.to_path_buf()), ..OperatorGrant::default() };
        self.granted("storage-local", &grant).await
    }

    /// A plugin of the kit with what an operator grants.
    pub async fn granted(&self, file: &str, grant: &OperatorGrant) -> Result<Arc<Plugin>> {
        let path = self.place.join("plugins").join(file).with_extension("wasm");
        let wasm = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(self.host.load(wasm.into(), grant).await?)
    }

    /// The face plugin as it is shipped.
    pub async fn faces(&self) -> Result<FaceDetector> {
        let plugin = self.load("face-detection", &[("detector", "centerface"), ("embedder", "fr-feature")]).await?;
        plugin.face_detector().context("face-detection is no detector")
    }

    /// The search plugin as it is shipped, or with another model for pictures.
    pub async fn embedder(&self, image: &str) -> Result<Embedder> {
        let plugin = self.load("clip-search", &[("image", image), ("text", "starter-search-text")]).await?;
        plugin.embedder().context("clip-search is no embedder")
    }
}

/// The labelled photos as plugins see them: previews. At most so many, evenly chosen.
pub fn previews(place: &Place, most: usize) -> Result<Vec<Pixels>> {
    let mut previews = Vec::new();
    for path in photos::labelled(place)? {
        // Some of them are no photos of a size that a plugin meets.
        let made = media::thumbnails(&std::fs::read(path)?, &ThumbnailSpec::default(), &Limits::default());
        previews.extend(made.ok().map(|made| made.pixels).filter(|pixels| pixels.width * pixels.height >= 200_000));
    }
    let step = previews.len().div_ceil(most).max(1);
    Ok(previews.into_iter().step_by(step).collect())
}
