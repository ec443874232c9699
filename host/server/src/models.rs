//! `latent model`: what models there are, and whether they are here and what they should be.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};

use crate::{Settings, plugins};

/// One line a model: name, whether it is here, size, licence, title.
pub fn list(settings: &Settings) -> Result<()> {
    let inference = plugins::inference(settings)?;
    for manifest in inference.manifests() {
        let here = if inference.is_here(&manifest.name)? { "here" } else { "-" };
        let size = manifest.bytes() / 1_000_000;
        println!("{:<24} {here:<5} {size:>4} MB  {:<12} {}", manifest.name, manifest.licence, manifest.title);
    }
    Ok(())
}

/// Fetches the files of these models that are not here, with a progress bar.
pub async fn pull(settings: &Settings, names: &[String]) -> Result<()> {
    let inference = plugins::inference(settings)?;
    for name in names {
        let progress = |done: u64, all: u64| {
            let percent = (100 * done).checked_div(all).unwrap_or(100);
            let bar = "#".repeat(percent as usize / 4);
            eprint!("\r{name} [{bar:<25}] {percent:>3} %");
            let _ = std::io::stderr().flush();
        };
        inference.pull(name, &progress).await.with_context(|| format!("cannot fetch the model {name}"))?;
        eprintln!("\r{name} is here.{:<40}", "");
    }
    Ok(())
}

/// Reads every file of these models (of all that are here, if none is named) and compares it with its manifest.
pub async fn verify(settings: &Settings, names: &[String]) -> Result<()> {
    let inference = plugins::inference(settings)?;
    let mut names = names.to_vec();
    if names.is_empty() {
        let all = inference.manifests();
        names = all.iter().map(|manifest| manifest.name.clone()).collect();
        names.retain(|name| inference.is_here(name).unwrap_or(false));
    }
    let mut wrong = 0;
    for name in &names {
        match inference.verify(name).await {
            Ok(()) => println!("{name}: as it should be"),
            Err(error) => {
                wrong += 1;
                println!("{name}: {error}");
            }
        }
    }
    if wrong > 0 {
        bail!("{wrong} of {} models are not as they should be", names.len());
    }
    Ok(())
}
