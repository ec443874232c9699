//! What the host lends, one module a WIT interface.

mod blob;
mod blob_write;
mod config;
mod files;
mod http;
mod image;
mod inference;
mod kv;
mod log;
mod secrets;
mod tensor;

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Engine, Result, bail};

use crate::bindings::lent::latent::plugin::{self as lent, media, types};
use crate::instance::HostState;

impl types::Host for HostState {}
impl media::Host for HostState {}

/// Links an interface; only those that a plugin's world has are linked.
pub(crate) fn linker(engine: &Engine, interfaces: &[&str]) -> Result<Linker<HostState>> {
    type Own = HasSelf<HostState>;
    let mut linker = Linker::new(engine);
    let to = &mut linker;
    for interface in interfaces {
        match *interface {
            "types" => types::add_to_linker::<HostState, Own>(to, |state| state)?,
            "log" => lent::log::add_to_linker::<HostState, Own>(to, |state| state)?,
            "config" => lent::config::add_to_linker::<HostState, Own>(to, |state| state)?,
            "blob" => lent::blob::add_to_linker::<HostState, Own>(to, |state| state)?,
            "blob-write" => lent::blob_write::add_to_linker::<HostState, Own>(to, |state| state)?,
            "files" => lent::files::add_to_linker::<HostState, Own>(to, |state| state)?,
            "http" => lent::http::add_to_linker::<HostState, Own>(to, |state| state)?,
            "kv" => lent::kv::add_to_linker::<HostState, Own>(to, |state| state)?,
            "secrets" => lent::secrets::add_to_linker::<HostState, Own>(to, |state| state)?,
            "image" => lent::image::add_to_linker::<HostState, Own>(to, |state| state)?,
            "tensor" => lent::tensor::add_to_linker::<HostState, Own>(to, |state| state)?,
            "inference" => lent::inference::add_to_linker::<HostState, Own>(to, |state| state)?,
            "media" => media::add_to_linker::<HostState, Own>(to, |state| state)?,
            other => bail!("the host does not lend {other}"),
        }
    }
    Ok(linker)
}

/// An IO failure as a guest may know it: what, not where on the host's disk.
pub(crate) fn io_error(what: &str, error: &std::io::Error) -> types::Error {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => types::Error::NotFound(what.to_owned()),
        ErrorKind::AlreadyExists => types::Error::Exists(what.to_owned()),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => types::Error::Full(what.to_owned()),
        ErrorKind::InvalidInput => types::Error::Invalid(format!("{what}: {error}")),
        ErrorKind::TimedOut => types::Error::Timeout,
        ErrorKind::PermissionDenied => types::Error::Denied(format!("{what}: {error}")),
        _ => types::Error::Other(format!("{what}: {error}")),
    }
}
