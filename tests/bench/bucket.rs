//! storage-s3: a large object put and read, against a plain native client that signs in the same way, by turns, at one service;
//! and a library of 10,000 objects that moves while the mover is killed again and again.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use blobs::{Blob, BlobClass, Object};
use futures::StreamExt as _;
use plugin_host::{BoundSecret, HttpOrigin, OperatorGrant, SecretText};
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tests::s3::{ACCESS_KEY, BUCKET, S3, SECRET_KEY};
use tokio::io::AsyncReadExt as _;

use crate::Place;
use crate::house::House;
use crate::report::{Report, Wanted};
use crate::server::Server;
use crate::sigv4::{self, Scope};

const NAME: &str = "s3";
const MOVE: &str = "move";
const LARGE: usize = 100 << 20;
const ROUNDS: usize = 5;
const OBJECTS: usize = 10_000;

/// Put and get of 100 MiB.
pub fn throughput(place: &Place, report: &mut Report) -> Result<()> {
    let house = House::new(place, None)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("large");
    std::fs::write(&path, noise(LARGE, 1))?;
    let others = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let s3 = others.block_on(S3::start());
    let origin: plugin_host::http::Origin = s3.url.parse().map_err(anyhow::Error::msg)?;
    let secret = BoundSecret { value: SecretText::new(SECRET_KEY), origin: origin.clone() };
    let grant = OperatorGrant {
        http: vec![HttpOrigin { origin, private: true, ca: None }],
        secrets: [("key".to_owned(), secret)].into(),
        settings: s3.settings(),
        ..OperatorGrant::default()
    };
    let plugin = house.host.guests().block_on(house.granted("storage-s3", &grant))?;
    let backend = plugin.storage();
    let native = Native { http: reqwest::Client::new(), url: s3.url.clone() };
    let mut times: HashMap<&str, Vec<f64>> = HashMap::new();
    for round in 0..ROUNDS {
        // Who is first changes.
        for turn in 0..2 {
            let is_plugin = (round + turn) % 2 == 0;
            let key = format!("round-{round}-{turn}");
            let [put, get] = others.block_on(async {
                // A client that signs hashes what it sends; an upload was hashed while it arrived.
                let sha256 = hash(&path).await?;
                if is_plugin {
                    let object = object(&key, sha256);
                    let begun = Instant::now();
                    let stored = backend.put(&object, &Blob::open(&path)?).await?;
                    let put = begun.elapsed();
                    let begun = Instant::now();
                    let mut body = std::pin::pin!(backend.get(&stored.location, 0, None).await?.into_stream());
                    let mut got = 0;
                    while let Some(chunk) = body.next().await {
                        got += chunk?.len();
                    }
                    let get = begun.elapsed();
                    ensure!(got == LARGE, "{got} bytes came back");
                    backend.delete(&stored.location).await?;
                    Ok([put, get])
                } else {
                    let begun = Instant::now();
                    native.put(&key, &path, sha256).await?;
                    let put = begun.elapsed();
                    let begun = Instant::now();
                    let got = native.get(&key).await?;
                    let get = begun.elapsed();
                    ensure!(got == LARGE, "{got} bytes came back");
                    native.delete(&key).await?;
                    Ok::<_, anyhow::Error>([put, get])
                }
            })?;
            let names = if is_plugin { ["plugin put", "plugin get"] } else { ["native put", "native get"] };
            for (name, took) in names.into_iter().zip([put, get]) {
                times.entry(name).or_default().push(LARGE as f64 / 1e6 / took.as_secs_f64());
            }
        }
    }
    let median = |name: &str| {
        let mut all = times[name].clone();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    for what in ["put", "get"] {
        let (plugin, native) = (median(&format!("plugin {what}")), median(&format!("native {what}")));
        report.add(NAME, &format!("{what} of 100 MiB: plugin (median of {ROUNDS})"), plugin, "MB/s");
        report.add(NAME, &format!("{what} of 100 MiB: native client"), native, "MB/s");
        let share = 100.0 * plugin / native;
        report.hold(NAME, &format!("{what}: share of the native client"), share, "%", Wanted::AtLeast(90.0));
    }
    let traffic = plugin.traffic();
    report.hold(NAME, "payload through guest memory", traffic.payload as f64, "bytes", Wanted::AtMost(0.0));
    report.add(NAME, "messages that the guest read and wrote", traffic.messages as f64, "bytes");
    Ok(())
}

/// A client without a plugin: one stream, signed with the plugin's own source.
struct Native {
    http: reqwest::Client,
    url: String,
}

impl Native {
    async fn put(&self, key: &str, path: &Path, sha256: [u8; 32]) -> Result<()> {
        let file = tokio::fs::File::open(path).await?;
        let stream = futures::stream::try_unfold(file, |mut file| async move {
            let mut chunk = Vec::with_capacity(256 << 10);
            let read = (&mut file).take(256 << 10).read_to_end(&mut chunk).await?;
            Ok::<_, std::io::Error>(if read == 0 { None } else { Some((chunk, file)) })
        });
        let request = self.signed("PUT", key, &hex::encode(sha256)).header("content-length", LARGE);
        let answer = request.body(reqwest::Body::wrap_stream(stream)).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<usize> {
        let answer = self.signed("GET", key, &hex::encode(Sha256::digest(b""))).send().await?.error_for_status()?;
        let mut body = answer.bytes_stream();
        let mut got = 0;
        while let Some(chunk) = body.next().await {
            got += chunk?.len();
        }
        Ok(got)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.signed("DELETE", key, &hex::encode(Sha256::digest(b""))).send().await?.error_for_status()?;
        Ok(())
    }

    fn signed(&self, method: &str, key: &str, payload: &str) -> reqwest::RequestBuilder {
        let path = format!("/{BUCKET}/{key}");
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let host = self.url.trim_start_matches("http://").to_owned();
        let headers = [("host", host), ("x-amz-content-sha256", payload.into()), ("x-amz-date", stamp.clone())];
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        let request = sigv4::Request { method, path: &path, query: "", headers: &headers, payload };
        let scope = Scope { access_key_id: ACCESS_KEY, region: "us-east-1", service: "s3" };
        let chain = |messages: &[Vec<u8>]| Ok::<_, std::convert::Infallible>(hmac_chain(messages));
        let Ok(authorization) = sigv4::authorization(&scope, &request, &stamp, &chain);
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let request = self.http.request(method, format!("{}{path}", self.url)).header("authorization", authorization);
        headers[1..].iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

/// HMAC-SHA-256 of each message keyed by the one before (RFC 2104: a key of less than a block).
fn hmac_chain(messages: &[Vec<u8>]) -> Vec<u8> {
    let first = format!("AWS4{SECRET_KEY}").into_bytes();
    messages.iter().fold(first, |key, message| {
        let pad = |with: u8| {
            let mut block = [with; 64];
            block.iter_mut().zip(&key).for_each(|(byte, key)| *byte ^= key);
            block
        };
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
        Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
    })
}

async fn hash(path: &Path) -> Result<[u8; 32]> {
    Ok(Sha256::digest(tokio::fs::read(path).await?).into())
}

fn object(key: &str, sha256: [u8; 32]) -> Object {
    Object {
        key: key.into(),
        class: BlobClass::Original,
        owner: "bench".into(),
        owner_label: None,
        taken_ms: None,
        file_name: "film.mp4".into(),
        sha256,
    }
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// 10,000 small originals move from one folder to another; the mover is killed every one to three seconds.
pub fn moving(place: &Place, report: &mut Report) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let data = tempfile::tempdir()?;
        let settings =
            format!("[storage.backend.other]\nplugin = \"storage-local\"\nfiles = {:?}\n", data.path().join("other"));
        let mut server = Server::start_in(place, data.path(), "serve", &settings).await?;
        server.sign_up().await?;
        let ids = upload(&server).await?;
        let begun = Instant::now();
        let kills = move_and_kill(place, data.path()).await?;
        report.add(MOVE, "objects moved", ids.len() as f64, "");
        report.add(MOVE, "killed with SIGKILL on the way", kills.into(), "times");
        report.add(
            MOVE,
            "objects/s, starts and kills included",
            ids.len() as f64 / begun.elapsed().as_secs_f64(),
            "1/s",
        );
        let wrong = wrong(&server, &ids).await?;
        report.hold(MOVE, "objects lost or with another hash", wrong as f64, "", Wanted::AtMost(0.0));
        let there = files(&data.path().join("other"));
        report.hold(MOVE, "objects that are there twice", there.abs_diff(ids.len()) as f64, "", Wanted::AtMost(0.0));
        report.hold(
            MOVE,
            "objects left in the old place",
            files(&data.path().join("data/library")) as f64,
            "",
            Wanted::AtMost(0.0),
        );
        Ok(())
    })
}

/// A file that is no picture and says that it is one: what is moved does not matter.
fn small(number: usize) -> Vec<u8> {
    noise(2_000 + number % 1_000, number as u64 + 1)
}

async fn upload(server: &Server) -> Result<Vec<(String, usize)>> {
    let uploads = futures::stream::iter(0..OBJECTS).map(|number| async move {
        let form = Form::new()
            .text("deviceAssetId", number.to_string())
            .text("deviceId", "bench")
            .text("fileCreatedAt", "2024-03-15T12:00:00.000Z")
            .text("fileModifiedAt", "2024-03-15T12:00:00.000Z")
            .part("assetData", Part::bytes(small(number)).file_name(format!("{number}.jpg")));
        let request =
            server.http.post(format!("{}/api/assets", server.url)).bearer_auth(server.token()).multipart(form);
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        let id = answer["id"].as_str().context("an upload has an id")?.to_owned();
        Ok::<_, anyhow::Error>((id, number))
    });
    uploads.buffer_unordered(16).collect::<Vec<_>>().await.into_iter().collect()
}

async fn move_and_kill(place: &Place, folder: &Path) -> Result<u32> {
    let mut kills = 0;
    loop {
        let mut child = Command::new(&place.latent)
            .arg("--config")
            .arg(folder.join("latent.toml"))
            .args(["admin", "storage", "move", "--from", "main", "--to", "other", "--at-once", "8"])
            .env("LATENT_KIT", &place.kit)
            .current_dir(&place.root)
            .stdout(Stdio::null())
            .stderr(Stdio::from(std::fs::File::create(folder.join("move.log"))?))
            .spawn()?;
        let patience = Duration::from_millis(1_000 + 500 * u64::from(kills % 5));
        let ended = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            while begun.elapsed() < patience {
                if let Some(status) = child.try_wait()? {
                    return Ok(Some(status));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            child.kill()?;
            child.wait()?;
            Ok::<_, std::io::Error>(None)
        });
        match ended.await?? {
            Some(status) if status.success() => return Ok(kills),
            Some(status) => {
                bail!("the move ended with {status}: {}", std::fs::read_to_string(folder.join("move.log"))?)
            }
            None => kills += 1,
        }
        ensure!(kills < 500, "the move does not get on");
    }
}

async fn wrong(server: &Server, ids: &[(String, usize)]) -> Result<usize> {
    let looks = futures::stream::iter(ids).map(|(id, number)| async move {
        let url = format!("{}/api/assets/{id}/original", server.url);
        let answer = server.http.get(url).bearer_auth(server.token()).send().await?;
        let is_right = answer.status().is_success() && answer.bytes().await? == small(*number);
        Ok::<_, anyhow::Error>(usize::from(!is_right))
    });
    let looked: Result<Vec<usize>> = looks.buffer_unordered(8).collect::<Vec<_>>().await.into_iter().collect();
    Ok(looked?.into_iter().sum())
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path().is_dir() {
            true if entry.file_name() == ".inbox" => 0,
            true => files(&entry.path()),
            false => usize::from(entry.file_name() != ".latent"),
        })
        .sum()
}
