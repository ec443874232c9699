//! What this machine has, what is missing, and how to get it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::packages;
use crate::shell::{run, run_quiet, succeeds, target};

/// Something that a build, a server or a test needs.
struct Need {
    what: &'static str,
    there: fn() -> bool,
    /// Debian's and Ubuntu's packages.
    apt: &'static [&'static str],
}

const BUILD: &[Need] = &[
    Need {
        what: "a C and C++ compiler",
        there: || program("cc") && program("c++") && program("make"),
        apt: &["build-essential"],
    },
    Need { what: "cmake", there: || program("cmake"), apt: &["cmake"] },
    Need { what: "nasm", there: || program("nasm"), apt: &["nasm"] },
    Need { what: "pkg-config", there: || program("pkg-config"), apt: &["pkg-config"] },
    Need { what: "libde265", there: || library("libde265"), apt: &["libde265-dev"] },
    Need { what: "libdav1d", there: || library("dav1d"), apt: &["libdav1d-dev"] },
    Need {
        what: "python3 with pip",
        there: || succeeds("python3", &["-m", "pip", "--version"]),
        apt: &["python3", "python3-pip"],
    },
    // Not of the build: whoever serves has videos.
    Need { what: "ffmpeg", there: || program("ffmpeg") && program("ffprobe"), apt: &["ffmpeg"] },
    Need { what: "node with npm", there: || program("node") && program("npm"), apt: &["nodejs", "npm"] },
];

const TEST: &[Need] = &[
    Need { what: "chromium", there: || chromium().is_some(), apt: &["chromium"] },
    // An OCI registry that is not ours, for plugins to be pulled from.
    Need { what: "docker-registry", there: || program("docker-registry"), apt: &["docker-registry"] },
];

/// The browser of the tests: Debian's name, or Ubuntu's and Fedora's.
pub fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser"].iter().find_map(|name| find(name))
}

/// Debian's own Rust, which compiles WebAssembly's standard library itself where rustup cannot fetch it.
const DEBIAN_WASM: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
const WASM: Need = Need { what: "a WebAssembly toolchain", there: debian_wasm_is_there, apt: DEBIAN_WASM };

fn program(name: &str) -> bool {
    find(name).is_some()
}

fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

fn library(name: &str) -> bool {
    succeeds("pkg-config", &["--exists", name])
}

/// Installs what building and serving needs, and with `tests` what the tests need beside that. All of it at once: where nothing
/// may be installed, one command is printed before anything else happens.
pub fn ensure(tests: bool) -> Result<()> {
    let mut missing: Vec<&Need> =
        BUILD.iter().chain(if tests { TEST } else { &[] }).filter(|need| !(need.there)()).collect();
    let wasm = WASM;
    if wasm_choice().is_none() && !rustup_target_is_there() && !program("rustup") {
        missing.extend([&wasm].into_iter().filter(|need| !(need.there)()));
    }
    if tests {
        components()?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|need| need.what).collect();
    println!("   missing: {}", names.join(", "));
    install(&missing.iter().flat_map(|need| need.apt).copied().collect::<Vec<_>>())?;
    let still: Vec<&str> = missing.iter().filter(|need| !(need.there)()).map(|need| need.what).collect();
    if !still.is_empty() {
        bail!("still missing after the installation: {}", still.join(", "));
    }
    Ok(())
}

/// rustfmt and clippy are components that a minimal toolchain does not have.
fn components() -> Result<()> {
    let has = |tool: &str| succeeds("cargo", &[tool, "--version"]);
    if (has("fmt") && has("clippy")) || succeeds("rustup", &["component", "add", "rustfmt", "clippy"]) {
        return Ok(());
    }
    bail!("rustfmt or clippy is missing; run this, then try again:\n\n    rustup component add rustfmt clippy\n")
}

/// With apt, as root or by sudo without a password; otherwise fails with the one command to run.
fn install(packages: &[&str]) -> Result<()> {
    let root = is_root();
    let sudo = !root && succeeds("sudo", &["-n", "true"]);
    if !program("apt-get") || !(root || sudo) {
        bail!(
            "run this, then try again:\n\n    sudo apt-get update && sudo apt-get install -y {}\n",
            packages.join(" ")
        );
    }
    println!("   installing {}", packages.join(" "));
    let apt = |args: &[&str]| {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
        command
    };
    run_quiet(&mut apt(&["update", "-qq"]))?;
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(packages);
    run_quiet(&mut apt(&args))
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// How guests are compiled here (FACTS: two ways).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WasmToolchain {
    /// rustup's `wasm32-unknown-unknown`.
    Rustup,
    /// Debian's rustc, with `-Zbuild-std`.
    Debian,
}

