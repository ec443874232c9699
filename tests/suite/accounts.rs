//! Signing up, in and out; who may do what.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::TestApp;

#[tokio::test]
async fn signs_up_the_first_account_once() {
    let app = TestApp::start().await;
    assert_eq!(app.anonymous.get("/server/config").await.ok()["isInitialized"], false);
    let account = json!({ "email": "Ann@Example.org", "password": "correct horse", "name": "Ann" });
    let created = app.anonymous.post("/auth/admin-sign-up", &account).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.body["isAdmin"], true);
    assert_eq!(app.anonymous.get("/server/config").await.ok()["isInitialized"], true);
    let again = app.anonymous.post("/auth/admin-sign-up", &account).await;
    assert_eq!(again.error(), "400 The server already has an admin");
}

#[tokio::test]
async fn two_first_accounts_at_once_leave_one() {
    let app = TestApp::start().await;
    let sign_up = |name: &'static str| {
        let account = json!({ "email": format!("{name}@example.org"), "password": "correct horse", "name": name });
        let client = app.anonymous.clone();
        async move { client.post("/auth/admin-sign-up", &account).await.status }
    };
    let mut statuses = futures::future::join_all(["ann", "bob", "cid", "dan"].map(sign_up)).await;
    statuses.sort();
    assert_eq!(statuses, [201, 400, 400, 400].map(|code| StatusCode::from_u16(code).unwrap()));
}

#[tokio::test]
async fn a_login_sets_cookies_that_work_and_a_logout_ends_them() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let login = json!({ "email": "ANN@example.org", "password": "correct horse" });
    let answer = client.http.post(format!("{}/api/auth/login", client.url)).json(&login).send().await.unwrap();
    let cookies: Vec<String> =
        answer.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    assert!(cookies.iter().any(|cookie| cookie.starts_with("immich_access_token=") && cookie.contains("HttpOnly")));
    assert!(
        cookies.iter().any(|cookie| cookie.starts_with("immich_is_authenticated=true") && !cookie.contains("HttpOnly"))
    );
    let pairs: Vec<&str> = cookies.iter().filter_map(|cookie| cookie.split(';').next()).collect();
    let with_cookies = |method, path: &str| {
        client.http.request(method, format!("{}/api{path}", client.url)).header("cookie", pairs.join("; "))
    };
    assert_eq!(with_cookies(Method::GET, "/users/me").send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(with_cookies(Method::POST, "/auth/logout").send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(with_cookies(Method::GET, "/users/me").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.get("/users/me").await.ok()["email"], "ann@example.org", "the other session lives on");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_answer_alike() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let login = |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        let client = client.clone();
        async move { client.post("/auth/login", &body).await.error() }
    };
    assert_eq!(login("ann@example.org", "wrong").await, "401 Incorrect email or password");
    assert_eq!(login("nobody@example.org", "wrong").await, "401 Incorrect email or password");
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let wrong = json!({ "email": "ann@example.org", "password": "wrong" });
    let mut last = StatusCode::OK;
    for _ in 0..30 {
        last = client.post("/auth/login", &wrong).await.status;
        if last == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_api_key_may_what_it_was_given_and_nothing_else() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let made = client.post("/api-keys", &json!({ "name": "reader", "permissions": ["asset.read"] })).await.ok();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let with_key = |method: Method, path: &str| {
        client.http.request(method, format!("{}/api{path}", client.url)).header("x-api-key", secret.clone())
    };
    let id = client.uploaded("a.jpg", tests::photos::jpeg(1)).await;
    assert_eq!(with_key(Method::GET, &format!("/assets/{id}")).send().await.unwrap().status(), StatusCode::OK);
    let forbidden = with_key(Method::DELETE, "/assets").json(&json!({ "ids": [id] })).send().await.unwrap();
    assert_eq!(forbidden.status(), StatusCode::FORBIDDEN);
    let body: Value = forbidden.json().await.unwrap();
    assert_eq!(body["message"], "Missing required permission: asset.delete");
}

#[tokio::test]
async fn a_short_password_and_a_bad_address_are_refused_by_field() {
    let app = TestApp::start().await;
    for body in [
        json!({ "email": "no address", "password": "correct horse", "name": "Ann" }),
        json!({ "email": "ann@example.org", "password": "short", "name": "Ann" }),
        json!({ "email": "ann@example.org", "password": "correct horse" }),
        json!({ "email": "ann@example.org", "password": 17, "name": "Ann" }),
        json!([]),
    ] {
        let answer = app.anonymous.post("/auth/admin-sign-up", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.body);
        assert!(answer.body["message"].is_string());
    }
    assert_eq!(app.anonymous.get("/server/config").await.ok()["isInitialized"], false);
}
