//! Search: by meaning, by likeness, and by what is known of a photo.

mod colours;

use std::collections::HashSet;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use media::Pixels;
use moka::future::Cache;
use store::assets::Asset;
use store::search::{AssetFilter, Order, Space, SpaceKind, Suggest, Tuning};
use types::{AssetId, UserId, Visibility};

use crate::{Event, Gallery, GalleryError, Result, failpoint};

/// How many of the best are ranked at once: enough for the page that is asked for, in steps so that statements are reused.
const STEPS: [i64; 4] = [128, 512, 1_000, 4_000];

/// Two pictures are the same when what they show is (their cosine), and how it is laid out and coloured (their thumbhashes).
/// Measured on the photos of the tests with the starter model: of copies of half the size or of bad quality 93 of 100 are found,
/// and of 1,176 pairs of other photos none; by the cosine alone it would be 64 (from 0.95 on).
const ALIKE: (f32, f32) = (0.75, 0.1);
/// Of those that look the same as one, the nearest so many are looked at.
const MOST_ALIKE: i64 = 32;
/// Assets that are read at once where all are looked at.
const AT_ONCE: i64 = 1_000;

/// A space of embeddings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingSpace {
    /// Plugin and model revision.
    pub name: String,
    pub dimensions: usize,
}

/// Turns a text into a vector of its space. The server gives one that calls the search plugin.
#[async_trait]
pub trait TextEmbedder: Send + Sync + 'static {
    fn space(&self) -> EmbeddingSpace;
    /// # Errors
    /// In words for the one who searches.
    async fn embed(&self, text: &str, language: Option<&str>) -> std::result::Result<Vec<f32>, String>;
}

/// A search by meaning: words, or an asset that the others shall be like.
#[derive(Debug, Clone)]
pub enum Wanted {
    Words { text: String, language: Option<String> },
    Like(AssetId),
}

/// A page of assets.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub assets: Vec<Asset>,
    /// `None`: this is the last.
    pub next: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    space: String,
    wanted: String,
    filter: AssetFilter,
}

/// The best of a search, in order, as far as somebody looked.
#[derive(Debug, Clone, Default)]
struct Ranking {
    ids: Vec<AssetId>,
    /// There are no more.
    complete: bool,
}

/// What searches keep between requests.
pub(crate) struct Searches {
    embedder: RwLock<Option<Arc<dyn TextEmbedder>>>,
    texts: Cache<(String, Option<String>, String), Arc<Vec<f32>>>,
    rankings: Cache<Key, Arc<Ranking>>,
    estimates: Cache<AssetFilter, i64>,
}

impl Default for Searches {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            embedder: RwLock::default(),
            texts: Cache::builder().max_capacity(10_000).time_to_idle(seconds(3_600)).build(),
            rankings: Cache::builder().max_capacity(1_000).time_to_live(seconds(300)).build(),
            estimates: Cache::builder().max_capacity(1_000).time_to_live(seconds(60)).build(),
        }
    }
}

/// The search of a gallery.
#[derive(Clone, Copy)]
pub struct Search<'a>(&'a Gallery);

impl Gallery {
    pub fn search(&self) -> Search<'_> {
        Search(self)
    }
}

