//! Stacks, tags, memories, duplicates and what else an owner does with assets, as [`crate::contract`] and [`crate::access`] call
//! them: each once.

use gallery::search::EmbeddingSpace;
use serde_json::{Value, json};
use tests::{Client, TestApp};

/// What somebody has of each.
pub struct Things {
    stack: String,
    tag: String,
    memory: String,
    duplicate: String,
}

/// Makes one of each of two assets.
pub async fn made(app: &TestApp, client: &Client, [one, two]: [&str; 2]) -> Things {
    let space = EmbeddingSpace { name: "things@1".into(), dimensions: 2 };
    for id in [one, two] {
        app.running.gallery.search().save_embedding(id.parse().unwrap(), &space, &[0.0, 1.0]).await.unwrap();
    }
    let text = |answer: &Value| answer["id"].as_str().unwrap().to_owned();
    let stack = client.post("/stacks", &json!({ "assetIds": [one, two] })).await.ok();
    let tag = client.post("/tags", &json!({ "name": "Ann's tag" })).await.ok();
    client.put(&format!("/tags/{}/assets", text(&tag)), &json!({ "ids": [one] })).await.ok();
    let memory = json!({
        "type": "on_this_day", "data": { "year": 2020 }, "memoryAt": "2020-01-01T00:00:00.000Z", "assetIds": [one],
    });
    let memory = client.post("/memories", &memory).await.ok();
    let entry = json!({ "items": [{ "key": "key", "value": { "secret": "Ann's value" } }] });
    client.put(&format!("/assets/{one}/metadata"), &entry).await.ok();
    let duplicate = client.get("/duplicates").await.ok()[0]["duplicateId"].as_str().unwrap().to_owned();
    Things { stack: text(&stack), tag: text(&tag), memory: text(&memory), duplicate }
}

impl Things {
    /// What stands for `{id}` in a path.
    pub fn id_of(&self, path: &str) -> Option<&str> {
        let of = [
            ("/stacks/", &self.stack),
            ("/tags/", &self.tag),
            ("/memories/", &self.memory),
            ("/duplicates/", &self.duplicate),
        ];
        of.into_iter().find(|(start, _)| path.starts_with(start)).map(|(_, id)| &**id)
    }

    /// Query and body of an operation that would get at them, or at `asset`.
    pub fn call(&self, operation: &str, asset: &str) -> Option<(String, Value)> {
        let assets = json!({ "ids": [asset] });
        let query = |query: &str| Some((query.to_owned(), json!({})));
        let body = match operation {
            "searchStacks"
            | "getStack"
            | "deleteStack"
            | "removeAssetFromStack"
            | "getAllTags"
            | "getTagById"
            | "deleteTag"
            | "searchMemories"
            | "memoriesStatistics"
            | "getMemory"
            | "deleteMemory"
            | "getAssetDuplicates"
            | "deleteDuplicate"
            | "getAssetMetadata"
            | "getAssetMetadataByKey"
            | "deleteAssetMetadata"
            | "getMapMarkers"
            | "getUniqueOriginalPaths"
            | "getMyCalendarHeatmap"
            | "getAssetEdits"
            | "removeAssetEdits" => json!({}),
            "searchPlaces" => return query("?name=delft"),
            "reverseGeocode" => return query("?lat=1&lon=1"),
            "getAssetsByOriginalPath" => return query("?path=main:library/admin/2024/2024-03-15"),
            "createStack" => json!({ "assetIds": [asset, self.stack] }),
            "updateStack" => json!({ "primaryAssetId": asset }),
            "deleteStacks" => json!({ "ids": [self.stack] }),
            "createTag" => json!({ "name": "x", "parentId": self.tag }),
            "upsertTags" => json!({ "tags": ["of one's own"] }),
            "updateTag" => json!({ "name": "stolen" }),
            "tagAssets" | "untagAssets" | "addMemoryAssets" | "removeMemoryAssets" => assets,
            "bulkTagAssets" => json!({ "tagIds": [self.tag], "assetIds": [asset] }),
            "createMemory" => json!({
                "type": "on_this_day", "data": { "year": 2020 }, "memoryAt": "2020-01-01T00:00:00.000Z", "assetIds": [asset],
            }),
            "updateMemory" => json!({ "isSaved": true }),
            "deleteDuplicates" => json!({ "ids": [self.duplicate] }),
            "resolveDuplicates" => json!({
                "groups": [{ "duplicateId": self.duplicate, "keepAssetIds": [], "trashAssetIds": [asset] }],
            }),
            "updateAssetMetadata" => json!({ "items": [{ "key": "key", "value": {} }] }),
            "updateBulkAssetMetadata" => json!({ "items": [{ "assetId": asset, "key": "key", "value": {} }] }),
            "deleteBulkAssetMetadata" => json!({ "items": [{ "assetId": asset, "key": "key" }] }),
            "copyAsset" => json!({ "sourceId": asset, "targetId": self.stack }),
            "runAssetJobs" => json!({ "assetIds": [asset], "name": "refresh-metadata" }),
            "editAsset" => json!({ "edits": [{ "action": "rotate", "parameters": { "angle": 90 } }] }),
            _ => return None,
        };
        Some((String::new(), body))
    }

