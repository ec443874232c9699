//! `latent plugin`: what is installed, what it may do, whose word counts. Works beside a running server, which hears of changes by
//! way of the database, and without one.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use gallery::plugins::{Approval, Candidate, Manager, Offer, Package, Source, key_id, verify};
use plugin_host::{HostConfig, PluginHost};
use serde_json::{Map, Value};
use store::plugins::PluginKey;

use crate::{Settings, compose};

#[derive(Subcommand)]
pub enum Command {
    /// Says what a file is, what it asks for, whether its signature holds, and what is wrong with it. Installs nothing.
    Check {
        file: PathBuf,
        /// A public key of minisign, or a file with one, in place of those that are trusted.
        #[arg(long)]
        key: Option<String>,
        /// Not signed is not wrong.
        #[arg(long)]
        allow_unsigned: bool,
    },
    /// Installs a plugin, after showing what it asks for.
    Install {
        /// A file, https://…, oci://host/repository:tag, or with --index an id.
        source: String,
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        approve: Approve,
    },
    /// Names every plugin, its version and how it is.
    List {
        #[arg(long)]
        json: bool,
    },
    /// Says everything of one.
    Info {
        id: String,
        #[arg(long)]
        json: bool,
    },
    /// Lets it run.
    Enable { id: String },
    /// Stops it; it stays installed.
    Disable { id: String },
    /// Approves the version that waits, or changes what the one that runs may do.
    Grant {
        id: String,
        #[command(flatten)]
        approve: Approve,
    },
    /// Puts another version in the place of the one that runs. Where it asks for more, that has to be approved first.
    Upgrade {
        id: String,
        /// As for `install`; where the one that runs came from, unless said.
        source: Option<String>,
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        approve: Approve,
    },
    /// Goes back to the version before, with what was approved for it.
    Rollback { id: String },
    /// Forgets the version that waits for an approval; what runs runs on.
    Discard { id: String },
    /// Takes it out, with the state that it kept.
    Remove { id: String },
    /// Keys whose signatures count.
    Trust {
        #[command(subcommand)]
        command: Trust,
    },
}

#[derive(Subcommand)]
pub enum Trust {
    /// Trusts a key for ids that begin with a prefix.
    Add {
        /// A public key of minisign, or a file with one.
        key: String,
        /// `org.example.` for org.example and all below it.
        #[arg(long = "for")]
        prefix: String,
    },
    /// Names them.
    List,
    /// Takes no new version on this key's word any more; what runs runs on.
    Remove {
        /// The key, its number, or a file with it.
        key: String,
        #[arg(long = "for")]
        prefix: Option<String>,
    },
}

#[derive(Args)]
pub struct From {
    /// The address of an index of plugins.
    #[arg(long)]
    index: Option<String>,
    /// Of the index; the highest unless said.
    #[arg(long, requires = "index")]
    version: Option<String>,
    /// The SHA-256 that it must have: sha256:…
    #[arg(long)]
    digest: Option<String>,
    /// For developers: takes what nobody signed whom you trust. It is written down and shown.
    #[arg(long)]
    allow_unsigned: bool,
    /// Takes it over a network without encryption.
    #[arg(long)]
    allow_http: bool,
}

