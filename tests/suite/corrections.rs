//! What somebody corrects while the metadata step writes what the file says.

use jiff::Timestamp;
use store::exif::Exif;
use tests::Database;
use types::{AssetId, UserId};

#[tokio::test]
async fn the_metadata_step_waits_for_a_correction_and_not_the_other_way_round() {
    let database = Database::new().await;
    let (owner, asset) = (UserId::generate(), AssetId::generate());
    let raw = database.raw().await;
    let user = "INSERT INTO app_user (id, email, name) VALUES ($1, 'a@example.org', 'x')";
    raw.execute(user, &[&owner.0]).await.unwrap();
    let photo = "INSERT INTO asset (id, owner_id, checksum, sha256, type, original_file_name, original_path, mime_type,
            file_size, file_created_at, file_modified_at, local_date_time)
         VALUES ($1, $2, substr(sha256('a'), 1, 20), sha256('a'), 'IMAGE', 'a.jpg', 'x:a', 'image/jpeg', 1, now(), now(), now())";
    raw.execute(photo, &[&asset.0, &owner.0]).await.unwrap();

    let mut correcting = database.raw().await;
    let correction = correcting.transaction().await.unwrap();
    correction.execute("UPDATE asset SET is_favorite = true WHERE id = $1", &[&asset.0]).await.unwrap();
    let store = database.store.clone();
    let now = Timestamp::UNIX_EPOCH;
    let local = jiff::tz::TimeZone::UTC.to_datetime(now);
    let step = tokio::spawn(async move { store.save_exif(asset, &Exif::default(), now, local).await });
    tests::eventually("the step waits", || async {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        (raw.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    let description = "INSERT INTO asset_exif (asset_id, description) VALUES ($1, 'mine')
         ON CONFLICT (asset_id) DO UPDATE SET description = excluded.description";
    correction.execute(description, &[&asset.0]).await.unwrap();
    correction.commit().await.unwrap();
    step.await.unwrap().unwrap();
    let kept = raw.query_one("SELECT description FROM asset_exif WHERE asset_id = $1", &[&asset.0]).await.unwrap();
    assert_eq!(kept.get::<_, &str>(0), "mine");
}
