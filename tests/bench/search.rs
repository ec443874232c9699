//! Search by meaning on synthetic vectors: how long the store takes, and how many of the truly nearest it finds.

use std::time::Instant;

use anyhow::{Context as _, Result};
use runtime::{RuntimeConfig, Services};
use store::search::{AssetFilter, Space, SpaceKind, Tuning};
use store::{Store, StoreConfig};

use crate::Place;
use crate::corpus::{Corpus, DIMENSIONS};
use crate::report::{Report, Wanted};
use crate::server;

const NAME: &str = "search";
const K: i64 = 100;
const QUERIES: usize = 1_000;
/// Others than those that are measured.
const WARM_UP: usize = 200;
/// Comparing with everything takes long.
const EXACT_QUERIES: usize = 50;

struct Figures {
    /// Milliseconds, sorted.
    times: Vec<f64>,
    recall: f64,
}

/// A store of the bench's own.
pub struct Library {
    pub store: Store,
    pub url: String,
    pub folder: tempfile::TempDir,
    services: Services,
}

impl Library {
    pub async fn new(place: &Place) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let data_dir = folder.path().join("data");
        let config = RuntimeConfig { data_dir, kit: place.kit.clone(), postgres: true, valkey: false };
        let services = Services::start(&config)?;
        let url = services.database_url().context("an embedded PostgreSQL")?.to_owned();
        let store = Store::new(&StoreConfig { url: url.clone(), pool_size: 4 })?;
        store.migrate().await?;
        Ok(Self { store, url, folder, services })
    }

    pub fn stop(self) {
        self.store.close();
        self.services.stop();
    }
}

/// 50,000 vectors, and unless it has to be quick 1,000,000.
pub fn nearest(place: &Place, report: &mut Report) -> Result<()> {
    let sizes: &[usize] = if place.quick { &[50_000] } else { &[50_000, 1_000_000] };
    sizes.iter().try_for_each(|count| server::runtime()?.block_on(of(place, *count, report)))
}

/// All vectors are of one owner first; then 8 % go to a second one and 2 % to a third; then the second has 20 %. Not 10 %: of
/// 50,000 that is just where the store changes its way, and the planner's estimate would toss for it.
async fn of(place: &Place, count: usize, report: &mut Report) -> Result<()> {
    let library = Library::new(place).await?;
    let space = library.store.space(SpaceKind::Asset, &format!("bench@{count}"), DIMENSIONS, None).await?;
    let mut corpus = Corpus::new(&library.url, space.clone(), count).await?;
    let (first, second, third) = (corpus.add_owner().await?, corpus.add_owner().await?, corpus.add_owner().await?);
    let filled = corpus.fill(first).await?;
    report.add(NAME, &format!("{count} vectors: loaded in"), filled.load, "s");
    report.add(NAME, &format!("{count} vectors: indexed in"), filled.index, "s");
    let bench = Bench { count, store: &library.store, space: &space, queries: corpus.queries(WARM_UP + QUERIES) };
    bench.measure("no owner filter", &AssetFilter::default(), report).await?;
    bench.measure("owner of 100 %", &AssetFilter::of(first), report).await?;
    corpus.hand_over(50, &[10, 20, 30, 40], second).await?;
    corpus.hand_over(50, &[0], third).await?;
    bench.measure("owner of 90 %", &AssetFilter::of(first), report).await?;
    bench.measure("owner of 8 %", &AssetFilter::of(second), report).await?;
    corpus.hand_over(25, &[1, 9, 17], second).await?;
    bench.measure("owner of 20 %", &AssetFilter::of(second), report).await?;
    library.stop();
    Ok(())
}

struct Bench<'a> {
    count: usize,
    store: &'a Store,
    space: &'a Space,
    /// The first ones are for the warm-up.
    queries: Vec<Vec<f32>>,
}

impl Bench<'_> {
    async fn measure(&self, whose: &str, filter: &AssetFilter, report: &mut Report) -> Result<()> {
        let Figures { times, recall } = self.figures(filter).await?;
        let figure = |what: &str| format!("{} vectors, {whose}: {what}", self.count);
        report.add(NAME, &figure("p50"), percentile(&times, 0.5), "ms");
        let p99 = percentile(&times, 0.99);
        if self.count == 50_000 {
            report.hold(NAME, &figure("p99"), p99, "ms", Wanted::AtMost(5.0));
            report.hold(NAME, &figure("recall@100"), recall, "", Wanted::AtLeast(0.97));
        } else {
            report.add(NAME, &figure("p99"), p99, "ms");
            report.add(NAME, &figure("recall@100"), recall, "");
        }
        Ok(())
    }

    async fn figures(&self, filter: &AssetFilter) -> Result<Figures> {
        // `gallery` keeps estimates for a minute.
        let estimate = self.store.estimate_found(filter).await?;
        let tuning = Tuning::default();
        let (warm_up, queries) = self.queries.split_at(WARM_UP);
        for query in warm_up {
            self.store.nearest(self.space, filter, query, K, estimate, &tuning).await?;
        }
        let (mut times, mut found) = (Vec::new(), Vec::new());
        for query in queries {
            let began = Instant::now();
            let ids = self.store.nearest(self.space, filter, query, K, estimate, &tuning).await?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            found.push(ids);
        }
        times.sort_by(f64::total_cmp);
        let exact = Tuning { exact_up_to: i64::MAX, ..tuning };
        let (mut hits, mut all) = (0, 0);
        for (query, found) in queries.iter().zip(&found).take(EXACT_QUERIES) {
            let right = self.store.nearest(self.space, filter, query, K, estimate, &exact).await?;
            // By distance, so that ties do not count as misses.
            let worst = right.last().map_or(0.0, |last| last.1) - 1e-6;
            hits += found.iter().filter(|(_, cosine)| *cosine >= worst).count().min(right.len());
            all += right.len();
        }
        Ok(Figures { times, recall: hits as f64 / f64::from(all.max(1) as u32) })
    }
}

/// Of sorted values.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}
