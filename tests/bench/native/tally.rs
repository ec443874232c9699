//! Bytes of the lists that cross between a plugin and the host, by kind. Only what a list holds is counted: the pointers and
//! lengths around it are a few bytes a call.

use std::cell::Cell;

/// The kinds that image paths have, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Above,
    GatherIndices,
    ReadF32,
    NmsBoxes,
    NmsScores,
    NmsKept,
    Shapes,
    Handles,
    Names,
    Ports,
    Settings,
    FacesReturned,
}

/// What has crossed, by kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally([u64; Kind::ALL.len()]);

thread_local! {
    /// Twins run on the thread that measures.
    static CROSSED: Cell<[u64; Kind::ALL.len()]> = const { Cell::new([0; Kind::ALL.len()]) };
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Above,
        Self::GatherIndices,
        Self::ReadF32,
        Self::NmsBoxes,
        Self::NmsScores,
        Self::NmsKept,
        Self::Shapes,
        Self::Handles,
        Self::Names,
        Self::Ports,
        Self::Settings,
        Self::FacesReturned,
    ];

    pub fn text(self) -> &'static str {
        match self {
            Self::Above => "above: indices and values",
            Self::GatherIndices => "gather: indices",
            Self::ReadF32 => "read-f32: values",
            Self::NmsBoxes => "nms: boxes",
            Self::NmsScores => "nms: scores",
            Self::NmsKept => "nms: indices kept",
            Self::Shapes => "shapes",
            Self::Handles => "handles of images and tensors",
            Self::Names => "names of a run's tensors",
            Self::Ports => "a model's inputs and outputs",
            Self::Settings => "a model's settings as JSON",
            Self::FacesReturned => "faces returned",
        }
    }
}

impl Tally {
    pub fn of(self, kind: Kind) -> u64 {
        self.0[kind as usize]
    }

    pub fn sum(self) -> u64 {
        self.0.iter().sum()
    }

    /// The greater of both, kind by kind.
    pub fn most(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at].max(other.0[at])))
    }
}

/// So many items of so many bytes have crossed.
pub fn count(kind: Kind, items: usize, bytes: usize) {
    CROSSED.with(|crossed| {
        let mut all = crossed.get();
        all[kind as usize] += (items * bytes) as u64;
        crossed.set(all);
    });
}

/// What has crossed in this thread since it was last asked.
pub fn take() -> Tally {
    Tally(CROSSED.take())
}
