//! Licences, bans and sources of all that is linked, by deny.toml. Licences are read as SPDX expressions; no tool has to be
//! compiled for it. Where cargo-deny is installed it runs too, with advisories when it can reach their database.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::shell::{cargo, output, root, succeeds};

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// A crate that may have a licence that others may not.
#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    name: String,
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    name: String,
    reason: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    /// `None`: of this workspace.
    source: Option<String>,
}

/// Fails with every package that may not be linked.
pub fn check() -> Result<()> {
    let deny: Deny = toml::from_str(&fs::read_to_string(root().join("deny.toml"))?).context("deny.toml")?;
    let args = ["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let metadata: Metadata = serde_json::from_str(&output(cargo().args(args))?)?;
    let packages: HashMap<&str, &Package> = metadata.packages.iter().map(|package| (&*package.id, package)).collect();
    let linked: Vec<&Package> =
        metadata.resolve.nodes.iter().filter_map(|node| packages.get(&*node.id).copied()).collect();
    let faults: Vec<String> = linked.iter().flat_map(|package| faults(package, &deny)).collect();
    if !faults.is_empty() {
        bail!("deny.toml forbids:\n  {}", faults.join("\n  "));
    }
    println!("   {} packages: licences, bans and sources are as deny.toml says", linked.len());
    advisories()
}

fn faults(package: &Package, deny: &Deny) -> Vec<String> {
    let named = format!("{} {}", package.name, package.version);
    let mut faults = Vec::new();
    if let Some(ban) = deny.bans.deny.iter().find(|ban| ban.name == package.name) {
        faults.push(format!("{named}: banned ({})", ban.reason));
    }
    let Some(source) = &package.source else { return faults };
    if !source.starts_with("registry+") && !source.starts_with("sparse+") {
        faults.push(format!("{named}: comes from {source}, not from a registry"));
    }
    match &package.license {
        None => faults.push(format!("{named}: states no licence")),
        Some(text) => match licence_is_allowed(text, &allowed_for(&package.name, &deny.licenses)) {
            Ok(true) => {}
            Ok(false) => faults.push(format!("{named}: {text} is not allowed")),
            Err(error) => faults.push(format!("{named}: {text:?} is no SPDX expression: {error}")),
        },
    }
    faults
}

fn allowed_for(name: &str, licenses: &Licenses) -> BTreeSet<String> {
    let exceptions = licenses.exceptions.iter().filter(|exception| exception.name == name);
    licenses.allow.iter().chain(exceptions.flat_map(|exception| &exception.allow)).cloned().collect()
}

fn licence_is_allowed(text: &str, allow: &BTreeSet<String>) -> Result<bool> {
    let expression = spdx::Expression::parse_mode(text, spdx::ParseMode::LAX)
        .map_err(|error| anyhow::anyhow!("{}", error.reason))?;
    Ok(expression.evaluate(|requirement| allow.contains(&requirement.to_string())))
}

fn advisories() -> Result<()> {
    if !succeeds("cargo-deny", &["--version"]) {
        println!("   advisories: skipped, cargo-deny is not installed");
        return Ok(());
    }
    match output(cargo().args(["deny", "check", "advisories"])) {
        Ok(_) => println!("   advisories: none"),
        Err(error) if format!("{error:#}").contains("fetch") => {
            println!("   advisories: skipped, their database cannot be reached");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
