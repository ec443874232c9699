//! Videos: what is known of them, what was made for playback, and the photos that they belong to.

use types::{AssetId, IntentId, UserId};

use crate::derivatives::NewFile;
use crate::intents::{not_garbage, to_garbage};
use crate::{Result, Store};

/// The kind of a file that was made for playback.
pub const ENCODED: &str = "encoded-video";

impl Store {
    /// How long a video is, and how large, upright.
    pub async fn save_length(&self, id: AssetId, duration_ms: i32, size: Option<(i32, i32)>) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE asset SET duration_ms = $2, width = coalesce($3, width), height = coalesce($4, height)
                 WHERE id = $1 AND (duration_ms, width, height) IS DISTINCT FROM
                    ($2, coalesce($3, width), coalesce($4, height))",
            )
            .await?;
        let (width, height) = (size.map(|(width, _)| width), size.map(|(_, height)| height));
        client.execute(&statement, &[&id.0, &duration_ms, &width, &height]).await?;
        Ok(())
    }

    /// Records what is played instead of the original, and that its intent was fulfilled; `None`: the original is played. What it
    /// replaces becomes garbage. `false`: the asset is gone or the intent was lost, and nothing was written.
    pub async fn save_encoded(&self, id: AssetId, file: Option<(&NewFile, IntentId)>) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement =
            transaction.prepare_cached("SELECT owner_id FROM asset WHERE id = $1 FOR NO KEY UPDATE").await?;
        let Some(row) = transaction.query_opt(&statement, &[&id.0]).await? else { return Ok(false) };
        let owner: uuid::Uuid = row.get(0);
        let location = file.map(|(file, _)| &*file.location);
        let statement = transaction
            .prepare_cached(
                "DELETE FROM asset_file WHERE asset_id = $1 AND kind = 'encoded-video'
                   AND location IS DISTINCT FROM $2 RETURNING location",
            )
            .await?;
        let replaced = transaction.query(&statement, &[&id.0, &location]).await?;
        let replaced: Vec<String> = replaced.iter().map(|row| row.get(0)).collect();
        if let Some((file, intent)) = file {
            let statement =
                transaction.prepare_cached("DELETE FROM blob_intent WHERE id = $1 AND state = 'pending'").await?;
            if transaction.execute(&statement, &[&intent.0]).await? == 0 {
                return Ok(false);
            }
            let statement = transaction
                .prepare_cached(
                    "INSERT INTO asset_file (asset_id, kind, location, size) VALUES ($1, 'encoded-video', $2, $3)
                     ON CONFLICT (asset_id, kind) DO UPDATE SET location = excluded.location, size = excluded.size",
                )
                .await?;
            transaction.execute(&statement, &[&id.0, &file.location, &file.size]).await?;
            not_garbage(&transaction, &[&file.location]).await?;
        }
        to_garbage(&transaction, owner, &replaced).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// So much of a step is done. A step that gets on is none that kills whoever has it. `false`: the asset is gone.
    pub async fn step_progress(&self, asset: AssetId, step: &str, part: f32) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("UPDATE step_start SET progress = $3, starts = 1 WHERE asset_id = $1 AND step = $2")
            .await?;
        Ok(client.execute(&statement, &[&asset.0, &step, &part]).await? > 0)
    }

    /// Steps under way that say how far they are: pipeline, step, and 0 to 1.
    pub async fn steps_under_way(&self, asset: AssetId) -> Result<Vec<(String, String, f32)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT pipeline, step, progress FROM step_start WHERE asset_id = $1 AND progress IS NOT NULL
                 ORDER BY pipeline, step",
            )
            .await?;
        let rows = client.query(&statement, &[&asset.0]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// The video belongs to the photo from now on, and is not seen beside it. `false`: one of them is gone, or is another's.
    pub async fn link_live_photo(&self, owner: UserId, photo: AssetId, video: AssetId) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "WITH photo AS (
                    UPDATE asset SET live_photo_video_id = $3 WHERE id = $2 AND owner_id = $1 AND type = 'IMAGE'
                      AND EXISTS (SELECT FROM asset WHERE id = $3 AND owner_id = $1 AND type = 'VIDEO') RETURNING id
                 )
                 UPDATE asset SET visibility = 'hidden' WHERE id = $3 AND owner_id = $1 AND EXISTS (SELECT FROM photo)",
            )
            .await?;
        Ok(client.execute(&statement, &[&owner.0, &photo.0, &video.0]).await? == 1)
    }

    /// Notes what a photo and its video have in common, and links those of this owner that have the same. Returns photo and
    /// video of each new pair. The note is committed first: of two that come at once, one sees the other.
    pub async fn pair_live_photo(
        &self,
        owner: UserId,
        asset: AssetId,
        content_id: &str,
    ) -> Result<Vec<(AssetId, AssetId)>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("UPDATE asset_exif SET content_id = $2 WHERE asset_id = $1").await?;
        client.execute(&statement, &[&asset.0, &content_id]).await?;
        let statement = client
            .prepare_cached(
                "SELECT p.id, v.id FROM asset p JOIN asset_exif px ON px.asset_id = p.id
                 JOIN asset v ON v.owner_id = p.owner_id JOIN asset_exif vx ON vx.asset_id = v.id
                 WHERE p.owner_id = $1 AND px.content_id = $2 AND vx.content_id = $2 AND p.type = 'IMAGE'
                   AND v.type = 'VIDEO' AND p.live_photo_video_id IS NULL AND $3 IN (p.id, v.id)",
            )
            .await?;
        let rows = client.query(&statement, &[&owner.0, &content_id, &asset.0]).await?;
        drop(client);
        let mut pairs = Vec::new();
        for (photo, video) in rows.iter().map(|row| (AssetId(row.get(0)), AssetId(row.get(1)))) {
            if self.link_live_photo(owner, photo, video).await? {
                pairs.push((photo, video));
            }
        }
        Ok(pairs)
    }
}
