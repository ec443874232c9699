//! Downloads of many originals at once: how they are split into archives, and what is in one.

use std::collections::{HashMap, HashSet};

use blobs::Blob;
use jiff::civil;
use store::downloads::Part;
use types::{AlbumId, AssetId, UserId};

use crate::visible::Permission;
use crate::{Gallery, GalleryError, Result, Scope, Viewer};

/// What somebody wants to download.
#[derive(Debug, Clone)]
pub enum Wanted {
    Assets(Vec<AssetId>),
    Album(AlbumId),
    /// Everything of a user's.
    User(UserId),
}

/// Assets for one archive, and their bytes.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    pub assets: Vec<AssetId>,
    pub size: i64,
}

/// One file of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    pub asset: AssetId,
    /// Another than that of every other file of the archive, in whatever case.
    pub name: String,
    pub size: u64,
    /// The wall-clock time at which it was taken.
    pub taken: civil::DateTime,
}

impl Gallery {
    /// Splits what is wanted into archives of at most `most` bytes; a file that is larger is alone in its own.
    pub async fn archives(&self, viewer: Viewer<'_>, wanted: Wanted, most: i64) -> Result<Vec<Archive>> {
        let mut archives: Vec<Archive> = Vec::new();
        let mut seen = HashSet::new();
        let parts = self.parts(viewer, wanted).await?;
        let files = parts.into_iter().flat_map(|part| [Some((part.asset, part.size)), part.moving]).flatten();
        for (asset, size) in files.filter(|(asset, _)| seen.insert(*asset)) {
            match archives.last_mut() {
                Some(archive) if archive.size + size <= most => {
                    archive.assets.push(asset);
                    archive.size += size;
                }
                _ => archives.push(Archive { assets: vec![asset], size }),
            }
        }
        Ok(archives)
    }

    async fn parts(&self, viewer: Viewer<'_>, wanted: Wanted) -> Result<Vec<Part>> {
        let refused = GalleryError::no_access("asset.download");
        if let Viewer::Link(visit) = viewer
            && !visit.link.allow_download
        {
            return Err(refused);
        }
        match wanted {
            Wanted::Assets(assets) => {
                self.check_all_visible(viewer, &assets, Permission::Download).await?;
                Ok(self.store().parts_of(&assets).await?)
            }
            Wanted::Album(album) => {
                self.check_album(viewer, album, "album.download").await?;
                Ok(self.store().parts_of_album(album).await?)
            }
            Wanted::User(owner) => {
                let Scope::Of(owner) = self.scope_of_user(viewer, owner, "timeline.download").await? else {
                    return Err(refused);
                };
                let is_own = viewer.user().is_some_and(|user| user.id == owner);
                Ok(self.store().parts_of_user(owner, is_own).await?)
            }
        }
    }

    /// The files of an archive of these assets, in their order.
    pub async fn archive(&self, viewer: Viewer<'_>, assets: &[AssetId]) -> Result<Vec<Entry>> {
        self.check_all_visible(viewer, assets, Permission::Download).await?;
        let mut seen = HashSet::new();
        let assets: Vec<AssetId> = assets.iter().copied().filter(|asset| seen.insert(*asset)).collect();
        let mut names = Names::default();
        let named = self.store().names_of(&assets).await?;
        Ok(named
            .into_iter()
            .map(|one| Entry {
                asset: one.asset,
                name: names.another(&one.file_name),
                size: one.size.max(0) as u64,
                taken: one.taken,
            })
            .collect())
    }

    /// The bytes of a file of an archive, wherever they lie by now.
    pub async fn open_entry(&self, entry: &Entry) -> Result<Blob> {
        let file = self.store().original(entry.asset).await?;
        let file = file.ok_or_else(|| GalleryError::NotFound("Asset media not found".into()))?;
        self.open(&file, 0, None).await
    }
}

/// The names that an archive has.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    /// The number that a name gets when it comes again.
    next: HashMap<String, u32>,
}

impl Names {
    /// `IMG_1.jpg`, then `IMG_1+1.jpg`. No name is a path.
    fn another(&mut self, name: &str) -> String {
        let clean: String =
            name.chars().map(|letter| if matches!(letter, '/' | '\\' | '\0') { '_' } else { letter }).collect();
        let clean = match &*clean {
            "" | "." | ".." => "file".to_owned(),
            _ => clean,
        };
        let dot = clean.rfind('.').filter(|dot| *dot > 0).unwrap_or(clean.len());
        let (stem, extension) = clean.split_at(dot);
        let next = self.next.entry(clean.to_lowercase()).or_default();
        loop {
            let name = if *next == 0 { clean.clone() } else { format!("{stem}+{next}{extension}") };
            *next += 1;
            if self.taken.insert(name.to_lowercase()) {
                return name;
            }
        }
    }
}
