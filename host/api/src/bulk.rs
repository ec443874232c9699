//! Operations on many ids, each by itself: BulkIdsDto and BulkIdResponseDto.

use gallery::bulk::Outcomes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// BulkIdsDto.
#[derive(Deserialize)]
pub struct Ids<T> {
    pub ids: Vec<T>,
}

/// BulkIdResponseDto of each.
pub fn json<T: Serialize>(outcomes: &Outcomes<T>) -> Value {
    let answer = |(id, left_out): &(T, Option<gallery::bulk::LeftOut>)| match left_out {
        None => json!({ "id": id, "success": true }),
        Some(why) => json!({ "id": id, "success": false, "error": why.as_str() }),
    };
    outcomes.iter().map(answer).collect()
}
