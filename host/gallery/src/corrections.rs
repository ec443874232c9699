//! When and where a photo was taken, where somebody knows better than the camera: by hand, or in an XMP file beside it.

use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, civil};
use store::accounts::User;
use store::assets::{Asset, AssetChanges};
use store::corrections::{Position, Said, SaidTaken, Taken};
use types::AssetId;

use crate::ingest::METADATA;
use crate::{Gallery, GalleryError, Result};

/// What is to be corrected; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Correction {
    pub when: Option<When>,
    /// Without `when`: the same instant, read on another clock.
    pub time_zone: Option<Zone>,
    /// Degrees, north and east positive.
    pub position: Option<(f64, f64)>,
}

impl Correction {
    fn is_empty(&self) -> bool {
        self.when.is_none() && self.time_zone.is_none() && self.position.is_none()
    }
}

/// When a photo was taken.
#[derive(Debug, Clone)]
pub enum When {
    /// At this time of the clock on the wall there; without an offset it is taken for UTC, as the camera's is.
    At { local: civil::DateTime, offset: Option<Offset> },
    /// So much later than what is known.
    Shifted { minutes: i64 },
}

impl When {
    /// `2024-03-15T12:00:00.000+01:00`
    pub fn parse(text: &str) -> Option<Self> {
        let pieces = Pieces::parse(text).ok()?;
        let local = pieces.date().to_datetime(pieces.time().unwrap_or(civil::Time::midnight()));
        let offset = match pieces.offset() {
            Some(PiecesOffset::Zulu) => Some(Offset::UTC),
            Some(PiecesOffset::Numeric(numeric)) => Some(numeric.offset()),
            _ => None,
        };
        (1..=9998).contains(&local.year()).then_some(Self::At { local, offset })
    }
}

/// A time zone and the name that is kept of it.
#[derive(Debug, Clone)]
pub struct Zone {
    pub name: String,
    zone: TimeZone,
}

impl Zone {
    /// IANA's name, or an offset such as `UTC+02:00` or `+02:00`.
    pub fn parse(name: &str) -> Option<Self> {
        if let Ok(zone) = TimeZone::get(name) {
            return Some(Self { name: name.to_owned(), zone });
        }
        let offset = media::parse_offset(name.strip_prefix("UTC").unwrap_or(name))?;
        Some(Self::fixed(offset))
    }

    fn fixed(offset: Offset) -> Self {
        Self { name: media::offset_name(offset), zone: TimeZone::fixed(offset) }
    }
}

impl Gallery {
    /// Changes assets of this user, and what is known of when and where. An id that is not theirs changes nothing at all.
    pub async fn correct_assets(
        &self,
        user: &User,
        ids: &[AssetId],
        changes: &AssetChanges,
        correction: &Correction,
    ) -> Result<()> {
        if correction.is_empty() {
            return self.update_assets(user, ids, changes).await;
        }
        self.check_owned(user, ids, "asset.update").await?;
        if correction.when.is_some() || correction.time_zone.is_some() {
            let assets = self.store().assets(ids).await?;
            let taken = assets.iter().map(|asset| taken(asset, correction)).collect::<Result<Vec<_>>>()?;
            self.store().correct_taken(user.id, &taken, METADATA).await?;
            self.0.outbox.notify_one();
        }
        if let Some((latitude, longitude)) = correction.position {
            let position = self.position(latitude, longitude).await?;
            self.store().correct_position(user.id, ids, &position).await?;
        }
        self.update_assets(user, ids, changes).await
    }

    /// What an XMP file says, as the asset beside it is to begin with. A date that cannot be is not said.
    pub(crate) async fn said_beside(&self, xmp: &[u8]) -> Result<Said> {
        let sidecar = media::sidecar(xmp);
        let taken = sidecar.taken_local.and_then(|local| {
            let zone = Zone::fixed(sidecar.taken_offset.unwrap_or(Offset::UTC));
            let created = zone.zone.to_timestamp(local).ok().filter(|_| (1..=9999).contains(&local.year()))?;
            Some(SaidTaken { created, local, time_zone: zone.name })
        });
        let position = match sidecar.position {
            Some((latitude, longitude)) => Some(self.position(latitude, longitude).await?),
            None => None,
        };
        Ok(Said { taken, position, description: sidecar.description, rating: sidecar.rating })
    }

    async fn position(&self, latitude: f64, longitude: f64) -> Result<Position> {
        let (city, state, country) = match self.place_at(latitude, longitude).await? {
            Some(place) => (Some(place.city), Some(place.state), Some(place.country)),
            None => (None, None, None),
        };
        Ok(Position { latitude, longitude, city, state, country })
    }
}

/// The times that follow for one asset.
fn taken(asset: &Asset, correction: &Correction) -> Result<Taken> {
    let known = asset.exif.as_ref().and_then(|exif| exif.time_zone.as_deref()).and_then(Zone::parse);
    let impossible = || GalleryError::Invalid("the date is before the year 1 or after 9999".into());
    let (created, zone) = match &correction.when {
        Some(When::At { local, offset }) => {
            let zone = match (&correction.time_zone, offset) {
                (Some(zone), _) => zone.clone(),
                (None, offset) => Zone::fixed(offset.unwrap_or(Offset::UTC)),
            };
            let at = match offset {
                Some(offset) => offset.to_timestamp(*local),
                None => zone.zone.to_timestamp(*local),
            };
            (at.map_err(|_| impossible())?, Some(zone))
        }
        Some(When::Shifted { minutes }) => {
            let by = SignedDuration::from_mins(*minutes);
            let at = asset.file_created_at.checked_add(by).map_err(|_| impossible())?;
            (at, correction.time_zone.clone().or(known))
        }
        None => (asset.file_created_at, correction.time_zone.clone().or(known)),
    };
    let local = match &zone {
        Some(zone) => zone.zone.to_datetime(created),
        // The zone is unknown: the clock on the wall is as far from UTC as it was.
        None => shifted(asset, created).ok_or_else(impossible)?,
    };
    if !(1..=9999).contains(&local.year()) {
        return Err(impossible());
    }
    Ok(Taken { asset: asset.id, created, local, time_zone: zone.map(|zone| zone.name) })
}

fn shifted(asset: &Asset, created: Timestamp) -> Option<civil::DateTime> {
    asset.local_date_time.checked_add(created.duration_since(asset.file_created_at)).ok()
}
