//! Search by vectors and by filters, in the store. Real PostgreSQL; synthetic vectors.

use std::collections::HashSet;

use store::Store;
use store::search::{AssetFilter, Order, Space, SpaceKind, Suggest, Tuning};
use tests::Database;
use types::{AssetId, AssetType, UserId, Visibility};

const DIMENSIONS: usize = 64;

/// A small generator, so that a failure comes back.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn normal(&mut self) -> f32 {
        let bits = self.next();
        ((0..4).map(|part| ((bits >> (16 * part)) & 0xffff) as f32 / 65_536.0).sum::<f32>() - 2.0) * 1.732
    }

    fn vector(&mut self) -> Vec<f32> {
        unit((0..DIMENSIONS).map(|_| self.normal()).collect())
    }
}

fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|value| *value /= length);
    vector
}

struct World {
    store: Store,
    raw: tokio_postgres::Client,
    space: Space,
}

async fn world() -> World {
    let database = Database::new().await;
    let raw = database.raw().await;
    let store = database.store;
    let space = store.space(SpaceKind::Asset, "test@1", DIMENSIONS, None).await.unwrap();
    World { store, raw, space }
}

impl World {
    async fn owner(&self) -> UserId {
        let owner = UserId::generate();
        let email = format!("{owner}@example.org");
        self.raw
            .execute("INSERT INTO app_user (id, email, name) VALUES ($1, $2, 'x')", &[&owner.0, &email])
            .await
            .unwrap();
        owner
    }

    /// Asset n of an owner was taken n minutes after 2024 began; every third is a video.
    async fn asset(&self, owner: UserId, n: i32) -> AssetId {
        let asset = AssetId::generate();
        self.raw
            .execute(
                "INSERT INTO asset (id, owner_id, checksum, sha256, type, original_file_name, original_path, mime_type,
                    file_size, file_created_at, file_modified_at, local_date_time)
                 VALUES ($1, $2, substr(sha256($1::uuid::text::bytea), 1, 20), sha256($1::uuid::text::bytea),
                    CASE WHEN $3::int % 3 = 0 THEN 'VIDEO' ELSE 'IMAGE' END, 'IMG_' || $3::int || '.jpg', 'x:a',
                    'image/jpeg', $3::int, timestamptz '2024-01-01 00:00Z' + $3::int * interval '1 minute', now(),
                    now()::timestamp)",
                &[&asset.0, &owner.0, &n],
            )
            .await
            .unwrap();
        asset
    }

    async fn set(&self, sql: &str, asset: AssetId) {
        self.raw.execute(sql, &[&asset.0]).await.unwrap();
    }

    async fn found(&self, filter: &AssetFilter) -> HashSet<AssetId> {
        let found = self.store.find_assets(filter, Order::NewestFirst, 0, 1_000).await.unwrap();
        assert_eq!(self.store.count_found(filter).await.unwrap(), found.len() as i64);
        found.into_iter().collect()
    }
}

