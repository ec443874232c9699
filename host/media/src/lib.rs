//! Pixels and containers: decode, resize, encode, metadata, probe, transcode. Bytes in, bytes out; no path, no database. A video is
//! an open file.
//!
//! All functions block and may use a core for a while: call them on a bounded pool.

mod cmyk;
mod codec;
mod decode;
mod edits;
mod error;
mod format;
mod jpeg;
mod likeness;
mod live;
mod metadata;
mod names;
mod pixels;
mod places;
mod scratch;
mod seldom;
mod thumbnails;
pub mod video;

pub use codec::{Codec, encode};
pub use decode::{Limits, MAX_IMAGE_BYTES, check_len, decode};
pub use edits::{Edit, Edited, edit, edited};
pub use error::MediaError;
pub use format::{Format, by_extension, extensions, sniff};
pub use likeness::thumbhash_distance;
pub use live::motion_video;
pub use metadata::{Metadata, Sidecar, metadata, offset_name, parse_offset, sidecar};
pub use names::{NamedPlace, places_named};
pub use pixels::{Channels, Filter, Fit, Layout, Pixels, TensorOptions, crop, fill_tensor, resize, tensor, warp};
pub use places::{Place, place, time_zone_at};
pub use scratch::cool;
pub use thumbnails::{ThumbnailSpec, Thumbnails, thumbnails};
