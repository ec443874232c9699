//! The table of operations: what there is, and who may call it. A route cannot be added without saying so, and its handler learns
//! the user through [`crate::extract::Auth`], which asks for what stands here.

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post, put};
use axum::{Extension, Router};

use crate::ApiState;

/// Who may call an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever is signed in; an API key needs no permission for it.
    SignedIn,
    /// Whoever is signed in; an API key needs this permission.
    User(&'static str),
    /// The same, for administrators only.
    Admin(&'static str),
    /// As [`Access::User`]; and whoever has a link, to what it shows. The handler asks for a [`crate::extract::Caller`].
    Shared(&'static str),
    /// As [`Access::SignedIn`]; and whoever has a link.
    SharedSignedIn,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Immich's name where the operation is Immich's.
    pub id: &'static str,
    pub method: Method,
    /// Below /api, as `/assets/{id}`.
    pub path: &'static str,
    pub access: Access,
}

/// A router that keeps its table.
#[derive(Default)]
pub struct Routes {
    pub router: Router<ApiState>,
    pub operations: Vec<Operation>,
}

impl Routes {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn get<T: 'static>(
        self,
        path: &'static str,
        id: &'static str,
        access: Access,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.add(Method::GET, path, id, access, get(handler))
    }

    pub fn post<T: 'static>(
        self,
        path: &'static str,
        id: &'static str,
        access: Access,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.add(Method::POST, path, id, access, post(handler))
    }

    pub fn put<T: 'static>(
        self,
        path: &'static str,
        id: &'static str,
        access: Access,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.add(Method::PUT, path, id, access, put(handler))
    }

    pub fn delete<T: 'static>(
        self,
        path: &'static str,
        id: &'static str,
        access: Access,
        handler: impl Handler<T, ApiState>,
    ) -> Self {
        self.add(Method::DELETE, path, id, access, delete(handler))
    }

    /// For a handler with layers of its own; it answers to `method` alone.
    pub fn add(
        mut self,
        method: Method,
        path: &'static str,
        id: &'static str,
        access: Access,
        handler: MethodRouter<ApiState>,
    ) -> Self {
        self.operations.push(Operation { id, method, path, access });
        self.router = self.router.route(path, handler.route_layer(Extension(access)));
        self
    }

    pub fn merge(mut self, other: Self) -> Self {
        self.operations.extend(other.operations);
        self.router = self.router.merge(other.router);
        self
    }
}
