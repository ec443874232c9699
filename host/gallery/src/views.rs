//! Other looks at a library than the timeline: by folder, and by day.

use jiff::civil::Date;
use store::accounts::User;
use store::assets::Asset;
use store::views::Counted;

use crate::{Gallery, Result};

impl Gallery {
    /// The folders in which originals of this user lie.
    pub async fn folders(&self, user: &User) -> Result<Vec<String>> {
        Ok(self.store().folders(user.id).await?)
    }

    /// What lies in this very folder.
    pub async fn in_folder(&self, user: &User, folder: &str) -> Result<Vec<Asset>> {
        let ids = self.store().in_folder(user.id, folder).await?;
        Ok(self.store().assets(&ids).await?)
    }

    /// How many assets each day has; days without are left out.
    pub async fn by_day(&self, user: &User, counted: Counted, days: (Date, Date)) -> Result<Vec<(Date, i64)>> {
        Ok(self.store().by_day(user.id, counted, days).await?)
    }
}
