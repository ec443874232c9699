//! The timeline: months, and the photos of one.

use tests::TestApp;
use tests::photos::{self, Exif};

#[tokio::test]
async fn months_are_those_of_the_wall_clock_where_the_photo_was_taken() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let photo = |seed, taken, offset| {
        photos::encoded_jpeg(
            320,
            240,
            seed,
            Some(&Exif { taken: Some(taken), offset: Some(offset), ..Exif::default() }),
        )
    };
    // Half past eleven in the evening in Tokyo, of the same instant as half past two in the afternoon in UTC.
    let late = client.uploaded("a.jpg", photo(1, "2020:01:31 23:30:00", "+09:00")).await;
    let next = client.uploaded("b.jpg", photo(2, "2020:02:01 00:10:00", "+09:00")).await;
    let early = client.uploaded("c.jpg", photo(3, "2020:01:02 08:00:00", "-08:00")).await;
    for id in [&late, &next, &early] {
        client.processed(id).await;
    }
    let buckets = client.get("/timeline/buckets").await.ok();
    assert_eq!(
        buckets,
        serde_json::json!([{ "count": 1, "timeBucket": "2020-02-01" }, { "count": 2, "timeBucket": "2020-01-01" }])
    );
    assert_eq!(client.timeline().await, [next, late.clone(), early]);
    let january = client.get("/timeline/bucket?timeBucket=2020-01-01").await.ok();
    assert_eq!(january["fileCreatedAt"][0], "2020-01-31T14:30:00.000Z");
    assert_eq!(january["localOffsetHours"][0], 9.0);
    assert_eq!(january["ratio"][0], 1.333);
    assert!(january["thumbhash"][0].is_string());
}
