//! Search by meaning on synthetic vectors: how long the store takes, and how many of the truly nearest it finds.

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::SinkExt as _;
use runtime::{RuntimeConfig, Services};
use store::search::{AssetFilter, Space, SpaceKind, Tuning};
use store::{Store, StoreConfig};
use types::UserId;

use crate::Place;
use crate::report::{Report, Wanted};
use crate::server;

const NAME: &str = "search";
/// Those of the model that is shipped.
const DIMENSIONS: usize = 384;
const K: i64 = 100;
const QUERIES: usize = 200;
const EXACT_QUERIES: usize = 50;

struct Figures {
    /// Milliseconds.
    p50: f64,
    p99: f64,
    recall: f64,
}

/// 50,000 vectors; with `--full` 1,000,000 too.
pub fn nearest(place: &Place, report: &mut Report) -> Result<()> {
    let sizes: &[usize] = if place.full { &[50_000, 1_000_000] } else { &[50_000] };
    sizes.iter().try_for_each(|count| server::runtime()?.block_on(of(place, *count, report)))
}

async fn of(place: &Place, count: usize, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config =
        RuntimeConfig { data_dir: folder.path().join("data"), kit: place.kit.clone(), postgres: true, valkey: false };
    let services = Services::start(&config)?;
    let url = services.database_url().context("an embedded PostgreSQL")?;
    let store = Store::new(&StoreConfig { url: url.to_owned(), pool_size: 4 })?;
    store.migrate().await?;
    let space = store.space(SpaceKind::Asset, &format!("bench@{count}"), DIMENSIONS, None).await?;
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let centres: Vec<Vec<f32>> =
        (0..count.div_ceil(100)).map(|_| unit((0..DIMENSIONS).map(|_| chance.normal()).collect())).collect();
    let (small, large) = (UserId::generate(), UserId::generate());
    let (load, index) = fill(url, &space, count, &centres, [small, large], &mut chance).await?;
    report.add(NAME, &format!("{count} vectors: loaded in"), load, "s");
    report.add(NAME, &format!("{count} vectors: indexed in"), index, "s");
    let queries: Vec<Vec<f32>> = (0..QUERIES)
        .map(|_| {
            let at = chance.next() as usize % centres.len();
            near(&centres[at], 0.7, &mut chance)
        })
        .collect();
    let filters = [("all", AssetFilter::default()), ("an owner of 10 %", AssetFilter::of(small))];
    for (whose, filter) in filters {
        let Figures { p50, p99, recall } = measure(&store, &space, &filter, &queries, &Tuning::default()).await?;
        report.add(NAME, &format!("{count} vectors, {whose}: p50"), p50, "ms");
        let (p99_of, recall_of) =
            (format!("{count} vectors, {whose}: p99"), format!("{count} vectors, {whose}: recall@100"));
        if count == 50_000 {
            report.hold(NAME, &p99_of, p99, "ms", Wanted::AtMost(5.0));
            report.hold(NAME, &recall_of, recall, "", Wanted::AtLeast(0.97));
        } else {
            report.add(NAME, &p99_of, p99, "ms");
            report.add(NAME, &recall_of, recall, "");
        }
    }
    store.close();
    services.stop();
    Ok(())
}

/// A small generator, so that every run has the same vectors.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// About normal: the sum of four uniform ones, variance 1.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: f32 = (0..4).map(|part| ((bits >> (16 * part)) & 0xffff) as f32 / 65_536.0).sum();
        (sum - 2.0) * 1.732
    }
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

fn near(centre: &[f32], spread: f32, chance: &mut Chance) -> Vec<f32> {
    unit(centre.iter().map(|value| value + spread * chance.normal() / (DIMENSIONS as f32).sqrt()).collect())
}

