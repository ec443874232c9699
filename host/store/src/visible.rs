//! Who may look at which assets: their owner, whoever has an album with them, a partner, and whoever has a link.

use tokio_postgres::types::ToSql;
use types::{AssetId, LinkId, UserId};
use uuid::Uuid;

use crate::{Result, Store};

/// The asset `a` itself, and the photos whose moving part it is: what shows one of these shows it. Neither lies in the trash or
/// behind the PIN.
const SHOWS: &str = "(SELECT a.id, a.owner_id, a.visibility
    UNION ALL SELECT p.id, p.owner_id, p.visibility FROM asset p
    WHERE p.live_photo_video_id = a.id AND p.deleted_at IS NULL AND p.visibility <> 'locked') shown";

impl Store {
    /// Which of these may this user look at? Their own (of the locked folder, if `locked`), those of albums that they have, and
    /// what a partner's timeline shows.
    pub async fn visible(&self, user: UserId, ids: &[AssetId], locked: bool) -> Result<Vec<AssetId>> {
        let sql = format!(
            "SELECT a.id FROM asset a WHERE a.id = ANY($2) AND (a.owner_id = $1 AND ($3 OR a.visibility <> 'locked')
                OR a.deleted_at IS NULL AND a.visibility <> 'locked' AND EXISTS (SELECT FROM {SHOWS} WHERE
                    EXISTS (SELECT FROM album_asset m JOIN album_user u ON u.album_id = m.album_id AND u.user_id = $1
                        WHERE m.asset_id = shown.id)
                    OR shown.visibility = 'timeline' AND EXISTS (SELECT FROM partner r
                        WHERE r.shared_by_id = shown.owner_id AND r.shared_with_id = $1)))"
        );
        self.which(&sql, user.0, ids, &[&locked]).await
    }

    /// Which of these does this link show?
    pub async fn visible_by_link(&self, link: LinkId, ids: &[AssetId]) -> Result<Vec<AssetId>> {
        let sql = format!(
            "SELECT a.id FROM asset a WHERE a.id = ANY($2) AND a.deleted_at IS NULL AND a.visibility <> 'locked'
               AND EXISTS (SELECT FROM {SHOWS} WHERE
                    EXISTS (SELECT FROM shared_link_asset s WHERE s.link_id = $1 AND s.asset_id = shown.id)
                    OR EXISTS (SELECT FROM shared_link l JOIN album_asset m ON m.album_id = l.album_id
                        WHERE l.id = $1 AND m.asset_id = shown.id))"
        );
        self.which(&sql, link.0, ids, &[]).await
    }

    async fn which(
        &self,
        sql: &str,
        whose: Uuid,
        ids: &[AssetId],
        more: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<AssetId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let arguments = [&[&whose as &(dyn ToSql + Sync), &ids][..], more].concat();
        let client = self.client().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, &arguments).await?.iter().map(|row| AssetId(row.get(0))).collect())
    }
}
