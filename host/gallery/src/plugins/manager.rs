//! Installing, approving, upgrading, taking back and removing plugins. Everything is looked at, verified and run once before
//! the database hears of it: what fails leaves all as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use plugin_host::{Manifest, OperatorGrant, Plugin, PluginHost};
use queue::Queue;
use serde_json::{Map, Value};
use store::Store;
use store::plugins::{Installed, PluginKey, Release};
use tokio::sync::Mutex;

use super::node::Running;
use super::package::Package;
use super::quarantine;
use super::requests::{self, OperatorCeiling};
use super::signature;
use super::source::{Fetched, Offer};
use crate::{GalleryError, Result};

/// A plugin that the settings name. It is not touched here.
#[derive(Clone)]
pub struct Pinned {
    pub id: String,
    pub enabled: bool,
    pub source: String,
    /// `None`: its file cannot be read.
    pub manifest: Option<Manifest>,
    pub digest: String,
    /// When its file was written.
    pub changed_at: Timestamp,
    /// In the shape of requests, as the settings say it.
    pub granted: Map<String, Value>,
    /// Where this process runs plugins.
    pub plugin: Option<Arc<Plugin>>,
    /// Why it does not run.
    pub error: Option<String>,
}

/// What a manager is made of.
pub struct ManagerParts {
    pub store: Store,
    pub host: Arc<PluginHost>,
    pub pinned: Vec<Pinned>,
    /// Of the settings, by id.
    pub ceilings: BTreeMap<String, OperatorCeiling>,
    /// Names that can be bound to labels.
    pub models: Vec<String>,
    /// By which other processes hear of changes at once; without it they find them a little later.
    pub queue: Option<Queue>,
}

/// The plugins of an installation, and what of them this process runs.
pub struct Manager {
    pub(super) parts: ManagerParts,
    pub(super) running: Mutex<Running>,
}

/// A component that could be installed.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub package: Package,
    /// The key that its signature holds for.
    pub signed_by: Option<String>,
    signature: Option<String>,
    source: String,
}

/// What an operator says to what a plugin asks for.
#[derive(Debug, Clone, Default)]
pub struct Approval {
    /// What differs from all that it asks for: `{"pixels": false, "models": {"detector": "centerface"}}`.
    pub grants: Map<String, Value>,
    /// `None`: as they are.
    pub settings: Option<Map<String, Value>>,
}

/// What an upgrade asks for beyond what runs, in sentences; nothing: it may be switched at once.
pub type Wider = Vec<String>;

impl Manager {
    pub fn new(parts: ManagerParts) -> Self {
        Self { parts, running: Mutex::default() }
    }

    pub(super) fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Fetches, looks and verifies; changes nothing.
    pub async fn look(&self, offer: &Offer) -> Result<Candidate> {
        let fetched = offer.fetch().await.map_err(GalleryError::Invalid)?;
        self.candidate(fetched, offer.allow_unsigned).await
    }

    async fn candidate(&self, fetched: Fetched, allow_unsigned: bool) -> Result<Candidate> {
        let package = Package::open(&self.parts.host, fetched.wasm).await?;
        let keys = self.store().plugin_keys().await?;
        let signature = fetched.signature;
        let signed_by = signature::verify(&package, signature.as_deref(), &keys, allow_unsigned);
        let signed_by = signed_by.map_err(GalleryError::Invalid)?;
        if let Some(wanted) = &fetched.id
            && *wanted != package.manifest.id
        {
            let (source, found) = (fetched.source, &package.manifest.id);
            return Err(GalleryError::Invalid(format!("{source} gives {found} where {wanted} was asked for")));
        }
        Ok(Candidate { package, signed_by, signature, source: fetched.source })
    }

