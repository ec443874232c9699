//! People, faces and searches as clients see them, over HTTP.

use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tests::photos::{self, Exif};
use tests::{Client, TestApp};

use crate::contract::{save_face, somebody_on_two_photos};

/// Status and body of an answer in one picture.
async fn picture(client: &Client, method: &str, path: &str, body: Value) -> Value {
    let request = client.request(reqwest::Method::from_bytes(method.as_bytes()).unwrap(), path).json(&body);
    let answer = client.answer(request).await;
    json!({ "status": answer.status.as_u16(), "body": answer.body })
}

#[tokio::test]
async fn people_are_listed_named_merged_and_hidden() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let (ids, person) = somebody_on_two_photos(&app, &client).await;
    assert_json_snapshot!(picture(&client, "GET", "/people", json!({})).await, {
        ".body.people[].id" => "[id]", ".body.people[].thumbnailPath" => "[path]", ".body.people[].updatedAt" => "[date]",
    }, @r#"
        {
          "body": {
            "hasNextPage": false,
            "hidden": 0,
            "people": [
              {
                "birthDate": null,
                "id": "[id]",
                "isFavorite": false,
                "isHidden": false,
                "name": "",
                "thumbnailPath": "[path]",
                "updatedAt": "[date]"
              }
            ],
            "total": 1
          },
          "status": 200
        }
        "#);
    let named =
        json!({ "name": "Ada", "birthDate": "1984-02-29T00:00:00.000Z", "isFavorite": true, "color": "#3366ff" });
    assert_json_snapshot!(picture(&client, "PUT", &format!("/people/{person}"), named).await, {
        ".body.id" => "[id]", ".body.thumbnailPath" => "[path]", ".body.updatedAt" => "[date]",
    }, @r##"
        {
          "body": {
            "birthDate": "1984-02-29",
            "color": "#3366ff",
            "id": "[id]",
            "isFavorite": true,
            "isHidden": false,
            "name": "Ada",
            "thumbnailPath": "[path]",
            "updatedAt": "[date]"
          },
          "status": 200
        }
        "##);
    let thumbnail = client.bytes(&format!("/people/{person}/thumbnail")).await;
    assert_eq!(image::load_from_memory(&thumbnail).unwrap().width(), 250);
    assert_eq!(client.get(&format!("/people/{person}/statistics")).await.ok(), json!({ "assets": 2 }));
    assert_eq!(client.get("/search/person?name=ad").await.ok()[0]["id"], person);
    assert_eq!(client.get("/search/person?name=zoe").await.ok(), json!([]));
    let other = client.post("/people", &json!({ "name": "Ada again" })).await.ok()["id"].clone();
    let merge = picture(&client, "POST", &format!("/people/{person}/merge"), json!({ "ids": [other] })).await;
    assert_eq!(merge, json!({ "status": 200, "body": [{ "id": other, "success": true }] }));
    let itself = picture(&client, "POST", &format!("/people/{person}/merge"), json!({ "ids": [person] })).await;
    assert_json_snapshot!(itself, @r#"
        {
          "body": {
            "message": "Cannot merge a person into themselves"
          },
          "status": 400
        }
        "#);
    client.put(&format!("/people/{person}"), &json!({ "isHidden": true })).await.ok();
    let listed = client.get("/people").await.ok();
    assert_eq!((&listed["people"], &listed["total"], &listed["hidden"]), (&json!([]), &json!(1), &json!(1)));
    let asset = client.get(&format!("/assets/{}", ids[0])).await.ok();
    assert_eq!(asset["people"], json!([]), "who is hidden is not told of");
}

#[tokio::test]
async fn a_photo_says_who_is_on_it_however_it_is_asked_for() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let ([id, _], person) = somebody_on_two_photos(&app, &client).await;
    let info = client.get(&format!("/assets/{id}")).await.ok();
    assert_json_snapshot!(info["people"], {
        "[].id" => "[id]", "[].thumbnailPath" => "[path]", "[].updatedAt" => "[date]", "[].faces[].id" => "[id]",
    }, @r#"
        [
          {
            "birthDate": null,
            "faces": [
              {
                "boundingBoxX1": 80,
                "boundingBoxX2": 160,
                "boundingBoxY1": 60,
                "boundingBoxY2": 120,
                "id": "[id]",
                "imageHeight": 240,
                "imageWidth": 320,
                "sourceType": "machine-learning"
              }
            ],
            "id": "[id]",
            "isFavorite": false,
            "isHidden": false,
            "name": "",
            "thumbnailPath": "[path]",
            "updatedAt": "[date]"
          }
        ]
        "#);
    let changed = client.put(&format!("/assets/{id}"), &json!({ "isFavorite": true })).await.ok();
    assert_eq!(changed["people"][0]["id"], person);
    let found = client.post("/search/metadata", &json!({ "id": id, "withPeople": true })).await.ok();
    assert_eq!(found["assets"]["items"][0]["people"][0]["id"], person);
    let bare = client.post("/search/metadata", &json!({ "id": id })).await.ok();
    assert_eq!(bare["assets"]["items"][0]["people"], json!([]));
}

#[tokio::test]
async fn faces_are_drawn_moved_and_taken_away() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let ([id, _], person) = somebody_on_two_photos(&app, &client).await;
    let faces = client.get(&format!("/faces?id={id}")).await.ok();
    assert_json_snapshot!(faces, {
        "[].id" => "[id]", "[].person.id" => "[id]", "[].person.thumbnailPath" => "[path]", "[].person.updatedAt" => "[date]",
    }, @r#"
        [
          {
            "boundingBoxX1": 80,
            "boundingBoxX2": 160,
            "boundingBoxY1": 60,
            "boundingBoxY2": 120,
            "id": "[id]",
            "imageHeight": 240,
            "imageWidth": 320,
            "person": {
              "birthDate": null,
              "id": "[id]",
              "isFavorite": false,
              "isHidden": false,
              "name": "",
              "thumbnailPath": "[path]",
              "updatedAt": "[date]"
            },
            "sourceType": "machine-learning"
          }
        ]
        "#);
    let other = client.post("/people", &json!({ "name": "Bea" })).await.ok()["id"].as_str().unwrap().to_owned();
    let drawn = json!({
        "assetId": id, "personId": other, "x": 10, "y": 10, "width": 40, "height": 50, "imageWidth": 320, "imageHeight": 240,
    });
    assert_eq!(picture(&client, "POST", "/faces", drawn.clone()).await, json!({ "status": 201, "body": "" }));
    let mut outside = drawn;
    outside["x"] = json!(300);
    assert_json_snapshot!(picture(&client, "POST", "/faces", outside).await, @r#"
        {
          "body": {
            "errors": [
              {
                "message": "the face must lie within the image",
                "path": [
                  "width"
                ]
              }
            ],
            "message": "Validation failed"
          },
          "status": 400
        }
        "#);
    assert_eq!(client.get(&format!("/faces?id={id}")).await.ok().as_array().unwrap().len(), 2);
    // Immich's way round: the person is in the path.
    let moved = client.put(&format!("/faces/{other}"), &json!({ "id": faces[0]["id"] })).await.ok();
    assert_eq!(moved["id"], other);
    assert_eq!(client.get(&format!("/people/{person}/statistics")).await.ok()["assets"], 1);
    let back = json!({ "data": [{ "assetId": id, "personId": other }] });
    client.put(&format!("/people/{person}/reassign"), &back).await.ok();
    assert_eq!(client.get(&format!("/people/{person}/statistics")).await.ok()["assets"], 2);
    for face in client.get(&format!("/faces?id={id}")).await.ok().as_array().unwrap() {
        let path = format!("/faces/{}", face["id"].as_str().unwrap());
        assert_eq!(
            picture(&client, "DELETE", &path, json!({ "force": true })).await,
            json!({ "status": 204, "body": "" })
        );
    }
    assert_eq!(client.get(&format!("/faces?id={id}")).await.ok(), json!([]));
    save_face(&app, &id, 0).await;
}

/// Three photos: Delft by Leica in 2019, Berlin by Canon in 2020, and one of which nothing is known.
async fn three(client: &Client) -> [String; 3] {
    let delft = Exif {
        taken: Some("2019:07:20 18:30:00"),
        gps: Some((52.0116, 4.3571)),
        make: Some("Leica"),
        ..Exif::default()
    };
    let berlin =
        Exif { taken: Some("2020:03:01 08:00:00"), gps: Some((52.52, 13.405)), make: Some("Canon"), ..Exif::default() };
    let ids = [
        client.uploaded("delft.jpg", photos::encoded_jpeg(320, 240, 1, Some(&delft))).await,
        client.uploaded("berlin.jpg", photos::encoded_jpeg(640, 480, 2, Some(&berlin))).await,
        client.uploaded("unknown.jpg", photos::jpeg(3)).await,
    ];
    for id in &ids {
        client.processed(id).await;
    }
    ids
}

/// The names that a search finds, in its order.
async fn found(client: &Client, path: &str, body: Value) -> Vec<String> {
    let answer = client.post(path, &body).await.ok();
    let items = answer["assets"]["items"].as_array().or(answer.as_array()).unwrap().clone();
    items.iter().map(|item| item["originalFileName"].as_str().unwrap().trim_end_matches(".jpg").to_owned()).collect()
}

#[tokio::test]
async fn metadata_finds_by_what_is_known_of_a_photo() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let [delft, ..] = three(&client).await;
    for (body, wanted) in [
        (json!({}), vec!["unknown", "berlin", "delft"]),
        (json!({ "order": "asc" }), vec!["delft", "berlin", "unknown"]),
        (json!({ "make": "Leica" }), vec!["delft"]),
        (json!({ "make": null }), vec!["unknown"]),
        (json!({ "city": "Delft" }), vec!["delft"]),
        (json!({ "country": "Germany" }), vec!["berlin"]),
        (json!({ "originalFileName": "ERLI" }), vec!["berlin"]),
        (
            json!({ "takenAfter": "2020-01-01T00:00:00.000Z", "takenBefore": "2021-01-01T00:00:00.000Z" }),
            vec!["berlin"],
        ),
        (json!({ "id": delft }), vec!["delft"]),
        (json!({ "isFavorite": true }), vec![]),
        (json!({ "isNotInAlbum": false }), vec![]),
    ] {
        assert_eq!(found(&client, "/search/metadata", body.clone()).await, wanted, "{body}");
    }
    let page = client.post("/search/metadata", &json!({ "size": 2 })).await.ok();
    assert_eq!((&page["assets"]["count"], &page["assets"]["nextPage"]), (&json!(2), &json!("2")));
    assert_eq!(found(&client, "/search/metadata", json!({ "size": 2, "page": 2 })).await, ["delft"]);
    let answer = picture(&client, "POST", "/search/metadata", json!({ "city": "Delft", "withExif": true })).await;
    assert_json_snapshot!(answer, {
        ".body.assets.items[].id" => "[id]", ".body.assets.items[].ownerId" => "[id]", ".body.assets.items[].checksum" => "[sha1]",
        ".body.assets.items[].thumbhash" => "[hash]", ".body.assets.items[].originalPath" => "[path]",
        ".body.assets.items[].createdAt" => "[date]", ".body.assets.items[].updatedAt" => "[date]",
        ".body.assets.items[].exifInfo.fileSizeInByte" => "[bytes]",
    }, @r#"
        {
          "body": {
            "albums": {
              "count": 0,
              "facets": [],
              "items": [],
              "total": 0
            },
            "assets": {
              "count": 1,
              "facets": [],
              "items": [
                {
                  "checksum": "[sha1]",
                  "createdAt": "[date]",
                  "duplicateId": null,
                  "duration": null,
                  "exifInfo": {
                    "city": "Delft",
                    "country": "Netherlands",
                    "dateTimeOriginal": "2019-07-20T16:30:00.000Z",
                    "description": "",
                    "exifImageHeight": 240,
                    "exifImageWidth": 320,
                    "exposureTime": null,
                    "fNumber": null,
                    "fileSizeInByte": "[bytes]",
                    "focalLength": null,
                    "iso": null,
                    "latitude": 52.0116,
                    "lensModel": null,
                    "longitude": 4.3571,
                    "make": "Leica",
                    "model": null,
                    "modifyDate": "2024-03-15T12:00:00.000Z",
                    "orientation": null,
                    "projectionType": null,
                    "rating": null,
                    "state": "South Holland",
                    "timeZone": "Europe/Amsterdam"
                  },
                  "fileCreatedAt": "2019-07-20T16:30:00.000Z",
                  "fileModifiedAt": "2024-03-15T12:00:00.000Z",
                  "hasMetadata": true,
                  "height": 240,
                  "id": "[id]",
                  "isArchived": false,
                  "isEdited": false,
                  "isFavorite": false,
                  "isOffline": false,
                  "isTrashed": false,
                  "libraryId": null,
                  "livePhotoVideoId": null,
                  "localDateTime": "2019-07-20T18:30:00.000Z",
                  "originalFileName": "delft.jpg",
                  "originalMimeType": "image/jpeg",
                  "originalPath": "[path]",
                  "ownerId": "[id]",
                  "people": [],
                  "resized": true,
                  "stack": null,
                  "tags": [],
                  "thumbhash": "[hash]",
                  "type": "IMAGE",
                  "updatedAt": "[date]",
                  "visibility": "timeline",
                  "width": 320
                }
              ],
              "nextCursor": null,
              "nextPage": null,
              "total": 1
            }
          },
          "status": 200
        }
        "#);
}

#[tokio::test]
async fn the_other_searches_answer_alike() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    three(&client).await;
    let mut random = found(&client, "/search/random", json!({ "size": 10 })).await;
    random.sort();
    assert_eq!(random, ["berlin", "delft", "unknown"]);
    assert_eq!(client.post("/search/statistics", &json!({ "make": "Canon" })).await.ok(), json!({ "total": 1 }));
    let large = found(&client, "/search/large-assets?minFileSize=1", json!({})).await;
    assert_eq!((large.len(), &*large[0]), (3, "berlin"), "the largest first");
    assert_eq!(found(&client, "/search/large-assets?make=Leica&make=Leica", json!({})).await, ["delft"]);
    assert_eq!(
        found(&client, "/search/large-assets?city=Delft&isFavorite=false&takenBefore=2020-01-01T00:00:00Z", json!({}))
            .await,
        ["delft"]
    );
    let unknown = "01a20b32-903f-7236-a193-63acee4e29e3";
    let tags = format!("/search/large-assets?tagIds={unknown}&tagIds={unknown}");
    assert_eq!(found(&client, &tags, json!({})).await, Vec::<String>::new());
    let cities = client.get("/search/cities").await.ok();
    let mut names: Vec<&str> =
        cities.as_array().unwrap().iter().filter_map(|one| one["exifInfo"]["city"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(client.get("/search/explore").await.ok(), json!([{ "fieldName": "exifInfo.city", "items": [] }]));
    let suggestions = async |query: &str| client.get(&format!("/search/suggestions?{query}")).await.ok();
    assert_eq!(suggestions("type=country").await, json!(["Germany", "Netherlands"]));
    assert_eq!(suggestions("type=camera-make&country=Germany").await, json!(["Canon"]));
    assert_eq!(client.get("/search/suggestions?type=colour").await.status, 400);
}
