//! Entities that cross rooms.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AssetId, JobId};

/// What an asset is. Spelled as Immich's API spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AssetType {
    Image,
    Video,
    Audio,
    Other,
}

/// Where an asset is shown. Spelled as Immich's API spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    #[default]
    Timeline,
    Archive,
    /// The moving half of a live photo.
    Hidden,
    /// Behind the PIN.
    Locked,
}

/// What somebody may do with an album. Spelled as Immich's API spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlbumRole {
    Owner,
    /// Adds and removes photos.
    Editor,
    /// Looks and comments.
    Viewer,
}

macro_rules! text_enum {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        impl $name {
            /// The text that the database and the API use.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(format!("{text:?} is none of {}", [$($text),*].join(", "))),
                }
            }
        }
    };
}

text_enum!(AssetType { Image = "IMAGE", Video = "VIDEO", Audio = "AUDIO", Other = "OTHER" });
text_enum!(AlbumRole { Owner = "owner", Editor = "editor", Viewer = "viewer" });
text_enum!(Visibility { Timeline = "timeline", Archive = "archive", Hidden = "hidden", Locked = "locked" });

/// The name of a queue, as `config/pipelines` and the job commands say it: `metadata`, `thumbnails`, `faces`, `clip`, ...
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueName(pub String);

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Interactive work (somebody waits) goes before backfill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    #[default]
    Interactive,
    Backfill,
}

/// A unit of work. The truth is in Postgres; a job only says where to look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub queue: QueueName,
    pub priority: Priority,
    #[serde(flatten)]
    pub kind: JobKind,
    /// Deliveries so far; the first is 1.
    #[serde(default)]
    pub attempt: u32,
}

/// What a job asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum JobKind {
    /// Run what is due of a pipeline on one asset. `steps` empty: every step that is due.
    Pipeline {
        pipeline: String,
        asset: AssetId,
        #[serde(default)]
        steps: Vec<String>,
        /// Also where a result of the same recipe is there already.
        #[serde(default)]
        force: bool,
    },
}

impl Job {
    /// What it is about: a later job about the same, once done, makes up for one that was given up.
    pub fn subject(&self) -> String {
        match &self.kind {
            JobKind::Pipeline { pipeline, asset, .. } => format!("{pipeline}:{asset}"),
        }
    }

    /// Two jobs of one key are one job while the first waits.
    pub fn dedup_key(&self) -> String {
        match &self.kind {
            JobKind::Pipeline { pipeline, asset, steps, force } => {
                format!("{pipeline}:{asset}:{}:{}", steps.join(","), u8::from(*force))
            }
        }
    }
}
