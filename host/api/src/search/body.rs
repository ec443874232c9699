//! What a search asks for: as JSON, and as a query string.

use axum::Json as Answer;
use gallery::Viewer;
use gallery::links::Visit;
use gallery::search::Page;
use gallery::timeline::TimelineOf;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::accounts::User;
use store::search::AssetFilter;
use types::wire::parse_sha1;
use types::{AlbumId, AssetId, AssetType, PersonId, TagId, Visibility};

use crate::error::{ApiError, Result};
use crate::extract::{pairs, present, validation};
use crate::timeline::Direction;
use crate::{ApiState, assets, is_kept, people, stacks};

/// MetadataSearchDto, SmartSearchDto, RandomSearchDto and StatisticsSearchDto: one is as good as the other.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Body {
    pub query: Option<String>,
    pub query_asset_id: Option<AssetId>,
    pub language: Option<String>,
    page: Option<u32>,
    size: Option<u32>,
    pub order: Option<Direction>,
    pub with_exif: bool,
    with_people: bool,
    with_stacked: bool,
    with_deleted: bool,
    id: Option<AssetId>,
    visibility: Option<Visibility>,
    #[serde(rename = "type")]
    kind: Option<AssetType>,
    is_favorite: Option<bool>,
    is_motion: Option<bool>,
    is_offline: Option<bool>,
    is_encoded: Option<bool>,
    is_not_in_album: Option<bool>,
    #[serde(deserialize_with = "present")]
    city: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    state: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    country: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    make: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    model: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    lens_model: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    rating: Option<Option<i16>>,
    #[serde(deserialize_with = "present")]
    library_id: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    tag_ids: Option<Option<Vec<TagId>>>,
    album_ids: Vec<AlbumId>,
    person_ids: Vec<PersonId>,
    original_file_name: Option<String>,
    original_path: Option<String>,
    description: Option<String>,
    ocr: Option<String>,
    checksum: Option<String>,
    taken_after: Option<Timestamp>,
    taken_before: Option<Timestamp>,
    created_after: Option<Timestamp>,
    created_before: Option<Timestamp>,
    updated_after: Option<Timestamp>,
    updated_before: Option<Timestamp>,
    trashed_after: Option<Timestamp>,
    trashed_before: Option<Timestamp>,
    min_file_size: Option<i64>,
    encoded_video_path: Option<String>,
    // What is not there yet must not be ignored: a client would take everything for a match.
    preview_path: Option<String>,
    thumbnail_path: Option<String>,
    // New in 3.2.
    filter: Option<Value>,
    cursor: Option<String>,
    order_by: Option<Value>,
}

impl Body {
    /// What of it somebody may find: their own, what is in albums that they have, or what a link shows.
    pub async fn filter_for(&self, state: &ApiState, viewer: Viewer<'_>) -> Result<AssetFilter> {
        for album in &self.album_ids {
            state.gallery.timeline_scope(viewer, TimelineOf::Album(*album)).await?;
        }
        match viewer {
            Viewer::User(user) => self.filter(user),
            Viewer::Link(visit) => self.filter_of_link(visit),
        }
    }

    /// A link is asked for nothing that it does not show.
    fn filter_of_link(&self, visit: &Visit) -> Result<AssetFilter> {
        let asked = self.filter(&visit.owner)?;
        let plain = AssetFilter {
            owner: asked.owner,
            id: asked.id,
            kind: asked.kind,
            albums: asked.albums.clone(),
            ..AssetFilter::default()
        };
        let with_metadata = AssetFilter {
            visibility: None,
            with_deleted: false,
            is_favorite: None,
            original_path: None,
            people: Vec::new(),
            created_after: None,
            created_before: None,
            updated_after: None,
            updated_before: None,
            trashed_after: None,
            trashed_before: None,
            in_album: None,
            ..asked.clone()
        };
        if asked != if visit.link.show_metadata { with_metadata } else { plain } {
            return Err(ApiError::bad_request("A link cannot be searched for this"));
        }
        Ok(AssetFilter { owner: None, albums: Vec::new(), link: Some(visit.link.id), ..asked })
    }

    fn filter(&self, user: &User) -> Result<AssetFilter> {
        self.check(user)?;
        let checksum = match &self.checksum {
            Some(text) => {
                Some(parse_sha1(text).ok_or_else(|| ApiError::field("checksum", "is no SHA-1 in base64 or hex"))?)
            }
            None => None,
        };
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(AssetFilter {
            owner: Some(user.id),
            id: self.id,
            visibility: self.visibility,
            with_deleted: self.with_deleted || self.trashed_after.is_some() || self.trashed_before.is_some(),
            kind: self.kind,
            is_favorite: self.is_favorite,
            is_motion: self.is_motion,
            city: self.city.clone(),
            state: self.state.clone(),
            country: self.country.clone(),
            make: self.make.clone(),
            model: self.model.clone(),
            lens_model: self.lens_model.clone(),
            rating: self.rating,
            file_name: filled(&self.original_file_name),
            description: filled(&self.description),
            original_path: filled(&self.original_path),
            checksum: checksum.map(|sha1| sha1.to_vec()),
            people: self.person_ids.clone(),
            tags: self.tags(),
            taken_after: self.taken_after,
            taken_before: self.taken_before,
            created_after: self.created_after,
            created_before: self.created_before,
            updated_after: self.updated_after,
            updated_before: self.updated_before,
            trashed_after: self.trashed_after,
            trashed_before: self.trashed_before,
            larger_than: self.min_file_size,
            albums: self.album_ids.clone(),
            in_album: self.is_not_in_album.map(|not| !not),
            link: None,
            nothing: self.asks_for_nothing(),
        })
    }

