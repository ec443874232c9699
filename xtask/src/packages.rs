//! Pinned packages: downloaded by name with the registry's own client, checked, kept by hash, unpacked once.

use std::collections::BTreeMap;
use std::fs;
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
    tool: Vec<Package>,
}

/// Whose own client fetches it.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Registry {
    Pypi,
    Npm,
}

/// A line of packages.toml.
#[derive(Deserialize)]
pub struct Package {
    pub id: String,
    registry: Registry,
    spec: String,
    #[serde(default)]
    args: Vec<String>,
    /// The folder of the package that is of use.
    inside: String,
    /// By architecture.
    sha256: BTreeMap<String, String>,
}

fn read() -> Result<Pinned> {
    toml::from_str(include_str!("../packages.toml")).context("xtask/packages.toml")
}

/// All pinned packages of the server.
pub fn pinned() -> Result<Vec<Package>> {
    Ok(read()?.package)
}

/// One of those that xtask runs itself.
pub fn tool(id: &str) -> Result<Package> {
    read()?.tool.into_iter().find(|tool| tool.id == id).with_context(|| format!("xtask/packages.toml has no tool {id}"))
}

/// A wheel is a zip: it says nothing of modes.
pub fn make_executable(program: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", program.display()))
}

impl Package {
    /// The folder that is of use, fetched and unpacked if it is not there yet.
    pub fn unpacked(&self) -> Result<PathBuf> {
        let sha256 = self.sha256.get(std::env::consts::ARCH).with_context(|| {
            format!(
                "{} is pinned for {} only, and this machine is {}: Latent builds on x86_64 and aarch64",
                self.spec,
                self.sha256.keys().map(String::as_str).collect::<Vec<_>>().join(" and "),
                std::env::consts::ARCH
            )
        })?;
        let home = cache::dir()?.join("unpacked").join(sha256);
        if !home.exists() {
            let archive = self.archive(sha256)?;
            match self.registry {
                Registry::Pypi => unpack(&archive, &home),
                Registry::Npm => untar(&archive, &home),
            }
            .with_context(|| format!("cannot unpack {}", self.spec))?;
        }
        Ok(home.join(for_this_machine(&self.inside)))
    }

    fn archive(&self, sha256: &str) -> Result<PathBuf> {
        let shelf = cache::dir()?.join("packages");
        let kept = shelf.join(sha256);
        if kept.exists() && cache::sha256(&kept)? == sha256 {
            return Ok(kept);
        }
        fs::create_dir_all(&shelf)?;
        let incoming = tempfile::tempdir_in(&shelf)?;
        fetch(self.client(incoming.path()), incoming.path(), &self.spec)
            .with_context(|| format!("cannot fetch {}", self.spec))?;
        let file = fs::read_dir(incoming.path())?.next().context("the package client fetched nothing")??.path();
        let found = cache::sha256(&file)?;
        if found != sha256 {
            bail!("{} has SHA-256 {found}, but {sha256} is pinned in xtask/packages.toml: not used", self.spec);
        }
        fs::rename(&file, &kept)?;
        println!("   {} ({:.1} MB)", self.spec, fs::metadata(&kept)?.len() as f64 / 1e6);
        Ok(kept)
    }

    /// The registry's own client, fetching into a folder.
    fn client(&self, into: &Path) -> Command {
        match self.registry {
            Registry::Pypi => {
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"])
                    .args(["--quiet", "-d"])
                    .arg(into)
                    .args(self.args.iter().map(|arg| for_this_machine(arg)))
                    .arg(&self.spec)
                    // What is on its way lies in the temporary folder of pip first.
                    .env("TMPDIR", into);
                pip
            }
            Registry::Npm => {
                let mut npm = Command::new("npm");
                npm.args(["pack", "--silent", &self.spec, "--pack-destination"]).arg(into).env("TMPDIR", into);
                npm
            }
        }
    }
}

fn for_this_machine(text: &str) -> String {
    text.replace("{arch}", std::env::consts::ARCH)
}

/// Runs a client and shows how much it has fetched, by the size of what lies in `folder`: pip tells it since 24.1 only, npm never.
fn fetch(mut client: Command, folder: &Path, what: &str) -> Result<()> {
    let bar = spinner(&format!("fetching {what}"));
    let mut child = client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    while child.try_wait()?.is_none() {
        bar.set_position(size(folder));
        std::thread::sleep(Duration::from_millis(100));
    }
    bar.finish_and_clear();
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    // Folders are what the client left of its own.
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Bytes below a folder; files come and go meanwhile.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn spinner(message: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("   {spinner} {msg}: {bytes} ({bytes_per_sec})").expect("a valid template");
    let bar = ProgressBar::new_spinner().with_style(style).with_message(message.to_owned());
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

/// An npm package.
fn untar(archive: &Path, home: &Path) -> Result<()> {
    let parent = home.parent().context("the cache folder has a parent")?;
    fs::create_dir_all(parent)?;
    let staging = tempfile::tempdir_in(parent)?;
    crate::shell::run_quiet(Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(staging.path()))?;
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
