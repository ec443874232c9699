//! The plugins that look at photos, as they are installed now.

mod index;
mod manager;
mod node;
mod oci;
mod package;
pub mod requests;
mod signature;
mod source;
mod view;

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use plugin_host::{Embedder, FaceDetector, Plugin, Transcoder};

use crate::people::FaceSpace;
use crate::search::{EmbeddingSpace, TextEmbedder};
use crate::{Gallery, GalleryError};

pub use manager::{Approval, Candidate, Manager, ManagerParts, Pinned, Wider, who};
pub use node::Health;
pub use oci::SIGNATURE as OCI_SIGNATURE;
pub use package::Package;
pub use signature::{key_id, public_key, verify};
pub use source::{Fetched, LONGEST, Offer, Source};
pub use view::Shown;

/// What is installed. Cheap to clone.
#[derive(Clone, Default)]
pub struct Plugins {
    pub face_detector: Option<FaceDetector>,
    /// Also the one that understands the texts of searches.
    pub embedder: Option<Embedder>,
    /// Says what is to be made of videos.
    pub transcoder: Option<Transcoder>,
    /// That pipelines may name beside these, as fallbacks for instance.
    pub others: Vec<Arc<Plugin>>,
}

/// A plugin by what it does.
#[derive(Clone)]
pub enum Looker {
    Faces(FaceDetector),
    Embedder(Embedder),
    Transcoder(Transcoder),
}

impl Plugins {
    /// The first of a kind does the work; the others can be named by pipelines.
    pub fn add(&mut self, plugin: Arc<Plugin>) {
        if let Some(transcoder) = plugin.transcoder().filter(|_| self.transcoder.is_none()) {
            self.transcoder = Some(transcoder);
            return;
        }
        match (plugin.face_detector(), plugin.embedder()) {
            (Some(detector), _) if self.face_detector.is_none() => self.face_detector = Some(detector),
            (_, Some(embedder)) if self.embedder.is_none() => self.embedder = Some(embedder),
            _ => self.others.push(plugin),
        }
    }

    /// `latent.face-detection`, or `face-detection` for short.
    pub fn named(&self, name: &str) -> Option<Looker> {
        let is_meant = |plugin: &Plugin| {
            let id = &plugin.manifest().id;
            id == name || id.strip_prefix("latent.") == Some(name)
        };
        if let Some(detector) = self.face_detector.as_ref().filter(|detector| is_meant(detector.plugin())) {
            return Some(Looker::Faces(detector.clone()));
        }
        if let Some(embedder) = self.embedder.as_ref().filter(|embedder| is_meant(embedder.plugin())) {
            return Some(Looker::Embedder(embedder.clone()));
        }
        if let Some(transcoder) = self.transcoder.as_ref().filter(|transcoder| is_meant(transcoder.plugin())) {
            return Some(Looker::Transcoder(transcoder.clone()));
        }
        let plugin = self.others.iter().find(|plugin| is_meant(plugin))?;
        let faces = plugin.face_detector().map(Looker::Faces);
        let faces = faces.or_else(|| plugin.embedder().map(Looker::Embedder));
        faces.or_else(|| plugin.transcoder().map(Looker::Transcoder))
    }
}

impl Plugins {
    /// The ids of all that pipelines may name.
    pub fn ids(&self) -> Vec<String> {
        let own = [
            self.face_detector.as_ref().map(FaceDetector::plugin),
            self.embedder.as_ref().map(Embedder::plugin),
            self.transcoder.as_ref().map(Transcoder::plugin),
        ];
        let all = own.into_iter().flatten().chain(&self.others);
        all.map(|plugin| plugin.manifest().id.clone()).collect()
    }
}

impl Looker {
    pub fn plugin(&self) -> &Arc<Plugin> {
        match self {
            Self::Faces(detector) => detector.plugin(),
            Self::Embedder(embedder) => embedder.plugin(),
            Self::Transcoder(transcoder) => transcoder.plugin(),
        }
    }
}

impl Gallery {
    /// From now on the plugins of the database run here beside those of the settings, once [`Gallery::sync_plugins`] was called.
    pub fn set_plugin_manager(&self, manager: Arc<Manager>) {
        let _ = self.0.manager.set(manager);
    }

    pub(crate) fn plugin_manager(&self) -> Option<&Arc<Manager>> {
        self.0.manager.get()
    }

    /// Those who install, approve and remove.
    ///
    /// # Errors
    /// This process runs no plugins.
    pub fn manager(&self) -> crate::Result<&Manager> {
        self.plugin_manager()
            .map(|manager| &**manager)
            .ok_or_else(|| GalleryError::Invalid("this process runs no plugins".into()))
    }

    /// As they are now.
    pub fn plugins(&self) -> Plugins {
        self.installed().read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on photos are looked at by these; what they find other than those before is made by the next backfill.
    pub fn set_plugins(&self, mut plugins: Plugins) {
        if self.video().is_err() {
            // What nobody here can make need not be planned.
            plugins.transcoder = None;
            plugins.others.retain(|plugin| plugin.transcoder().is_none());
        }
        let texts = plugins.embedder.clone().map(|embedder| Arc::new(Texts(embedder)) as Arc<dyn TextEmbedder>);
        *self.installed().write().unwrap_or_else(PoisonError::into_inner) = plugins;
        self.search().set_embedder(texts);
    }
}

/// The space of a detector, as it is named in the database.
pub fn face_space(detector: &FaceDetector) -> FaceSpace {
    let space = detector.describe();
    FaceSpace {
        name: format!("{}/{}", detector.plugin().manifest().id, space.revision),
        dimensions: space.dimensions,
        same_person: space.same_person,
    }
}

/// The space of an embedder, as it is named in the database.
pub fn embedding_space(embedder: &Embedder) -> EmbeddingSpace {
    let space = embedder.describe();
    EmbeddingSpace {
        name: format!("{}/{}", embedder.plugin().manifest().id, space.revision),
        dimensions: space.dimensions,
    }
}

struct Texts(Embedder);

#[async_trait]
impl TextEmbedder for Texts {
    fn space(&self) -> EmbeddingSpace {
        embedding_space(&self.0)
    }

    async fn embed(&self, text: &str, language: Option<&str>) -> Result<Vec<f32>, String> {
        let vectors = self.0.embed_texts(vec![text.to_owned()], language.map(str::to_owned)).await;
        let mut vectors = vectors.map_err(|error| error.to_string())?;
        vectors.pop().ok_or_else(|| "it gave no vector".to_owned())
    }
}
