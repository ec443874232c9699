//! Tag "Memories".

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use gallery::memories::WholeMemory;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};
use store::memories::{MemoryChanges, MemoryFilter, MemoryOrder, NewMemory};
use types::wire::iso;
use types::{AssetId, MemoryId};

use crate::bulk::{self, Ids};
use crate::error::{ApiError, Result};
use crate::extract::{Auth, Id, Json, Query};
use crate::routes::{Access, Routes};
use crate::{ApiState, assets, is_kept};

pub fn routes() -> Routes {
    Routes::new()
        .get("/memories", "searchMemories", Access::User("memory.read"), search_memories)
        .post("/memories", "createMemory", Access::User("memory.create"), create_memory)
        .get("/memories/statistics", "memoriesStatistics", Access::User("memory.statistics"), memories_statistics)
        .get("/memories/{id}", "getMemory", Access::User("memory.read"), get_memory)
        .put("/memories/{id}", "updateMemory", Access::User("memory.update"), update_memory)
        .delete("/memories/{id}", "deleteMemory", Access::User("memory.delete"), delete_memory)
        .put("/memories/{id}/assets", "addMemoryAssets", Access::User("memoryAsset.create"), add_memory_assets)
        .delete("/memories/{id}/assets", "removeMemoryAssets", Access::User("memoryAsset.delete"), remove_memory_assets)
}

