//! Partners: one shows their timeline to another.

use serde_json::json;
use tests::TestApp;

use crate::albums::{ALL, NOTHING, photo, seen, timeline};

#[tokio::test]
async fn a_partner_sees_what_the_timeline_shows_and_wants_it_on_theirs_or_not() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let (shown, archived) = (photo(&ann, 1, "2020:06:01 12:00:00").await, photo(&ann, 2, "2020:06:02 12:00:00").await);
    let trashed = photo(&ann, 3, "2020:06:03 12:00:00").await;
    let his = photo(&bob, 4, "2020:06:04 12:00:00").await;
    ann.put(&format!("/assets/{shown}"), &json!({ "isFavorite": true })).await.ok();
    ann.put(&format!("/assets/{archived}"), &json!({ "visibility": "archive" })).await.ok();
    ann.delete("/assets", &json!({ "ids": [trashed] })).await.ok();
    assert_eq!(seen(&bob, &shown, "").await, NOTHING);
    let of_ann = format!("userId={}", ann.user_id);
    let refused = bob.get(&format!("/timeline/buckets?{of_ann}")).await.error();
    insta::assert_snapshot!(refused, @"400 Not found or no timeline.read access");
    ann.post("/partners", &json!({ "sharedWithId": bob.user_id })).await.ok();
    assert_eq!(seen(&bob, &shown, "").await, ALL);
    assert_eq!(seen(&bob, &archived, "").await, NOTHING);
    assert_eq!(seen(&bob, &trashed, "").await, NOTHING);
    assert_eq!(seen(&ann, &his, "").await, NOTHING, "it goes one way");
    assert_eq!(timeline(&bob, &of_ann).await, std::slice::from_ref(&shown));
    assert_eq!(timeline(&bob, "withPartners=true").await, std::slice::from_ref(&his));
    let partner = format!("/partners/{}", ann.user_id);
    bob.put(&partner, &json!({ "inTimeline": true })).await.ok();
    assert_eq!(timeline(&bob, "withPartners=true").await, [his.clone(), shown.clone()]);
    assert_eq!(timeline(&bob, "").await, [his]);
    let month = bob.get("/timeline/bucket?withPartners=true&timeBucket=2020-06-01").await.ok();
    assert_eq!(month["isFavorite"], json!([false, false]), "what Ann likes is hers to know");
    let with = bob.get("/partners?direction=shared-with").await.ok();
    assert_eq!((&with[0]["name"], &with[0]["inTimeline"]), (&json!("Ann"), &json!(true)));
    let by = ann.get("/partners?direction=shared-by").await.ok();
    assert_eq!((&by[0]["name"], &by[0]["inTimeline"]), (&json!("Bob"), &json!(true)));
    assert_eq!(bob.get("/partners?direction=shared-by").await.ok(), json!([]));
    let everything = bob.post("/download/info", &json!({ "userId": ann.user_id })).await.ok();
    assert_eq!(everything["archives"][0]["assetIds"], json!([shown]));
    let mut errors = Vec::new();
    for answer in [
        bob.get("/timeline/buckets?withPartners=true&isFavorite=true").await,
        bob.get(&format!("/timeline/buckets?{of_ann}&isTrashed=true")).await,
        bob.get(&format!("/timeline/buckets?{of_ann}&visibility=archive")).await,
        ann.post("/partners", &json!({ "sharedWithId": bob.user_id })).await,
        ann.post("/partners", &json!({ "sharedWithId": ann.user_id })).await,
        ann.post("/partners", &json!({ "sharedWithId": shown })).await,
        ann.put(&format!("/partners/{}", bob.user_id), &json!({ "inTimeline": true })).await,
        bob.delete(&partner, &json!({})).await,
        bob.get("/partners?direction=both").await,
    ] {
        errors.push(answer.error());
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    400 withPartners is only supported for non-archived, non-trashed, non-favorited assets
    400 withPartners is only supported for non-archived, non-trashed, non-favorited assets
    400 withPartners is only supported for non-archived, non-trashed, non-favorited assets
    400 Partner already exists
    400 Cannot be a partner of oneself
    400 User not found
    400 Not found or no partner.update access
    400 Not found or no partner.delete access
    400 Validation failed [{"message":"direction: unknown variant `both`, expected `shared-by` or `shared-with`","path":["direction"]}]
    "#);
    ann.delete(&format!("/partners/{}", bob.user_id), &json!({})).await.ok();
    assert_eq!(seen(&bob, &shown, "").await, NOTHING);
    let raw = app.database.raw().await;
    let told = raw.query_one("SELECT count(*) FROM partner_audit", &[]).await.unwrap();
    assert_eq!(told.get::<_, i64>(0), 1);
}
