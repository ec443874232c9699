//! Comments and likes.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::TestApp;

use crate::albums::{album_of, id, let_in, photo};

#[tokio::test]
async fn those_who_have_an_album_talk_about_it() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let cleo = ann.beside(&app.running.gallery, "Cleo").await;
    let (asset, other) = (photo(&ann, 1, "2020:06:01 12:00:00").await, photo(&ann, 2, "2020:06:01 12:00:00").await);
    let album = album_of(&ann, &[&asset]).await;
    let_in(&ann, &album, &bob, "viewer").await;
    let about = |asset: Option<&str>, comment: Option<&str>| match comment {
        Some(text) => json!({ "albumId": album, "assetId": asset, "type": "comment", "comment": text }),
        None => json!({ "albumId": album, "assetId": asset, "type": "like" }),
    };
    let comment = ann.post("/activities", &about(Some(&asset), Some("What a sky!"))).await;
    assert_eq!(comment.status, StatusCode::CREATED);
    let like = bob.post("/activities", &about(None, None)).await;
    assert_eq!(like.status, StatusCode::CREATED);
    let again = bob.post("/activities", &about(None, None)).await;
    assert_eq!((again.status, id(&again.body)), (StatusCode::OK, id(&like.body)), "one like each");
    bob.post("/activities", &about(Some(&asset), None)).await.ok();
    let list = async |more: &str| -> Vec<Value> {
        let said = bob.get(&format!("/activities?albumId={album}{more}")).await.ok();
        said.as_array().unwrap().iter().map(|one| json!([one["type"], one["comment"], one["user"]["name"]])).collect()
    };
    let (sky, one, two) =
        (json!(["comment", "What a sky!", "Ann"]), json!(["like", null, "Bob"]), json!(["like", null, "Bob"]));
    assert_eq!(list("").await, [sky.clone(), one.clone(), two.clone()]);
    assert_eq!(list("&type=comment").await, std::slice::from_ref(&sky));
    assert_eq!(list("&level=album").await, [one]);
    assert_eq!(list("&level=asset").await, [sky.clone(), two]);
    assert_eq!(list(&format!("&assetId={asset}&userId={}", ann.user_id)).await, std::slice::from_ref(&sky));
    let count = bob.get(&format!("/activities/statistics?albumId={album}")).await.ok();
    assert_eq!(count, json!({ "comments": 1, "likes": 2 }));
    // Bob takes back only what is his; Ann, whose album it is, whatever she wants.
    let comment = format!("/activities/{}", id(&comment.body));
    insta::assert_snapshot!(bob.delete(&comment, &json!({})).await.error(), @"400 Not found or no activity.delete access");
    ann.delete(&format!("/activities/{}", id(&like.body)), &json!({})).await.ok();
    assert_eq!(list("&level=album").await, Vec::<Value>::new());
    for answer in [
        cleo.post("/activities", &about(None, None)).await,
        cleo.get(&format!("/activities?albumId={album}")).await,
        cleo.get(&format!("/activities/statistics?albumId={album}")).await,
        cleo.delete(&comment, &json!({})).await,
        bob.post("/activities", &about(Some(&other), None)).await,
    ] {
        assert!(answer.error().starts_with("400 Not found or no "), "{}", answer.error());
    }
    let mut errors = Vec::new();
    for body in [
        json!({ "albumId": album, "type": "comment" }),
        about(None, Some(" ")),
        about(None, Some("a\0b")),
        about(None, Some(&"x".repeat(10_001))),
        json!({ "albumId": album, "type": "shout" }),
        json!({ "albumId": "x", "type": "like" }),
    ] {
        errors.push(bob.post("/activities", &body).await.error());
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    400 Validation failed [{"message":"is missing","path":["comment"]}]
    400 comment must have 1 to 10000 bytes
    400 Validation failed [{"message":"must not contain NUL","path":["body"]}]
    400 comment must have 1 to 10000 bytes
    400 Validation failed [{"message":"type: unknown variant `shout`, expected `comment` or `like` at line 1 column 64","path":["type"]}]
    400 Validation failed [{"message":"albumId: UUID parsing failed: invalid character: found `x` at 0 at line 1 column 14","path":["albumId"]}]
    "#);
    ann.patch(&format!("/albums/{album}"), &json!({ "isActivityEnabled": false })).await.ok();
    let disabled = bob.post("/activities", &about(None, None)).await.error();
    insta::assert_snapshot!(disabled, @"400 Not found or no activity.create access");
    ann.delete(&format!("/albums/{album}/assets"), &json!({ "ids": [asset] })).await.ok();
    assert_eq!(list("").await, Vec::<Value>::new(), "what was said of a photo leaves the album with it");
}