    /// What cannot be answered, and what cannot be.
    fn check(&self, user: &User) -> Result<()> {
        let later = [
            ("filter", self.filter.is_some()),
            ("cursor", self.cursor.is_some()),
            ("orderBy", self.order_by.is_some()),
            ("previewPath", self.preview_path.is_some()),
            ("thumbnailPath", self.thumbnail_path.is_some()),
        ];
        if let Some((name, _)) = later.into_iter().find(|(_, there)| *there) {
            return Err(ApiError::field(name, "is not supported yet"));
        }
        if self.visibility == Some(Visibility::Locked) && !user.sees_locked {
            return Err(ApiError::elevation());
        }
        let dates = [
            ("takenAfter", self.taken_after),
            ("takenBefore", self.taken_before),
            ("createdAfter", self.created_after),
            ("createdBefore", self.created_before),
            ("updatedAfter", self.updated_after),
            ("updatedBefore", self.updated_before),
            ("trashedAfter", self.trashed_after),
            ("trashedBefore", self.trashed_before),
        ];
        match dates.into_iter().find(|(_, date)| date.is_some_and(|date| !is_kept(date))) {
            Some((name, _)) => Err(ApiError::field(name, "is in no year from 1 to 9999")),
            None => Ok(()),
        }
    }

    /// Null: without any. An empty list asks for nothing.
    fn tags(&self) -> Option<Vec<TagId>> {
        match &self.tag_ids {
            Some(None) => Some(Vec::new()),
            Some(Some(tags)) if !tags.is_empty() => Some(tags.clone()),
            Some(Some(_)) | None => None,
        }
    }

    /// There are no libraries, offline files, transcoded videos or read texts yet: nothing has one.
    fn asks_for_nothing(&self) -> bool {
        let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        self.library_id.as_ref().is_some_and(Option::is_some)
            || self.is_offline == Some(true)
            || self.is_encoded == Some(true)
            || filled(&self.encoded_video_path)
            || filled(&self.ocr)
    }

    pub fn page(&self, size: u32) -> Result<(u32, u32)> {
        let (page, size) = (self.page.unwrap_or(1), self.size.unwrap_or(size));
        if page == 0 || page > 1_000_000 {
            return Err(ApiError::field("page", "must be at least 1"));
        }
        if !(1..=1_000).contains(&size) {
            return Err(ApiError::field("size", "must be 1 to 1000"));
        }
        Ok((page, size))
    }

    pub async fn items(&self, state: &ApiState, viewer: Viewer<'_>, page: &Page) -> Result<Vec<Value>> {
        let mut items: Vec<Value> = page.assets.iter().map(|asset| assets::json_for(viewer, asset)).collect();
        if !self.with_exif {
            for item in &mut items {
                item.as_object_mut().and_then(|item| item.remove("exifInfo"));
            }
        }
        if self.with_people {
            let own = page.assets.iter().zip(&mut items).filter(|(asset, _)| viewer.owns(asset));
            let mut pairs: Vec<(AssetId, &mut Value)> = own.map(|(asset, item)| (asset.id, item)).collect();
            people::add_to(&state.gallery, &mut pairs).await?;
        }
        if self.with_stacked {
            stacks::add_to(state, &page.assets, &mut items).await?;
        }
        Ok(items)
    }

    /// SearchResponseDto.
    pub async fn answer(&self, state: &ApiState, viewer: Viewer<'_>, page: &Page) -> Result<Answer<Value>> {
        let items = self.items(state, viewer, page).await?;
        Ok(Answer(json!({
            "albums": { "total": 0, "count": 0, "items": [], "facets": [] },
            "assets": {
                "total": items.len(),
                "count": items.len(),
                "items": items,
                "facets": [],
                "nextPage": page.next.map(|next| next.to_string()),
                "nextCursor": null,
            },
        })))
    }
}

/// Fields of a query string that JSON would spell as lists.
const LISTS: &[&str] = &["albumIds", "personIds", "tagIds"];
/// Fields that are no texts there.
const PLAIN: &[&str] = &[
    "isEncoded",
    "isFavorite",
    "isMotion",
    "isNotInAlbum",
    "isOffline",
    "minFileSize",
    "page",
    "rating",
    "size",
    "withDeleted",
    "withExif",
];

/// The same fields, as `POST /search/large-assets` takes them: in the address.
pub fn from_query(query: &str) -> Result<Body> {
    let mut fields = Map::new();
    for (name, value) in pairs(query) {
        if value.contains('\0') {
            return Err(ApiError::field(name, "must not contain NUL"));
        }
        if LISTS.contains(&name.as_str()) {
            let list = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(value.into());
            }
        } else if PLAIN.contains(&name.as_str()) {
            let value = serde_json::from_str(&value)
                .map_err(|_| ApiError::field(name.as_str(), format!("{value:?} is no value of it")))?;
            fields.insert(name, value);
        } else {
            fields.insert(name, value.into());
        }
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| validation(&error.to_string()))
}
