//! Accounts as administrators see them, what is known about a user, and how a user leaves.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::types::ToSql;
use types::{AssetId, IntentId, SessionId, UserId};

use crate::accounts::{USER, User, user};
use crate::faces::lock_people;
use crate::intents::{not_garbage, to_garbage};
use crate::sessions::end_sessions;
use crate::{Result, Store};

/// An account that an administrator makes.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    pub id: UserId,
    pub email: &'a str,
    pub name: &'a str,
    pub password_hash: &'a str,
    pub pin_hash: Option<&'a str>,
    pub is_admin: bool,
    pub should_change_password: bool,
    pub storage_label: Option<&'a str>,
    pub quota_bytes: Option<i64>,
    pub avatar_color: &'a str,
}

/// `None` leaves a field as it is; `Some(None)` takes it away.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdminChanges<'a> {
    pub email: Option<&'a str>,
    pub name: Option<&'a str>,
    pub password_hash: Option<&'a str>,
    pub pin_hash: Option<Option<&'a str>>,
    pub is_admin: Option<bool>,
    pub should_change_password: Option<bool>,
    pub storage_label: Option<Option<&'a str>>,
    pub quota_bytes: Option<Option<i64>>,
    pub avatar_color: Option<&'a str>,
}

/// What is known about a user under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataKey {
    Preferences,
    License,
    Onboarding,
}

impl MetadataKey {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preferences => "preferences",
            Self::License => "license",
            Self::Onboarding => "onboarding",
        }
    }
}

