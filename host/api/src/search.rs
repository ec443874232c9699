//! Tag "Search".

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json as Answer, Router};
use gallery::search::{Page, Wanted};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use store::search::{AssetFilter, Order, Suggest};
use types::wire::parse_sha1;
use types::{AssetId, AssetType, PersonId, UserId, Visibility};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Json, Query};
use crate::people::present;
use crate::{ApiState, assets, people};

/// As Immich: a city is worth exploring from so many photos on, and so many cities are shown.
const EXPLORE: (i64, i64) = (5, 12);

pub fn routes() -> Router<ApiState> {
    Router::new()
        .route("/search/metadata", post(search_assets))
        .route("/search/smart", post(search_smart))
        .route("/search/random", post(search_random))
        .route("/search/large-assets", post(search_large_assets))
        .route("/search/statistics", post(search_asset_statistics))
        .route("/search/person", get(search_person))
        .route("/search/explore", get(get_explore_data))
        .route("/search/cities", get(get_assets_by_city))
        .route("/search/suggestions", get(get_search_suggestions))
}

/// MetadataSearchDto, SmartSearchDto, RandomSearchDto and StatisticsSearchDto: one is as good as the other.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Body {
    query: Option<String>,
    query_asset_id: Option<AssetId>,
    language: Option<String>,
    page: Option<u32>,
    size: Option<u32>,
    order: Option<String>,
    with_exif: bool,
    with_people: bool,
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
    tag_ids: Option<Option<Vec<String>>>,
    album_ids: Vec<String>,
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
    // New in 3.2. What is not there yet must not be ignored: a client would take everything for a match.
    filter: Option<Value>,
    cursor: Option<String>,
    order_by: Option<Value>,
}

