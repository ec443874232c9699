//! Places: where photos were taken, and what is near.

use media::{NamedPlace, Place};
use store::accounts::User;
use store::map::{Marker, MarkerFilter};

use crate::{Gallery, GalleryError, Result};

impl Gallery {
    /// The assets of this user that have coordinates.
    pub async fn markers(&self, user: &User, filter: &MarkerFilter) -> Result<Vec<Marker>> {
        Ok(self.store().markers(user.id, filter).await?)
    }

    /// The places that a name may mean.
    pub async fn places_named(&self, name: String, limit: usize) -> Result<Vec<NamedPlace>> {
        read_up(move || media::places_named(&name, limit)).await
    }

    /// The place that is near these coordinates, in degrees.
    pub async fn place_at(&self, latitude: f64, longitude: f64) -> Result<Option<Place>> {
        read_up(move || media::place(latitude, longitude)).await
    }
}

/// The first search in a while reads a list of the world's towns: not on a thread that serves others.
async fn read_up<T: Send + 'static>(search: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(search)
        .await
        .map_err(|error| GalleryError::Invalid(format!("no place can be found: {error}")))
}
