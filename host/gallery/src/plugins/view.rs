//! Plugins as they are shown: the same for the API, the page and the command line.

use jiff::Timestamp;
use plugin_host::Manifest;
use serde_json::{Value, json};
use store::plugins::{Installed, PluginKey, Release};
use store::quarantine::Quarantined;

use super::manager::{Manager, Pinned, object, requests_of, text};
use super::node::Health;
use super::{requests, signature};
use crate::Result;

/// What anybody may know of a plugin.
#[derive(Debug, Clone)]
pub struct Shown {
    pub manifest: Manifest,
    pub enabled: bool,
    pub installed_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Manager {
    /// All there are: pinned ones first, then by id.
    pub async fn list(&self) -> Result<Vec<Value>> {
        let (_, installed) = self.store().installed_plugins().await?;
        let keys = self.store().plugin_keys().await?;
        let quarantined = self.store().quarantined().await?;
        let mut shown: Vec<Value> = self.parts.pinned.iter().map(|one| pinned(one, &quarantined)).collect();
        for plugin in installed.iter().filter(|plugin| !self.is_pinned(&plugin.id)) {
            shown.push(self.shown(plugin, &keys, &quarantined).await);
        }
        Ok(shown)
    }

    /// One of them.
    pub async fn show(&self, id: &str) -> Result<Value> {
        let quarantined = self.store().quarantined().await?;
        if let Some(found) = self.parts.pinned.iter().find(|pinned| pinned.id == id) {
            return Ok(pinned(found, &quarantined));
        }
        let plugin = self.installed(id).await?;
        Ok(self.shown(&plugin, &self.store().plugin_keys().await?, &quarantined).await)
    }

    /// What is there, enabled or not, for clients that want no more.
    pub async fn manifests(&self) -> Result<Vec<Shown>> {
        let (_, installed) = self.store().installed_plugins().await?;
        let pinned = self.parts.pinned.iter().filter_map(|pinned| {
            let (manifest, enabled, at) = (pinned.manifest.clone()?, pinned.enabled, pinned.changed_at);
            Some(Shown { manifest, enabled, installed_at: at, updated_at: at })
        });
        let others = installed.iter().filter(|plugin| !self.is_pinned(&plugin.id)).filter_map(|plugin| {
            let manifest = serde_json::from_value(plugin.active.as_ref()?.manifest.clone()).ok()?;
            let (enabled, installed_at, updated_at) = (plugin.enabled, plugin.installed_at, plugin.updated_at);
            Some(Shown { manifest, enabled, installed_at, updated_at })
        });
        Ok(pinned.chain(others).collect())
    }

    fn is_pinned(&self, id: &str) -> bool {
        self.parts.pinned.iter().any(|pinned| pinned.id == id)
    }

    async fn shown(&self, plugin: &Installed, keys: &[PluginKey], quarantined: &[Quarantined]) -> Value {
        let current = plugin.active.as_ref().or(plugin.staged.as_ref());
        let of = |name: &str| current.map(|release| text(release, name)).unwrap_or_default();
        let limits = self.parts.ceilings.get(&plugin.id);
        let is_off = limits.is_some_and(|ceiling| ceiling.is_off);
        let alone = plugin.active.as_ref().and_then(|active| left_alone(&plugin.id, &active.digest, quarantined));
        let health = match (&plugin.active, plugin.enabled && !is_off) {
            (None, _) => Health { state: "waiting", why: Some("it waits for its first approval".into()) },
            (Some(_), false) if is_off => {
                Health { state: "disabled", why: Some("the settings say enabled = false".into()) }
            }
            (Some(_), false) => Health { state: "disabled", why: None },
            (Some(_), true) if alone.is_some() => Health { state: "quarantined", why: alone },
            (Some(_), true) => self.health(&plugin.id).await.unwrap_or(Health { state: "enabled", why: None }),
        };
        json!({
            "id": plugin.id,
            "title": of("title"),
            "description": of("description"),
            "licence": of("licence"),
            "world": of("world"),
            "pinned": false,
            "enabled": plugin.enabled,
            "health": { "state": health.state, "why": health.why },
            "active": plugin.active.as_ref().map(|release| release_shown(&plugin.id, release, keys)),
            "previous": plugin.previous.as_ref().map(|release| release_shown(&plugin.id, release, keys)),
            "staged": plugin.staged.as_ref().map(|release| {
                let mut shown = release_shown(&plugin.id, release, keys);
                shown["wider"] = staged_words(plugin.active.as_ref(), release).into();
                shown
            }),
            "ceiling": limits.map(ceiling_words),
            "models": self.parts.models,
            "installedAt": plugin.installed_at.to_string(),
            "updatedAt": plugin.updated_at.to_string(),
        })
    }
}

/// Why this version is left alone, if it is.
fn left_alone(id: &str, digest: &str, quarantined: &[Quarantined]) -> Option<String> {
    let found = quarantined.iter().find(|alone| alone.plugin == id && alone.digest == digest);
    found.map(|alone| alone.reason.clone())
}

fn release_shown(id: &str, release: &Release, keys: &[PluginKey]) -> Value {
    let asked = requests_of(release);
    let signer = release.signed_by.as_ref().map(|key| {
        let trusted = keys.iter().any(|known| known.public_key == *key && signature::covers(&known.prefix, id));
        json!({ "key": signature::key_id(key), "trusted": trusted })
    });
    json!({
        "version": text(release, "version"),
        "digest": release.digest,
        "source": release.source,
        "signedBy": signer,
        "requests": asked,
        "asks": requests::words(&asked),
        "grants": release.grants,
        "may": requests::words(object(&release.grants)),
        "settings": release.settings,
        "schema": release.manifest.get("settings").and_then(|settings| settings.get("schema")),
        "addedAt": release.added_at.to_string(),
    })
}

/// What an approval of the staged version would add.
fn staged_words(active: Option<&Release>, staged: &Release) -> Vec<String> {
    let before = active.map(requests_of).unwrap_or_default();
    let mut words = requests::words(&requests::wider(&before, &requests_of(staged)));
    let who = |release: &Release| super::manager::who(&release.signed_by);
    match active {
        Some(active) if active.signed_by != staged.signed_by => {
            words.insert(0, format!("is signed by {}, not by {}", who(staged), who(active)));
        }
        None if staged.signed_by.is_none() => words.insert(0, "is not signed by anybody whom you trust".into()),
        _ => {}
    }
    if let Some(active) = active.filter(|active| text(active, "world") != text(staged, "world")) {
        words.push(format!("is now a {}, not a {}", text(staged, "world"), text(active, "world")));
    }
    if active.is_some_and(|active| text(active, "version") == text(staged, "version")) {
        words.push("has the version of the one that runs, with other bytes".into());
    }
    words
}

fn ceiling_words(ceiling: &requests::OperatorCeiling) -> Vec<String> {
    let limits = &ceiling.limits;
    let mut words: Vec<String> = ceiling.models.iter().map(|(label, model)| format!("{model} as {label}")).collect();
    if ceiling.pixels == Some(false) {
        words.push("no pixels".into());
    }
    if let Some(origins) = &ceiling.http {
        let origins: Vec<String> = origins.iter().map(|one| one.origin.to_string()).collect();
        let origins = if origins.is_empty() { "nobody".into() } else { origins.join(", ") };
        words.push(format!("requests to {origins} alone"));
    }
    words.extend(limits.kv.map(|most| format!("at most {most} of its own in the database")));
    words.extend(limits.memory.map(|most| format!("at most {most} of memory an instance")));
    words.extend(limits.host_memory.map(|most| format!("at most {most} of images and tensors an instance")));
    words.extend(limits.deadline.map(|most| format!("at most {most} a call")));
    words.extend(limits.concurrency.map(|most| format!("at most {most} calls at once")));
    words
}

fn pinned(pinned: &Pinned, quarantined: &[Quarantined]) -> Value {
    let alone = left_alone(&pinned.id, &pinned.digest, quarantined);
    let (state, why) = match (&pinned.plugin, pinned.enabled, &pinned.error) {
        (_, false, _) => ("disabled", None),
        (_, true, _) if alone.is_some() => ("quarantined", alone),
        (_, true, Some(error)) => ("failed", Some(error.clone())),
        (Some(_), true, None) => ("running", None),
        (None, true, None) => ("enabled", None),
    };
    let asked = pinned.manifest.as_ref().map(requests::of).unwrap_or_default();
    let of = |get: fn(&Manifest) -> &str| pinned.manifest.as_ref().map_or("", get);
    json!({
        "id": pinned.id,
        "title": of(|manifest| &manifest.title),
        "description": of(|manifest| &manifest.description),
        "licence": of(|manifest| &manifest.licence),
        "world": of(|manifest| &manifest.world),
        "pinned": true,
        "enabled": pinned.enabled,
        "health": { "state": state, "why": why },
        "active": pinned.manifest.as_ref().map(|manifest| json!({
            "version": manifest.version,
            "digest": pinned.digest,
            "source": pinned.source,
            "signedBy": null,
            "requests": asked,
            "asks": requests::words(&asked),
            "may": requests::words(&requests::carried(&pinned.granted, &asked)),
            "grants": pinned.granted,
        })),
        "previous": null,
        "staged": null,
    })
}
