//! Both plugins have a `crate::settings`, so this has what either looks for there.

#[path = "../../plugins/face-detection/src/settings.rs"]
mod faces;
#[allow(dead_code, reason = "texts have no twin")]
#[path = "../../plugins/clip-search/src/settings.rs"]
mod search;

pub use faces::{Detector, Embedder, Settings};
pub use search::{Crop, Filter, ImageModel, Layout, Order};
