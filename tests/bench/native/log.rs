//! Events: a bench says them aloud, for a batch that fails is no measurement.

pub fn debug(message: &str, fields: &[(&str, String)]) {
    eprintln!("   {message} {fields:?}");
}