    /// Takes a new plugin. Without an approval it waits for one and does nothing until then.
    pub async fn install(&self, candidate: &Candidate, approval: Option<&Approval>) -> Result<Installed> {
        let id = &candidate.package.manifest.id;
        self.not_pinned(id)?;
        if self.store().installed_plugin(id).await?.is_some() {
            return Err(GalleryError::Invalid(format!(
                "{id} is installed already: `latent plugin upgrade {id} SOURCE` puts another version in its place"
            )));
        }
        let now = Timestamp::now();
        let mut plugin = Installed {
            id: id.clone(),
            enabled: true,
            revision: 0,
            active: None,
            previous: None,
            staged: Some(candidate.release()),
            installed_at: now,
            updated_at: now,
        };
        if let Some(approval) = approval {
            self.activate(&mut plugin, &candidate.package, approval).await?;
        }
        self.save(plugin, Some(&candidate.package)).await
    }

    /// What the candidate asks for beyond the version that runs. A new key counts as that, and so do other bytes of the same
    /// version.
    ///
    /// # Errors
    /// It is another plugin's, lower than what runs, or what runs.
    pub async fn compare(&self, id: &str, candidate: &Candidate) -> Result<Wider> {
        let plugin = self.installed(id).await?;
        let package = &candidate.package;
        if package.manifest.id != id {
            return Err(GalleryError::Invalid(format!("this is {}, not {id}", package.manifest.id)));
        }
        let Some(active) = &plugin.active else { return Ok(first_words(candidate)) };
        if active.digest == package.digest {
            return Err(GalleryError::Invalid(format!("{id} {} runs already", package.version)));
        }
        let before = text(active, "version");
        let is_lower =
            semver::Version::parse(before).is_ok_and(|before| package.version.cmp_precedence(&before).is_lt());
        if is_lower {
            return Err(GalleryError::Invalid(format!(
                "{id} {} is lower than {before}, which runs: a version with known faults could come back this way. \
                 `latent plugin rollback {id}` goes back to the one before",
                package.version
            )));
        }
        let mut wider = Vec::new();
        if candidate.signed_by != active.signed_by {
            wider.push(format!("is signed by {}, not by {}", who(&candidate.signed_by), who(&active.signed_by)));
        }
        if before == package.manifest.version {
            wider.push(format!("has the version {before} like the one that runs, with other bytes"));
        }
        if text(active, "world") != package.manifest.world {
            wider.push(format!("is now a {}, not a {}", package.manifest.world, text(active, "world")));
        }
        let more = requests::wider(&requests_of(active), &requests::of(&package.manifest));
        wider.extend(requests::words(&more));
        Ok(wider)
    }

    /// Puts another version in the place of the one that runs: at once, where it asks for no more. Otherwise it waits for an
    /// approval, which may be given here, and what runs runs on.
    pub async fn upgrade(&self, id: &str, candidate: &Candidate, approval: Option<&Approval>) -> Result<Installed> {
        let wider = self.compare(id, candidate).await?;
        let mut plugin = self.installed(id).await?;
        let mut release = candidate.release();
        if let Some(active) = &plugin.active {
            release.grants =
                requests::carried(object(&active.grants), &requests::of(&candidate.package.manifest)).into();
            release.settings = active.settings.clone();
        }
        plugin.staged = Some(release);
        let nothing = Approval::default();
        let approval = approval.or((wider.is_empty()).then_some(&nothing));
        if let Some(approval) = approval {
            self.activate(&mut plugin, &candidate.package, approval).await?;
        }
        self.save(plugin, Some(&candidate.package)).await
    }

    /// Approves what waits, and switches to it.
    pub async fn approve(&self, id: &str, approval: &Approval) -> Result<Installed> {
        let mut plugin = self.installed(id).await?;
        let Some(staged) = &plugin.staged else {
            return Err(GalleryError::Invalid(format!("nothing of {id} waits for an approval")));
        };
        let package = self.package(staged).await?;
        self.activate(&mut plugin, &package, approval).await?;
        self.save(plugin, None).await
    }