/// MemoryResponseDto: times that a memory does not have are absent.
fn json(whole: &WholeMemory) -> Value {
    let memory = &whole.memory;
    let mut json = json!({
        "id": memory.id,
        "ownerId": memory.owner,
        "type": memory.kind,
        "data": memory.data,
        "isSaved": memory.is_saved,
        "memoryAt": iso(memory.memory_at),
        "createdAt": iso(memory.created_at),
        "updatedAt": iso(memory.updated_at),
        "assets": whole.assets.iter().map(assets::json).collect::<Value>(),
    });
    for (name, at) in [
        ("seenAt", memory.seen_at),
        ("showAt", memory.show_at),
        ("hideAt", memory.hide_at),
        ("deletedAt", memory.deleted_at),
    ] {
        if let Some(at) = at {
            json[name] = iso(at).into();
        }
    }
    json
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Kind {
    OnThisDay,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::OnThisDay => "on_this_day",
        }
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Order {
    Asc,
    Desc,
    Random,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    id: Option<MemoryId>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    is_saved: Option<bool>,
    #[serde(default)]
    is_trashed: bool,
    is_upcoming: Option<bool>,
    #[serde(rename = "for")]
    shown_at: Option<String>,
    order: Option<Order>,
    page: Option<u32>,
    size: Option<u32>,
}

impl Search {
    fn filter(&self, now: Timestamp) -> Result<MemoryFilter> {
        Ok(MemoryFilter {
            id: self.id,
            kind: self.kind.map(|kind| kind.as_str().to_owned()),
            is_saved: self.is_saved,
            is_trashed: self.is_trashed,
            shown_at: self.shown_at.as_deref().map(instant).transpose()?,
            is_upcoming: self.is_upcoming.map(|upcoming| (upcoming, now)),
        })
    }

    fn page(&self) -> Result<Option<(u32, u32)>> {
        let page = self.page.unwrap_or(1);
        if page == 0 || page > 1_000_000 {
            return Err(ApiError::field("page", "must be 1 to 1000000"));
        }
        match self.size {
            Some(size) if !(1..=1_000).contains(&size) => Err(ApiError::field("size", "must be 1 to 1000")),
            Some(size) => Ok(Some((page, size))),
            // A page of a size that is not said.
            None => Ok(self.page.map(|page| (page, 250))),
        }
    }
}

/// A date, which is its midnight, or an instant. The page sends its local time as if it were UTC.
fn instant(text: &str) -> Result<Timestamp> {
    let date = || text.parse::<Date>().ok().and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
    let at = text.parse::<Timestamp>().ok().or_else(date);
    at.filter(|at| is_kept(*at)).ok_or_else(|| ApiError::field("for", "is no date such as 2024-03-15T12:00:00.000Z"))
}

async fn search_memories(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Search>,
) -> Result<Answer<Value>> {
    let order = match query.order {
        Some(Order::Asc) => MemoryOrder::OldestFirst,
        Some(Order::Desc) | None => MemoryOrder::NewestFirst,
        Some(Order::Random) => MemoryOrder::Random,
    };
    let filter = query.filter(state.gallery.now())?;
    let memories = state.gallery.memories(auth.user(), &filter, order, query.page()?).await?;
    Ok(Answer(memories.iter().map(json).collect()))
}

async fn memories_statistics(
    State(state): State<ApiState>,
    auth: Auth,
    Query(query): Query<Search>,
) -> Result<Answer<Value>> {
    let filter = query.filter(state.gallery.now())?;
    Ok(Answer(json!({ "total": state.gallery.count_memories(auth.user(), &filter).await? })))
}

#[derive(Deserialize)]
struct OnThisDay {
    year: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create {
    #[serde(rename = "type")]
    kind: Kind,
    data: OnThisDay,
    memory_at: Timestamp,
    #[serde(default)]
    is_saved: bool,
    seen_at: Option<Timestamp>,
    show_at: Option<Timestamp>,
    hide_at: Option<Timestamp>,
    #[serde(default)]
    asset_ids: Vec<AssetId>,
}

/// Dates that can be kept.
fn check(dates: &[(&str, Option<Timestamp>)]) -> Result<()> {
    match dates.iter().find(|(_, date)| date.is_some_and(|date| !is_kept(date))) {
        Some((name, _)) => Err(ApiError::field(*name, "is in no year from 1 to 9999")),
        None => Ok(()),
    }
}

async fn create_memory(
    State(state): State<ApiState>,
    auth: Auth,
    Json(body): Json<Create>,
) -> Result<(StatusCode, Answer<Value>)> {
    check(&[
        ("memoryAt", Some(body.memory_at)),
        ("seenAt", body.seen_at),
        ("showAt", body.show_at),
        ("hideAt", body.hide_at),
    ])?;
    if !(1..=9_999).contains(&body.data.year) {
        return Err(ApiError::field("data.year", "must be 1 to 9999"));
    }
    let new = NewMemory {
        kind: body.kind.as_str().to_owned(),
        data: json!({ "year": body.data.year }),
        is_saved: body.is_saved,
        memory_at: body.memory_at,
        seen_at: body.seen_at,
        show_at: body.show_at,
        hide_at: body.hide_at,
        assets: body.asset_ids,
    };
    let memory = state.gallery.create_memory(auth.user(), &new).await?;
    Ok((StatusCode::CREATED, Answer(json(&memory))))
}

async fn get_memory(State(state): State<ApiState>, auth: Auth, Id(id): Id<MemoryId>) -> Result<Answer<Value>> {
    Ok(Answer(json(&state.gallery.memory(auth.user(), id).await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    is_saved: Option<bool>,
    memory_at: Option<Timestamp>,
    seen_at: Option<Timestamp>,
}

async fn update_memory(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<MemoryId>,
    Json(body): Json<Update>,
) -> Result<Answer<Value>> {
    check(&[("memoryAt", body.memory_at), ("seenAt", body.seen_at)])?;
    let changes = MemoryChanges { is_saved: body.is_saved, memory_at: body.memory_at, seen_at: body.seen_at };
    Ok(Answer(json(&state.gallery.update_memory(auth.user(), id, &changes).await?)))
}

async fn delete_memory(State(state): State<ApiState>, auth: Auth, Id(id): Id<MemoryId>) -> Result<StatusCode> {
    state.gallery.delete_memory(auth.user(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_memory_assets(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<MemoryId>,
    Json(body): Json<Ids<AssetId>>,
) -> Result<Answer<Value>> {
    Ok(Answer(bulk::json(&state.gallery.add_to_memory(auth.user(), id, &body.ids).await?)))
}

async fn remove_memory_assets(
    State(state): State<ApiState>,
    auth: Auth,
    Id(id): Id<MemoryId>,
    Json(body): Json<Ids<AssetId>>,
) -> Result<Answer<Value>> {
    Ok(Answer(bulk::json(&state.gallery.take_from_memory(auth.user(), id, &body.ids).await?)))
}
