//! What the host lends, one module a WIT interface.

mod blob;
mod config;
mod files;
mod log;

use crate::bindings::latent::plugin::types;
use crate::instance::HostState;

impl types::Host for HostState {}

/// An IO failure as a guest may know it: what, not where on the host's disk.
pub(crate) fn io_error(what: &str, error: &std::io::Error) -> types::Error {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => types::Error::NotFound(what.to_owned()),
        ErrorKind::AlreadyExists => types::Error::Exists(what.to_owned()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => types::Error::Full(what.to_owned()),
        ErrorKind::PermissionDenied => types::Error::Denied(format!("{what}: {error}")),
        _ => types::Error::Other(format!("{what}: {error}")),
    }
}
