//! A hub that lets nobody in without a token, and the socket of those who need none.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Bed, scope, text};

/// A hub that lets nobody in without a token, and its control socket.
pub async fn closed() -> Bed {
    let scope = scope(&["127.0.0.0/8"], &[]);
    Bed::configured(scope, |config, dir| {
        config
            .without_anonymous()
            .control_socket(dir.join("control.sock"))
            .local_token(dir.join("agent-token"))
    })
    .await
}

/// What root sends.
pub struct Root(pub reqwest::Client);

impl Root {
    pub fn of(bed: &Bed) -> Self {
        let socket = bed.dir.path().join("control.sock");
        Self(
            reqwest::Client::builder()
                .unix_socket(socket)
                .build()
                .unwrap(),
        )
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let request = self.0.request(method, format!("http://localhost{path}"));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub async fn token(&self, wish: Value) -> (String, String) {
        let (status, made) = self.send(Method::POST, "/api/tokens", Some(wish)).await;
        assert_eq!(status, 201, "{made}");
        (text(&made["token"]["id"]), text(&made["secret"]))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, None).await;
        assert_eq!(status, 200, "{body}");
        body
    }
}

/// What a request with this token gets.
pub async fn status(bed: &Bed, method: Method, path: &str, token: &str) -> StatusCode {
    let mut request = bed.request(method.clone(), path).bearer_auth(token);
    if method == Method::POST {
        request = request.json(&json!({}));
    }
    request.send().await.unwrap().status()
}
