//! `latent`: the command line.

mod allocator;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use server::settings::LogFormat;
use server::{Role, Settings, config, metrics};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use types::QueueName;

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
        Command::Config { command: ConfigCommand::Check } => return check(&settings),
        Command::Config { command: ConfigCommand::Print } => {
            print!("{}", config::print(&settings));
            return Ok(());
        }
    };
    log(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(64).build()?;
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
    let running = tokio::select! {
        started = server::start(settings, role, queues, metrics::renderer(handle)) => started?,
        // The services that have started end with us: they get a signal when their parent is gone.
        code = signals.next() => leave(code),
    };
    match running.address {
        Some(address) => println!("Latent is ready at http://{address}"),
        None => println!("Latent is ready and works."),
    }
    signals.next().await;
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
