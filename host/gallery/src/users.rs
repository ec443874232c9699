//! Everybody who has an account here, as an administrator manages them, and how somebody leaves.

use jiff::ToSpan as _;
use store::StoreError;
use store::accounts::User;
use store::users::{AdminChanges, NewUser};
use types::UserId;

use crate::accounts::{check_account, check_email, check_name, check_password};
use crate::pin::check_pin;
use crate::{Event, Gallery, GalleryError, Result, failpoint};

/// Assets of somebody who leaves that go at once.
const AT_ONCE: i64 = 500;
/// Bytes.
const LONGEST_LABEL: usize = 100;

/// An account that an administrator makes.
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    pub email: String,
    pub name: String,
    pub password: String,
    pub pin: Option<String>,
    pub is_admin: bool,
    pub should_change_password: bool,
    pub storage_label: Option<String>,
    pub quota_bytes: Option<i64>,
    pub avatar_color: Option<&'static str>,
}

/// `None` leaves a field as it is; `Some(None)` takes it away.
#[derive(Debug, Clone, Default)]
pub struct AccountChanges {
    pub email: Option<String>,
    pub name: Option<String>,
    pub password: Option<String>,
    pub pin: Option<Option<String>>,
    pub is_admin: Option<bool>,
    pub should_change_password: Option<bool>,
    pub storage_label: Option<Option<String>>,
    pub quota_bytes: Option<Option<i64>>,
    pub avatar_color: Option<&'static str>,
}

impl Gallery {
    /// Anybody who is here.
    pub async fn user_of(&self, id: UserId) -> Result<User> {
        self.store().user(id).await?.ok_or_else(not_found)
    }

    /// Whom this user sees: everybody, unless the administrators keep people apart.
    pub async fn users_seen_by(&self, user: &User) -> Result<Vec<User>> {
        let mut users = self.store().users().await?;
        if !user.is_admin && !self.running_config().await?.public_users {
            users.retain(|other| other.id == user.id);
        }
        Ok(users)
    }

    /// Everybody, or the one with this id; also those who were deleted and may be restored, if asked for.
    pub async fn users_for_admin(&self, id: Option<UserId>, with_deleted: bool) -> Result<Vec<User>> {
        Ok(self.store().users_for_admin(id, with_deleted).await?)
    }

    /// Also somebody who was deleted.
    pub async fn user_for_admin(&self, id: UserId) -> Result<User> {
        self.store().users_for_admin(Some(id), true).await?.pop().ok_or_else(not_found)
    }

    pub async fn create_account(&self, new: NewAccount) -> Result<User> {
        check_account(&new.email, &new.name, &new.password)?;
        check_quota(new.quota_bytes)?;
        new.storage_label.as_deref().map(check_label).transpose()?;
        new.pin.as_deref().map(check_pin).transpose()?;
        let password_hash = self.hash_password(new.password).await?;
        let pin_hash = self.hashed(new.pin).await?;
        let user = NewUser {
            id: UserId::generate(),
            email: new.email.trim(),
            name: new.name.trim(),
            password_hash: &password_hash,
            pin_hash: pin_hash.as_deref(),
            is_admin: new.is_admin,
            should_change_password: new.should_change_password,
            storage_label: new.storage_label.as_deref(),
            quota_bytes: new.quota_bytes,
            avatar_color: new.avatar_color.unwrap_or("primary"),
        };
        self.store().insert_user_by_admin(&user).await.map_err(taken)
    }

    /// A new password ends the user's sessions, and a new PIN code closes what the old one opened.
    ///
    /// # Errors
    /// An administrator does not take the office from themselves: there would be nobody to give it back.
    pub async fn update_account(&self, admin: &User, id: UserId, changes: AccountChanges) -> Result<User> {
        changes.email.as_deref().map(check_email).transpose()?;
        changes.name.as_deref().map(check_name).transpose()?;
        changes.password.as_deref().map(check_password).transpose()?;
        check_quota(changes.quota_bytes.flatten())?;
        changes.storage_label.iter().flatten().try_for_each(|label| check_label(label))?;
        changes.pin.iter().flatten().try_for_each(|pin| check_pin(pin))?;
        if admin.id == id && changes.is_admin == Some(false) {
            return Err(GalleryError::Invalid("Admin status can only be changed by another admin".into()));
        }
        let password_hash = self.hashed(changes.password).await?;
        let pin_hash = match changes.pin {
            Some(pin) => Some(self.hashed(pin).await?),
            None => None,
        };
        let changes = AdminChanges {
            email: changes.email.as_deref().map(str::trim),
            name: changes.name.as_deref().map(str::trim),
            password_hash: password_hash.as_deref(),
            pin_hash: pin_hash.as_ref().map(|hash| hash.as_deref()),
            is_admin: changes.is_admin,
            should_change_password: changes.should_change_password,
            storage_label: changes.storage_label.as_ref().map(|label| label.as_deref()),
            quota_bytes: changes.quota_bytes,
            avatar_color: changes.avatar_color,
        };
        let updated = self.store().update_user_by_admin(id, &changes).await.map_err(taken)?;
        let (user, ended) = updated.ok_or_else(not_found)?;
        self.account_changed(id);
        self.sessions_ended(id, &ended);
        Ok(user)
    }

