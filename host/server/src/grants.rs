//! What the settings grant a plugin, as the plugin host takes it.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use anyhow::{Context as _, Result, bail};
use plugin_host::{BoundSecret, Ceiling, OperatorGrant, SecretText};

use crate::settings::{Backend, Plugin, Secret};

/// Of `[plugins."<id>"]`.
pub fn of_plugin(plugin: &Plugin) -> Result<OperatorGrant> {
    Ok(OperatorGrant {
        models: plugin.models.clone(),
        pixels: plugin.pixels,
        http: plugin.http.clone(),
        secrets: secrets(&plugin.secrets)?,
        settings: plugin.settings.clone(),
        ceiling: limits(plugin),
        ..OperatorGrant::default()
    })
}

/// Numbers that nothing of a plugin exceeds.
pub fn limits(plugin: &Plugin) -> Ceiling {
    let ceiling = &plugin.ceiling;
    Ceiling {
        memory: plugin.memory.or(ceiling.memory),
        host_memory: plugin.host_memory.or(ceiling.host_memory),
        deadline: plugin.deadline.or(ceiling.deadline),
        concurrency: plugin.concurrency.or(ceiling.concurrency).map(NonZeroUsize::get),
        kv: plugin.kv.or(ceiling.kv),
    }
}

/// Of `[storage.backend.<name>]`, without its folder.
pub fn of_backend(name: &str, backend: &Backend) -> Result<OperatorGrant> {
    Ok(OperatorGrant {
        http: backend.http.clone(),
        secrets: secrets(&backend.secrets)?,
        scope: name.to_owned(),
        settings: backend.settings.clone(),
        ceiling: Ceiling {
            memory: backend.memory,
            host_memory: backend.host_memory,
            deadline: backend.deadline,
            concurrency: backend.concurrency.map(NonZeroUsize::get),
            kv: backend.kv,
        },
        ..OperatorGrant::default()
    })
}

/// Their values, from where the settings say.
pub fn secrets(named: &BTreeMap<String, Secret>) -> Result<BTreeMap<String, BoundSecret>> {
    let bound = named.iter().map(|(name, secret)| {
        let value = value(secret).with_context(|| format!("the secret {name:?}"))?;
        Ok((name.clone(), BoundSecret { value, origin: secret.origin.clone() }))
    });
    bound.collect()
}

/// From the one place that the settings name.
fn value(secret: &Secret) -> Result<SecretText> {
    match (&secret.env, &secret.file, &secret.value) {
        (Some(variable), None, None) => match std::env::var(variable) {
            Ok(value) => Ok(SecretText::new(value)),
            Err(_) => bail!("the environment has no variable {variable}, or it is no text"),
        },
        (None, Some(path), None) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(SecretText::new(text))
        }
        (None, None, Some(value)) => Ok(value.clone()),
        _ => bail!("write one of `env`, `file` and `value`"),
    }
}
