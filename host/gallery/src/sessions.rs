//! Signed-in clients as their user looks at them, and those that a client makes for its parts.

use jiff::{SignedDuration, Timestamp};
use store::sessions::{NewSession, SessionRow};
use types::{SessionId, UserId};

use crate::accounts::{Device, Identity, Means, random_token, token_hash};
use crate::{Event, Gallery, GalleryError, Result};

/// Bytes that a client may say about its device.
const LONGEST_DEVICE: usize = 200;
/// Seconds: a thousand years.
const LONGEST_DURATION: f64 = 1_000.0 * 366.0 * 24.0 * 3_600.0;

impl Gallery {
    /// The sessions of a user that are not over, the last seen first.
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<SessionRow>> {
        Ok(self.store().sessions(user, self.now()).await?)
    }

    /// A session for a part of the client that asks (a widget), and its token, which is shown once. It ends with that of the
    /// client. `duration`: seconds until it is over; `None`: never by itself.
    ///
    /// # Errors
    /// Asked for with an API key, which would become a session that may everything.
    pub async fn create_session(
        &self,
        identity: &Identity,
        device: Device<'_>,
        duration: Option<f64>,
    ) -> Result<(SessionRow, String)> {
        let Means::Session(parent) = identity.means else {
            return Err(GalleryError::Forbidden("Sessions cannot be created with an API key".into()));
        };
        for text in [device.kind, device.os] {
            if text.len() > LONGEST_DEVICE || text.chars().any(char::is_control) {
                let most = "and no control characters";
                return Err(GalleryError::Invalid(format!(
                    "deviceType and deviceOS must have at most {LONGEST_DEVICE} bytes {most}"
                )));
            }
        }
        let expires_at = duration.map(|seconds| self.end_after(seconds)).transpose()?;
        let token = random_token();
        let hash = token_hash(&token);
        let session = NewSession {
            id: SessionId::generate(),
            user: identity.user.id,
            token_hash: &hash,
            device_type: device.kind,
            device_os: device.os,
            app_version: device.app_version,
            parent: Some(parent),
            expires_at,
        };
        match self.store().insert_session(&session).await {
            // Somebody signed out meanwhile.
            Err(error) if error.is_constraint("session_parent_id_fkey") => {
                Err(GalleryError::Unauthenticated("Invalid user token"))
            }
            made => Ok((made?, token)),
        }
    }

    fn end_after(&self, seconds: f64) -> Result<Timestamp> {
        let wrong = || GalleryError::Invalid("duration must be at least 1 second, and no thousand years".into());
        if !(1.0..=LONGEST_DURATION).contains(&seconds) {
            return Err(wrong());
        }
        self.now().checked_add(SignedDuration::from_secs_f64(seconds)).map_err(|_| wrong())
    }

    /// `is_pending_sync_reset`: the client is to forget what it has, and to sync from the beginning.
    pub async fn update_session(
        &self,
        user: UserId,
        id: SessionId,
        is_pending_sync_reset: Option<bool>,
    ) -> Result<SessionRow> {
        let session = match is_pending_sync_reset {
            Some(is_pending) => self.store().set_pending_sync_reset(user, id, is_pending).await?,
            None => self.store().session(user, id).await?,
        };
        session.ok_or_else(|| GalleryError::no_access("session.update"))
    }

    /// Ends a session of this user with those that it made.
    pub async fn end_session(&self, user: UserId, id: SessionId) -> Result<()> {
        let ended = self.store().delete_session(user, id).await?;
        if ended.is_empty() {
            return Err(GalleryError::no_access("session.delete"));
        }
        self.sessions_ended(user, &ended);
        Ok(())
    }

    /// Ends all sessions of a user but the one that asks.
    pub async fn end_other_sessions(&self, identity: &Identity) -> Result<()> {
        let own = match identity.means {
            Means::Session(id) => Some(id),
            Means::ApiKey(_) => None,
        };
        let ended = self.store().delete_sessions(identity.user.id, own).await?;
        self.sessions_ended(identity.user.id, &ended);
        Ok(())
    }

    /// Closes the locked folder to a session of this user.
    pub async fn lock_session(&self, user: UserId, id: SessionId) -> Result<()> {
        if !self.store().set_elevation(user, id, None).await? {
            return Err(GalleryError::no_access("session.lock"));
        }
        self.account_changed(user);
        Ok(())
    }

    pub(crate) fn sessions_ended(&self, owner: UserId, sessions: &[SessionId]) {
        self.forget_identities();
        for session in sessions {
            self.events().publish(Event::SessionEnded { owner, session: *session });
        }
    }
}