    /// Nobody signs in as them any more. They may be restored for as many days as the configuration says; `force`: never.
    pub async fn delete_account(&self, admin: &User, id: UserId, force: bool) -> Result<User> {
        if admin.id == id {
            return Err(GalleryError::Forbidden("You cannot delete your own account".into()));
        }
        let deleted = self.store().delete_user(id, self.now(), force).await?;
        let (user, ended) = deleted.ok_or_else(not_found)?;
        self.account_changed(id);
        self.sessions_ended(id, &ended);
        if force {
            // What a crash or a storage that is down leaves of it, housekeeping goes on with.
            let gallery = self.clone();
            tokio::spawn(async move {
                if let Err(error) = gallery.remove_account(id).await {
                    tracing::warn!(user.id = %id, %error, "Cannot remove a user yet; the next round goes on");
                }
            });
        }
        Ok(user)
    }

    pub async fn restore_account(&self, id: UserId) -> Result<User> {
        let restored = self.store().restore_user(id).await?;
        restored.ok_or_else(|| GalleryError::Invalid("User not found or cannot be restored".into()))
    }

    /// Those whose time has come, and those whose removal was cut off. Returns how many are gone.
    pub async fn remove_accounts(&self) -> Result<usize> {
        let days = i64::from(self.running_config().await?.user_delete_delay);
        let then = self.now() - (days * 24).hours();
        let mut gone = 0;
        for user in self.store().users_to_remove(then).await? {
            match self.remove_account(user).await {
                Ok(()) => gone += 1,
                Err(error) => tracing::warn!(user.id = %user, %error, "Cannot remove a user yet"),
            }
        }
        Ok(gone)
    }

    /// Their assets first, as any that is deleted for ever; the account goes with the last of them, so that what is left after a
    /// crash is still somebody's.
    async fn remove_account(&self, id: UserId) -> Result<()> {
        loop {
            let some = self.store().some_assets_of(id, AT_ONCE).await?;
            if some.is_empty() {
                break;
            }
            self.delete_forever(id, &some).await?;
            failpoint::hit("user.assets-gone");
        }
        if self.store().remove_user(id).await? {
            tracing::info!(user.id = %id, "Removed a user");
            self.events().publish(Event::UserDeleted { user: id });
        }
        self.sweep_now().await;
        Ok(())
    }

    async fn hashed(&self, secret: Option<String>) -> Result<Option<String>> {
        match secret {
            Some(secret) => Ok(Some(self.hash_password(secret).await?)),
            None => Ok(None),
        }
    }
}

fn not_found() -> GalleryError {
    GalleryError::Invalid("User not found".into())
}

fn taken(error: StoreError) -> GalleryError {
    let text = if error.is_constraint("app_user_email") {
        "Email already in use by another account"
    } else if error.is_constraint("app_user_storage_label_key") || error.is_constraint("app_user_first_admin") {
        "Storage label already in use by another account"
    } else {
        return error.into();
    };
    GalleryError::Invalid(text.into())
}

fn check_quota(bytes: Option<i64>) -> Result<()> {
    match bytes {
        Some(bytes) if bytes < 0 => Err(GalleryError::Invalid("quotaSizeInBytes must not be negative".into())),
        _ => Ok(()),
    }
}

/// A label is the name of a folder.
fn check_label(label: &str) -> Result<()> {
    let is_name = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    match is_name && (1..=LONGEST_LABEL).contains(&label.len()) && !label.starts_with('.') {
        true => Ok(()),
        false => Err(GalleryError::Invalid(format!(
            "storageLabel must have 1 to {LONGEST_LABEL} letters, digits, -, _ or ., and begin with no dot"
        ))),
    }
}
