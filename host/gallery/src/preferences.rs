//! What a user prefers. The database holds what somebody changed; the rest is as it is here.

use serde_json::{Map, Value, json};
use store::accounts::User;
use store::users::MetadataKey;
use types::UserId;

use crate::{Gallery, GalleryError, Result};

/// Immich's preferences, as they are until somebody changes them. There is no e-mail and nothing to buy.
pub fn defaults() -> Value {
    json!({
        "albums": { "defaultAssetOrder": "desc" },
        "cast": { "gCastEnabled": false },
        "download": { "archiveSize": 4_294_967_296_u64, "includeEmbeddedVideos": false },
        "emailNotifications": { "enabled": false, "albumInvite": false, "albumUpdate": false },
        "folders": { "enabled": false, "sidebarWeb": false },
        "memories": { "enabled": true, "sidebarWeb": false, "duration": 5 },
        "people": { "enabled": true, "sidebarWeb": false, "minimumFaces": store::people::LISTED_FROM },
        "purchase": { "showSupportBadge": false, "hideBuyButtonUntil": "2100-01-01T00:00:00.000Z" },
        "ratings": { "enabled": true },
        "recentlyAdded": { "sidebarWeb": false },
        "sharedLinks": { "enabled": true, "sidebarWeb": false },
        "tags": { "enabled": true, "sidebarWeb": false },
    })
}

/// With `changes` written over it, object by object.
fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(into.entry(key.clone()).or_insert(Value::Object(Map::new())), change);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

impl Gallery {
    /// All of them: UserPreferencesResponseDto.
    pub async fn preferences(&self, user: UserId) -> Result<Value> {
        let mut all = defaults();
        if let Some(changed) = self.store().user_metadata(user, MetadataKey::Preferences).await? {
            merge(&mut all, &changed);
        }
        Ok(all)
    }

    /// `changes` holds what is to be another, in the same shape; its values have been checked. Returns all.
    pub async fn change_preferences(&self, user: UserId, color: Option<&str>, changes: &Value) -> Result<Value> {
        let change = |mut present: Value| {
            merge(&mut present, changes);
            present
        };
        let changed = self.store().change_preferences(user, color, change).await?;
        let changed = changed.ok_or_else(|| GalleryError::Invalid("User not found".into()))?;
        if color.is_some() {
            self.account_changed(user);
        }
        let mut all = defaults();
        merge(&mut all, &changed);
        Ok(all)
    }

    /// Has the user been shown around? Returns what it is now.
    pub async fn set_onboarded(&self, user: UserId, is_onboarded: bool) -> Result<bool> {
        let value = json!({ "isOnboarded": is_onboarded });
        self.store().set_user_metadata(user, MetadataKey::Onboarding, &value).await?;
        self.account_changed(user);
        Ok(is_onboarded)
    }

    pub async fn forget_onboarded(&self, user: UserId) -> Result<()> {
        self.store().delete_user_metadata(user, MetadataKey::Onboarding).await?;
        self.account_changed(user);
        Ok(())
    }

    pub async fn license_of(&self, user: &User) -> Result<Value> {
        self.store().user_metadata(user.id, MetadataKey::License).await?.ok_or_else(no_license)
    }

    pub async fn set_license(&self, user: &User, license: &str, activation: &str) -> Result<Value> {
        let value = self.license(license, activation)?;
        self.store().set_user_metadata(user.id, MetadataKey::License, &value).await?;
        self.account_changed(user.id);
        Ok(value)
    }

    pub async fn delete_license(&self, user: &User) -> Result<()> {
        self.store().delete_user_metadata(user.id, MetadataKey::License).await?;
        self.account_changed(user.id);
        Ok(())
    }

    /// The licence of the whole installation.
    pub async fn server_license(&self) -> Result<Option<Value>> {
        Ok(self.store().fact(SERVER_LICENSE).await?)
    }

    pub async fn set_server_license(&self, license: &str, activation: &str) -> Result<Value> {
        let value = self.license(license, activation)?;
        self.store().set_fact(SERVER_LICENSE, &value).await?;
        Ok(value)
    }

    pub async fn delete_server_license(&self) -> Result<()> {
        Ok(self.store().delete_fact(SERVER_LICENSE).await?)
    }

    /// A key is looked at for its form alone (docs/decisions/0050-licences-are-kept.md).
    fn license(&self, license: &str, activation: &str) -> Result<Value> {
        if !is_license_key(license) || activation.is_empty() || activation.len() > 1_000 {
            return Err(GalleryError::Invalid("Invalid license key".into()));
        }
        let now = types::wire::iso(self.now());
        Ok(json!({ "licenseKey": license, "activationKey": activation, "activatedAt": now }))
    }
}

const SERVER_LICENSE: &str = "license";

pub fn no_license() -> GalleryError {
    GalleryError::NotFound("License not found".into())
}

/// `IMCL-` or `IMSV-`, then eight groups of four letters and digits.
fn is_license_key(key: &str) -> bool {
    let Some(rest) = key.strip_prefix("IMCL-").or_else(|| key.strip_prefix("IMSV-")) else { return false };
    let groups: Vec<&str> = rest.split('-').collect();
    groups.len() == 8
        && groups.iter().all(|group| group.len() == 4 && group.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