    /// Changes what the version that runs may do, or its settings.
    pub async fn grant(&self, id: &str, approval: &Approval) -> Result<Installed> {
        let mut plugin = self.installed(id).await?;
        let Some(active) = &mut plugin.active else {
            return Err(GalleryError::Invalid(format!("{id} waits for its first approval")));
        };
        let package = self.package(active).await?;
        let asked = requests::of(&package.manifest);
        active.grants = self.granted(id, object(&active.grants).clone(), approval, &asked)?.into();
        if let Some(settings) = &approval.settings {
            active.settings = settings.clone().into();
        }
        self.try_out(&package, active).await?;
        self.save(plugin, None).await
    }

    pub async fn set_enabled(&self, id: &str, enabled: bool) -> Result<Installed> {
        let mut plugin = self.installed(id).await?;
        if enabled {
            let active = plugin.active.as_ref().ok_or_else(|| {
                GalleryError::Invalid(format!("{id} waits for its first approval: `latent plugin grant {id}`"))
            })?;
            self.try_out(&self.package(active).await?, active).await?;
            // Another chance, if it was left alone.
            self.store().release(id).await?;
        }
        plugin.enabled = enabled;
        self.save(plugin, None).await
    }

    /// Back to the version before, with what was approved for it; the one that ran can be gone back to in turn.
    pub async fn rollback(&self, id: &str) -> Result<Installed> {
        let mut plugin = self.installed(id).await?;
        let Some(previous) = plugin.previous.take() else {
            return Err(GalleryError::Invalid(format!("there is no version of {id} to go back to")));
        };
        self.try_out(&self.package(&previous).await?, &previous).await?;
        plugin.previous = plugin.active.replace(previous);
        self.save(plugin, None).await
    }

    /// What waits for an approval is not taken, and forgotten; what runs runs on.
    pub async fn discard(&self, id: &str) -> Result<()> {
        let mut plugin = self.installed(id).await?;
        if plugin.staged.take().is_none() {
            return Err(GalleryError::Invalid(format!("no version of {id} waits for an approval")));
        }
        if plugin.active.is_none() {
            // Its first: without it there is nothing of the plugin.
            return self.remove(id).await;
        }
        self.save(plugin, None).await.map(drop)
    }

    /// Takes it out, with the state that it kept. What it found stays.
    pub async fn remove(&self, id: &str) -> Result<()> {
        let plugin = self.installed(id).await?;
        let generation = self.store().delete_plugin(id, plugin.revision).await?.ok_or_else(|| changed_meanwhile(id))?;
        self.announce(generation).await;
        Ok(())
    }

    /// Keys whose signatures count.
    pub async fn keys(&self) -> Result<Vec<PluginKey>> {
        Ok(self.store().plugin_keys().await?)
    }

    /// From now on the signatures of this key count for ids that begin with `prefix`.
    pub async fn trust(&self, key: &str, prefix: &str) -> Result<PluginKey> {
        let public_key = signature::public_key(key).map_err(GalleryError::Invalid)?;
        let prefix = signature::prefix(prefix).map_err(GalleryError::Invalid)?;
        self.store().insert_plugin_key(&public_key, &prefix).await?;
        let keys = self.store().plugin_keys().await?;
        let found = keys.into_iter().find(|key| key.public_key == public_key && key.prefix == prefix);
        found.ok_or_else(|| GalleryError::NotFound("somebody took the key out again".into()))
    }

    /// No new version is taken on this key's word; what runs runs on.
    pub async fn distrust(&self, key: &str, prefix: Option<&str>) -> Result<()> {
        let named = self.store().plugin_keys().await?.into_iter().map(|known| known.public_key);
        let by_id = named.into_iter().find(|known| signature::key_id(known).as_deref() == Some(key));
        let public_key = by_id.map_or_else(|| signature::public_key(key).map_err(GalleryError::Invalid), Ok)?;
        let prefix = prefix.map(signature::prefix).transpose().map_err(GalleryError::Invalid)?;
        match self.store().delete_plugin_key(&public_key, prefix.as_deref()).await? {
            0 => Err(GalleryError::NotFound(format!("{key} is not trusted, so it cannot be removed"))),
            _ => Ok(()),
        }
    }

