//! The PIN code, which opens the locked folder to one session for a quarter of an hour.

use jiff::SignedDuration;
use store::accounts::User;
use types::UserId;

use crate::accounts::{Identity, Means};
use crate::{Gallery, GalleryError, Result};

/// How long the locked folder stays open.
const OPEN: SignedDuration = SignedDuration::from_mins(15);

/// What somebody says to show that they are who they are: one of the two.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proof<'a> {
    pub pin: Option<&'a str>,
    pub password: Option<&'a str>,
}

impl Gallery {
    /// # Errors
    /// There is one already.
    pub async fn set_up_pin(&self, user: UserId, pin: &str) -> Result<()> {
        check_pin(pin)?;
        let taken = || GalleryError::Invalid("User already has a PIN code".into());
        if self.user_now(user).await?.pin_hash.is_some() {
            return Err(taken());
        }
        let hash = self.hash_password(pin.to_owned()).await?;
        self.replace_pin(user, None, Some(&hash)).await?.ok_or_else(taken)
    }

    pub async fn change_pin(&self, user: UserId, proof: Proof<'_>, pin: &str) -> Result<()> {
        check_pin(pin)?;
        let now = self.user_now(user).await?;
        self.check_proof(&now, proof).await?;
        let hash = self.hash_password(pin.to_owned()).await?;
        self.replace_pin(user, now.pin_hash.as_deref(), Some(&hash)).await?.ok_or_else(wrong_pin)
    }

    /// There is no PIN code any more.
    pub async fn reset_pin(&self, user: UserId, proof: Proof<'_>) -> Result<()> {
        let now = self.user_now(user).await?;
        self.check_proof(&now, proof).await?;
        self.replace_pin(user, now.pin_hash.as_deref(), None).await?.ok_or_else(wrong_pin)
    }

    /// Opens the locked folder to the session that asks.
    pub async fn unlock(&self, identity: &Identity, proof: Proof<'_>) -> Result<()> {
        let Means::Session(id) = identity.means else {
            return Err(GalleryError::Forbidden("The locked folder cannot be opened with an API key".into()));
        };
        let user = self.user_now(identity.user.id).await?;
        self.check_proof(&user, proof).await?;
        self.store().set_elevation(user.id, id, Some(self.now() + OPEN)).await?;
        self.account_changed(user.id);
        Ok(())
    }

    /// Closes it again.
    pub async fn lock(&self, identity: &Identity) -> Result<()> {
        match identity.means {
            Means::Session(id) => self.lock_session(identity.user.id, id).await,
            // To a key it is never open.
            Means::ApiKey(_) => Ok(()),
        }
    }

    /// As the database has them, not as they were seconds ago.
    async fn user_now(&self, id: UserId) -> Result<User> {
        self.store().user(id).await?.ok_or(GalleryError::Unauthenticated("Invalid user token"))
    }

    async fn check_proof(&self, user: &User, proof: Proof<'_>) -> Result<()> {
        let missing = || GalleryError::Invalid("User does not have a PIN code".into());
        let present = user.pin_hash.clone().ok_or_else(missing)?;
        let (secret, hash, wrong) = match (proof.pin, proof.password) {
            (Some(pin), _) => (pin, Some(present), wrong_pin()),
            (None, Some(password)) => {
                (password, user.password_hash.clone(), GalleryError::Invalid("Wrong password".into()))
            }
            (None, None) => return Err(GalleryError::Invalid("Either password or pinCode is required".into())),
        };
        self.count_attempt(user.id).await?;
        if !self.verify_password(secret.to_owned(), hash).await? {
            return Err(wrong);
        }
        self.forget_attempts(user.id).await;
        Ok(())
    }

    /// `None`: somebody else was faster.
    async fn replace_pin(&self, user: UserId, old: Option<&str>, new: Option<&str>) -> Result<Option<()>> {
        if !self.store().set_pin(user, old, new).await? {
            return Ok(None);
        }
        self.account_changed(user);
        Ok(Some(()))
    }
}

fn wrong_pin() -> GalleryError {
    GalleryError::Invalid("Wrong PIN code".into())
}

pub(crate) fn check_pin(pin: &str) -> Result<()> {
    match pin.len() == 6 && pin.bytes().all(|digit| digit.is_ascii_digit()) {
        true => Ok(()),
        false => Err(GalleryError::Invalid("pinCode must be six digits".into())),
    }
}
