//! What this machine has, what is missing, and how to get it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{run, run_quiet, succeeds};

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
    Need { what: "node with npm", there: || program("node") && program("npm"), apt: &["nodejs", "npm"] },
    Need { what: "ffmpeg", there: || succeeds("ffmpeg", &["-version"]), apt: &["ffmpeg"] },
];

const TEST: &[Need] =
    &[Need { what: "chromium", there: || program("chromium") || program("chromium-browser"), apt: &["chromium"] }];

/// Debian's own Rust, which compiles WebAssembly's standard library itself where rustup cannot fetch it.
const DEBIAN_WASM: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-19"];

fn program(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

fn library(name: &str) -> bool {
    succeeds("pkg-config", &["--exists", name])
}

/// Installs what building and serving needs.
pub fn ensure_for_build() -> Result<()> {
    ensure(BUILD)
}

/// Installs what the tests need beside that.
pub fn ensure_for_test() -> Result<()> {
    ensure(TEST)
}

fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.there)()).collect();
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

/// Finds a way to compile to WebAssembly, installing what it needs, and says which it took.
pub fn wasm_toolchain() -> Result<WasmToolchain> {
    if rustup_target_is_there() || succeeds("rustup", &["target", "add", "wasm32-unknown-unknown"]) {
        println!("   guests: rustup's target wasm32-unknown-unknown");
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
    println!("   guests: Debian's toolchain with its own standard library");
    Ok(WasmToolchain::Debian)
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