#[tokio::test]
async fn finds_by_what_is_known_and_only_the_owners() {
    let world = world().await;
    let (owner, other) = (world.owner().await, world.owner().await);
    let mut assets = Vec::new();
    for n in 0..9 {
        assets.push(world.asset(owner, n).await);
    }
    world.asset(other, 0).await;
    world
        .set(
            "INSERT INTO asset_exif (asset_id, city, country, make, rating) VALUES ($1, 'Köln', 'Germany', 'Canon', 5)",
            assets[1],
        )
        .await;
    world.set("INSERT INTO asset_exif (asset_id, city, country) VALUES ($1, 'Paris', 'France')", assets[2]).await;
    world.set("UPDATE asset SET is_favorite = true WHERE id = $1", assets[4]).await;
    world.set("UPDATE asset SET visibility = 'archive' WHERE id = $1", assets[5]).await;
    world.set("UPDATE asset SET deleted_at = now() WHERE id = $1", assets[7]).await;
    world.set("UPDATE asset SET original_file_name = '100%_sure.JPG' WHERE id = $1", assets[8]).await;
    let of = || AssetFilter::of(owner);
    let is = |wanted: &[usize]| wanted.iter().map(|n| assets[*n]).collect::<HashSet<_>>();
    let at = |minute: i64| {
        "2024-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_mins(minute)
    };

    assert_eq!(world.found(&of()).await, is(&[0, 1, 2, 3, 4, 6, 8]));
    assert_eq!(world.found(&AssetFilter { with_deleted: true, ..of() }).await, is(&[0, 1, 2, 3, 4, 6, 7, 8]));
    assert_eq!(world.found(&AssetFilter { visibility: Some(Visibility::Archive), ..of() }).await, is(&[5]));
    assert_eq!(world.found(&AssetFilter { kind: Some(AssetType::Video), ..of() }).await, is(&[0, 3, 6]));
    assert_eq!(world.found(&AssetFilter { is_favorite: Some(true), ..of() }).await, is(&[4]));
    assert_eq!(world.found(&AssetFilter { city: Some(Some("Köln".into())), ..of() }).await, is(&[1]));
    assert_eq!(world.found(&AssetFilter { city: Some(None), ..of() }).await, is(&[0, 3, 4, 6, 8]));
    assert_eq!(
        world.found(&AssetFilter { rating: Some(Some(5)), make: Some(Some("Canon".into())), ..of() }).await,
        is(&[1])
    );
    assert_eq!(world.found(&AssetFilter { file_name: Some("%_SURE".into()), ..of() }).await, is(&[8]), "no wildcards");
    assert_eq!(
        world.found(&AssetFilter { taken_after: Some(at(2)), taken_before: Some(at(4)), ..of() }).await,
        is(&[2, 3, 4])
    );
    assert_eq!(world.found(&AssetFilter { nothing: true, ..of() }).await, is(&[]));
    assert_eq!(world.store.suggestions(&of(), Suggest::City).await.unwrap(), ["Köln", "Paris"]);
    let german = AssetFilter { country: Some(Some("Germany".into())), ..of() };
    assert_eq!(world.store.suggestions(&german, Suggest::City).await.unwrap(), ["Köln"]);
    assert_eq!(world.store.cities(owner, 1, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn pages_hold_every_asset_once() {
    let world = world().await;
    let owner = world.owner().await;
    let mut assets = HashSet::new();
    for n in 0..25 {
        // Pairs were taken at the same minute: the order must not depend on luck.
        assets.insert(world.asset(owner, n / 2).await);
    }
    let mut seen = Vec::new();
    for page in 0..4 {
        seen.extend(world.store.find_assets(&AssetFilter::of(owner), Order::OldestFirst, page * 7, 7).await.unwrap());
    }
    assert_eq!((seen.len(), seen.into_iter().collect::<HashSet<_>>()), (25, assets));
}

#[tokio::test]
async fn the_index_finds_what_a_scan_finds_also_behind_a_filter() {
    let world = world().await;
    let (rare, common) = (world.owner().await, world.owner().await);
    let mut chance = Chance(3);
    let centres: Vec<Vec<f32>> = (0..40).map(|_| chance.vector()).collect();
    let near = |centre: &[f32], chance: &mut Chance| {
        unit(
            centre.iter().map(|value| value + 0.7 * chance.normal() / (DIMENSIONS as f32).sqrt()).collect::<Vec<f32>>(),
        )
    };
    for n in 0..2_000 {
        let asset = world.asset(if n % 10 == 0 { rare } else { common }, n).await;
        let vector = near(&centres[n as usize % 40], &mut chance);
        assert!(world.store.save_embedding(&world.space, asset, &vector).await.unwrap());
    }
    let exact = Tuning { exact_up_to: i64::MAX, ..Tuning::default() };
    let index = Tuning { exact_up_to: -1, ..Tuning::default() };
    for (filter, limit) in [
        (AssetFilter::default(), 100),
        (AssetFilter::of(common), 100),
        (AssetFilter::of(rare), 50),
        (AssetFilter { kind: Some(AssetType::Video), ..AssetFilter::of(rare) }, 20),
    ] {
        let (mut hits, mut all) = (0, 0);
        for centre in &centres[..20] {
            let wanted = near(centre, &mut chance);
            let right = world.store.nearest(&world.space, &filter, &wanted, limit, 0, &exact).await.unwrap();
            let found = world.store.nearest(&world.space, &filter, &wanted, limit, 0, &index).await.unwrap();
            assert_eq!(right.len() as i64, limit);
            assert_eq!(found.len() as i64, limit, "an iterative scan goes on until enough pass");
            assert!(found.is_sorted_by(|a, b| a.1 >= b.1));
            let worst = right[right.len() - 1].1 - 1e-5;
            hits += found.iter().filter(|(_, cosine)| *cosine >= worst).count();
            all += right.len();
        }
        let recall = hits as f64 / all as f64;
        assert!(recall >= 0.97, "recall {recall} with {filter:?}");
    }
}

#[tokio::test]
async fn a_space_keeps_its_dimensions_and_two_coexist() {
    let world = world().await;
    let owner = world.owner().await;
    let asset = world.asset(owner, 1).await;
    let error = world.store.space(SpaceKind::Asset, "test@1", 32, None).await.unwrap_err();
    assert!(error.to_string().contains("a new model needs a new revision"), "{error}");
    let next = world.store.space(SpaceKind::Asset, "test@2", 32, None).await.unwrap();
    assert_ne!(next.id, world.space.id);
    let mut chance = Chance(5);
    let vector = chance.vector();
    assert!(world.store.save_embedding(&world.space, asset, &vector).await.unwrap());
    assert!(world.store.save_embedding(&world.space, asset, &vector).await.unwrap(), "again is the same");
    assert!(!world.store.save_embedding(&world.space, AssetId::generate(), &vector).await.unwrap(), "gone");
    assert_eq!(world.store.embedding(&next, asset).await.unwrap(), None);
    assert_eq!(world.store.embedding(&world.space, asset).await.unwrap().map(|vector| vector.len()), Some(DIMENSIONS));
}

#[tokio::test]
async fn keeps_the_colours_of_an_asset() {
    let world = world().await;
    let owner = world.owner().await;
    let asset = world.asset(owner, 1).await;
    let colours = vec![([50.0, 60.0, 40.0], 0.75), ([20.0, 0.0, 0.0], 0.25)];
    world.store.save_palette(asset, &colours).await.unwrap();
    assert_eq!(world.store.palettes(&[asset, AssetId::generate()]).await.unwrap(), [(asset, colours)]);
}