impl Search<'_> {
    /// From now on texts are understood by this one; `None`: by none.
    pub fn set_embedder(&self, embedder: Option<Arc<dyn TextEmbedder>>) {
        *self.state().embedder.write().unwrap_or_else(std::sync::PoisonError::into_inner) = embedder;
    }

    /// Is there something that understands texts?
    pub fn understands_texts(&self) -> bool {
        self.embedder().is_some()
    }

    /// Writes down where an asset lies in a space. An asset that is gone is no error.
    pub async fn save_embedding(&self, asset: AssetId, space: &EmbeddingSpace, embedding: &[f32]) -> Result<()> {
        let space = self.0.store().space(SpaceKind::Asset, &space.name, space.dimensions, None).await?;
        let embedding = unit(embedding)?;
        self.0.store().save_embedding(&space, asset, &embedding).await?;
        failpoint::hit("ingest.embedding-saved");
        self.find_duplicates(asset, &space, &embedding).await
    }

    /// Those that look the same as this one share a group with it from now on.
    async fn find_duplicates(&self, asset: AssetId, space: &Space, embedding: &[f32]) -> Result<()> {
        let Some(asset) = self.0.store().asset(asset).await? else { return Ok(()) };
        let filter = AssetFilter { kind: Some(asset.kind), ..AssetFilter::of(asset.owner) };
        let (estimate, tuning) = (self.estimate(&filter).await?, Tuning::default());
        let near = self.0.store().nearest(space, &filter, embedding, MOST_ALIKE, estimate, &tuning).await?;
        let near = near.into_iter().filter(|(id, cosine)| *id != asset.id && *cosine >= ALIKE.0).map(|(id, _)| id);
        let near = self.0.store().assets(&near.collect::<Vec<_>>()).await?;
        let alike: Vec<AssetId> =
            near.iter().filter(|other| is_laid_out_like(&asset, other)).map(|near| near.id).collect();
        if alike.is_empty() || asset.visibility != Visibility::Timeline {
            return Ok(());
        }
        for changed in self.0.store().group_duplicates(asset.owner, asset.id, &alike).await? {
            self.0.events().publish(Event::AssetUpdated { owner: asset.owner, asset: changed });
        }
        Ok(())
    }

    /// Looks for duplicates of every asset that has an embedding: of those that came before there was somebody who looked.
    /// Returns how many were looked at.
    pub async fn find_all_duplicates(&self) -> Result<usize> {
        let Some(embedder) = self.embedder() else { return Ok(0) };
        let Some(space) = self.0.store().known_space(SpaceKind::Asset, &embedder.space().name).await? else {
            return Ok(0);
        };
        let (mut looked, mut after) = (0, None);
        loop {
            let some = self.0.store().embedded(&space, after, AT_ONCE).await?;
            for asset in &some {
                if let Some(embedding) = self.0.store().embedding(&space, *asset).await? {
                    self.find_duplicates(*asset, &space, &embedding).await?;
                }
            }
            looked += some.len();
            match some.last() {
                Some(last) => after = Some(*last),
                None => return Ok(looked),
            }
        }
    }

    /// Writes down the colours of an asset, seen on any version of it. Looks at 1,600 points: about half a millisecond.
    pub async fn save_colours(&self, asset: AssetId, pixels: &Pixels) -> Result<()> {
        let palette = colours::palette(pixels)
            .map_err(|error| GalleryError::Invalid(format!("the colours cannot be seen: {error}")))?;
        self.0.store().save_palette(asset, &palette).await?;
        failpoint::hit("ingest.colours-saved");
        Ok(())
    }

    /// By meaning, best first. `page` counts from 1. The first page is ranked anew; the next are cut from the same ranking.
    pub async fn smart(&self, wanted: &Wanted, filter: &AssetFilter, page: u32, size: u32) -> Result<Page> {
        let embedder = self.embedder().ok_or_else(|| GalleryError::Invalid("Smart search is not enabled".into()))?;
        let space = embedder.space();
        let key = Key { space: space.name.clone(), wanted: describe(wanted), filter: filter.clone() };
        let first = (page.max(1) as usize - 1) * size as usize;
        let needed = first + size as usize + 1;
        let kept = if page <= 1 { None } else { self.state().rankings.get(&key).await };
        let mut ranking = kept.map_or_else(Ranking::default, |kept| Ranking::clone(&kept));
        if ranking.ids.len() < needed && !ranking.complete {
            let Some(vector) = self.vector(&*embedder, wanted, filter).await? else { return Ok(Page::default()) };
            self.extend(&mut ranking, &space, wanted, filter, &vector, needed as i64).await?;
            self.state().rankings.insert(key, Arc::new(ranking.clone())).await;
        }
        let ids: Vec<AssetId> = ranking.ids.iter().skip(first).take(size as usize).copied().collect();
        let next = (ranking.ids.len() > first + size as usize).then(|| page.max(1) + 1);
        Ok(Page { assets: self.0.store().assets(&ids).await?, next })
    }

    /// By what is known, in order of when they were taken. `page` counts from 1.
    pub async fn metadata(&self, filter: &AssetFilter, order: Order, page: u32, size: u32) -> Result<Page> {
        let offset = i64::from(page.max(1) - 1) * i64::from(size);
        let mut ids = self.0.store().find_assets(filter, order, offset, i64::from(size) + 1).await?;
        let next = (ids.len() > size as usize).then(|| page.max(1) + 1);
        ids.truncate(size as usize);
        Ok(Page { assets: self.0.store().assets(&ids).await?, next })
    }

    pub async fn count(&self, filter: &AssetFilter) -> Result<i64> {
        Ok(self.0.store().count_found(filter).await?)
    }

    pub async fn suggestions(&self, filter: &AssetFilter, what: Suggest) -> Result<Vec<String>> {
        Ok(self.0.store().suggestions(filter, what).await?)
    }

    /// A photo for each city where at least `at_least` were taken.
    pub async fn cities(&self, owner: UserId, at_least: i64, limit: i64) -> Result<Vec<(String, Asset)>> {
        let cities = self.0.store().cities(owner, at_least, limit).await?;
        let ids: Vec<AssetId> = cities.iter().map(|(_, id)| *id).collect();
        let assets = self.0.store().assets(&ids).await?;
        Ok(cities
            .into_iter()
            .filter_map(|(city, id)| assets.iter().find(|asset| asset.id == id).map(|asset| (city, asset.clone())))
            .collect())
    }

    fn state(&self) -> &Searches {
        self.0.searches()
    }

    fn embedder(&self) -> Option<Arc<dyn TextEmbedder>> {
        self.state().embedder.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// `None`: the asset that others shall be like has no embedding yet.
    async fn vector(
        &self,
        embedder: &dyn TextEmbedder,
        wanted: &Wanted,
        filter: &AssetFilter,
    ) -> Result<Option<Arc<Vec<f32>>>> {
        let space = embedder.space();
        match wanted {
            Wanted::Like(asset) => {
                let owner = filter.owner.ok_or_else(|| GalleryError::no_access("asset.read"))?;
                if self.0.store().owned(owner, &[*asset], false).await?.is_empty() {
                    return Err(GalleryError::no_access("asset.read"));
                }
                let Some(space) = self.0.store().known_space(SpaceKind::Asset, &space.name).await? else {
                    return Ok(None);
                };
                Ok(self.0.store().embedding(&space, *asset).await?.map(Arc::new))
            }
            Wanted::Words { text, language } => {
                let key = (space.name, language.clone(), text.clone());
                if let Some(known) = self.state().texts.get(&key).await {
                    return Ok(Some(known));
                }
                let vector = embedder.embed(text, language.as_deref()).await.map_err(|error| {
                    GalleryError::Io(std::io::Error::other(format!("the search plugin failed: {error}")))
                })?;
                let vector = Arc::new(unit(&vector)?);
                self.state().texts.insert(key, vector.clone()).await;
                Ok(Some(vector))
            }
        }
    }

    /// Ranks enough for `needed`; those that were shown keep their places.
    async fn extend(
        &self,
        ranking: &mut Ranking,
        space: &EmbeddingSpace,
        wanted: &Wanted,
        filter: &AssetFilter,
        vector: &[f32],
        needed: i64,
    ) -> Result<()> {
        let Some(limit) = STEPS.into_iter().find(|step| *step >= needed) else {
            ranking.complete = true;
            return Ok(());
        };
        let Some(space) = self.0.store().known_space(SpaceKind::Asset, &space.name).await? else {
            ranking.complete = true;
            return Ok(());
        };
        let estimate = self.estimate(filter).await?;
        let found = self.0.store().nearest(&space, filter, vector, limit, estimate, &Tuning::default()).await?;
        ranking.complete = (found.len() as i64) < limit;
        let shown: HashSet<AssetId> = ranking.ids.iter().copied().collect();
        let fresh: Vec<(AssetId, f32)> = found.into_iter().filter(|(id, _)| !shown.contains(id)).collect();
        let fresh = match wanted {
            Wanted::Words { text, .. } => self.by_colour(fresh, text).await?,
            Wanted::Like(_) => fresh,
        };
        ranking.ids.extend(fresh.into_iter().map(|(id, _)| id));
        Ok(())
    }

    /// About how many pass the filter.
    async fn estimate(&self, filter: &AssetFilter) -> Result<i64> {
        if let Some(estimate) = self.state().estimates.get(filter).await {
            return Ok(estimate);
        }
        let estimate = self.0.store().estimate_found(filter).await?;
        self.state().estimates.insert(filter.clone(), estimate).await;
        Ok(estimate)
    }

    /// Colour words lift the pictures that have the colour: by at most a sixth of what lies between the best and the last.
    async fn by_colour(&self, mut found: Vec<(AssetId, f32)>, text: &str) -> Result<Vec<(AssetId, f32)>> {
        let wanted = colours::named_in(text);
        let (Some(best), Some(last)) = (found.first(), found.last()) else { return Ok(found) };
        if wanted.is_empty() {
            return Ok(found);
        }
        let lift = (best.1 - last.1) / 6.0;
        let ids: Vec<AssetId> = found.iter().map(|(id, _)| *id).collect();
        for (id, palette) in self.0.store().palettes(&ids).await? {
            if let Some(hit) = found.iter_mut().find(|(other, _)| *other == id) {
                hit.1 += lift * colours::match_of(&palette, &wanted);
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(found)
    }
}

fn is_laid_out_like(one: &Asset, other: &Asset) -> bool {
    let (Some(one), Some(other)) = (&one.thumbhash, &other.thumbhash) else { return false };
    media::thumbhash_distance(one, other).is_some_and(|distance| distance <= ALIKE.1)
}

fn describe(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Words { text, language } => format!("{}:{text}", language.as_deref().unwrap_or_default()),
        Wanted::Like(asset) => asset.to_string(),
    }
}

/// Of unit length, so that the inner product is the cosine.
fn unit(vector: &[f32]) -> Result<Vec<f32>> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !length.is_finite() || length <= f32::EPSILON {
        return Err(GalleryError::Invalid("the plugin gave an embedding without a direction".into()));
    }
    Ok(vector.iter().map(|value| value / length).collect())
}
