//! What is known of an asset, as the conditions of pipelines ask for it.

use serde_json::{Map, Value, json};
use store::assets::Asset;
use store::people::Person;
use types::wire::{iso, iso_civil};
use types::{AssetId, UserId};

use crate::people::Seen;
use crate::{Gallery, Result};

/// What a fact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A whole number.
    Whole,
    Number,
    Truth,
    /// A list of people: [`PERSON`].
    People,
    /// How the steps before this one ended, by their ids: `done`, `skipped` or `failed`.
    Steps,
}

/// The facts of one kind of thing, by name.
pub type Fields = &'static [(&'static str, Kind)];

/// Everything that a condition may ask for. What is unknown of an asset is not there.
pub const ROOTS: &[(&str, Fields)] = &[("asset", ASSET), ("exif", EXIF), ("owner", OWNER), ("findings", FINDINGS)];

const ASSET: Fields = &[
    ("id", Kind::Text),
    ("type", Kind::Text),
    ("fileName", Kind::Text),
    ("mimeType", Kind::Text),
    ("size", Kind::Whole),
    ("width", Kind::Whole),
    ("height", Kind::Whole),
    ("duration", Kind::Number),
    ("visibility", Kind::Text),
    ("isFavorite", Kind::Truth),
    ("isTrashed", Kind::Truth),
    ("isLivePhoto", Kind::Truth),
    ("takenAt", Kind::Text),
    ("localDateTime", Kind::Text),
    ("uploadedAt", Kind::Text),
];

const EXIF: Fields = &[
    ("make", Kind::Text),
    ("model", Kind::Text),
    ("lensModel", Kind::Text),
    ("exposureTime", Kind::Text),
    ("fNumber", Kind::Number),
    ("focalLength", Kind::Number),
    ("iso", Kind::Whole),
    ("orientation", Kind::Whole),
    ("latitude", Kind::Number),
    ("longitude", Kind::Number),
    ("city", Kind::Text),
    ("state", Kind::Text),
    ("country", Kind::Text),
    ("description", Kind::Text),
    ("rating", Kind::Whole),
    ("timeZone", Kind::Text),
    ("projectionType", Kind::Text),
    ("fps", Kind::Number),
];

const OWNER: Fields = &[
    ("id", Kind::Text),
    ("name", Kind::Text),
    ("email", Kind::Text),
    ("isAdmin", Kind::Truth),
    ("storageLabel", Kind::Text),
];

const FINDINGS: Fields =
    &[("faces", Kind::Whole), ("people", Kind::People), ("hasThumbnail", Kind::Truth), ("steps", Kind::Steps)];

/// Somebody in `findings.people`. A person without a name has an empty one.
pub const PERSON: Fields =
    &[("id", Kind::Text), ("name", Kind::Text), ("isFavorite", Kind::Truth), ("isHidden", Kind::Truth)];

/// A condition looks at so many people of one asset at most, and at so many bytes of a text.
const MOST_PEOPLE: usize = 100;
const LONGEST: usize = 4_096;

/// Which facts have to be looked up beside the asset itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    pub owner: bool,
    pub findings: bool,
}

impl Gallery {
    /// What is known of an asset now: an object for each of [`ROOTS`] that is asked for, without `findings.steps`, which the
    /// pipelines know.
    pub async fn facts(&self, asset: &Asset, asked: Asked) -> Result<Value> {
        let mut facts = Map::new();
        facts.insert("asset".into(), asset_facts(asset));
        facts.insert("exif".into(), exif_facts(asset));
        if asked.owner {
            facts.insert("owner".into(), self.owner_facts(asset.owner).await?);
        }
        if asked.findings {
            let seen = self.people().seen_on(&[asset.id]).await?;
            facts.insert("findings".into(), findings(asset, seen.get(&asset.id)));
        }
        Ok(Value::Object(facts))
    }

    /// Everything that is known of assets that are about to go, for the pipelines on `asset.deleted`.
    pub(crate) async fn facts_before_deletion(&self, owner: UserId, ids: &[AssetId]) -> Result<Vec<(AssetId, Value)>> {
        let owner_is = self.owner_facts(owner).await?;
        let seen = self.people().seen_on(ids).await?;
        let assets = self.store().assets(ids).await?;
        let facts = |asset: &Asset| {
            let facts = json!({
                "asset": asset_facts(asset),
                "exif": exif_facts(asset),
                "owner": owner_is,
                "findings": findings(asset, seen.get(&asset.id)),
            });
            (asset.id, facts)
        };
        Ok(assets.iter().filter(|asset| asset.owner == owner).map(facts).collect())
    }

    async fn owner_facts(&self, owner: UserId) -> Result<Value> {
        let Some(user) = self.store().user(owner).await? else { return Ok(json!({ "id": owner })) };
        Ok(known(json!({
            "id": user.id,
            "name": text(&user.name),
            "email": user.email,
            "isAdmin": user.is_admin,
            "storageLabel": user.storage_label,
        })))
    }
}

fn asset_facts(asset: &Asset) -> Value {
    known(json!({
        "id": asset.id,
        "type": asset.kind.as_str(),
        "fileName": text(&asset.file_name),
        "mimeType": asset.mime_type,
        "size": asset.file_size,
        "width": asset.width,
        "height": asset.height,
        "duration": asset.duration_ms.map(|ms| f64::from(ms) / 1_000.0),
        "visibility": asset.visibility.as_str(),
        "isFavorite": asset.is_favorite,
        "isTrashed": asset.deleted_at.is_some(),
        "isLivePhoto": asset.live_photo_video.is_some(),
        "takenAt": iso(asset.file_created_at),
        "localDateTime": iso_civil(asset.local_date_time),
        "uploadedAt": iso(asset.created_at),
    }))
}

fn exif_facts(asset: &Asset) -> Value {
    let Some(exif) = &asset.exif else { return json!({}) };
    known(json!({
        "make": some(&exif.make),
        "model": some(&exif.model),
        "lensModel": some(&exif.lens_model),
        "exposureTime": some(&exif.exposure_time),
        "fNumber": exif.f_number,
        "focalLength": exif.focal_length,
        "iso": exif.iso,
        "orientation": exif.orientation,
        "latitude": exif.latitude,
        "longitude": exif.longitude,
        "city": exif.city,
        "state": exif.state,
        "country": exif.country,
        "description": text(&exif.description),
        "rating": exif.rating,
        "timeZone": exif.time_zone,
        "projectionType": exif.projection_type,
        "fps": exif.fps,
    }))
}

fn findings(asset: &Asset, seen: Option<&Seen>) -> Value {
    let empty = Seen::default();
    let seen = seen.unwrap_or(&empty);
    let faces = seen.unassigned.len() + seen.people.iter().map(|(_, faces)| faces.len()).sum::<usize>();
    let person = |(person, _): &(Person, _)| {
        json!({
            "id": person.id,
            "name": text(&person.name),
            "isFavorite": person.is_favorite,
            "isHidden": person.is_hidden,
        })
    };
    let people: Vec<Value> = seen.people.iter().take(MOST_PEOPLE).map(person).collect();
    json!({ "faces": faces, "people": people, "hasThumbnail": asset.resized })
}

/// What is unknown is not there.
fn known(mut facts: Value) -> Value {
    if let Value::Object(facts) = &mut facts {
        facts.retain(|_, value| !value.is_null());
    }
    facts
}

fn some(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(text)
}

/// As much of a text as a condition looks at.
fn text(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}
