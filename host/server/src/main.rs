//! `latent`: the command line.

mod allocator;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use pipelines::RunRequest;
use server::admin::MoveArgs;
use server::settings::LogFormat;
use server::{Role, Settings, config, metrics};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use types::{AssetId, QueueName};

/// A photo and video library of your own.
///
/// Without a command it does everything in one process: HTTP, background work, and the embedded PostgreSQL and Valkey.
#[derive(Parser)]
#[command(name = "latent", version)]
struct Cli {
    /// Settings; what it does not say stays at its default (see `latent config print`).
    #[arg(long, short, global = true, env = "LATENT_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves and works, in one process (default).
    All,
    /// Serves HTTP only; somebody else has to work.
    ///
    /// On one machine it shares the embedded services of a `latent work` with the same data-dir; the process that started first
    /// has to outlive the other. On several machines set database.url and redis.url for all.
    Serve,
    /// Works only.
    ///
    /// On one machine it shares the embedded services of a `latent serve` with the same data-dir; the process that started first
    /// has to outlive the other. On several machines set database.url and redis.url for all.
    Work {
        /// Queues to work on, separated by commas; all unless said.
        #[arg(long, value_delimiter = ',')]
        queues: Vec<String>,
    },
    /// Models that plugins run.
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Plugins: installs, approves, upgrades, removes.
    Plugin {
        #[command(subcommand)]
        command: server::plugin::Command,
    },
    /// Pipelines: what is done with photos.
    Pipeline {
        #[command(subcommand)]
        command: PipelineCommand,
    },
    /// Works on the library, beside a running server or without one.
    Admin {
        #[command(subcommand)]
        command: AdminCommand,
    },
    /// Looks at the settings.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Subcommand)]
enum ModelCommand {
    /// Names every model, and says whether it is here.
    List,
    /// Fetches models.
    Pull {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Compares models with their manifests; all that are here unless some are named.
    Verify { names: Vec<String> },
}

#[derive(Subcommand)]
enum PipelineCommand {
    /// Says what is wrong with a file, with those of a folder, or with those of the settings; needs no database.
    Check { path: Option<PathBuf> },
    /// Says what a pipeline does, in which order, and how many results are missing or stale and why.
    Explain {
        /// All unless said.
        name: Option<String>,
        /// What it did to this asset, and what it will do.
        #[arg(long)]
        asset: Option<AssetId>,
    },
    /// Runs a pipeline over the library or a part of it. A server that runs does the work, or the next that starts.
    Run {
        name: String,
        /// On these assets only; may be said several times.
        #[arg(long = "asset", value_name = "ID")]
        assets: Vec<AssetId>,
        /// Again where there is a result already.
        #[arg(long)]
        all: bool,
        /// Where a result is missing or has failed (default, but for assets by name, which are run in any case).
        #[arg(long, conflicts_with = "all")]
        missing: bool,
        /// These steps only, separated by commas.
        #[arg(long, value_delimiter = ',')]
        steps: Vec<String>,
        /// Only counts the assets.
        #[arg(long)]
        dry_run: bool,
        /// Waits until it is done, and shows how far it is.
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Where bytes live.
    Storage {
        #[command(subcommand)]
        command: StorageCommand,
    },
}

#[derive(Subcommand)]
enum StorageCommand {
    /// Says of each backend what it holds and whether it can be used.
    Check,
    /// Moves what lies in one backend to another, verified by hash. What was cut off goes on when it is started again.
    Move(MoveArgs),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Says what is wrong with them, or nothing.
    Check,
    /// Prints those in force, without passwords.
    Print,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let settings = config::load(cli.config.as_deref(), config::environment()?)?;
    let (role, queues) = match cli.command.unwrap_or(Command::All) {
        Command::All => (Role::All, Vec::new()),
        Command::Serve => (Role::Serve, Vec::new()),
        Command::Work { queues } => (Role::Work, queues),
        Command::Model { command } => return model(&settings, command),
        Command::Plugin { command } => return plugin(&settings, command),
        Command::Pipeline { command } => return pipeline(&settings, command),
        Command::Admin { command: AdminCommand::Storage { command } } => return storage(&settings, command),
        Command::Config { command: ConfigCommand::Check } => return check(&settings),
        Command::Config { command: ConfigCommand::Print } => {
            print!("{}", config::print(&settings));
            return Ok(());
        }
    };
    log(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(64).build()?;
    allocator::sweep();
    let served = runtime.block_on(serve(&settings, role, queues.into_iter().map(QueueName).collect()));
    // What was given back may still be in the hands of a thread.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

fn check(settings: &Settings) -> Result<()> {
    let wrong = server::check(settings);
    if wrong.is_empty() {
        println!("The settings are in order.");
        return Ok(());
    }
    bail!("the settings are not in order:\n  {}", wrong.join("\n  "))
}

fn model(settings: &Settings, command: ModelCommand) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        ModelCommand::List => server::models::list(settings),
        ModelCommand::Pull { names } => runtime.block_on(server::models::pull(settings, &names)),
        ModelCommand::Verify { names } => runtime.block_on(server::models::verify(settings, &names)),
    }
}

fn plugin(settings: &Settings, command: server::plugin::Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(server::plugin::run(settings, command));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

fn pipeline(settings: &Settings, command: PipelineCommand) -> Result<()> {
    if let PipelineCommand::Check { path } = &command {
        return server::pipelines::check(settings, path.as_deref());
    }
    log(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        PipelineCommand::Check { .. } => Ok(()),
        PipelineCommand::Explain { name, asset } => {
            runtime.block_on(server::pipelines::explain(settings, name.as_deref(), asset))
        }
        PipelineCommand::Run { name, assets, all, missing, steps, dry_run, wait } => {
            let force = all || !assets.is_empty() && !missing;
            let assets = Some(assets).filter(|assets| !assets.is_empty());
            let request = RunRequest { pipeline: name, cause: "manual", steps, force, assets };
            runtime.block_on(server::pipelines::run(settings, &request, dry_run, wait))
        }
    }
}

fn storage(settings: &Settings, command: StorageCommand) -> Result<()> {
    log(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(64).build()?;
    let done = match command {
        StorageCommand::Check => runtime.block_on(server::admin::check_storage(settings)),
        StorageCommand::Move(args) => runtime.block_on(server::admin::move_storage(settings, &args)),
    };
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

fn log(settings: &Settings) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.log.filter).context("log.filter")?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

async fn serve(settings: &Settings, role: Role, queues: Vec<QueueName>) -> Result<()> {
    let handle = metrics::install()?;
    tokio::spawn(metrics::keep_up(handle.clone()));
    let mut signals = Signals::new()?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let running = tokio::select! {
        started = server::start(settings, role, queues, metrics::renderer(handle)) => started?,
        // The services that have started end with us: they get a signal when their parent is gone.
        code = signals.next() => leave(code),
    };
    match running.address {
        Some(address) => println!("Latent is ready at http://{address}"),
        None => println!("Latent is ready and works."),
    }
    loop {
        tokio::select! {
            _ = signals.next() => break,
            _ = hang_up.recv() => drop(running.reload()),
        }
    }
    tracing::info!("Stopping; a second signal stops at once");
    tokio::select! {
        () = running.stop() => Ok(()),
        code = signals.next() => leave(code),
    }
}

fn leave(code: i32) -> ! {
    tracing::warn!("Leaving at once; what was under way is done again after the next start");
    std::process::exit(code)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one, and gives the exit code that shells know it by.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => 143,
            _ = self.interrupt.recv() => 130,
        }
    }
}
