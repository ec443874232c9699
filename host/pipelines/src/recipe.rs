//! Recipes: what makes a result the same or another one. A changed recipe is done again, an unchanged one never.

use gallery::ingest::{METADATA, THUMBNAILS};
use gallery::videos::TRANSCODING;
use gallery::{Looker, Plugins};
use sha2::{Digest as _, Sha256};

use crate::definition::{Settable, Step, Use};

/// Counted up when the same photo gives another result.
const METADATA_REVISION: u32 = 1;
const THUMBNAILS_REVISION: u32 = 1;
const TRANSCODING_REVISION: u32 = 1;

/// The recipe of a step, as it stands in `step_result`. `None`: its plugin is not installed.
pub fn recipe(step: &Step, spec: &media::ThumbnailSpec, plugins: &Plugins) -> Option<String> {
    Some(match &step.uses {
        Use::Metadata => format!("{METADATA}{METADATA_REVISION}"),
        Use::Thumbnails => format!(
            "{THUMBNAILS}{THUMBNAILS_REVISION}/{}q{}/{}q{}",
            spec.preview, spec.preview_quality, spec.thumbnail, spec.thumbnail_quality
        ),
        Use::Set(Settable { favorite, visibility, rating }) => {
            let favorite = favorite.map_or_else(String::new, |favorite| favorite.to_string());
            let rating = rating.map_or_else(String::new, |rating| rating.to_string());
            format!("set/{favorite}/{}/{rating}", visibility.map_or("", |visibility| visibility.as_str()))
        }
        Use::Log(message) => format!("log/{:x}", u32::from_be_bytes(first(&Sha256::digest(message)))),
        Use::Plugin(name) => match plugins.named(name)? {
            Looker::Transcoder(plan) => format!("{TRANSCODING}{TRANSCODING_REVISION}/{}", plan.plugin().recipe()),
            // What it sees is the preview: another size may be another result.
            other => format!("{}/{}", other.plugin().recipe(), spec.preview),
        },
    })
}

fn first(digest: &[u8]) -> [u8; 4] {
    [digest[0], digest[1], digest[2], digest[3]]
}

/// Why a result by `old` is not one by `new`, in words.
pub fn difference(old: &str, new: &str) -> String {
    let parts = |recipe: &str| -> Option<[String; 5]> {
        let (rest, preview) = recipe.rsplit_once('/')?;
        let (rest, settings) = rest.rsplit_once('/')?;
        let (rest, models) = rest.rsplit_once('/')?;
        let (id, revision) = rest.rsplit_once('/')?;
        Some([id, revision, models, settings, preview].map(str::to_owned))
    };
    let is_ours =
        |recipe: &str| [METADATA, THUMBNAILS, TRANSCODING, "set/", "log/"].iter().any(|ours| recipe.starts_with(ours));
    let (Some(before), Some(now)) = (parts(old), parts(new)) else { return "it was another recipe".into() };
    if is_ours(old) || is_ours(new) {
        return match old.starts_with(THUMBNAILS) && new.starts_with(THUMBNAILS) {
            true => "other sizes or qualities".into(),
            false => "it was another recipe".into(),
        };
    }
    let mut why = Vec::new();
    if before[0] != now[0] {
        why.push(format!("another plugin, {}", before[0]));
    } else {
        if before[1] != now[1] {
            why.push(format!("revision {} is now {}", before[1], now[1]));
        }
        why.extend(models(&before[2], &now[2]));
        if before[3] != now[3] {
            why.push("other settings".into());
        }
    }
    if before[4] != now[4] {
        why.push(format!("a preview of {} pixels, now {}", before[4], now[4]));
    }
    if why.is_empty() { "it was another recipe".into() } else { why.join(", ") }
}

/// `detector=abc,embedder=def`
fn models(before: &str, now: &str) -> Vec<String> {
    let pairs = |text: &str| -> Vec<(String, String)> {
        text.split(',').filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    };
    let (before, now) = (pairs(before), pairs(now));
    let changed = now.iter().filter(|pair| !before.contains(pair));
    let mut why: Vec<String> = changed.map(|(label, _)| format!("another model as {label:?}")).collect();
    let gone = before.iter().filter(|(label, _)| !now.iter().any(|(other, _)| other == label));
    why.extend(gone.map(|(label, _)| format!("no model as {label:?} any more")));
    why
}