#[derive(Args)]
pub struct Approve {
    /// Binds a model of `latent model list` to a label that the plugin asks for: LABEL=MODEL
    #[arg(long = "model", value_parser = pair)]
    models: Vec<(String, String)>,
    /// What differs from what it asks for: pixels=false, memory=32MiB
    #[arg(long = "grant", value_parser = pair)]
    grants: Vec<(String, String)>,
    /// The plugin's own settings, as JSON.
    #[arg(long)]
    settings: Option<String>,
    /// Approves without asking.
    #[arg(long, short)]
    yes: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no =: write NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Approve {
    fn approval(&self) -> Result<Approval> {
        // What is no JSON is a text.
        let value = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.clone()));
        let mut grants: Map<String, Value> = self.grants.iter().map(|(k, v)| (k.clone(), value(v))).collect();
        if !self.models.is_empty() {
            let models: Map<String, Value> = self.models.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
            grants.insert("models".into(), models.into());
        }
        let settings = self.settings.as_deref().map(serde_json::from_str).transpose();
        Ok(Approval { grants, settings: settings.context("--settings is no JSON object")? })
    }

    fn says_something(&self) -> bool {
        !self.models.is_empty() || !self.grants.is_empty() || self.settings.is_some()
    }

    /// Yes, by word or by hand.
    fn confirmed(&self, question: &str) -> Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if !std::io::stdin().is_terminal() {
            return Ok(false);
        }
        print!("{question} [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

impl From {
    fn offer(&self, source: &str) -> Result<Offer> {
        let source = match &self.index {
            Some(url) => Source::Index { url: url.clone(), id: source.to_owned(), version: self.version.clone() },
            None => Source::parse(source).map_err(anyhow::Error::msg)?,
        };
        Ok(Offer {
            source,
            digest: self.digest.clone(),
            allow_unsigned: self.allow_unsigned,
            allow_http: self.allow_http,
        })
    }
}

/// Runs a command.
pub async fn run(settings: &Settings, command: Command) -> Result<()> {
    if let Command::Check { file, key, allow_unsigned } = command {
        return check(settings, file, key, allow_unsigned).await;
    }
    let (manager, services) = compose::manager(settings).await?;
    let done = with(&manager, command).await;
    drop(manager);
    if let Some(services) = services {
        tokio::task::spawn_blocking(move || services.stop()).await?;
    }
    done
}

async fn with(manager: &Manager, command: Command) -> Result<()> {
    match command {
        Command::Check { .. } => Ok(()),
        Command::Install { source, from, approve } => install(manager, &source, &from, &approve).await,
        Command::List { json } => list(&manager.list().await?, json),
        Command::Info { id, json } => info(&manager.show(&id).await?, json),
        Command::Enable { id } => {
            manager.set_enabled(&id, true).await?;
            say(&format!("{id} is enabled."))
        }
        Command::Disable { id } => {
            manager.set_enabled(&id, false).await?;
            say(&format!("{id} is disabled."))
        }
        Command::Grant { id, approve } => grant(manager, &id, &approve).await,
        Command::Upgrade { id, source, from, approve } => upgrade(manager, &id, source, &from, &approve).await,
        Command::Rollback { id } => {
            manager.rollback(&id).await?;
            say(&format!("{id} is {} again.", version(&manager.show(&id).await?)))
        }
        Command::Discard { id } => {
            manager.discard(&id).await?;
            say(&format!("The version of {id} that waited is forgotten."))
        }
        Command::Remove { id } => {
            manager.remove(&id).await?;
            say(&format!("{id} is removed."))
        }
        Command::Trust { command } => trust(manager, command).await,
    }
}

async fn install(manager: &Manager, source: &str, from: &From, approve: &Approve) -> Result<()> {
    let candidate = manager.look(&from.offer(source)?).await?;
    describe(&candidate.package, candidate.signed_by.as_deref());
    println!("It");
    bullets(&candidate.words());
    if !approve.confirmed("Install it, and approve this?")? {
        bail!("nothing was installed: --yes approves what is written above, --grant a part of it");
    }
    let id = &candidate.package.manifest.id;
    manager.install(&candidate, Some(&approve.approval()?)).await?;
    say(&format!("{id} {} is installed and enabled.", candidate.package.version))
}

async fn upgrade(manager: &Manager, id: &str, source: Option<String>, from: &From, approve: &Approve) -> Result<()> {
    let installed = manager.installed(id).await?;
    let offer = match (source, &installed.active) {
        (Some(source), _) => from.offer(&source)?,
        (None, _) if from.index.is_some() => from.offer(id)?,
        (None, Some(active)) => Offer { source: again(&active.source)?, ..from.offer("-")? },
        (None, None) => bail!("{id} waits for its first approval: say where another version is"),
    };
    let candidate: Candidate = manager.look(&offer).await?;
    let wider = manager.compare(id, &candidate).await?;
    describe(&candidate.package, candidate.signed_by.as_deref());
    let version = &candidate.package.version;
    if wider.is_empty() && !approve.says_something() {
        manager.upgrade(id, &candidate, None).await?;
        return say(&format!("It asks for no more than before. {id} is {version} now."));
    }
    println!("Beyond what runs, it");
    bullets(&wider);
    if approve.confirmed("Approve this, and switch?")? {
        manager.upgrade(id, &candidate, Some(&approve.approval()?)).await?;
        return say(&format!("{id} is {version} now."));
    }
    manager.upgrade(id, &candidate, None).await?;
    say(&format!(
        "{id} {version} waits for an approval, and what ran runs on: `latent plugin grant {id} --yes` approves what is written \
         above"
    ))
}

/// Where a version came from, once more.
fn again(source: &str) -> Result<Source> {
    Source::again(source).map_err(anyhow::Error::msg)
}

async fn grant(manager: &Manager, id: &str, approve: &Approve) -> Result<()> {
    let shown = manager.show(id).await?;
    if shown["staged"].is_object() {
        println!("{id} {} waits. Beyond what runs, it", shown["staged"]["version"].as_str().unwrap_or(""));
        bullets(&texts(&shown["staged"]["wider"]));
        if !approve.confirmed("Approve this, and switch?")? {
            bail!("nothing was changed: --yes approves what is written above, --grant a part of it");
        }
        manager.approve(id, &approve.approval()?).await?;
    } else if approve.says_something() {
        manager.grant(id, &approve.approval()?).await?;
    } else {
        bail!("nothing of {id} waits for an approval; --grant, --model or --settings change what it may do");
    }
    info(&manager.show(id).await?, false)
}

async fn trust(manager: &Manager, command: Trust) -> Result<()> {
    match command {
        Trust::Add { key, prefix } => {
            let key = manager.trust(&text_of(&key)?, &prefix).await?;
            say(&format!("{} is trusted for {} and all below it.", number(&key), key.prefix))
        }
        Trust::List => {
            for key in manager.keys().await? {
                println!("{}  {:<32} {}", number(&key), key.prefix, key.public_key);
            }
            Ok(())
        }
        Trust::Remove { key, prefix } => {
            manager.distrust(text_of(&key)?.trim(), prefix.as_deref()).await?;
            say("No new version is taken on its word any more.")
        }
    }
}

fn number(key: &PluginKey) -> String {
    key_id(&key.public_key).unwrap_or_default()
}

/// A key, or what stands in a file with one.
fn text_of(key: &str) -> Result<String> {
    match std::path::Path::new(key).is_file() {
        true => std::fs::read_to_string(key).with_context(|| format!("cannot read {key}")),
        false => Ok(key.to_owned()),
    }
}

async fn check(settings: &Settings, file: PathBuf, key: Option<String>, allow_unsigned: bool) -> Result<()> {
    let config = HostConfig { cache_dir: settings.plugin_host.cache.clone(), threads: 1 };
    let host = PluginHost::new(&config)?;
    let fetched = Offer::new(Source::File(file.clone())).fetch().await.map_err(anyhow::Error::msg)?;
    let package = Package::open(&host, fetched.wasm).await?;
    let keys = match key {
        Some(key) => {
            let text = text_of(&key)?;
            let public_key = gallery::plugins::public_key(&text).map_err(anyhow::Error::msg)?;
            let (prefix, added_at) = (package.manifest.id.clone(), types::Clock::now(&types::SystemClock));
            vec![PluginKey { public_key, prefix, added_at }]
        }
        None => trusted(settings).await?,
    };
    let signed = verify(&package, fetched.signature.as_deref(), &keys, allow_unsigned);
    describe(&package, signed.as_ref().ok().and_then(|key| key.as_deref()));
    println!("It");
    bullets(&gallery::plugins::requests::words(&gallery::plugins::requests::of(&package.manifest)));
    match signed {
        Ok(_) => say("The component is what its manifest says."),
        Err(why) => bail!("the component is what its manifest says, but {why}"),
    }
}

/// Of the library of the settings; where there is none yet, nobody is trusted.
async fn trusted(settings: &Settings) -> Result<Vec<PluginKey>> {
    if settings.database.url.is_empty() && !settings.data_dir.join("postgres").exists() {
        return Ok(Vec::new());
    }
    let (manager, services) = compose::manager(settings).await?;
    let keys = manager.keys().await;
    drop(manager);
    if let Some(services) = services {
        tokio::task::spawn_blocking(move || services.stop()).await?;
    }
    Ok(keys?)
}

fn describe(package: &Package, signed_by: Option<&str>) {
    let manifest = &package.manifest;
    let mut text = format!("{} {}: {}\n", manifest.id, manifest.version, manifest.title);
    for (name, value) in [("about", &*manifest.description), ("licence", &manifest.licence), ("world", &manifest.world)]
    {
        if !value.is_empty() {
            text += &format!("  {name:<9} {value}\n");
        }
    }
    let signer = signed_by.and_then(key_id).unwrap_or_else(|| "nobody whom you trust".into());
    text += &format!("  {:<9} {}\n  {:<9} {signer}", "sha256", package.digest, "signed by");
    println!("{text}");
}

fn say(text: &str) -> Result<()> {
    println!("{text}");
    Ok(())
}

fn bullets(lines: &[String]) {
    if lines.is_empty() {
        println!("  - asks for nothing");
    }
    for line in lines {
        println!("  - {line}");
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
}

fn version(shown: &Value) -> &str {
    shown["active"]["version"].as_str().or_else(|| shown["staged"]["version"].as_str()).unwrap_or("-")
}

fn list(plugins: &[Value], json: bool) -> Result<()> {
    if json {
        return say(&serde_json::to_string_pretty(plugins)?);
    }
    for plugin in plugins {
        let text = |name: &str| plugin[name].as_str().unwrap_or("");
        let state = plugin["health"]["state"].as_str().unwrap_or("");
        let note = match (plugin["pinned"].as_bool(), plugin["staged"]["version"].as_str()) {
            (Some(true), _) => " (pinned by the settings)".to_owned(),
            (_, Some(version)) => format!(" ({version} waits for an approval)"),
            _ => String::new(),
        };
        println!("{:<32} {:<10} {state:<9} {}{note}", text("id"), version(plugin), text("title"));
    }
    Ok(())
}

fn info(plugin: &Value, json: bool) -> Result<()> {
    if json {
        return say(&serde_json::to_string_pretty(plugin)?);
    }
    let text = |name: &str| plugin[name].as_str().unwrap_or("");
    println!("{}: {}", text("id"), text("title"));
    let why = plugin["health"]["why"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    println!("  {}{why}", plugin["health"]["state"].as_str().unwrap_or(""));
    for (name, title) in [("active", "Runs"), ("previous", "Before"), ("staged", "Waits for an approval")] {
        let release = &plugin[name];
        let Some(version) = release["version"].as_str() else { continue };
        let of = |name: &str| release[name].as_str().unwrap_or("");
        let signer = release["signedBy"]["key"].as_str().unwrap_or("nobody");
        println!("{title}: {version}, sha256:{}\n  from {}, signed by {signer}", of("digest"), of("source"));
        bullets(&texts(&release[if name == "staged" { "wider" } else { "may" }]));
    }
    if plugin["ceiling"].is_array() {
        println!("The settings allow at most:");
        bullets(&texts(&plugin["ceiling"]));
    }
    Ok(())
}
