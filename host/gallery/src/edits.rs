//! Edits: what is done to an original when it is shown. Rendered before they are saved, so that whoever sees that an asset is
//! edited can look at it.

use media::{Edited, Limits};
use serde::{Deserialize, Serialize};
use store::accounts::User;
use store::assets::{Asset, StoredFile};
use store::edits::Edit;
use types::{AssetId, AssetType, EditId, Size};

use crate::assets::Rendition;
use crate::{Event, Gallery, GalleryError, Result};

/// Edits of one asset at most.
const MOST: usize = 64;

/// What somebody wants to be done, in the words of Immich's API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", content = "parameters", rename_all = "lowercase")]
pub enum Action {
    /// Pixels of the picture as the edits before leave it.
    Crop {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
    },
    /// Clockwise: a multiple of 90.
    Rotate {
        angle: f64,
    },
    Mirror {
        axis: Axis,
    },
}

/// `Horizontal`: left and right change places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    Horizontal,
    Vertical,
}

impl Action {
    /// # Errors
    /// A crop that is no part of any picture, another angle.
    fn read(&self) -> Result<media::Edit> {
        let wrong = |what: &str| Err(GalleryError::Invalid(what.to_owned()));
        Ok(match self {
            Self::Crop { x, y, width, height } => {
                let all = [*x, *y, *width, *height].map(f64::round);
                if all.iter().any(|value| !(0.0..=1_000_000.0).contains(value)) || all[2] < 1.0 || all[3] < 1.0 {
                    return wrong("a crop must begin at 0 or more and have at least one pixel");
                }
                let [x, y, width, height] = all.map(|value| value as u32);
                media::Edit::Crop { x, y, width, height }
            }
            Self::Rotate { angle } => match [0.0, 90.0, 180.0, 270.0].iter().position(|quarter| quarter == angle) {
                Some(quarters) => media::Edit::Rotate { quarters: quarters as u8 },
                None => return wrong("angle must be 0, 90, 180 or 270"),
            },
            Self::Mirror { axis: Axis::Horizontal } => media::Edit::MirrorHorizontally,
            Self::Mirror { axis: Axis::Vertical } => media::Edit::MirrorVertically,
        })
    }
}

impl Gallery {
    /// The edits of an asset of this user, in order.
    pub async fn edits_of(&self, user: &User, id: AssetId) -> Result<Vec<Edit>> {
        self.check_owned(user, &[id], "asset.read").await?;
        Ok(self.store().edits(id).await?)
    }

    /// From now on the picture is shown with these edits, and with no others.
    pub async fn edit_asset(&self, user: &User, id: AssetId, actions: &[Action]) -> Result<Vec<Edit>> {
        let asset = self.editable(user, id).await?;
        if actions.is_empty() || actions.len() > MOST {
            return Err(GalleryError::Invalid(format!("edits must be 1 to {MOST}")));
        }
        let edits = actions.iter().map(edit).collect::<Result<Vec<_>>>()?;
        self.render(&asset, actions, &edits).await?;
        self.events().publish(Event::AssetEdited { owner: user.id, asset: id });
        Ok(edits)
    }

    /// The original is shown again.
    pub async fn remove_edits(&self, user: &User, id: AssetId) -> Result<()> {
        let asset = self.editable(user, id).await?;
        if !asset.is_edited {
            return Ok(());
        }
        let bytes = self.original_bytes(&asset).await?;
        let spec = self.0.parts.settings.thumbnails.clone();
        let made = self.look(move || media::thumbnails(&bytes, &spec, &Limits::default())).await?;
        self.store().remove_edits(id, (&made.thumbhash, sides(made.source))).await?;
        self.sweep_now().await;
        self.events().publish(Event::AssetEdited { owner: user.id, asset: id });
        Ok(())
    }

    /// What is shown instead of this file where the asset is edited.
    pub async fn edited_instead(&self, file: StoredFile, rendition: Rendition) -> Result<StoredFile> {
        let kind = match rendition {
            Rendition::Original => FULLSIZE,
            Rendition::Preview => PREVIEW,
            Rendition::Thumbnail => THUMBNAIL,
        };
        Ok(self.store().derivative(file.asset, kind).await?.unwrap_or(file))
    }

    /// What was made by edits and was lost is made again.
    pub(crate) async fn render_again(&self, id: AssetId) -> Result<()> {
        let Some(asset) = self.store().asset(id).await?.filter(|asset| asset.is_edited) else { return Ok(()) };
        let edits = self.store().edits(id).await?;
        let read = |edit: &Edit| {
            let json = serde_json::json!({ "action": edit.action, "parameters": edit.parameters });
            serde_json::from_value(json).map_err(|error| GalleryError::Invalid(format!("an edit: {error}")))
        };
        let actions = edits.iter().map(read).collect::<Result<Vec<Action>>>()?;
        self.render(&asset, &actions, &edits).await
    }

    async fn editable(&self, user: &User, id: AssetId) -> Result<Asset> {
        let asset = self.store().asset(id).await?.filter(|asset| asset.owner == user.id);
        let asset = asset.ok_or_else(|| GalleryError::no_access("asset.update"))?;
        match asset.kind {
            AssetType::Image => Ok(asset),
            _ => Err(GalleryError::Invalid("Only images can be edited".into())),
        }
    }

    async fn render(&self, asset: &Asset, actions: &[Action], edits: &[Edit]) -> Result<()> {
        let plan = actions.iter().map(Action::read).collect::<Result<Vec<_>>>()?;
        let bytes = self.original_bytes(asset).await?;
        let spec = self.0.parts.settings.thumbnails.clone();
        let Edited { fullsize_jpeg, thumbnails } =
            self.look(move || media::edited(&bytes, &plan, &spec, &Limits::default())).await?;
        let files = [
            self.put_derivative(asset, FULLSIZE, "jpeg", &fullsize_jpeg).await?,
            self.put_derivative(asset, PREVIEW, "jpeg", &thumbnails.preview_jpeg).await?,
            self.put_derivative(asset, THUMBNAIL, "webp", &thumbnails.thumbnail_webp).await?,
        ];
        let looks = (&*thumbnails.thumbhash, sides(thumbnails.source));
        if self.store().save_edits(asset.id, edits, &files, looks).await? {
            return Ok(());
        }
        let locations = files.map(|file| file.location);
        self.store().add_garbage(asset.owner, &locations).await?;
        Err(GalleryError::no_access("asset.update"))
    }

    /// One picture of full size is in memory at a time; the others wait.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> std::result::Result<T, media::MediaError> + Send + 'static,
    ) -> Result<T> {
        // Never closed, so this waits and does not fail.
        let _turn = self.0.editing.acquire().await;
        let done = tokio::task::spawn_blocking(work).await.map_err(|error| GalleryError::Invalid(error.to_string()))?;
        done.map_err(|error| GalleryError::Invalid(error.to_string()))
    }
}

const FULLSIZE: &str = "edited-fullsize";
const PREVIEW: &str = "edited-preview";
const THUMBNAIL: &str = "edited-thumbnail";

fn edit(action: &Action) -> Result<Edit> {
    let json = serde_json::to_value(action).map_err(std::io::Error::other)?;
    let name = json["action"].as_str().unwrap_or_default().to_owned();
    Ok(Edit { id: EditId::generate(), action: name, parameters: json["parameters"].clone() })
}

fn sides(size: Size) -> (i32, i32) {
    let side = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    (side(size.width), side(size.height))
}
