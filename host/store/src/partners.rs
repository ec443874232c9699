//! Partners: who shows their timeline to whom.

use tokio_postgres::Row;
use types::UserId;

use crate::accounts::{self, USER, User};
use crate::{Result, Store};

/// The other side of a partnership.
#[derive(Debug, Clone)]
pub struct Partner {
    pub user: User,
    /// Whoever is shown the timeline wants it on their own.
    pub in_timeline: bool,
}

fn partner(row: &Row) -> Partner {
    Partner { user: accounts::user(row), in_timeline: row.get("in_timeline") }
}

impl Store {
    /// Those to whom this user shows their timeline.
    pub async fn partners_by(&self, user: UserId) -> Result<Vec<Partner>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT p.in_timeline, {USER} FROM partner p JOIN app_user u ON u.id = p.shared_with_id
             WHERE p.shared_by_id = $1 AND u.deleted_at IS NULL ORDER BY p.created_at, u.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&user.0]).await?.iter().map(partner).collect())
    }

    /// Those who show this user their timeline.
    pub async fn partners_with(&self, user: UserId) -> Result<Vec<Partner>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT p.in_timeline, {USER} FROM partner p JOIN app_user u ON u.id = p.shared_by_id
             WHERE p.shared_with_id = $1 AND u.deleted_at IS NULL ORDER BY p.created_at, u.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&user.0]).await?.iter().map(partner).collect())
    }

    /// One who is a partner already breaks the constraint `partner_pkey`, one who is not there `partner_shared_with_id_fkey`.
    pub async fn insert_partner(&self, by: UserId, with: UserId) -> Result<()> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("INSERT INTO partner (shared_by_id, shared_with_id) VALUES ($1, $2)").await?;
        client.execute(&statement, &[&by.0, &with.0]).await?;
        Ok(())
    }

    /// `false`: they are no partners.
    pub async fn set_in_timeline(&self, by: UserId, with: UserId, in_timeline: bool) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("UPDATE partner SET in_timeline = $3 WHERE shared_by_id = $1 AND shared_with_id = $2")
            .await?;
        Ok(client.execute(&statement, &[&by.0, &with.0, &in_timeline]).await? == 1)
    }

    /// `false`: they were no partners.
    pub async fn delete_partner(&self, by: UserId, with: UserId) -> Result<bool> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("DELETE FROM partner WHERE shared_by_id = $1 AND shared_with_id = $2").await?;
        Ok(client.execute(&statement, &[&by.0, &with.0]).await? == 1)
    }
}
