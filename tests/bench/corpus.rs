//! Synthetic vectors in the store: clusters, as embeddings of real photos have them, alike in every run.

use std::time::Instant;

use ::inference::f16;
use anyhow::{Result, ensure};
use bytes::{BufMut as _, BytesMut};
use futures::SinkExt as _;
use store::search::Space;
use tokio_postgres::Client;
use types::UserId;
use uuid::Uuid;

/// Those of the model that is shipped.
pub const DIMENSIONS: usize = 384;
/// How far the vectors of a cluster lie from its centre.
const SPREAD: f32 = 0.7;

/// A small generator, so that every run has the same vectors.
pub struct Chance(u64);

/// Vectors around centres.
pub struct Corpus {
    client: Client,
    space: Space,
    count: usize,
    centres: Vec<Vec<f32>>,
    chance: Chance,
}

/// Seconds.
pub struct Filled {
    pub load: f64,
    pub index: f64,
}

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

impl Corpus {
    /// So many vectors, none of them there yet.
    pub async fn new(url: &str, space: Space, count: usize) -> Result<Self> {
        ensure!(space.dimensions == DIMENSIONS, "a space of {} dimensions", space.dimensions);
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        let centres =
            (0..count.div_ceil(100)).map(|_| unit((0..DIMENSIONS).map(|_| chance.normal()).collect())).collect();
        Ok(Self { client, space, count, centres, chance })
    }

    /// Vectors near the centres, other than those in the store.
    pub fn queries(&mut self, count: usize) -> Vec<Vec<f32>> {
        (0..count).map(|_| self.near_any()).collect()
    }

    pub async fn add_owner(&self) -> Result<UserId> {
        let owner = UserId::generate();
        let sql = "INSERT INTO app_user (id, email, name) VALUES ($1, $2, 'bench')";
        self.client.execute(sql, &[&owner.0, &format!("{}@example.org", owner.0)]).await?;
        Ok(owner)
    }

    /// Assets and vectors, all of one owner; the indexes are built afterwards.
    pub async fn fill(&mut self, owner: UserId) -> Result<Filled> {
        let table = self.table();
        let began = Instant::now();
        // Room on every page, so that a few rows may change their owner without entering the index anew.
        self.client
            .batch_execute(&format!(
                "DROP INDEX {table}_hnsw; DROP INDEX {table}_owner; ALTER TABLE {table} SET (fillfactor = 80)"
            ))
            .await?;
        self.client
            .execute(
                "INSERT INTO asset (id, owner_id, checksum, sha256, type, original_file_name, original_path, mime_type,
                    file_size, file_created_at, file_modified_at, local_date_time)
                 SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $2,
                    substr(sha256(n::text::bytea), 1, 20), sha256(n::text::bytea),
                    CASE WHEN n % 100 = 1 THEN 'VIDEO' ELSE 'IMAGE' END, 'IMG.jpg', 'x:' || n, 'image/jpeg', n,
                    now() - n * interval '1 minute', now(), now()::timestamp
                 FROM generate_series(0, $1 - 1) n",
                &[&(self.count as i32), &owner.0],
            )
            .await?;
        self.copy(owner).await?;
        let load = began.elapsed().as_secs_f64();
        let began = Instant::now();
        self.client
            .batch_execute(&format!(
                "SET maintenance_work_mem = '2GB'; SET max_parallel_maintenance_workers = 1;
                 CREATE INDEX {table}_owner ON {table} (owner_id);
                 CREATE INDEX {table}_hnsw ON {table} USING hnsw (embedding halfvec_ip_ops)
                    WITH (m = 16, ef_construction = 100)"
            ))
            .await?;
        let index = began.elapsed().as_secs_f64();
        self.vacuum().await?;
        Ok(Filled { load, index })
    }

    /// Gives the assets whose number leaves these rests to another owner. At least eight must lie between two of them.
    pub async fn hand_over(&self, divisor: i32, rests: &[i32], to: UserId) -> Result<()> {
        let table = self.table();
        let client = &self.client;
        let sql = "UPDATE asset SET owner_id = $1 WHERE file_size % $2 = ANY($3)";
        let rests: Vec<i64> = rests.iter().map(|rest| i64::from(*rest)).collect();
        let changed = client.execute(sql, &[&to.0, &i64::from(divisor), &rests]).await?;
        let before = self.updated_in_place().await?;
        client.batch_execute(&format!("DROP INDEX {table}_owner")).await?;
        client
            .batch_execute(&format!(
                "UPDATE {table} e SET owner_id = a.owner_id FROM asset a
                 WHERE a.id = e.asset_id AND a.owner_id <> e.owner_id"
            ))
            .await?;
        let in_place = self.updated_in_place().await? - before;
        // Otherwise the index would hold dead vectors, and the figures would be those of another library.
        ensure!(in_place == changed as i64, "{in_place} of {changed} vectors changed their owner in place");
        client.batch_execute(&format!("CREATE INDEX {table}_owner ON {table} (owner_id)")).await?;
        self.vacuum().await
    }

    async fn updated_in_place(&self) -> Result<i64> {
        self.client.execute("SELECT pg_stat_force_next_flush()", &[]).await?;
        let sql = "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1";
        Ok(self.client.query_one(sql, &[&self.table()]).await?.get(0))
    }

    async fn vacuum(&self) -> Result<()> {
        for table in ["asset", &self.table()] {
            self.client.batch_execute(&format!("VACUUM ANALYZE {table}")).await?;
        }
        Ok(())
    }

    /// By COPY in PostgreSQL's binary form: a million vectors as text would be most of the time.
    async fn copy(&mut self, owner: UserId) -> Result<()> {
        let sql = format!("COPY {} (asset_id, owner_id, embedding) FROM STDIN (FORMAT binary)", self.table());
        let sink = self.client.copy_in::<_, bytes::Bytes>(&sql).await?;
        futures::pin_mut!(sink);
        let mut out = BytesMut::from(&b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..]);
        for n in 0..self.count {
            let centre = &self.centres[self.chance.next() as usize % self.centres.len()];
            put_row(&mut out, asset(n), owner.0, &near(centre, &mut self.chance));
            if out.len() > 1 << 20 {
                sink.send(out.split().freeze()).await?;
            }
        }
        out.put_i16(-1);
        sink.send(out.freeze()).await?;
        Ok(sink.close().await?)
    }

    fn near_any(&mut self) -> Vec<f32> {
        let centre = &self.centres[self.chance.next() as usize % self.centres.len()];
        near(centre, &mut self.chance)
    }

    fn table(&self) -> String {
        format!("asset_embedding_{}", self.space.id)
    }
}

/// As the SQL above makes it of its number.
fn asset(number: usize) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0000 | number as u128)
}

fn put_row(out: &mut BytesMut, asset: Uuid, owner: Uuid, vector: &[f32]) {
    out.put_i16(3);
    for id in [asset, owner] {
        out.put_i32(16);
        out.put_slice(id.as_bytes());
    }
    out.put_i32(4 + 2 * vector.len() as i32);
    out.put_i16(vector.len() as i16);
    out.put_i16(0);
    vector.iter().for_each(|value| out.put_u16(f16::from_f32(*value).to_bits()));
}

fn near(centre: &[f32], chance: &mut Chance) -> Vec<f32> {
    unit(centre.iter().map(|value| value + SPREAD * chance.normal() / (DIMENSIONS as f32).sqrt()).collect())
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}