impl Store {
    pub async fn insert_user_by_admin(&self, new: &NewUser<'_>) -> Result<User> {
        let client = self.client().await?;
        let sql = format!(
            "INSERT INTO app_user AS u (id, email, name, password_hash, pin_hash, is_admin, should_change_password,
                storage_label, quota_bytes, avatar_color)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING {USER}"
        );
        let statement = client.prepare_cached(&sql).await?;
        let parameters: [&(dyn ToSql + Sync); 10] = [
            &new.id.0,
            &new.email,
            &new.name,
            &new.password_hash,
            &new.pin_hash,
            &new.is_admin,
            &new.should_change_password,
            &new.storage_label,
            &new.quota_bytes,
            &new.avatar_color,
        ];
        Ok(user(&client.query_one(&statement, &parameters).await?))
    }

    /// Everybody, or the one with this id. `with_deleted`: also who may still be restored or is being removed.
    pub async fn users_for_admin(&self, id: Option<UserId>, with_deleted: bool) -> Result<Vec<User>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {USER} FROM app_user u WHERE ($1::uuid IS NULL OR u.id = $1) AND ($2 OR u.deleted_at IS NULL)
             ORDER BY u.created_at DESC, u.id"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query(&statement, &[&id.map(|id| id.0), &with_deleted]).await?.iter().map(user).collect())
    }

    /// Ends the user's sessions too where the password is another. `None`: no such user. Returns which sessions ended.
    pub async fn update_user_by_admin(
        &self,
        id: UserId,
        changes: &AdminChanges<'_>,
    ) -> Result<Option<(User, Vec<SessionId>)>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let sql = format!(
            "UPDATE app_user u SET email = coalesce($2, email), name = coalesce($3, name),
                password_hash = coalesce($4, password_hash),
                pin_hash = CASE WHEN $5 THEN $6 ELSE pin_hash END, is_admin = coalesce($7, is_admin),
                should_change_password = coalesce($8, should_change_password),
                storage_label = CASE WHEN $9 THEN $10 ELSE storage_label END,
                quota_bytes = CASE WHEN $11 THEN $12 ELSE quota_bytes END, avatar_color = coalesce($13, avatar_color)
             WHERE u.id = $1 AND u.deleted_at IS NULL RETURNING {USER}"
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let parameters: [&(dyn ToSql + Sync); 13] = [
            &id.0,
            &changes.email,
            &changes.name,
            &changes.password_hash,
            &changes.pin_hash.is_some(),
            &changes.pin_hash.flatten(),
            &changes.is_admin,
            &changes.should_change_password,
            &changes.storage_label.is_some(),
            &changes.storage_label.flatten(),
            &changes.quota_bytes.is_some(),
            &changes.quota_bytes.flatten(),
            &changes.avatar_color,
        ];
        let Some(row) = transaction.query_opt(&statement, &parameters).await? else { return Ok(None) };
        let ended = match changes.password_hash {
            Some(_) => end_sessions(&transaction, id, None).await?,
            None => Vec::new(),
        };
        if changes.pin_hash.is_some() {
            let statement =
                transaction.prepare_cached("UPDATE session SET elevated_until = NULL WHERE user_id = $1").await?;
            transaction.execute(&statement, &[&id.0]).await?;
        }
        transaction.commit().await?;
        Ok(Some((user(&row), ended)))
    }

    /// A password that its user chose, if the one before is still `old_hash`. `false`: it is not.
    pub async fn change_password(&self, id: UserId, old_hash: &str, new_hash: &str) -> Result<bool> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "UPDATE app_user SET password_hash = $3, should_change_password = false
                 WHERE id = $1 AND password_hash = $2",
            )
            .await?;
        Ok(client.execute(&statement, &[&id.0, &old_hash, &new_hash]).await? == 1)
    }

    /// Another PIN code, or none, if the one before is still that of `old_hash`. Whatever it opened is closed. `false`: it is not.
    pub async fn set_pin(&self, id: UserId, old_hash: Option<&str>, new_hash: Option<&str>) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached("UPDATE app_user SET pin_hash = $3 WHERE id = $1 AND pin_hash IS NOT DISTINCT FROM $2")
            .await?;
        if transaction.execute(&statement, &[&id.0, &old_hash, &new_hash]).await? == 0 {
            return Ok(false);
        }
        let statement =
            transaction.prepare_cached("UPDATE session SET elevated_until = NULL WHERE user_id = $1").await?;
        transaction.execute(&statement, &[&id.0]).await?;
        transaction.commit().await?;
        Ok(true)
    }

    pub async fn user_metadata(&self, user: UserId, key: MetadataKey) -> Result<Option<Value>> {
        let client = self.client().await?;
        let statement =
            client.prepare_cached("SELECT value FROM user_metadata WHERE user_id = $1 AND key = $2").await?;
        Ok(client.query_opt(&statement, &[&user.0, &key.as_str()]).await?.map(|row| row.get(0)))
    }

    pub async fn set_user_metadata(&self, user: UserId, key: MetadataKey, value: &Value) -> Result<()> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "INSERT INTO user_metadata (user_id, key, value) VALUES ($1, $2, $3)
                 ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value",
            )
            .await?;
        client.execute(&statement, &[&user.0, &key.as_str(), &value]).await?;
        Ok(())
    }

    /// Changes what is known by what it is; with the colour that stands for the user, where that is another. Of two changes at once
    /// the second sees the first. `None`: no such user.
    pub async fn change_preferences(
        &self,
        id: UserId,
        color: Option<&str>,
        change: impl FnOnce(Value) -> Value + Send,
    ) -> Result<Option<Value>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let statement = transaction
            .prepare_cached("SELECT FROM app_user WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE")
            .await?;
        if transaction.query_opt(&statement, &[&id.0]).await?.is_none() {
            return Ok(None);
        }
        if let Some(color) = color {
            let statement = transaction.prepare_cached("UPDATE app_user SET avatar_color = $2 WHERE id = $1").await?;
            transaction.execute(&statement, &[&id.0, &color]).await?;
        }
        let statement = transaction
            .prepare_cached("SELECT value FROM user_metadata WHERE user_id = $1 AND key = 'preferences'")
            .await?;
        let present = transaction.query_opt(&statement, &[&id.0]).await?.map(|row| row.get(0));
        let changed = change(present.unwrap_or_else(|| Value::Object(serde_json::Map::new())));
        let statement = transaction
            .prepare_cached(
                "INSERT INTO user_metadata (user_id, key, value) VALUES ($1, 'preferences', $2)
                 ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value",
            )
            .await?;
        transaction.execute(&statement, &[&id.0, &changed]).await?;
        transaction.commit().await?;
        Ok(Some(changed))
    }

    pub async fn delete_user_metadata(&self, user: UserId, key: MetadataKey) -> Result<bool> {
        let client = self.client().await?;
        let statement = client.prepare_cached("DELETE FROM user_metadata WHERE user_id = $1 AND key = $2").await?;
        Ok(client.execute(&statement, &[&user.0, &key.as_str()]).await? == 1)
    }

    /// Another picture of the user, with the intent that brought it, or none; the one before becomes garbage. `None`: the user is
    /// gone, or the intent is lost, which is garbage then.
    pub async fn set_profile_image(
        &self,
        id: UserId,
        image: Option<(IntentId, &str)>,
        now: Timestamp,
    ) -> Result<Option<User>> {
        let changed = self.try_set_profile_image(id, image, now).await?;
        if let (None, Some((intent, _))) = (&changed, image) {
            self.intent_to_garbage(intent).await?;
        }
        Ok(changed)
    }

    async fn try_set_profile_image(
        &self,
        id: UserId,
        image: Option<(IntentId, &str)>,
        now: Timestamp,
    ) -> Result<Option<User>> {
        let location = image.map(|(_, location)| location);
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if let Some((intent, _)) = image {
            let statement =
                transaction.prepare_cached("DELETE FROM blob_intent WHERE id = $1 AND state = 'pending'").await?;
            if transaction.execute(&statement, &[&intent.0]).await? == 0 {
                return Ok(None);
            }
        }
        let statement = transaction
            .prepare_cached(
                "SELECT profile_location FROM app_user WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE",
            )
            .await?;
        let Some(row) = transaction.query_opt(&statement, &[&id.0]).await? else { return Ok(None) };
        let old: Option<String> = row.get(0);
        let sql = format!(
            "UPDATE app_user u SET profile_location = $2, profile_changed_at = $3 WHERE u.id = $1 RETURNING {USER}"
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let changed = transaction.query_one(&statement, &[&id.0, &location, &now]).await?;
        if let Some(location) = location {
            not_garbage(&transaction, &[location]).await?;
        }
        let old: Vec<String> = old.into_iter().filter(|old| Some(&**old) != location).collect();
        to_garbage(&transaction, id.0, &old).await?;
        transaction.commit().await?;
        Ok(Some(user(&changed)))
    }
}

