//! What is done to many at once, each by itself: why one was left out.

use std::collections::HashSet;
use std::hash::Hash;

/// Why one of many was left out, as Immich's API names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// It is so already.
    Duplicate,
    /// Unknown, or somebody else's: the two must not be told apart.
    NoPermission,
    /// It is not there to be taken away.
    NotFound,
}

impl LeftOut {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::NoPermission => "no_permission",
            Self::NotFound => "not_found",
        }
    }
}

/// What became of each, in the order asked.
pub type Outcomes<T> = Vec<(T, Option<LeftOut>)>;

/// `done` happened; of the rest, `owned` was left out for `otherwise`. One that is named twice is a duplicate the second time.
pub(crate) fn outcomes<T: Copy + Eq + Hash>(
    asked: &[T],
    owned: &HashSet<T>,
    done: &HashSet<T>,
    otherwise: LeftOut,
) -> Outcomes<T> {
    let mut seen = HashSet::new();
    asked
        .iter()
        .map(|id| {
            let left_out = match (owned.contains(id), done.contains(id)) {
                (false, _) => Some(LeftOut::NoPermission),
                (true, true) if seen.insert(*id) => None,
                (true, true) => Some(LeftOut::Duplicate),
                (true, false) => Some(otherwise),
            };
            (*id, left_out)
        })
        .collect()
}
