//! A server of the benches' own: a fresh data folder, a port that the system chose, everything counted.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::Client;
use serde_json::{Value, json};

use crate::Place;
use crate::process;
use crate::report::{Report, Wanted};

/// Models that nobody runs give their memory back after a second, and the log says so.
pub const IDLE: &str = "[inference]\nidle-unload = 1\n[log]\nfilter = \"info,inference=debug\"\n";

/// A running `latent` with its embedded services. Killed when dropped.
pub struct Server {
    child: Child,
    pub url: String,
    pub http: Client,
    /// Start of the process to the first 200 of /readyz.
    pub ready: Duration,
    /// Of the account that signed up.
    pub user: String,
    token: String,
    own_folder: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts in a fresh folder, signs up and in.
    pub async fn start(place: &Place, settings: &str) -> Result<Self> {
        Self::start_as(place, "all", settings).await
    }

    /// The same with another role: `serve` works on nothing.
    pub async fn start_as(place: &Place, role: &str, settings: &str) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let mut server = Self::start_in(place, data.path(), role, settings).await?;
        server.own_folder = Some(data);
        server.sign_up().await?;
        Ok(server)
    }

    /// Starts in `folder`, which may hold a library already.
    pub async fn start_in(place: &Place, folder: &Path, role: &str, settings: &str) -> Result<Self> {
        let config = folder.join("latent.toml");
        std::fs::write(&config, format!("data-dir = {:?}\n{settings}\n[server]\nport = 0\n", folder.join("data")))?;
        let begin = Instant::now();
        let mut child = Command::new(&place.latent)
            .arg("--config")
            .arg(&config)
            .arg(role)
            .env("LATENT_KIT", &place.kit)
            .current_dir(&place.root)
            .stdout(Stdio::piped())
            .stderr(Stdio::from(std::fs::File::create(folder.join("log"))?))
            .spawn()
            .with_context(|| format!("cannot start {}", place.latent.display()))?;
        let url = address(&mut child)?;
        let http = Client::builder().build()?;
        while !http.get(format!("{url}/readyz")).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if begin.elapsed() > Duration::from_secs(60) {
                bail!("the server was not ready within a minute");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self {
            child,
            url,
            http,
            ready: begin.elapsed(),
            user: String::new(),
            token: String::new(),
            own_folder: None,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub async fn sign_up(&mut self) -> Result<()> {
        let account = json!({"email": "bench@example.org", "password": "bench-password", "name": "Bench"});
        let user = self.post("/api/auth/admin-sign-up", &account).await?;
        self.user = user["id"].as_str().context("sign-up gave no id")?.to_owned();
        let answer = self.post("/api/auth/login", &account).await?;
        self.token = answer["accessToken"].as_str().context("login gave no token")?.to_owned();
        Ok(())
    }

    /// Posts JSON, expects success.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{path} answered {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Gets JSON, expects success.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// What it has said, where it was started in a folder of its own.
    pub fn log(&self) -> Result<String> {
        let data = self.own_folder.as_ref().context("the folder is not the server's own")?;
        Ok(std::fs::read_to_string(data.path().join("log"))?)
    }

    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: the child is ours and has not been waited for, so its id is still its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let _ = self.child.wait();
    }
}

/// The server prints `Latent is ready at http://127.0.0.1:PORT`.
fn address(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.take().context("no pipe")?;
    let mut lines = BufReader::new(stdout).lines();
    let url = loop {
        let line = lines.next().context("the server ended before it printed its address")??;
        if let Some(at) = line.find("http://") {
            break line[at..].trim().trim_end_matches('/').to_owned();
        }
    };
    // Somebody has to read on, or the server would block on a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(url)
}

/// Start with embedded services, everything built; then memory of a server that has never held a photo.
pub fn ready(place: &Place, report: &mut Report) -> Result<()> {
    runtime()?.block_on(async {
        let data = tempfile::tempdir()?;
        let first = Server::start_in(place, data.path(), "all", "").await?;
        report.add("ready", "first start (initdb, migrations)", first.ready.as_secs_f64(), "s");
        drop(first);
        let mut times = Vec::new();
        for _ in 0..5 {
            let server = Server::start_in(place, data.path(), "all", "").await?;
            times.push(server.ready.as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        report.hold("ready", "ready, embedded services (median of 5)", times[2], "s", Wanted::AtMost(2.0));
        let server = Server::start_in(place, data.path(), "all", IDLE).await?;
        settle(server.pid()).await?;
        idle("ready", "idle, no photo yet", server.pid(), report)
    })
}

/// Memory of a server that does nothing, against what was promised.
pub fn idle(bench: &str, what: &str, pid: u32, report: &mut Report) -> Result<()> {
    let memory = process::memory(pid)?;
    report.hold(bench, &format!("{what}: server, PSS, held"), memory.server.pss, "MiB", Wanted::AtMost(100.0));
    report.hold(bench, &format!("{what}: all, PSS, held"), memory.total().pss, "MiB", Wanted::AtMost(220.0));
    memory.report(bench, what, report);
    Ok(())
}

/// Waits until the tree has used no CPU to speak of for eight seconds, longer than idle models take to be unloaded: the
/// server looks for such every five.
pub async fn settle(pid: u32) -> Result<()> {
    let mut before = process::cpu_seconds(pid);
    let mut calm = 0;
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = process::cpu_seconds(pid);
        calm = if now - before < 0.03 { calm + 1 } else { 0 };
        before = now;
        if calm == 8 {
            return Ok(());
        }
    }
    bail!("the server does not come to rest within two minutes")
}

/// One thread is enough to drive a server.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
