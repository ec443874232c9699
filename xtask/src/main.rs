//! All automation of Latent: `cargo xtask serve | test | bench | ...`. Standard cargo builds it, so that nothing has to be
//! installed before it; it knows nothing of wasmtime.

mod bench;
mod build;
mod cache;
mod deny;
mod guests;
mod kit;
mod models;
mod moto;
mod packages;
mod probe;
mod shell;
mod suite;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sets up, builds, starts, tests and measures Latent.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sets everything up, builds, and starts the server; prints its address.
    Serve {
        /// Arguments for `latent`, after `--`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Sets everything up and runs every test, as CI does.
    Test {
        /// Only the suite, and of it only the tests whose name contains this.
        filter: Option<String>,
        /// Leaves out formatting, clippy and licences.
        #[arg(long)]
        suite_only: bool,
    },
    /// Measures; prints a table and writes target/bench/<date>.json.
    Bench {
        /// Only the benches whose name contains one of these.
        only: Vec<String>,
    },
    /// Fetches what is pinned, and builds models, plugins, the page and the server.
    Build,
    /// Builds the models that ship inside packages.
    Models {
        /// Also those that no default needs.
        #[arg(long)]
        all: bool,
    },
    /// Compiles the plugins, and the guests that the tests use.
    Plugins,
    /// Builds the page that browsers load.
    Web,
    /// Says what this machine has and what is missing; installs nothing.
    Doctor,
    /// Checks licences, bans and sources of all dependencies.
    Deny,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve { args } => build::serve(&args),
        Command::Test { filter, suite_only } => suite::run(filter.as_deref(), suite_only),
        Command::Bench { only } => bench::run(&only),
        Command::Build => build::everything(),
        Command::Models { all } => models::build(all),
        Command::Plugins => guests::build_all(),
        Command::Web => web::build(),
        Command::Doctor => probe::doctor(),
        Command::Deny => deny::check(),
    }
}
