//! Requests to the origins that the operator granted.

pub use crate::bindings::latent::plugin::http::{Body, Request, Response, send, send_all, wait};