    /// One that is installed and not pinned.
    pub async fn installed(&self, id: &str) -> Result<Installed> {
        self.not_pinned(id)?;
        self.store()
            .installed_plugin(id)
            .await?
            .ok_or_else(|| GalleryError::NotFound(format!("no plugin {id} is installed")))
    }

    /// What waits becomes what runs, after it ran once with what it is granted.
    async fn activate(&self, plugin: &mut Installed, package: &Package, approval: &Approval) -> Result<()> {
        let Some(mut release) = plugin.staged.take() else { return Ok(()) };
        let asked = requests::of(&package.manifest);
        let before = plugin.active.as_ref().map(requests_of).unwrap_or_default();
        let new = requests::everything(&requests::wider(&before, &asked));
        let grants = requests::with(object(&release.grants).clone(), new);
        release.grants = self.granted(&plugin.id, grants, approval, &asked)?.into();
        if let Some(settings) = &approval.settings {
            release.settings = settings.clone().into();
        }
        self.try_out(package, &release).await?;
        plugin.previous = plugin.active.replace(release).or(plugin.previous.take());
        Ok(())
    }

    /// Grants with an operator's changes, and a model for each label.
    fn granted(
        &self,
        id: &str,
        mut grants: Map<String, Value>,
        approval: &Approval,
        asked: &Map<String, Value>,
    ) -> Result<Map<String, Value>> {
        let pinned = self.parts.ceilings.get(id).map(|ceiling| ceiling.models.clone()).unwrap_or_default();
        let pinned: Map<String, Value> = pinned.into_iter().map(|(label, model)| (label, model.into())).collect();
        if !pinned.is_empty() {
            let bound = Map::from_iter([("models".to_owned(), pinned.into())]);
            grants = requests::with(grants, requests::carried(&bound, asked));
        }
        let wrong = |why: String| GalleryError::Invalid(format!("{id}: {why}"));
        let grants = requests::changed(&grants, &approval.grants, asked).map_err(wrong)?;
        let known = self.parts.models.join(", ");
        let unnamed = requests::unnamed(asked, &grants);
        if !unnamed.is_empty() {
            return Err(wrong(format!(
                "no model is bound to {}; bind one to each with --model LABEL=MODEL. There are {known}",
                unnamed.join(", ")
            )));
        }
        let bound = grants.get("models").and_then(Value::as_object).into_iter().flatten();
        for (label, model) in bound {
            if !self.parts.models.iter().any(|known| model == known) {
                let model = model.as_str().unwrap_or_default();
                return Err(wrong(format!("there is no model {model} for {label}; there are {known}")));
            }
        }
        Ok(grants)
    }

    /// The signature still counts, and it says what it is when it is asked, in this process.
    async fn try_out(&self, package: &Package, release: &Release) -> Result<Arc<Plugin>> {
        let keys = self.store().plugin_keys().await?;
        let is_unsigned = release.signed_by.is_none();
        signature::verify(package, release.signature.as_deref(), &keys, is_unsigned).map_err(GalleryError::Invalid)?;
        self.load(&package.manifest.id, package.wasm.clone(), release).await
    }

    /// Runs with what was approved, as far as the settings let it.
    async fn load(&self, id: &str, wasm: bytes::Bytes, release: &Release) -> Result<Arc<Plugin>> {
        let loaded = self.parts.host.load(wasm, &self.operator(id, release)?).await;
        same_bytes(id, loaded.map_err(|error| GalleryError::Invalid(error.to_string()))?, release)
    }

    /// The same where nobody looks: not what is in quarantine, and what breaks at once goes there.
    pub(super) async fn load_watched(&self, id: &str, wasm: bytes::Bytes, release: &Release) -> Result<Arc<Plugin>> {
        let grant = self.operator(id, release)?;
        let loaded = quarantine::load(self.store(), &self.parts.host, wasm, &grant).await?;
        same_bytes(id, loaded, release)
    }

