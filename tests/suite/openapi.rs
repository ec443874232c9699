//! The contract that the server tells of itself.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::TestApp;

#[tokio::test]
async fn the_document_has_every_operation_of_the_table_and_no_other() {
    let app = TestApp::start().await;
    let contract = app.anonymous.get("/latent/openapi.json").await.ok();
    assert_eq!(contract["openapi"], "3.1.0");
    let told: BTreeSet<(String, String, String)> = contract["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let one = move |(method, operation): (&String, &Value)| {
                (path.clone(), method.to_uppercase(), operation["operationId"].as_str().unwrap().to_owned())
            };
            methods.as_object().unwrap().iter().map(one)
        })
        .collect();
    let table: BTreeSet<(String, String, String)> = api::operations()
        .iter()
        .map(|operation| (format!("/api{}", operation.path), operation.method.to_string(), operation.id.to_owned()))
        .collect();
    assert_eq!(told, table);
}

#[tokio::test]
async fn the_document_says_who_may_and_what_goes_in_and_out() {
    let app = TestApp::start().await;
    let contract = app.anonymous.get("/latent/openapi.json").await.ok();
    let update = &contract["paths"]["/api/admin/users/{id}"]["put"];
    assert_eq!(
        (&update["x-immich-permission"], &update["x-immich-admin-only"]),
        (&"adminUser.update".into(), &true.into())
    );
    insta::assert_json_snapshot!(update["parameters"], @r#"
    [
      {
        "in": "path",
        "name": "id",
        "required": true,
        "schema": {
          "type": "string"
        }
      }
    ]
    "#);
    let body = &update["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(body, "#/components/schemas/UserAdminUpdateDto");
    assert_eq!(contract["paths"]["/api/server/ping"]["get"]["security"], serde_json::json!([]));
    let mut missing = Vec::new();
    unresolved(&contract, &contract, &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}

fn unresolved(part: &Value, contract: &Value, missing: &mut Vec<String>) {
    match part {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str)
                && contract.pointer(target.trim_start_matches('#')).is_none()
            {
                missing.push(target.to_owned());
            }
            fields.values().for_each(|part| unresolved(part, contract, missing));
        }
        Value::Array(items) => items.iter().for_each(|part| unresolved(part, contract, missing)),
        _ => {}
    }
}

#[tokio::test]
async fn the_explorer_is_a_page_that_loads_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let page = String::from_utf8(app.anonymous.bytes("/latent/explorer").await).unwrap();
    for part in page.split('"').filter(|part| part.starts_with('/')) {
        assert!(!app.anonymous.bytes(part.strip_prefix("/api").unwrap()).await.is_empty(), "{part}");
    }
    assert!(!page.contains("://"), "{page}");
    assert_eq!(app.anonymous.get("/latent/explorer/passwd").await.error(), "404 Not found");
}
