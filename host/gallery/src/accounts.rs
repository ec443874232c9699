//! Accounts, sessions and keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use store::accounts::{ApiKey, Session, User, UserChanges};
use store::sessions::NewSession;
use types::{ApiKeyId, SessionId, UserId};

use crate::{Event, Gallery, GalleryError, Result};

const LOGIN_ATTEMPTS: u32 = 10;
const SHORTEST_PASSWORD: usize = 8;
/// Bytes.
const LONGEST_NAME: usize = 1_000;

/// How long an open locked folder stays open at least after it was looked at.
const RENEWED: SignedDuration = SignedDuration::from_mins(5);
/// A session notes no more often than this that its client was seen.
const SEEN_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Who asks, and with what.
#[derive(Debug, Clone)]
pub struct Identity {
    pub user: User,
    pub means: Means,
    /// Of a session: when it is over.
    pub expires_at: Option<Timestamp>,
    /// Of a session: until when the locked folder is open to it.
    pub elevated_until: Option<Timestamp>,
}

/// What a request signs in with.
#[derive(Debug, Clone)]
pub enum Means {
    Session(SessionId),
    ApiKey(ApiKey),
}

/// What a client says of itself when it signs in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Device<'a> {
    pub kind: &'a str,
    pub os: &'a str,
    pub app_version: Option<&'a str>,
}

/// A fresh session.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: User,
    /// Shown once; only its hash is kept.
    pub token: String,
}

impl Identity {
    /// An API key needs the permission (or `all`); a session has every one of its user.
    pub fn may(&self, permission: &str) -> Result<()> {
        match &self.means {
            Means::ApiKey(key) if !key.permissions.iter().any(|held| held == "all" || held == permission) => {
                Err(GalleryError::Forbidden(format!("Missing required permission: {permission}")))
            }
            _ => Ok(()),
        }
    }
}