/// How a user leaves: deleted, and then restored or removed with everything of theirs.
impl Store {
    /// Nobody signs in as them from now on; `for_good`: and nobody restores them. `None`: no such user, or one who is being
    /// removed already. Returns which sessions ended.
    pub async fn delete_user(
        &self,
        id: UserId,
        at: Timestamp,
        for_good: bool,
    ) -> Result<Option<(User, Vec<SessionId>)>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let sql = format!(
            "UPDATE app_user u SET deleted_at = coalesce(u.deleted_at, $2), is_removing = $3
             WHERE u.id = $1 AND NOT u.is_removing RETURNING {USER}"
        );
        let statement = transaction.prepare_cached(&sql).await?;
        let Some(row) = transaction.query_opt(&statement, &[&id.0, &at, &for_good]).await? else { return Ok(None) };
        let ended = end_sessions(&transaction, id, None).await?;
        transaction.commit().await?;
        Ok(Some((user(&row), ended)))
    }

    /// `None`: nobody who can be restored.
    pub async fn restore_user(&self, id: UserId) -> Result<Option<User>> {
        let client = self.client().await?;
        let sql = format!(
            "UPDATE app_user u SET deleted_at = NULL WHERE u.id = $1 AND u.deleted_at IS NOT NULL AND NOT u.is_removing
             RETURNING {USER}"
        );
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_opt(&statement, &[&id.0]).await?.as_ref().map(user))
    }

    /// Who was deleted before then is to be removed. Returns everybody who is.
    pub async fn users_to_remove(&self, deleted_before: Timestamp) -> Result<Vec<UserId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("UPDATE app_user SET is_removing = true WHERE deleted_at < $1 AND NOT is_removing")
            .await?;
        client.execute(&statement, &[&deleted_before]).await?;
        let statement =
            client.prepare_cached("SELECT id FROM app_user WHERE deleted_at IS NOT NULL AND is_removing").await?;
        Ok(client.query(&statement, &[]).await?.iter().map(|row| UserId(row.get(0))).collect())
    }

    /// Some assets of an owner, wherever they are seen.
    pub async fn some_assets_of(&self, owner: UserId, limit: i64) -> Result<Vec<AssetId>> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT id FROM asset WHERE owner_id = $1 LIMIT $2").await?;
        let rows = client.query(&statement, &[&owner.0, &limit]).await?;
        Ok(rows.iter().map(|row| AssetId(row.get(0))).collect())
    }

    /// The last step of a removal, when no asset is left: the account with all that hangs on it; pictures become garbage.
    /// `false`: somebody else was faster.
    pub async fn remove_user(&self, id: UserId) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_people(&transaction, id.0).await?;
        let statement = transaction
            .prepare_cached("SELECT profile_location FROM app_user WHERE id = $1 AND is_removing FOR UPDATE")
            .await?;
        let Some(row) = transaction.query_opt(&statement, &[&id.0]).await? else { return Ok(false) };
        let mut garbage: Vec<String> = row.get::<_, Option<String>>(0).into_iter().collect();
        let statement =
            transaction.prepare_cached("DELETE FROM person WHERE owner_id = $1 RETURNING thumbnail_location").await?;
        let people = transaction.query(&statement, &[&id.0]).await?;
        garbage.extend(people.iter().filter_map(|row| row.get::<_, Option<String>>(0)));
        to_garbage(&transaction, id.0, &garbage).await?;
        let statement = transaction.prepare_cached("DELETE FROM app_user WHERE id = $1").await?;
        transaction.execute(&statement, &[&id.0]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
