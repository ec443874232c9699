//! Tag "Search".

mod body;

use axum::Json as Answer;
use axum::extract::{RawQuery, State};
use gallery::Viewer;
use gallery::search::Wanted;
use serde::Deserialize;
use serde_json::{Value, json};
use store::search::{AssetFilter, Order, Suggest};

use crate::error::{ApiError, Result};
use crate::extract::{Auth, Caller, Json, Query};
use crate::routes::{Access, Routes};
use crate::search::body::Body;
use crate::timeline::Direction;
use crate::{ApiState, assets, people};

/// As Immich: a city is worth exploring from so many photos on, and so many cities are shown.
const EXPLORE: (i64, i64) = (5, 12);

pub fn routes() -> Routes {
    Routes::new()
        .post("/search/metadata", "searchAssets", Access::Shared("asset.read"), search_assets)
        .post("/search/smart", "searchSmart", Access::User("asset.read"), search_smart)
        .post("/search/random", "searchRandom", Access::User("asset.read"), search_random)
        .post("/search/large-assets", "searchLargeAssets", Access::User("asset.read"), search_large_assets)
        .post("/search/statistics", "searchAssetStatistics", Access::User("asset.statistics"), search_asset_statistics)
        .get("/search/person", "searchPerson", Access::User("person.read"), search_person)
        .get("/search/explore", "getExploreData", Access::User("asset.read"), get_explore_data)
        .get("/search/cities", "getAssetsByCity", Access::User("asset.read"), get_assets_by_city)
        .get("/search/places", "searchPlaces", Access::User("asset.read"), search_places)
        .get("/search/suggestions", "getSearchSuggestions", Access::User("asset.read"), get_search_suggestions)
}

async fn search_assets(State(state): State<ApiState>, caller: Caller, Json(body): Json<Body>) -> Result<Answer<Value>> {
    let viewer = caller.viewer();
    let (page, size) = body.page(250)?;
    let order = if body.order == Some(Direction::Asc) { Order::OldestFirst } else { Order::NewestFirst };
    let found = state.gallery.search().metadata(&body.filter_for(&state, viewer).await?, order, page, size).await?;
    body.answer(&state, viewer, &found).await
}

async fn search_smart(State(state): State<ApiState>, auth: Auth, Json(body): Json<Body>) -> Result<Answer<Value>> {
    let viewer = Viewer::User(auth.user());
    let (page, size) = body.page(100)?;
    let text = body.query.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let wanted = match (body.query_asset_id, text) {
        (Some(asset), _) => Wanted::Like(asset),
        (None, Some(text)) => Wanted::Words { text: text.to_owned(), language: body.language.clone() },
        (None, None) => return Err(ApiError::bad_request("Either `query` or `queryAssetId` must be set")),
    };
    let found = state.gallery.search().smart(&wanted, &body.filter_for(&state, viewer).await?, page, size).await?;
    body.answer(&state, viewer, &found).await
}

async fn search_random(State(state): State<ApiState>, auth: Auth, Json(body): Json<Body>) -> Result<Answer<Value>> {
    let viewer = Viewer::User(auth.user());
    let (_, size) = body.page(250)?;
    let found =
        state.gallery.search().metadata(&body.filter_for(&state, viewer).await?, Order::Random, 1, size).await?;
    Ok(Answer(body.items(&state, viewer, &found).await?.into()))
}

async fn search_large_assets(
    State(state): State<ApiState>,
    auth: Auth,
    RawQuery(query): RawQuery,
) -> Result<Answer<Value>> {
    let viewer = Viewer::User(auth.user());
    let mut body = body::from_query(query.as_deref().unwrap_or(""))?;
    body.with_exif = true;
    let (_, size) = body.page(250)?;
    let found =
        state.gallery.search().metadata(&body.filter_for(&state, viewer).await?, Order::LargestFirst, 1, size).await?;
    Ok(Answer(body.items(&state, viewer, &found).await?.into()))
}

async fn search_asset_statistics(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Body>,
) -> Result<Answer<Value>> {
    let viewer = Viewer::User(auth.user());
    Ok(Answer(json!({ "total": state.gallery.search().count(&body.filter_for(&state, viewer).await?).await? })))
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
    let user = auth.user();
    let name = query.name.replace('\0', "");
    let people = state.gallery.people().named(user.id, name.trim(), query.with_hidden).await?;
    Ok(Answer(people.iter().map(people::json).collect()))
}

async fn get_explore_data(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let user = auth.user();
    let cities = state.gallery.search().cities(user.id, EXPLORE.0, EXPLORE.1).await?;
    let items = cities.iter().map(|(city, asset)| json!({ "value": city, "data": assets::json(asset) }));
    Ok(Answer(json!([{ "fieldName": "exifInfo.city", "items": items.collect::<Vec<_>>() }])))
}

async fn get_assets_by_city(State(state): State<ApiState>, auth: Auth) -> Result<Answer<Value>> {
    let user = auth.user();
    let cities = state.gallery.search().cities(user.id, 1, 10_000).await?;
    Ok(Answer(cities.iter().map(|(_, asset)| assets::json(asset)).collect()))
}

#[derive(Deserialize)]
struct PlaceName {
    name: String,
}

async fn search_places(
    State(state): State<ApiState>,
    _: Auth,
    Query(query): Query<PlaceName>,
) -> Result<Answer<Value>> {
    // As many as Immich's page shows.
    const MOST: usize = 20;
    if query.name.trim().is_empty() {
        return Err(ApiError::field("name", "must not be empty"));
    }
    let found = state.gallery.places_named(query.name, MOST).await?;
    let json = |named: &media::NamedPlace| {
        json!({
            "name": named.place.city,
            "admin1name": named.place.state,
            "admin2name": named.county,
            "latitude": named.latitude,
            "longitude": named.longitude,
        })
    };
    Ok(Answer(found.iter().map(json).collect()))
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
    let user = auth.user();
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