impl Gallery {
    /// The first account. It can be made once.
    pub async fn sign_up_admin(&self, email: &str, name: &str, password: &str) -> Result<User> {
        let taken = || GalleryError::Invalid("The server already has an admin".into());
        check_account(email, name, password)?;
        if self.store().has_admin().await? {
            return Err(taken());
        }
        let hash = self.hash_password(password.to_owned()).await?;
        match self.store().insert_first_admin(UserId::generate(), email.trim(), name.trim(), &hash).await {
            Ok(user) => Ok(user),
            Err(error)
                if error.is_constraint("app_user_first_admin") || error.is_constraint("app_user_storage_label_key") =>
            {
                Err(taken())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Another account.
    pub async fn create_user(&self, email: &str, name: &str, password: &str) -> Result<User> {
        check_account(email, name, password)?;
        let hash = self.hash_password(password.to_owned()).await?;
        match self.store().insert_user(UserId::generate(), email.trim(), name.trim(), &hash).await {
            Err(error) if error.is_constraint("app_user_email") => {
                Err(GalleryError::Invalid("User already exists".into()))
            }
            other => Ok(other?),
        }
    }

    /// Signs in. `from` is the client's address: attempts are counted by it and the e-mail.
    pub async fn login(&self, email: &str, password: &str, from: &str, device: Device<'_>) -> Result<Login> {
        let email = email.trim();
        let attempt = format!("{from} {}", email.to_lowercase());
        let attempts = self.0.attempts.get_with(attempt.clone(), async { Arc::default() }).await;
        // Counted before the password is looked at: many at once are many.
        if attempts.fetch_add(1, Ordering::Relaxed) >= LOGIN_ATTEMPTS {
            return Err(GalleryError::TooManyAttempts);
        }
        let user = self.store().user_by_email(email).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.clone());
        if !self.verify_password(password.to_owned(), hash).await? {
            return Err(GalleryError::Unauthenticated("Incorrect email or password"));
        }
        self.0.attempts.invalidate(&attempt).await;
        let user = user.ok_or(GalleryError::Unauthenticated("Incorrect email or password"))?;
        let token = random_token();
        let hash = token_hash(&token);
        let session = NewSession {
            id: SessionId::generate(),
            user: user.id,
            token_hash: &hash,
            device_type: device.kind,
            device_os: device.os,
            app_version: device.app_version,
            parent: None,
            expires_at: None,
        };
        self.store().insert_session(&session).await?;
        Ok(Login { user, token })
    }

    /// Whose token is this?
    pub async fn by_session_token(&self, token: &str) -> Result<Identity> {
        self.identity(token, false).await?.ok_or(GalleryError::Unauthenticated("Invalid user token"))
    }

    /// Whose key is this?
    pub async fn by_api_key(&self, key: &str) -> Result<Identity> {
        self.identity(key, true).await?.ok_or(GalleryError::Unauthenticated("Invalid API key"))
    }

    async fn identity(&self, secret: &str, is_key: bool) -> Result<Option<Identity>> {
        let hash = token_hash(secret);
        if let Some(identity) = self.0.identities.get(&hash).await {
            let is_kind = is_key == matches!(identity.means, Means::ApiKey(_));
            return if is_kind { self.as_of_now(hash, identity).await } else { Ok(None) };
        }
        let epoch = self.0.forgotten.load(Ordering::Acquire);
        let identity = if is_key {
            let found = self.store().api_key_by_hash(&hash).await?;
            let identity =
                |(key, user)| Identity { user, means: Means::ApiKey(key), expires_at: None, elevated_until: None };
            found.map(identity)
        } else {
            match self.store().session_by_token(&hash, self.now()).await? {
                Some(session) => Some(self.seen(session).await?),
                None => None,
            }
        };
        let Some(identity) = identity else { return Ok(None) };
        self.0.identities.insert(hash, identity.clone()).await;
        // What was read may be older than what was forgotten since: then it is not remembered.
        if self.0.forgotten.load(Ordering::Acquire) != epoch {
            self.0.identities.invalidate(&hash).await;
        }
        self.as_of_now(hash, identity).await
    }

    async fn seen(&self, session: Session) -> Result<Identity> {
        let now = self.now();
        if now.duration_since(session.updated_at) > SEEN_EVERY {
            self.store().touch_session(session.id, now).await?;
        }
        let Session { id, user, expires_at, elevated_until, .. } = session;
        Ok(Identity { user, means: Means::Session(id), expires_at, elevated_until })
    }

    /// What is remembered of a session may be over by now. Whoever uses it while the locked folder is open keeps it open.
    async fn as_of_now(&self, hash: [u8; 32], mut identity: Identity) -> Result<Option<Identity>> {
        let now = self.now();
        if identity.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        if let (Some(until), Means::Session(id)) = (identity.elevated_until, &identity.means)
            && until > now
        {
            if until < now + RENEWED {
                self.store().renew_elevation(*id, now + RENEWED).await?;
                // It is read again: somebody may have locked it meanwhile.
                self.0.identities.invalidate(&hash).await;
            }
            identity.user.sees_locked = true;
        }
        Ok(Some(identity))
    }

    /// What is remembered of sessions and keys is read again.
    pub fn forget_identities(&self) {
        self.0.forgotten.fetch_add(1, Ordering::AcqRel);
        self.0.identities.invalidate_all();
    }

    /// Ends a session.
    pub async fn logout(&self, identity: &Identity) -> Result<()> {
        if let Means::Session(id) = identity.means {
            let ended = self.store().delete_session(identity.user.id, id).await?;
            self.sessions_ended(identity.user.id, &ended);
        }
        Ok(())
    }

    /// `None` leaves a field as it is.
    pub async fn update_me(&self, id: UserId, changes: UserChanges<'_>, password: Option<&str>) -> Result<User> {
        changes.email.map(check_email).transpose()?;
        changes.name.map(check_name).transpose()?;
        let changes = UserChanges { name: changes.name.map(str::trim), email: changes.email.map(str::trim), ..changes };
        let hash = match password {
            Some(password) => {
                check_password(password)?;
                Some(self.hash_password(password.to_owned()).await?)
            }
            None => None,
        };
        let updated = match self.store().update_user(id, changes, hash.as_deref()).await {
            Err(error) if error.is_constraint("app_user_email") => {
                return Err(GalleryError::Invalid("Email already in use by another account".into()));
            }
            updated => updated?,
        };
        self.account_changed(id);
        updated.ok_or_else(|| GalleryError::NotFound("User not found".into()))
    }

    /// Changes a password for somebody who knows the present one. `everywhere`: other sessions end.
    ///
    /// # Errors
    /// The present password is another.
    pub async fn change_password(&self, identity: &Identity, old: &str, new: &str, everywhere: bool) -> Result<User> {
        check_password(new)?;
        let id = identity.user.id;
        self.count_attempt(id).await?;
        let gone = || GalleryError::Unauthenticated("Invalid user token");
        let user = self.store().user(id).await?.ok_or_else(gone)?;
        let wrong = || GalleryError::Invalid("Wrong password".into());
        let present = user.password_hash.ok_or_else(wrong)?;
        if !self.verify_password(old.to_owned(), Some(present.clone())).await? {
            return Err(wrong());
        }
        let hash = self.hash_password(new.to_owned()).await?;
        // Of two changes at once from the same password, one is right.
        if !self.store().change_password(id, &present, &hash).await? {
            return Err(wrong());
        }
        self.forget_attempts(id).await;
        self.account_changed(id);
        if everywhere {
            self.end_other_sessions(identity).await?;
        }
        self.store().user(id).await?.ok_or_else(gone)
    }

    /// Secrets that a signed-in user says again: of a stolen session nobody guesses them.
    pub(crate) async fn count_attempt(&self, user: UserId) -> Result<()> {
        let attempts = self.0.attempts.get_with(user.to_string(), async { Arc::default() }).await;
        match attempts.fetch_add(1, Ordering::Relaxed) >= LOGIN_ATTEMPTS {
            true => Err(GalleryError::TooManyAttempts),
            false => Ok(()),
        }
    }

    pub(crate) async fn forget_attempts(&self, user: UserId) {
        self.0.attempts.invalidate(&user.to_string()).await;
    }

    /// Here at once, in other processes when they hear of it.
    pub(crate) fn account_changed(&self, owner: UserId) {
        self.forget_identities();
        self.events().publish(Event::AccountChanged { owner });
    }

    /// A key of this user.
    pub async fn api_key_of(&self, user: UserId, id: ApiKeyId) -> Result<ApiKey> {
        self.store().api_key(user, id).await?.ok_or_else(no_key)
    }

    /// `None` leaves a field as it is.
    pub async fn update_api_key(
        &self,
        user: UserId,
        id: ApiKeyId,
        name: Option<&str>,
        permissions: Option<&[String]>,
    ) -> Result<ApiKey> {
        name.map(check_name).transpose()?;
        if permissions.is_some_and(<[String]>::is_empty) {
            return Err(GalleryError::Invalid("permissions must name at least one".into()));
        }
        let key = self.store().update_api_key(user, id, name.map(str::trim), permissions).await?.ok_or_else(no_key)?;
        self.account_changed(user);
        Ok(key)
    }

    /// The key with another secret, which is shown once; the one before opens nothing any more.
    pub async fn rotate_api_key(&self, user: UserId, id: ApiKeyId) -> Result<(ApiKey, String)> {
        let secret = random_token();
        let key = self.store().set_api_key_hash(user, id, &token_hash(&secret)).await?.ok_or_else(no_key)?;
        self.account_changed(user);
        self.events().publish(Event::ApiKeyDeleted { owner: user, key: id });
        Ok((key, secret))
    }

    /// A key and its secret, which is shown once.
    pub async fn create_api_key(&self, user: UserId, name: &str, permissions: &[String]) -> Result<(ApiKey, String)> {
        if permissions.is_empty() {
            return Err(GalleryError::Invalid("permissions must name at least one".into()));
        }
        let secret = random_token();
        let hash = token_hash(&secret);
        Ok((self.store().insert_api_key(ApiKeyId::generate(), user, name, &hash, permissions).await?, secret))
    }

    pub async fn delete_api_key(&self, user: UserId, id: ApiKeyId) -> Result<()> {
        if !self.store().delete_api_key(user, id).await? {
            return Err(no_key());
        }
        self.forget_identities();
        self.events().publish(Event::ApiKeyDeleted { owner: user, key: id });
        Ok(())
    }
}

fn no_key() -> GalleryError {
    GalleryError::Invalid("API Key not found".into())
}

pub(crate) fn check_account(email: &str, name: &str, password: &str) -> Result<()> {
    check_email(email)?;
    check_name(name)?;
    check_password(password)
}

pub(crate) fn check_email(email: &str) -> Result<()> {
    let email = email.trim();
    let parts = email.split_once('@');
    if email.len() > 254
        || email.chars().any(char::is_control)
        || !parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
    {
        return Err(GalleryError::Invalid("email must be an email address".into()));
    }
    Ok(())
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(GalleryError::Invalid("name should not be empty".into()));
    }
    if name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(GalleryError::Invalid(format!(
            "name must have at most {LONGEST_NAME} bytes and no control characters"
        )));
    }
    Ok(())
}