async fn measure(
    store: &Store,
    space: &Space,
    filter: &AssetFilter,
    queries: &[Vec<f32>],
    tuning: &Tuning,
) -> Result<Figures> {
    // `gallery` keeps estimates for a minute.
    let estimate = store.estimate_found(filter).await?;
    for query in &queries[..queries.len() / 4] {
        store.nearest(space, filter, query, K, estimate, tuning).await?;
    }
    let mut times = Vec::new();
    let mut found = Vec::new();
    for query in queries {
        let began = Instant::now();
        let ids = store.nearest(space, filter, query, K, estimate, tuning).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        found.push(ids);
    }
    let exact = Tuning { exact_up_to: i64::MAX, ..*tuning };
    let (mut hits, mut all) = (0, 0);
    for (query, found) in queries.iter().zip(&found).take(EXACT_QUERIES) {
        let right = store.nearest(space, filter, query, K, estimate, &exact).await?;
        // By distance, so that ties do not count as misses.
        let worst = right.last().map_or(0.0, |last| last.1) - 1e-6;
        hits += found.iter().filter(|(_, cosine)| *cosine >= worst).count().min(right.len());
        all += right.len();
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Figures { p50: at(0.5), p99: at(0.99), recall: hits as f64 / f64::from(all.max(1) as u32) })
}

/// Assets and vectors by COPY, the index built afterwards. Returns how long both took.
async fn fill(
    url: &str,
    space: &Space,
    count: usize,
    centres: &[Vec<f32>],
    [small, large]: [UserId; 2],
    chance: &mut Chance,
) -> Result<(f64, f64)> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let table = format!("asset_embedding_{}", space.id);
    for (owner, name) in [(small, "small"), (large, "large")] {
        client
            .execute(
                "INSERT INTO app_user (id, email, name) VALUES ($1, $2, $3)",
                &[&owner.0, &format!("{}@example.org", owner.0), &name],
            )
            .await?;
    }
    let began = Instant::now();
    client
        .batch_execute(&format!("DROP INDEX {table}_hnsw; CREATE TEMP TABLE incoming (n int, e halfvec({DIMENSIONS}))"))
        .await?;
    client
        .execute(
            "INSERT INTO asset (id, owner_id, checksum, sha256, type, original_file_name, original_path, mime_type, file_size,
                file_created_at, file_modified_at, local_date_time)
             SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                CASE WHEN n % 10 = 0 THEN $2::uuid ELSE $3::uuid END, substr(sha256(n::text::bytea), 1, 20), sha256(n::text::bytea),
                CASE WHEN n % 100 = 1 THEN 'VIDEO' ELSE 'IMAGE' END, 'IMG.jpg', 'x:' || n, 'image/jpeg', n,
                now() - n * interval '1 minute', now(), now()::timestamp
             FROM generate_series(0, $1 - 1) n",
            &[&(count as i32), &small.0, &large.0],
        )
        .await?;
    let sink = client.copy_in::<_, bytes::Bytes>("COPY incoming FROM STDIN").await?;
    futures::pin_mut!(sink);
    let mut text = String::new();
    for n in 0..count {
        let centre = &centres[chance.next() as usize % centres.len()];
        let vector = near(centre, 0.7, chance);
        let _ = write!(text, "{n}\t[");
        for (at, value) in vector.iter().enumerate() {
            let _ = write!(text, "{}{value:.5}", if at == 0 { "" } else { "," });
        }
        text.push_str("]\n");
        if text.len() > 1 << 20 || n + 1 == count {
            sink.send(std::mem::take(&mut text).into()).await?;
        }
    }
    sink.close().await?;
    client
        .batch_execute(&format!(
            "INSERT INTO {table} (asset_id, owner_id, embedding)
             SELECT a.id, a.owner_id, i.e FROM incoming i
             JOIN asset a ON a.id = ('00000000-0000-7000-8000-' || lpad(to_hex(i.n), 12, '0'))::uuid;
             DROP TABLE incoming"
        ))
        .await?;
    let load = began.elapsed().as_secs_f64();
    let began = Instant::now();
    client
        .batch_execute(&format!(
            "SET maintenance_work_mem = '1GB'; SET max_parallel_maintenance_workers = 1;
             CREATE INDEX {table}_hnsw ON {table} USING hnsw (embedding halfvec_ip_ops) WITH (m = 16, ef_construction = 100)"
        ))
        .await?;
    let index = began.elapsed().as_secs_f64();
    client.batch_execute(&format!("ANALYZE asset; ANALYZE {table}")).await?;
    Ok((load, index))
}
