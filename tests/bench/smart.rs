//! Smart search as an app asks for it: words over HTTP, 100 photos as JSON back. Beside it the store alone, for the same words.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use gallery::plugins::embedding_space;
use plugin_host::Embedder;
use serde_json::json;
use store::search::{AssetFilter, Space, SpaceKind, Tuning};
use types::UserId;

use crate::Place;
use crate::corpus::Corpus;
use crate::house::{EMBEDDER, House};
use crate::report::{Report, Wanted};
use crate::search::{Library, percentile};
use crate::server::{Server, runtime, settle};

const NAME: &str = "smart";
const VECTORS: usize = 50_000;
const QUERIES: usize = 1_000;
/// Others than those that are measured.
const WARM_UP: usize = 100;
/// Photos of an answer, and what `gallery` ranks for them.
const SIZE: usize = 100;
const RANKED: i64 = 128;

/// 50,000 photos of one owner with synthetic vectors: what is found means nothing, and takes as long.
pub fn through_http(place: &Place, report: &mut Report) -> Result<()> {
    let house = House::new(place, None)?;
    let embedder = house.host.guests().block_on(house.embedder(EMBEDDER))?;
    report.revision("clip-search", &embedder.describe().revision);
    let texts = texts(WARM_UP + QUERIES);
    runtime()?.block_on(async {
        let library = Library::new(place).await?;
        let server = Server::start_as(place, "all", &settings(&library)?).await?;
        let owner = UserId(server.user.parse().context("a user's id")?);
        let name = embedding_space(&embedder);
        let space = library.store.space(SpaceKind::Asset, &name.name, name.dimensions, None).await?;
        Corpus::new(&library.url, space.clone(), VECTORS).await?.fill(owner).await?;
        settle(server.pid()).await?;
        let (warm_up, texts) = texts.split_at(WARM_UP);
        ask_all(&server, warm_up).await?;
        let unknown = ask_all(&server, texts).await?;
        let known = ask_all(&server, texts).await?;
        let store = store_alone(&library, &space, owner, &embedder, texts).await?;
        let figure = |what: &str| format!("{VECTORS} photos, {what}");
        report.add(NAME, &figure("words never asked for: p50"), percentile(&unknown, 0.5), "ms");
        report.add(NAME, &figure("words never asked for: p99"), percentile(&unknown, 0.99), "ms");
        report.add(NAME, &figure("words asked for before: p50"), percentile(&known, 0.5), "ms");
        let p99 = percentile(&known, 0.99);
        report.hold(NAME, &figure("words asked for before: p99"), p99, "ms", Wanted::AtMost(5.0));
        report.add(NAME, &figure("the store alone: p50"), percentile(&store, 0.5), "ms");
        report.add(NAME, &figure("the store alone: p99"), percentile(&store, 0.99), "ms");
        drop(server);
        library.stop();
        Ok(())
    })
}

/// The server on the library's database, with nothing to do: the photos are no files, and must not be looked at. In the role `all`,
/// since half of its services are embedded.
fn settings(library: &Library) -> Result<String> {
    let pipelines = library.folder.path().join("pipelines");
    std::fs::create_dir(&pipelines)?;
    Ok(format!("pipelines = {pipelines:?}\n[database]\nurl = {:?}\n", library.url))
}

/// Milliseconds, sorted: from the request to the last byte of the answer.
async fn ask_all(server: &Server, texts: &[String]) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(texts.len());
    for text in texts {
        let body = json!({"query": text, "size": SIZE});
        let began = Instant::now();
        let answer = server.post("/api/search/smart", &body).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        let found = answer["assets"]["items"].as_array().map_or(0, Vec::len);
        ensure!(found == SIZE, "{found} photos for {text:?}");
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

async fn store_alone(
    library: &Library,
    space: &Space,
    owner: UserId,
    embedder: &Embedder,
    texts: &[String],
) -> Result<Vec<f64>> {
    let filter = AssetFilter::of(owner);
    let estimate = library.store.estimate_found(&filter).await?;
    let mut times = Vec::with_capacity(texts.len());
    for text in texts {
        let vector = embedder.embed_texts(vec![text.clone()], None).await?.pop().context("no vector")?;
        let began = Instant::now();
        library.store.nearest(space, &filter, &vector, RANKED, estimate, &Tuning::default()).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// All different, of five to seven words.
fn texts(count: usize) -> Vec<String> {
    const WHICH: [&str; 10] = [
        "a small",
        "an old",
        "a sleeping",
        "a wet",
        "a happy",
        "a running",
        "a dusty",
        "a tall",
        "a quiet",
        "a strange",
    ];
    const WHAT: [&str; 11] =
        ["dog", "house", "car", "tree", "child", "boat", "cat", "tower", "bicycle", "horse", "bridge"];
    const WHERE: [&str; 10] = [
        "on the beach",
        "in the snow",
        "by the river",
        "at night",
        "in a garden",
        "on a hill",
        "in the city",
        "under a cloud",
        "at a station",
        "in the forest",
    ];
    let all = WHERE.iter().flat_map(|place| {
        WHAT.iter().flat_map(move |what| WHICH.iter().map(move |which| format!("{which} {what} {place}")))
    });
    all.take(count).collect()
}
