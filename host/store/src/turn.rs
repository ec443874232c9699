//! Work that one node does while the others do not: whoever holds the turn.

use deadpool_postgres::{ClientWrapper, Object};

use crate::{Result, Store};

/// Held until it is dropped. Its connection is closed then, and PostgreSQL ends the lock with it, also when the process dies.
pub struct Turn {
    _connection: ClientWrapper,
}

impl Store {
    /// `None`: another node is at it.
    pub async fn turn(&self, name: &str) -> Result<Option<Turn>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT pg_try_advisory_lock(hashtextextended($1, 11))").await?;
        let is_ours: bool = client.query_one(&statement, &[&name]).await?.get(0);
        Ok(is_ours.then(|| Turn { _connection: Object::take(client) }))
    }
}