    /// Where an owner looks at them.
    pub fn paths(&self, asset: &str) -> Vec<String> {
        let of_asset = ["metadata", "edits"].map(|what| format!("/assets/{asset}/{what}"));
        let all = ["/stacks", "/tags", "/memories", "/duplicates", "/map/markers"].map(str::to_owned);
        all.into_iter().chain(of_asset).collect()
    }
}

/// Every operation once, with success.
pub async fn calls(app: &TestApp, client: &Client, [one, two]: [&str; 2]) {
    let Things { stack, tag, memory, duplicate } = made(app, client, [one, two]).await;
    for path in [
        format!("/stacks/{stack}"),
        "/stacks".into(),
        format!("/tags/{tag}"),
        "/tags".into(),
        format!("/memories/{memory}"),
        "/memories".into(),
        "/memories/statistics".into(),
        format!("/assets/{one}/metadata"),
        format!("/assets/{one}/metadata/key"),
        "/map/markers".into(),
        "/search/places?name=delft".into(),
        "/map/reverse-geocode?lat=52.0116&lon=4.3571".into(),
        "/view/folder/unique-paths".into(),
        "/view/folder?path=x".into(),
        "/users/me/calendar-heatmap".into(),
    ] {
        client.get(&path).await.ok();
    }
    let (none, assets) = (json!({}), json!({ "ids": [two] }));
    client.put(&format!("/stacks/{stack}"), &json!({ "primaryAssetId": two })).await.ok();
    client.delete(&format!("/stacks/{stack}/assets/{one}"), &none).await.ok();
    client.delete(&format!("/stacks/{stack}"), &none).await.ok();
    client.delete("/stacks", &json!({ "ids": [] })).await.ok();
    client.put("/tags", &json!({ "tags": ["a/b"] })).await.ok();
    client.put(&format!("/tags/{tag}"), &json!({ "color": "#123456" })).await.ok();
    client.put(&format!("/tags/{tag}/assets"), &assets).await.ok();
    client.delete(&format!("/tags/{tag}/assets"), &assets).await.ok();
    client.put("/tags/assets", &json!({ "tagIds": [tag], "assetIds": [two] })).await.ok();
    client.delete(&format!("/tags/{tag}"), &none).await.ok();
    client.put(&format!("/memories/{memory}"), &json!({ "isSaved": true })).await.ok();
    client.put(&format!("/memories/{memory}/assets"), &assets).await.ok();
    client.delete(&format!("/memories/{memory}/assets"), &assets).await.ok();
    client.delete(&format!("/memories/{memory}"), &none).await.ok();
    let decision = json!({ "groups": [{ "duplicateId": duplicate, "keepAssetIds": [one, two], "trashAssetIds": [] }] });
    client.post("/duplicates/resolve", &decision).await.ok();
    client.delete("/duplicates", &json!({ "ids": [] })).await.ok();
    let entries = json!({ "items": [{ "assetId": one, "key": "other", "value": {} }] });
    client.put("/assets/metadata", &entries).await.ok();
    client.delete("/assets/metadata", &entries).await.ok();
    client.delete(&format!("/assets/{one}/metadata/key"), &none).await.ok();
    client.put("/assets/copy", &json!({ "sourceId": one, "targetId": two })).await.ok();
    client.post("/assets/jobs", &json!({ "assetIds": [one], "name": "refresh-metadata" })).await.ok();
    client.get(&format!("/assets/{one}/edits")).await.ok();
    let turn = json!({ "edits": [{ "action": "rotate", "parameters": { "angle": 90 } }] });
    client.put(&format!("/assets/{one}/edits"), &turn).await.ok();
    client.delete(&format!("/assets/{one}/edits"), &none).await.ok();
    // Grouped anew, as another photo that comes: those that were kept apart stay so.
    let third = client.uploaded("third.jpg", tests::photos::jpeg(777)).await;
    client.processed(&third).await;
    let space = EmbeddingSpace { name: "things@1".into(), dimensions: 2 };
    app.running.gallery.search().save_embedding(third.parse().unwrap(), &space, &[0.0, 1.0]).await.unwrap();
    let group = client.get("/duplicates").await.ok()[0]["duplicateId"].as_str().unwrap().to_owned();
    client.delete(&format!("/duplicates/{group}"), &none).await.ok();
    client.delete("/assets", &json!({ "ids": [third], "force": true })).await.ok();
}