impl Body {
    fn filter(&self, owner: UserId) -> Result<AssetFilter> {
        let later = [
            ("filter", self.filter.is_some()),
            ("cursor", self.cursor.is_some()),
            ("orderBy", self.order_by.is_some()),
        ];
        if let Some((name, _)) = later.into_iter().find(|(_, there)| *there) {
            return Err(ApiError::field(name, "is not supported yet"));
        }
        if self.visibility == Some(Visibility::Locked) {
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "Elevated permission is required"));
        }
        let checksum = match &self.checksum {
            Some(text) => {
                Some(parse_sha1(text).ok_or_else(|| ApiError::field("checksum", "is no SHA-1 in base64 or hex"))?)
            }
            None => None,
        };
        let texts = [&self.original_file_name, &self.original_path, &self.description, &self.query, &self.language];
        if texts.into_iter().flatten().any(|text| text.contains('\0')) {
            return Err(ApiError::field("query", "must not contain NUL"));
        }
        // There are no albums, tags, libraries, offline files, transcoded videos or read texts yet: nothing has one.
        let nothing = !self.album_ids.is_empty()
            || self.tag_ids.as_ref().is_some_and(|tags| tags.as_ref().is_some_and(|tags| !tags.is_empty()))
            || self.library_id.as_ref().is_some_and(Option::is_some)
            || self.is_offline == Some(true)
            || self.is_encoded == Some(true)
            || self.is_not_in_album == Some(false)
            || self.ocr.as_ref().is_some_and(|text| !text.is_empty());
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(AssetFilter {
            owner: Some(owner),
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
            taken_after: self.taken_after,
            taken_before: self.taken_before,
            created_after: self.created_after,
            created_before: self.created_before,
            updated_after: self.updated_after,
            updated_before: self.updated_before,
            trashed_after: self.trashed_after,
            trashed_before: self.trashed_before,
            larger_than: self.min_file_size,
            nothing,
        })
    }

    fn page(&self, size: u32) -> Result<(u32, u32)> {
        let (page, size) = (self.page.unwrap_or(1), self.size.unwrap_or(size));
        if page == 0 || page > 1_000_000 {
            return Err(ApiError::field("page", "must be at least 1"));
        }
        if !(1..=1_000).contains(&size) {
            return Err(ApiError::field("size", "must be 1 to 1000"));
        }
        Ok((page, size))
    }

    async fn items(&self, state: &ApiState, page: &Page) -> Result<Vec<Value>> {
        let mut items: Vec<Value> = page.assets.iter().map(assets::json).collect();
        if !self.with_exif {
            for item in &mut items {
                item.as_object_mut().and_then(|item| item.remove("exifInfo"));
            }
        }
        if self.with_people {
            let mut pairs: Vec<(AssetId, &mut Value)> =
                page.assets.iter().map(|asset| asset.id).zip(&mut items).collect();
            people::add_to(&state.gallery, &mut pairs).await?;
        }
        Ok(items)
    }

    /// SearchResponseDto.
    async fn answer(&self, state: &ApiState, page: &Page) -> Result<Answer<Value>> {
        let items = self.items(state, page).await?;
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

async fn search_assets(State(state): State<ApiState>, auth: Auth, Json(body): Json<Body>) -> Result<Answer<Value>> {
    let user = auth.may("asset.read")?;
    let (page, size) = body.page(250)?;
    let order = if body.order.as_deref() == Some("asc") { Order::OldestFirst } else { Order::NewestFirst };
    let found = state.gallery.search().metadata(&body.filter(user.id)?, order, page, size).await?;
    body.answer(&state, &found).await
}

async fn search_smart(State(state): State<ApiState>, auth: Auth, Json(body): Json<Body>) -> Result<Answer<Value>> {
    let user = auth.may("asset.read")?;
    let (page, size) = body.page(100)?;
    let text = body.query.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let wanted = match (body.query_asset_id, text) {
        (Some(asset), _) => Wanted::Like(asset),
        (None, Some(text)) => Wanted::Words { text: text.to_owned(), language: body.language.clone() },
        (None, None) => return Err(ApiError::bad_request("Either `query` or `queryAssetId` must be set")),
    };
    let found = state.gallery.search().smart(&wanted, &body.filter(user.id)?, page, size).await?;
    body.answer(&state, &found).await
}

async fn search_random(State(state): State<ApiState>, auth: Auth, Json(body): Json<Body>) -> Result<Answer<Value>> {
    let user = auth.may("asset.read")?;
    let (_, size) = body.page(250)?;
    let found = state.gallery.search().metadata(&body.filter(user.id)?, Order::Random, 1, size).await?;
    Ok(Answer(body.items(&state, &found).await?.into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Large {
    size: Option<u32>,
    min_file_size: Option<i64>,
    #[serde(rename = "type")]
    kind: Option<AssetType>,
    visibility: Option<Visibility>,
}

async fn search_large_assets(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Large>,
) -> Result<Answer<Value>> {
    let user = auth.may("asset.read")?;
    let body = Body {
        size: query.size,
        min_file_size: query.min_file_size,
        kind: query.kind,
        visibility: query.visibility,
        with_exif: true,
        ..Body::default()
    };
    let (_, size) = body.page(250)?;
    let found = state.gallery.search().metadata(&body.filter(user.id)?, Order::LargestFirst, 1, size).await?;
    Ok(Answer(body.items(&state, &found).await?.into()))
}

async fn search_asset_statistics(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Body>,
) -> Result<Answer<Value>> {
    let user = auth.may("asset.statistics")?;
    Ok(Answer(json!({ "total": state.gallery.search().count(&body.filter(user.id)?).await? })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersonName {
    name: String,
    #[serde(default)]
    with_hidden: bool,
}

async fn search_person(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<PersonName>,
) -> Result<Answer<Value>> {
    let user = auth.may("person.read")?;
    let name = query.name.replace('\0', "");
    let people = state.gallery.people().named(user.id, name.trim(), query.with_hidden).await?;
    Ok(Answer(people.iter().map(people::json).collect()))
}

async fn get_explore_data(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let user = auth.may("asset.read")?;
    let cities = state.gallery.search().cities(user.id, EXPLORE.0, EXPLORE.1).await?;
    let items = cities.iter().map(|(city, asset)| json!({ "value": city, "data": assets::json(asset) }));
    Ok(Answer(json!([{ "fieldName": "exifInfo.city", "items": items.collect::<Vec<_>>() }])))
}

async fn get_assets_by_city(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let user = auth.may("asset.read")?;
    let cities = state.gallery.search().cities(user.id, 1, 10_000).await?;
    Ok(Answer(cities.iter().map(|(_, asset)| assets::json(asset)).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Suggestions {
    #[serde(rename = "type")]
    what: SuggestionType,
    country: Option<String>,
    state: Option<String>,
    make: Option<String>,
    model: Option<String>,
    lens_model: Option<String>,
    #[serde(default)]
    include_null: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum SuggestionType {
    Country,
    State,
    City,
    CameraMake,
    CameraModel,
    CameraLensModel,
}

async fn get_search_suggestions(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Suggestions>,
) -> Result<Answer<Value>> {
    let user = auth.may("asset.read")?;
    let what = match query.what {
        SuggestionType::Country => Suggest::Country,
        SuggestionType::State => Suggest::State,
        SuggestionType::City => Suggest::City,
        SuggestionType::CameraMake => Suggest::Make,
        SuggestionType::CameraModel => Suggest::Model,
        SuggestionType::CameraLensModel => Suggest::LensModel,
    };
    let filter = AssetFilter {
        country: query.country.map(Some),
        state: query.state.map(Some),
        make: query.make.map(Some),
        model: query.model.map(Some),
        lens_model: query.lens_model.map(Some),
        ..AssetFilter::of(user.id)
    };
    let mut answers: Vec<Value> =
        state.gallery.search().suggestions(&filter, what).await?.into_iter().map(Value::from).collect();
    if query.include_null {
        answers.push(Value::Null);
    }
    Ok(Answer(answers.into()))
}
