//! Guests: each crate with a plugin.toml becomes one component with its manifest in a custom section.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use wit_component::ComponentEncoder;

use crate::probe::{WasmToolchain, wasm_choice, wasm_toolchain};
use crate::shell::{root, run, target};
use crate::{cache, kit};

/// The custom section that holds the manifest, as `plugin-host` reads it.
const MANIFEST_SECTION: &str = "latent:manifest";

/// First-party plugins go into the kit, the guests of the tests into target/guests.
pub fn build_all() -> Result<()> {
    build_workspace(&root().join("plugins"), &kit::dir().join("plugins"))?;
    let guests = root().join("tests/guests");
    if guests.join("Cargo.toml").exists() {
        build_workspace(&guests, &target().join("guests"))?;
    }
    Ok(())
}

fn build_workspace(workspace: &Path, into: &Path) -> Result<()> {
    let stamp = into.join(".fingerprint");
    let sources = cache::fingerprint(&[workspace.to_path_buf(), root().join("wit")])?;
    let plugins = plugins(workspace)?;
    let complete = plugins.iter().all(|plugin| into.join(plugin.file_name()).exists());
    // Looked at before a toolchain is looked for, which may ask the network.
    let is_fresh =
        |toolchain| fs::read_to_string(&stamp).is_ok_and(|there| there == format!("{sources} {toolchain:?}"));
    if complete && wasm_choice().is_some_and(is_fresh) {
        return Ok(());
    }
    let toolchain = wasm_toolchain()?;
    if complete && is_fresh(toolchain) {
        return Ok(());
    }
    fs::create_dir_all(into)?;
    let target = target().join("wasm").join(workspace.file_name().context("a workspace has a name")?);
    run(cargo_build(toolchain).current_dir(workspace).env("CARGO_TARGET_DIR", &target))?;
    for plugin in plugins {
        let module =
            target.join("wasm32-unknown-unknown/release").join(format!("{}.wasm", plugin.name.replace('-', "_")));
        let component =
            package(&module, &plugin.manifest).with_context(|| format!("cannot package {}", plugin.name))?;
        println!("   {} ({:.0} KB)", plugin.file_name(), component.len() as f64 / 1e3);
        fs::write(into.join(plugin.file_name()), component)?;
    }
    Ok(fs::write(stamp, format!("{sources} {toolchain:?}"))?)
}

/// Both ways of FACTS 1. Nothing of the outer cargo may leak into a build with another toolchain.
fn cargo_build(toolchain: WasmToolchain) -> Command {
    let mut command = match toolchain {
        WasmToolchain::Rustup => Command::new("cargo"),
        WasmToolchain::Debian => {
            let mut command = Command::new("/usr/bin/cargo");
            let path = std::env::var("PATH").unwrap_or_default();
            command
                .env("PATH", format!("/usr/bin:{path}"))
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld-19");
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let leaks = name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST")
            || name.starts_with("RUSTUP_TOOLCHAIN");
        if leaks || matches!(&*name, "CARGO" | "RUSTFLAGS" | "CARGO_ENCODED_RUSTFLAGS" | "RUSTC_WRAPPER") {
            command.env_remove(name);
        }
    }
    command.args(["build", "--release", "--locked", "--target", "wasm32-unknown-unknown"]);
    if toolchain == WasmToolchain::Debian {
        command.arg("-Zbuild-std=std,panic_abort");
    }
    command
}

struct Plugin {
    name: String,
    manifest: PathBuf,
}

impl Plugin {
    fn file_name(&self) -> String {
        format!("{}.wasm", self.name)
    }
}

#[derive(Deserialize)]
struct CargoToml {
    package: CargoPackage,
}

#[derive(Deserialize)]
struct CargoPackage {
    name: String,
}

fn plugins(workspace: &Path) -> Result<Vec<Plugin>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(workspace)? {
        let dir = entry?.path();
        let manifest = dir.join("plugin.toml");
        if manifest.exists() {
            let cargo: CargoToml = toml::from_str(&fs::read_to_string(dir.join("Cargo.toml"))?)?;
            found.push(Plugin { name: cargo.package.name, manifest });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if found.is_empty() {
        bail!("{} holds no crate with a plugin.toml", workspace.display());
    }
    Ok(found)
}

/// Core module -> component -> component with its manifest.
fn package(module: &Path, manifest: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let mut component = ComponentEncoder::default().validate(true).module(&bytes)?.encode()?;
    let text = fs::read_to_string(manifest)?;
    let section = wasm_encoder::CustomSection { name: MANIFEST_SECTION.into(), data: text.as_bytes().into() };
    component.push(wasm_encoder::ComponentSection::id(&section));
    wasm_encoder::Encode::encode(&section, &mut component);
    Ok(component)
}

/// Lints of both workspaces of guests, for this machine's own target: what they say is the same, and every toolchain has it.
pub fn clippy() -> Result<()> {
    for workspace in workspaces() {
        let target = target().join("wasm/native");
        let args = ["clippy", "--release", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
        run(Command::new("cargo").current_dir(workspace).env("CARGO_TARGET_DIR", target).args(args))?;
    }
    Ok(())
}

/// plugins/ and tests/guests.
pub fn workspaces() -> [PathBuf; 2] {
    [root().join("plugins"), root().join("tests/guests")]
}

/// The unit tests of the guests' pure logic, on this machine's own target.
pub fn test() -> Result<()> {
    let target = target().join("wasm/native");
    run(Command::new("cargo").current_dir(root().join("plugins")).env("CARGO_TARGET_DIR", target).args([
        "test",
        "--release",
        "--locked",
        "--workspace",
        "--quiet",
    ]))
}
