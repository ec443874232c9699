//! The first sync of a phone: a library of 100,000 photos over one connection, and what the server grows by meanwhile.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use serde_json::json;
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::Place;
use crate::process::{self, Sampler};
use crate::report::{Report, Wanted};
use crate::search::Library;
use crate::server::{Server, runtime, settle};

const NAME: &str = "sync";
const ROUNDS: usize = 5;
/// What the library makes: assets and their metadata, people and their faces, Ann twice, and the end.
const ROWS: usize = 100_000 + 100_000 + 1_000 + 9_000 + 2 + 1;
/// As app 3.2 asks.
const TYPES: [&str; 22] = [
    "AuthUsersV1",
    "UsersV1",
    "AssetsV2",
    "AssetExifsV1",
    "AssetEditsV1",
    "AssetMetadataV1",
    "PartnersV1",
    "PartnerAssetsV2",
    "PartnerAssetExifsV1",
    "AlbumsV2",
    "AlbumUsersV1",
    "AlbumAssetsV2",
    "AlbumAssetExifsV1",
    "AlbumToAssetsV1",
    "MemoriesV1",
    "MemoryToAssetsV1",
    "StacksV1",
    "PartnerStacksV1",
    "UserMetadataV1",
    "PeopleV1",
    "AssetFacesV2",
    "AssetOcrV1",
];

/// 100,000 photos as an import leaves them: their rows were written again a few times, in another order each time.
const FILL: &[&str] = &[
    "INSERT INTO asset (id, owner_id, checksum, sha256, type, original_file_name, original_path, mime_type, file_size,
        file_created_at, file_modified_at, local_date_time, width, height)
     SELECT uuidv7(), $1, substring(sha256(n::text::bytea) FOR 20), sha256(n::text::bytea), 'IMAGE',
        'IMG_' || n || '.jpg', 'main:library/admin/2024/2024-03-15/IMG_' || n || '.jpg', 'image/jpeg', 4000000 + n,
        '2020-01-01T00:00Z'::timestamptz + n * interval '10 minutes', '2020-01-01T00:00Z'::timestamptz + n * interval '10 minutes',
        '2020-01-01T00:00'::timestamp + n * interval '10 minutes', 4000, 3000
     FROM generate_series(1, 100000) n WHERE $1::uuid IS NOT NULL",
    "INSERT INTO asset_exif (asset_id, make, model, lens_model, exposure_time, f_number, focal_length, iso, orientation, latitude,
        longitude, city, state, country, time_zone, date_time_original, exif_image_width, exif_image_height)
     SELECT id, 'Canon', 'Canon EOS R6', 'RF24-105mm F4 L IS USM', '1/250', 5.6, 35.0, 100, 1, 52.0116, 4.3571, 'Delft',
        'South Holland', 'Netherlands', 'Europe/Amsterdam', file_created_at, 4000, 3000
     FROM asset WHERE $1::uuid IS NOT NULL ORDER BY checksum",
    "INSERT INTO person (id, owner_id, name) SELECT uuidv7(), $1, 'Person ' || n FROM generate_series(1, 1000) n",
    "INSERT INTO face (id, asset_id, person_id, x1, y1, x2, y2, image_width, image_height, source)
     SELECT uuidv7(), a.id, p.id, 100, 100, 300, 300, 1440, 1080, 'machine-learning'
     FROM (SELECT id, row_number() OVER () AS n FROM asset WHERE $1::uuid IS NOT NULL LIMIT 9000) a
     JOIN (SELECT id, row_number() OVER () AS n FROM person) p ON p.n = a.n % 1000 + 1",
];

/// Rows a second, bytes a second, memory.
pub fn first(place: &Place, report: &mut Report) -> Result<()> {
    runtime()?.block_on(async {
        let library = Library::new(place).await?;
        let pipelines = library.folder.path().join("pipelines");
        std::fs::create_dir(&pipelines)?;
        let settings = format!("pipelines = {pipelines:?}\n[database]\nurl = {:?}\n", library.url);
        let server = Server::start_as(place, "all", &settings).await?;
        fill(&library.url, server.user.parse()?).await?;
        settle(server.pid()).await?;
        let before = process::memory(server.pid())?.server.rss;
        let sampler = Sampler::start(server.pid());
        let (mut rates, mut bytes) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let began = Instant::now();
            bytes = sync(&server).await?;
            rates.push(ROWS as f64 / began.elapsed().as_secs_f64());
        }
        let grown = sampler.peak()?.server.rss - before;
        rates.sort_by(f64::total_cmp);
        let rate = rates[ROUNDS / 2];
        report.hold(NAME, "first sync of 100,000 photos (median of 5)", rate, "rows/s", Wanted::AtLeast(200_000.0));
        report.add(NAME, "the same: best", rates[ROUNDS - 1], "rows/s");
        report.add(NAME, "the same (median)", rate / ROWS as f64 * bytes as f64 / 1e6, "MB/s");
        report.add(NAME, "a row", bytes as f64 / ROWS as f64, "bytes");
        report.add(NAME, "what the server grows by meanwhile, RSS, peak", grown, "MiB");
        drop(server);
        library.stop();
        Ok(())
    })
}

async fn fill(url: &str, owner: Uuid) -> Result<()> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    for statement in FILL {
        client.execute(*statement, &[&owner]).await?;
    }
    for part in 0..10 {
        let thumbhash = "UPDATE asset SET thumbhash = substring(sha256 FOR 25) WHERE abs(hashtext(id::text)) % 10 = $1";
        client.execute(thumbhash, &[&part]).await?;
    }
    Ok(client.batch_execute("VACUUM ANALYZE").await?)
}

/// Everything, from nothing, as fast as it comes. Returns its bytes.
async fn sync(server: &Server) -> Result<usize> {
    let request = server.http.post(format!("{}/api/sync/stream", server.url)).bearer_auth(server.token());
    let answer = request.json(&json!({ "types": TYPES, "reset": true })).send().await?.error_for_status()?;
    let mut chunks = answer.bytes_stream();
    let (mut rows, mut bytes, mut end) = (0, 0, Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        rows += chunk.iter().filter(|byte| **byte == b'\n').count();
        bytes += chunk.len();
        end = chunk[chunk.len().saturating_sub(200)..].to_vec();
    }
    let end = String::from_utf8_lossy(&end).into_owned();
    let last = end.trim_end().lines().last().context("an empty stream")?;
    ensure!(last.contains("SyncCompleteV1"), "the stream broke: {last}");
    ensure!(rows == ROWS, "{rows} rows and not {ROWS}");
    Ok(bytes)
}