    fn operator(&self, id: &str, release: &Release) -> Result<OperatorGrant> {
        let none = OperatorCeiling::default();
        let ceiling = self.parts.ceilings.get(id).unwrap_or(&none);
        let grant = requests::operator(object(&release.grants), object(&release.settings), ceiling);
        grant.map_err(|why| GalleryError::Invalid(format!("{id}: {why}")))
    }

    async fn package(&self, release: &Release) -> Result<Package> {
        let wasm = self.store().plugin_component(&release.digest).await?;
        let wasm = wasm.ok_or_else(|| GalleryError::NotFound(format!("the bytes {} are gone", release.digest)))?;
        Package::open(&self.parts.host, wasm).await
    }

    async fn save(&self, plugin: Installed, package: Option<&Package>) -> Result<Installed> {
        let wasm = package.map(|package| (&*package.digest, &*package.wasm));
        let generation = self.store().save_plugin(&plugin, wasm).await?;
        self.announce(generation.ok_or_else(|| changed_meanwhile(&plugin.id))?).await;
        self.installed(&plugin.id).await
    }

    /// A message that is lost is made up for: nodes look at the generation themselves.
    async fn announce(&self, generation: i64) {
        tracing::info!(generation, "Plugins were changed");
        let Some(queue) = &self.parts.queue else { return };
        if let Err(error) = queue.tell(&super::node::changed_words(generation)).await {
            tracing::debug!(%error, "Other processes cannot be told that plugins changed; they will find it");
        }
    }

    fn not_pinned(&self, id: &str) -> Result<()> {
        match self.parts.pinned.iter().any(|pinned| pinned.id == id) {
            true => Err(GalleryError::Invalid(format!(
                "{id} is pinned by the settings: [plugins.{id:?}] names its file, so it is changed there"
            ))),
            false => Ok(()),
        }
    }
}

impl Candidate {
    /// Nothing is granted yet.
    fn release(&self) -> Release {
        Release {
            digest: self.package.digest.clone(),
            manifest: serde_json::to_value(&self.package.manifest).unwrap_or_default(),
            signature: self.signature.clone(),
            signed_by: self.signed_by.clone(),
            source: self.source.clone(),
            grants: Map::new().into(),
            settings: Map::new().into(),
            added_at: Timestamp::now(),
        }
    }

    /// What it asks for, in sentences.
    pub fn words(&self) -> Vec<String> {
        first_words(self)
    }
}

fn first_words(candidate: &Candidate) -> Vec<String> {
    let mut words = requests::words(&requests::of(&candidate.package.manifest));
    if candidate.signed_by.is_none() {
        words.insert(0, "is not signed by anybody whom you trust".into());
    }
    words
}

fn changed_meanwhile(id: &str) -> GalleryError {
    GalleryError::Invalid(format!("somebody else changed {id} at the same time: look at it again, then repeat"))
}

/// The key's number.
pub fn who(key: &Option<String>) -> String {
    key.as_deref().and_then(signature::key_id).unwrap_or_else(|| "nobody".into())
}

pub(super) fn requests_of(release: &Release) -> Map<String, Value> {
    let manifest = serde_json::from_value::<Manifest>(release.manifest.clone());
    manifest.map(|manifest| requests::of(&manifest)).unwrap_or_default()
}

pub(super) fn text<'a>(release: &'a Release, name: &str) -> &'a str {
    release.manifest.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn object(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    value.as_object().unwrap_or(&NONE)
}

fn same_bytes(id: &str, loaded: Arc<Plugin>, release: &Release) -> Result<Arc<Plugin>> {
    match loaded.digest() == release.digest {
        true => Ok(loaded),
        false => {
            let digest = &release.digest;
            Err(GalleryError::Invalid(format!("{id}: the database holds other bytes than {digest}")))
        }
    }
}
