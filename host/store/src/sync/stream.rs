//! Sends a stream: one snapshot, family by family, as fast as the client takes it and no faster.

use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::Transaction;
use futures::TryStreamExt as _;
use tokio::sync::mpsc;
use tokio_postgres::IsolationLevel;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::families::{Backfill, Part};
use super::line::{self, LineOf};
use super::{COMPLETE, Checkpoints, Family, SyncOf, parse_ack};
use crate::{Result, Store, StoreError};

/// Rows that the database is asked for at once. What a client does not take is not computed.
const PAGE: usize = 10_000;
/// Bytes that go out together.
const CHUNK: usize = 64 << 10;
/// How long a client may take nothing: meanwhile it holds a connection and a snapshot.
const PATIENCE: Duration = Duration::from_secs(60);
/// What stands in the ack of a container that was sent as a whole.
const WHOLE: &str = "complete";

/// Parameters are not alike: a new client's ask for everything, all others for little. And what is sorted has the room for it.
const SETTINGS: &str =
    "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; SET LOCAL work_mem = '32MB'";

impl Store {
    /// Sends everything that is new to a client, in chunks of whole lines. `false`: the client went away, or took nothing for a
    /// minute; the last line was not sent then, and neither is it after an error.
    pub async fn sync(&self, of: &SyncOf<'_>, out: &mpsc::Sender<Vec<u8>>) -> Result<bool> {
        let mut client = self.client().await?;
        let statement = client.prepare_cached("SELECT sync_horizon()").await?;
        let horizon = client.query_one(&statement, &[]).await?.get(0);
        let snapshot = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let transaction = snapshot.start().await?;
        transaction.batch_execute(SETTINGS).await?;
        let out = Out { client: out, buffer: Vec::with_capacity(CHUNK + CHUNK / 8) };
        let mut stream =
            Stream { transaction: &transaction, user: of.user.0, checkpoints: of.checkpoints, horizon, out };
        match stream.send(of.families).await {
            Ok(()) => {
                transaction.commit().await?;
                Ok(true)
            }
            Err(Broken::Left) => Ok(false),
            Err(Broken::Store(error)) => Err(error),
        }
    }
}

/// Why a stream ends early.
enum Broken {
    Left,
    Store(StoreError),
}

impl From<tokio_postgres::Error> for Broken {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}

struct Out<'a> {
    client: &'a mpsc::Sender<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Out<'_> {
    async fn flush(&mut self) -> Result<(), Broken> {
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + CHUNK / 8));
        match self.client.send_timeout(chunk, PATIENCE).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Broken::Left),
        }
    }
}

struct Stream<'a> {
    transaction: &'a Transaction<'a>,
    user: Uuid,
    checkpoints: &'a Checkpoints,
    horizon: Uuid,
    out: Out<'a>,
}

impl Stream<'_> {
    async fn send(&mut self, families: &[&Family]) -> Result<(), Broken> {
        for family in families {
            self.family(family).await?;
        }
        line::bare(COMPLETE, &format!("{COMPLETE}|{}", self.horizon), &mut self.out.buffer);
        self.out.flush().await
    }

    /// The id that a client has of a type.
    fn checkpoint(&self, entity: &str) -> Option<Uuid> {
        self.checkpoints.get(entity).and_then(|ack| parse_ack(ack)).map(|(_, id, _)| id)
    }

    async fn family(&mut self, family: &Family) -> Result<(), Broken> {
        let user = self.user;
        if let Some(deletes) = &family.deletes {
            let after = self.checkpoint(deletes.entity).unwrap_or_default();
            self.rows(deletes, None, &[&user, &after]).await?;
        }
        let Some(upserts) = &family.upserts else { return Ok(()) };
        let until = self.checkpoint(upserts.entity);
        let begun = match &family.backfill {
            Some(backfill) => self.backfill(backfill, until).await?,
            None => None,
        };
        // A client that has nothing gets everything as new.
        if let (Some(updates), Some(until)) = (&family.updates, until) {
            let after = self.checkpoint(updates.entity).unwrap_or(until);
            self.rows(updates, None, &[&user, &after, &until]).await?;
        }
        let last = self.rows(upserts, None, &[&user, &until.unwrap_or_default()]).await?;
        // What was there when the client began needs no backfill later on. The ids of rows say the same where they are greater.
        if let (Some(backfill), Some(begun)) = (&family.backfill, begun)
            && (until.is_some() || begun > last.unwrap_or_default())
        {
            let ack = format!("{}|{begun}|{WHOLE}", backfill.rows.entity);
            line::bare("SyncAckV1", &ack, &mut self.out.buffer);
        }
        Ok(())
    }

    /// Sends what is older than `until` in the containers that the client has not heard of; returns the begin of the last of them.
    /// Without an `until` there is nothing that the upserts do not send.
    async fn backfill(&mut self, backfill: &Backfill, until: Option<Uuid>) -> Result<Option<Uuid>, Broken> {
        let ack = self.checkpoints.get(backfill.rows.entity).and_then(|ack| parse_ack(ack));
        let (after, sent) = ack.map_or((until.unwrap_or_default(), None), |(_, id, sent)| (id, sent));
        let (is_whole, sent) = (sent == Some(WHOLE), sent.and_then(|sent| Uuid::try_parse(sent).ok()));
        let statement = self.transaction.prepare_cached(backfill.containers).await?;
        let mut begun = None;
        for row in self.transaction.query(&statement, &[&self.user, &after]).await? {
            let (create, container): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
            let is_first = create == after;
            if is_first && is_whole {
                continue;
            }
            let create = create.min(self.horizon);
            if let Some(until) = until {
                let behind = sent.filter(|_| is_first).unwrap_or_default();
                self.rows(&backfill.rows, Some(create), &[&self.user.clone(), &behind, &until, &container]).await?;
            }
            begun = Some(create);
        }
        Ok(begun)
    }

    /// Sends the rows of a statement; returns the ack of the last.
    async fn rows(
        &mut self,
        part: &Part,
        container: Option<Uuid>,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Uuid>, Broken> {
        let statement = self.transaction.prepare_cached(&part.sql).await?;
        let line = LineOf::new(part.entity, container, &statement);
        let portal = self.transaction.bind(&statement, parameters).await?;
        let mut last = None;
        loop {
            let mut rows = pin!(self.transaction.query_portal_raw(&portal, PAGE as i32).await?);
            let mut count = 0;
            while let Some(row) = rows.try_next().await? {
                let ack = row.try_get::<_, Uuid>(0)?.min(self.horizon);
                line.write(&row, ack, &mut self.out.buffer)?;
                if self.out.buffer.len() >= CHUNK {
                    self.out.flush().await?;
                }
                last = Some(ack);
                count += 1;
            }
            if count < PAGE {
                return Ok(last);
            }
        }
    }
}
