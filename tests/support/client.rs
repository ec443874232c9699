//! HTTP as a client speaks it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use gallery::Gallery;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::contract;

/// Somebody who is signed in, or nobody yet.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    pub token: Option<String>,
    pub user_id: String,
    /// Immich's operations that this client, and those cloned from it, called with success. Every such answer was as published.
    pub seen: Arc<Mutex<BTreeSet<&'static str>>>,
}

/// Status and body; a body that is no JSON becomes a string.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.body);
        self.body
    }

    /// `400 message`, for snapshots of errors.
    pub fn error(&self) -> String {
        let fields = self.body["errors"]
            .as_array()
            .map(|errors| format!(" {}", Value::from(errors.clone())))
            .unwrap_or_default();
        format!("{} {}{fields}", self.status.as_u16(), self.body["message"].as_str().unwrap_or("(no message)"))
    }
}

impl Client {
    pub fn new(url: &str) -> Self {
        Self {
            http: reqwest::Client::new(),
            url: url.into(),
            token: None,
            user_id: String::new(),
            seen: Arc::default(),
        }
    }

    /// Creates the first account and signs in.
    pub async fn sign_up(mut self) -> Self {
        let account = json!({ "email": "ann@example.org", "password": "correct horse", "name": "Ann" });
        self.post("/auth/admin-sign-up", &account).await.ok();
        self.log_in().await;
        self
    }

    /// Signs in to what [`Client::sign_up`] created.
    pub async fn log_in(&mut self) {
        self.log_in_as("ann@example.org").await;
    }

    /// Somebody else, who is no administrator, signed in at the same server.
    pub async fn beside(&self, gallery: &Gallery, name: &str) -> Self {
        let email = format!("{}@example.org", name.to_lowercase());
        gallery.create_user(&email, name, "correct horse").await.unwrap();
        let mut other = Self { token: None, ..self.clone() };
        other.log_in_as(&email).await;
        other
    }

    pub async fn log_in_as(&mut self, email: &str) {
        let login = self.post("/auth/login", &json!({ "email": email, "password": "correct horse" })).await.ok();
        self.token = login["accessToken"].as_str().map(str::to_owned);
        self.user_id = login["userId"].as_str().unwrap_or("").to_owned();
    }

    /// A request below /api, signed in.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::DELETE, path).json(body)).await
    }

    /// Sends it. A success that is not as Immich publishes it fails the test, whatever the test is about.
    pub async fn answer(&self, request: RequestBuilder) -> Answer {
        let (http, request) = request.build_split();
        let request = request.unwrap();
        let operation = contract::operation(request.method().as_str(), request.url().path());
        let response = http.execute(request).await.unwrap();
        let status = response.status();
        let text = String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        if let Some(operation) = operation.filter(|_| status.is_success()) {
            let violations = operation.violations(&body);
            assert!(violations.is_empty(), "{} answers what Immich does not: {violations:#?}", operation.id);
            self.seen.lock().unwrap().insert(operation.id);
        }
        Answer { status, body }
    }

    /// Bytes of a successful answer.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.bytes().await.unwrap().to_vec()
    }

    /// The form that a phone sends.
    pub fn form(name: &str, bytes: impl Into<Vec<u8>>) -> Form {
        Form::new()
            .text("deviceAssetId", name.to_owned())
            .text("deviceId", "test")
            .text("fileCreatedAt", "2024-03-15T12:00:00.000Z")
            .text("fileModifiedAt", "2024-03-15T12:00:00.000Z")
            .part("assetData", Part::bytes(bytes.into()).file_name(name.to_owned()))
    }

    pub async fn upload(&self, name: &str, bytes: impl Into<Vec<u8>>) -> Answer {
        self.upload_form(Self::form(name, bytes)).await
    }

    pub async fn upload_form(&self, form: Form) -> Answer {
        self.answer(self.request(Method::POST, "/assets").multipart(form)).await
    }

    /// Uploads and gives the id.
    #[track_caller]
    pub fn uploaded(&self, name: &str, bytes: impl Into<Vec<u8>>) -> impl Future<Output = String> {
        let (name, bytes) = (name.to_owned(), bytes.into());
        async move { self.upload(&name, bytes).await.ok()["id"].as_str().unwrap().to_owned() }
    }

    pub async fn set_profile_image(&self, bytes: impl Into<Vec<u8>>) -> Answer {
        let form = Form::new().part("file", Part::bytes(bytes.into()).file_name("me.jpg"));
        self.answer(self.request(Method::POST, "/users/profile-image").multipart(form)).await
    }

    /// Waits until all steps of an asset have ended, and gives it.
    pub async fn processed(&self, id: &str) -> Value {
        crate::eventually(&format!("asset {id} is processed"), || async {
            let status = self.get(&format!("/latent/assets/{id}/steps")).await.ok();
            let ended = status["pending"].as_array().is_some_and(Vec::is_empty);
            if ended { Some(self.get(&format!("/assets/{id}")).await.ok()) } else { None }
        })
        .await
    }

    /// All ids of the timeline, newest first.
    pub async fn timeline(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for bucket in self.get("/timeline/buckets").await.ok().as_array().unwrap() {
            let month = bucket["timeBucket"].as_str().unwrap();
            let columns = self.get(&format!("/timeline/bucket?timeBucket={month}")).await.ok();
            ids.extend(columns["id"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
        }
        ids
    }
}