pub(crate) fn check_password(password: &str) -> Result<()> {
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(GalleryError::Invalid(format!("password must have at least {SHORTEST_PASSWORD} characters")));
    }
    Ok(())
}

/// 32 random bytes in base64.
pub(crate) fn random_token() -> String {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// OWASP's first recommendation: 19 MiB, two passes.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

impl Gallery {
    pub(crate) async fn hash_password(&self, password: String) -> Result<String> {
        let _permit = self.0.hashing.acquire().await.map_err(std::io::Error::other)?;
        let hashed = tokio::task::spawn_blocking(move || {
            argon2().hash_password(password.as_bytes(), &SaltString::generate(&mut OsRng)).map(|hash| hash.to_string())
        });
        let hashed = hashed.await.map_err(std::io::Error::other)?;
        hashed.map_err(|error| GalleryError::Io(std::io::Error::other(error.to_string())))
    }

    /// Also against no hash at all, which takes as long: whether an e-mail is known must not be measurable.
    pub(crate) async fn verify_password(&self, password: String, hash: Option<String>) -> Result<bool> {
        let _permit = self.0.hashing.acquire().await.map_err(std::io::Error::other)?;
        let verified = tokio::task::spawn_blocking(move || match hash {
            // Hashes that were imported from Immich.
            Some(hash) if hash.starts_with("$2") => bcrypt::verify(password, &hash).unwrap_or(false),
            Some(hash) => {
                PasswordHash::new(&hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
            }
            None => {
                let _ = argon2().hash_password(password.as_bytes(), &SaltString::generate(&mut OsRng));
                false
            }
        });
        Ok(verified.await.map_err(std::io::Error::other)?)
    }
}
