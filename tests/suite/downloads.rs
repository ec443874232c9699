//! Many originals at once, as ZIP archives.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Client, TestApp, photos};

/// Names and bytes of an archive.
async fn archive(client: &Client, query: &str, body: &Value) -> BTreeMap<String, Vec<u8>> {
    let request = client.request(Method::POST, &format!("/download/archive{query}")).json(body);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    let said: u64 = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(bytes.len() as u64, said, "it is as long as was said");
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..zip.len())
        .map(|at| {
            let mut file = zip.by_index(at).unwrap();
            let mut content = Vec::new();
            // Checks the checksum.
            file.read_to_end(&mut content).unwrap();
            (file.name().unwrap().into_owned(), content)
        })
        .collect()
}

#[tokio::test]
async fn an_archive_holds_the_originals_under_names_that_differ() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let mut ids = Vec::new();
    for (seed, name) in [(1, "IMG.jpg"), (2, "IMG.jpg"), (3, "img.JPG"), (4, "Grüße 🌷.jpg")] {
        ids.push(ann.uploaded(name, photos::jpeg(seed)).await);
    }
    let twice: Vec<&String> = ids.iter().chain(&ids[..1]).collect();
    let files = archive(&ann, "", &json!({ "assetIds": twice, "archiveName": "Grüße" })).await;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["Grüße 🌷.jpg", "IMG+1.jpg", "IMG.jpg", "img+2.JPG"]);
    assert_eq!(files["IMG.jpg"], photos::jpeg(1));
    assert_eq!(files["IMG+1.jpg"], photos::jpeg(2));
    assert_eq!(files["Grüße 🌷.jpg"], photos::jpeg(4));
    assert_eq!(archive(&ann, "", &json!({ "assetIds": [] })).await, BTreeMap::new());
    let his = bob.uploaded("his.jpg", photos::jpeg(5)).await;
    for (client, assets) in [(&bob, json!([ids[0]])), (&ann, json!([ids[0], his]))] {
        for path in ["archive", "info"] {
            let answer = client.post(&format!("/download/{path}"), &json!({ "assetIds": assets })).await;
            assert_eq!(answer.error(), "400 Not found or no asset.download access");
        }
    }
    let link = json!({ "type": "INDIVIDUAL", "assetIds": [ids[1]] });
    let link = ann.post("/shared-links", &link).await.ok();
    let key = format!("?key={}", link["key"].as_str().unwrap());
    let files = archive(&app.anonymous, &key, &json!({ "assetIds": [ids[1]] })).await;
    assert_eq!(files.into_keys().collect::<Vec<_>>(), ["IMG.jpg"]);
}

#[tokio::test]
async fn archives_are_as_large_as_the_client_wants() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let bob = ann.beside(&app.running.gallery, "Bob").await;
    let mut ids = Vec::new();
    for seed in 1..=3 {
        ids.push(ann.uploaded(&format!("{seed}.jpg"), photos::jpeg(seed)).await);
    }
    let sizes: Vec<usize> = (1..=3).map(|seed| photos::jpeg(seed).len()).collect();
    let one = ann.post("/download/info", &json!({ "assetIds": ids })).await.ok();
    let total: usize = sizes.iter().sum();
    assert_eq!(one, json!({ "totalSize": total, "archives": [{ "size": total, "assetIds": ids }] }));
    let body = json!({ "assetIds": ids, "archiveSize": sizes[0] + sizes[1] });
    let split = ann.post("/download/info", &body).await.ok();
    assert_eq!(split["archives"][0]["assetIds"], json!(ids[..2]));
    assert_eq!(split["archives"][1], json!({ "size": sizes[2], "assetIds": ids[2..] }));
    let alone = ann.post("/download/info", &json!({ "userId": ann.user_id, "archiveSize": 1 })).await.ok();
    assert_eq!(alone["archives"].as_array().unwrap().len(), 3, "what is too large is alone");
    // The part of a photo that moves goes with it.
    let raw = app.database.raw().await;
    raw.batch_execute(&format!(
        "UPDATE asset SET live_photo_video_id = '{0}' WHERE id = '{1}'; UPDATE asset SET visibility = 'hidden' WHERE id = '{0}'",
        ids[2], ids[0]
    ))
    .await
    .unwrap();
    let both = ann.post("/download/info", &json!({ "assetIds": [ids[0]] })).await.ok();
    assert_eq!(both["archives"][0]["assetIds"], json!([ids[0], ids[2]]));
    let album = crate::albums::album_of(&ann, &[&ids[0]]).await;
    crate::albums::let_in(&ann, &album, &bob, "viewer").await;
    let album = bob.post("/download/info", &json!({ "albumId": album })).await.ok();
    assert_eq!(album["archives"][0]["assetIds"], json!([ids[0], ids[2]]));
    assert_eq!(archive(&bob, "", &json!({ "assetIds": [ids[0], ids[2]] })).await.len(), 2);
    let mut errors = Vec::new();
    for (client, body) in [
        (&ann, json!({})),
        (&ann, json!({ "assetIds": ids, "archiveSize": 0 })),
        (&ann, json!({ "assetIds": ["x"] })),
        (&ann, json!({ "albumId": ids[0] })),
        (&bob, json!({ "userId": ann.user_id })),
        (&bob, json!({ "assetIds": [ids[1]] })),
    ] {
        errors.push(client.post("/download/info", &body).await.error());
    }
    insta::assert_snapshot!(errors.join("\n"), @r#"
    400 assetIds, albumId, or userId is required
    400 Validation failed [{"message":"must be at least 1","path":["archiveSize"]}]
    400 Validation failed [{"message":"assetIds[0]: UUID parsing failed: invalid character: found `x` at 0 at line 1 column 16","path":["assetIds[0]"]}]
    400 Not found or no album.download access
    400 Not found or no timeline.download access
    400 Not found or no asset.download access
    "#);
}

#[tokio::test]
async fn an_archive_that_cannot_be_whole_breaks_off() {
    let app = TestApp::start().await;
    let ann = app.sign_up().await;
    let (kept, lost) = (ann.uploaded("a.jpg", photos::jpeg(1)).await, ann.uploaded("b.jpg", photos::jpeg(2)).await);
    let raw = app.database.raw().await;
    raw.execute("UPDATE asset SET file_size = file_size + 1 WHERE id = $1::text::uuid", &[&lost]).await.unwrap();
    let request = ann.request(Method::POST, "/download/archive").json(&json!({ "assetIds": [kept, lost] }));
    let answer = request.send().await.unwrap();
    assert!(answer.bytes().await.is_err(), "nobody takes a part of it for all");
}
