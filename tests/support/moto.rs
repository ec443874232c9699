//! The second S3 service of the tests: moto, a program of its own in Python, where `cargo xtask test` has put it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::s3::BUCKET;

/// A running moto. Killed when it is dropped.
pub struct Moto {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    child: Child,
}

impl Moto {
    /// With the bucket [`BUCKET`].
    pub async fn start() -> Self {
        let home = home();
        assert!(home.join("moto").is_dir(), "{} holds no moto: run `cargo xtask test moto`", home.display());
        // The system chooses a port, which the log names.
        let mut child = Command::new("python3")
            .args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONPATH", &home)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (send, receive) = std::sync::mpsc::channel();
        // Reads on, or it would block on a full pipe.
        std::thread::spawn(move || {
            for line in lines {
                if let Some(at) = line.find("http://127.0.0.1:") {
                    let _ = send.send(line[at..].split_whitespace().next().unwrap_or("").to_owned());
                }
            }
        });
        let url = receive.recv_timeout(std::time::Duration::from_secs(60)).expect("moto says where it listens");
        let http = reqwest::Client::new();
        crate::eventually("moto answers", || async {
            let made = http.put(format!("{url}/{BUCKET}")).send().await.ok()?;
            made.status().is_success().then_some(())
        })
        .await;
        Self { url, child }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// target/tools/moto, as xtask lays it out.
fn home() -> PathBuf {
    crate::bin_dir().join("../tools/moto")
}
