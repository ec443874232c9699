//! Which assets a search finds, and in which order: by their vectors, or by what is known of them.

mod filter;
mod spaces;
mod vectors;

use types::{AssetId, UserId};

pub use filter::AssetFilter;
pub(crate) use filter::tagged;
pub use spaces::{Space, SpaceKind};
pub use vectors::Tuning;
pub(crate) use vectors::{half_vector, settings};

use crate::{Result, Store};
use filter::Query;

/// The order of a search by metadata: by when photos were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    #[default]
    NewestFirst,
    OldestFirst,
    LargestFirst,
    Random,
}

/// What `suggestions` suggests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suggest {
    Country,
    State,
    City,
    Make,
    Model,
    LensModel,
}

impl Suggest {
    fn column(self) -> &'static str {
        match self {
            Self::Country => "x.country",
            Self::State => "x.state",
            Self::City => "x.city",
            Self::Make => "x.make",
            Self::Model => "x.model",
            Self::LensModel => "x.lens_model",
        }
    }
}

/// The few colours of one asset: Lab and share.
pub type Palette = Vec<([f32; 3], f32)>;

impl Store {
    /// The assets that pass the filter, `limit` of them from `offset` on.
    pub async fn find_assets(
        &self,
        filter: &AssetFilter,
        order: Order,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<AssetId>> {
        let mut query = Query::default();
        let conditions = filter.conditions(&mut query);
        let order = match order {
            Order::NewestFirst => "a.file_created_at DESC, a.id DESC",
            Order::OldestFirst => "a.file_created_at, a.id",
            Order::LargestFirst => "a.file_size DESC, a.id DESC",
            Order::Random => "random()",
        };
        let sql = format!(
            "SELECT a.id FROM {} WHERE {conditions} ORDER BY {order} LIMIT {} OFFSET {}",
            filter.tables(),
            query.bind(limit),
            query.bind(offset)
        );
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &query.arguments()).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }

    pub async fn count_found(&self, filter: &AssetFilter) -> Result<i64> {
        let mut query = Query::default();
        let sql = format!("SELECT count(*) FROM {} WHERE {}", filter.tables(), filter.conditions(&mut query));
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_one(&statement, &query.arguments()).await?.get(0))
    }

    /// The values that occur among the assets that pass the filter, sorted.
    pub async fn suggestions(&self, filter: &AssetFilter, what: Suggest) -> Result<Vec<String>> {
        let mut query = Query::default();
        let conditions = filter.conditions(&mut query);
        let column = what.column();
        let sql = format!(
            "SELECT DISTINCT {column} FROM asset a JOIN asset_exif x ON x.asset_id = a.id
             WHERE {conditions} AND {column} <> '' ORDER BY 1"
        );
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &query.arguments()).await?.iter().map(|row| row.get(0)).collect())
    }

    /// One asset, the newest, for each city with at least `at_least` assets: city and asset, by city.
    pub async fn cities(&self, owner: UserId, at_least: i64, limit: i64) -> Result<Vec<(String, AssetId)>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT x.city, (array_agg(a.id ORDER BY a.file_created_at DESC))[1]
                 FROM asset a JOIN asset_exif x ON x.asset_id = a.id
                 WHERE a.owner_id = $1 AND a.deleted_at IS NULL AND a.visibility = 'timeline' AND x.city IS NOT NULL
                 GROUP BY x.city HAVING count(*) >= $2 ORDER BY x.city LIMIT $3",
            )
            .await?;
        let rows = client.query(&statement, &[&owner.0, &at_least, &limit]).await?;
        Ok(rows.iter().map(|row| (row.get(0), AssetId(row.get(1)))).collect())
    }

    /// Replaces the colours of an asset. An asset that is gone is no error.
    pub async fn save_palette(&self, asset: AssetId, palette: &[([f32; 3], f32)]) -> Result<()> {
        let lab: Vec<f32> = palette.iter().flat_map(|(lab, _)| *lab).collect();
        let share: Vec<f32> = palette.iter().map(|(_, share)| *share).collect();
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO asset_palette (asset_id, lab, share) SELECT id, $2, $3 FROM asset WHERE id = $1
                 ON CONFLICT (asset_id) DO UPDATE SET lab = excluded.lab, share = excluded.share",
            )
            .await?;
        client.execute(&statement, &[&asset.0, &lab, &share]).await?;
        Ok(())
    }

    /// The colours of these assets; those without are left out.
    pub async fn palettes(&self, assets: &[AssetId]) -> Result<Vec<(AssetId, Palette)>> {
        let ids: Vec<uuid::Uuid> = assets.iter().map(|id| id.0).collect();
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT asset_id, lab, share FROM asset_palette WHERE asset_id = ANY($1)").await?;
        let rows = client.query(&statement, &[&ids]).await?;
        Ok(rows
            .iter()
            .map(|row| {
                let (lab, share): (Vec<f32>, Vec<f32>) = (row.get(1), row.get(2));
                let colours = lab.chunks_exact(3).zip(share).map(|(lab, share)| ([lab[0], lab[1], lab[2]], share));
                (AssetId(row.get(0)), colours.collect())
            })
            .collect())
    }
}