/// Finds a way to compile to WebAssembly, installing what it needs, and says which it took. What was taken once is taken again:
/// a second run asks no network.
pub fn wasm_toolchain() -> Result<WasmToolchain> {
    let toolchain = find_wasm_toolchain()?;
    let name = match toolchain {
        WasmToolchain::Rustup => "rustup",
        WasmToolchain::Debian => "debian",
    };
    println!("   guests: {}", if name == "rustup" { "rustup's wasm32-unknown-unknown" } else { "Debian's toolchain" });
    fs::create_dir_all(target())?;
    fs::write(target().join(CHOICE), name)?;
    Ok(toolchain)
}

const CHOICE: &str = "wasm.toolchain";

/// That of an earlier run, if it is still there.
pub fn wasm_choice() -> Option<WasmToolchain> {
    match &*fs::read_to_string(target().join(CHOICE)).ok()? {
        "rustup" if rustup_target_is_there() => Some(WasmToolchain::Rustup),
        "debian" if debian_wasm_is_there() => Some(WasmToolchain::Debian),
        _ => None,
    }
}

fn find_wasm_toolchain() -> Result<WasmToolchain> {
    if let Some(toolchain) = wasm_choice() {
        return Ok(toolchain);
    }
    if rustup_target_is_there() || succeeds("rustup", &["target", "add", "wasm32-unknown-unknown"]) {
        return Ok(WasmToolchain::Rustup);
    }
    if !debian_wasm_is_there() {
        println!("   rustup cannot fetch wasm32-unknown-unknown; taking Debian's toolchain");
        install(DEBIAN_WASM)?;
    }
    if !debian_wasm_is_there() {
        bail!(
            "no way to compile WebAssembly: `rustup target add wasm32-unknown-unknown`, or on Debian install {}",
            DEBIAN_WASM.join(" ")
        );
    }
    Ok(WasmToolchain::Debian)
}

/// The page's tools (Vite 8) want Node 20.19, or 22.12 and newer; Debian 12 has 18. The folder with one that will do, to be put
/// first on PATH; `None`: the machine's own.
pub fn node() -> Result<Option<PathBuf>> {
    let version = crate::shell::output(Command::new("node").arg("--version")).unwrap_or_default();
    if node_will_do(&version) {
        return Ok(None);
    }
    println!("   node {} is too old for the page's tools: taking a package with a newer one", version.trim());
    let folder = packages::tool("node")?
        .unpacked()
        .context("install Node 20.19, or 22.12 or newer, from https://nodejs.org, then try again")?;
    Ok(Some(folder))
}

/// `v20.19.2`
fn node_will_do(version: &str) -> bool {
    let mut parts = version.trim().trim_start_matches('v').split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    match (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) {
        (20, minor) => minor >= 19,
        (22, minor) => minor >= 12,
        (major, _) => major >= 23,
    }
}

fn rustup_target_is_there() -> bool {
    crate::shell::output(Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]))
        .is_ok_and(|dir| std::path::Path::new(dir.trim()).is_dir())
}

fn debian_wasm_is_there() -> bool {
    std::path::Path::new("/usr/bin/rustc").exists()
        && std::path::Path::new("/usr/bin/cargo").exists()
        && program("wasm-ld-19")
        && debian_std_source_is_there()
}

fn debian_std_source_is_there() -> bool {
    crate::shell::output(Command::new("/usr/bin/rustc").args(["--print", "sysroot"])).is_ok_and(|sysroot| {
        std::path::Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std/Cargo.toml").exists()
    })
}

/// Prints what is there and what is missing.
pub fn doctor() -> Result<()> {
    for need in BUILD.iter().chain(TEST) {
        let state = if (need.there)() { "ok".to_owned() } else { format!("MISSING (apt: {})", need.apt.join(" ")) };
        println!("{:24} {state}", need.what);
    }
    let wasm = if rustup_target_is_there() {
        "ok (rustup)"
    } else if debian_wasm_is_there() {
        "ok (Debian)"
    } else {
        "MISSING (rustup target add wasm32-unknown-unknown)"
    };
    println!("{:24} {wasm}", "WebAssembly");
    run(Command::new("rustc").arg("--version"))
}
