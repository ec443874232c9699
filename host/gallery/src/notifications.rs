//! What users are told: by an administrator, or because something happened that they should know of.

use jiff::Timestamp;
use serde_json::Value;
use store::notifications::{Notification, NotificationFilter};
use types::{NotificationId, UserId};

use crate::{Event, Gallery, GalleryError, Result};

/// Bytes.
const LONGEST_TITLE: usize = 1_000;
const LONGEST_DESCRIPTION: usize = 10_000;
const LONGEST_DATA: usize = 100_000;
/// At once.
const MOST: usize = 1_000;

/// Something to tell a user.
#[derive(Debug, Clone)]
pub struct News {
    pub user: UserId,
    /// One of Immich's words, as the schema lists them: `AlbumInvite`, `SystemMessage`, ...
    pub kind: &'static str,
    /// `success`, `error`, `warning` or `info`.
    pub level: &'static str,
    pub title: String,
    pub description: Option<String>,
    /// An object with what the client needs to lead somewhere.
    pub data: Option<Value>,
    pub read_at: Option<Timestamp>,
}

impl Gallery {
    /// # Errors
    /// There is no such user, or it is too long.
    pub async fn notify(&self, news: News) -> Result<Notification> {
        let wrong = |why: String| Err(GalleryError::Invalid(why));
        if news.title.trim().is_empty() || news.title.len() > LONGEST_TITLE {
            return wrong(format!("title must have 1 to {LONGEST_TITLE} bytes"));
        }
        if news.description.as_ref().is_some_and(|text| text.len() > LONGEST_DESCRIPTION) {
            return wrong(format!("description must have at most {LONGEST_DESCRIPTION} bytes"));
        }
        if news.data.as_ref().is_some_and(|data| !data.is_object() || data.to_string().len() > LONGEST_DATA) {
            return wrong(format!("data must be an object of at most {LONGEST_DATA} bytes"));
        }
        if self.store().user(news.user).await?.is_none() {
            return wrong("User not found".into());
        }
        let notification = Notification {
            id: NotificationId::generate(),
            user: news.user,
            kind: news.kind.into(),
            level: news.level.into(),
            title: news.title,
            description: news.description,
            data: news.data,
            read_at: news.read_at,
            created_at: self.now(),
        };
        self.store().insert_notification(&notification).await?;
        self.events().publish(Event::Notified { owner: news.user, notification: notification.id });
        Ok(notification)
    }

    /// Newest first.
    pub async fn notifications(&self, user: UserId, filter: &NotificationFilter) -> Result<Vec<Notification>> {
        Ok(self.store().notifications(user, filter).await?)
    }

    /// A notification of this user; otherwise no `permission` access.
    pub async fn notification(&self, user: UserId, id: NotificationId, permission: &str) -> Result<Notification> {
        let filter = NotificationFilter { id: Some(id), ..NotificationFilter::default() };
        let found = self.store().notifications(user, &filter).await?.pop();
        found.ok_or_else(|| GalleryError::no_access(permission))
    }

    /// Read since then, or not read.
    ///
    /// # Errors
    /// One of them is not this user's: then none is changed.
    pub async fn read_notifications(
        &self,
        user: UserId,
        ids: &[NotificationId],
        read_at: Option<Timestamp>,
    ) -> Result<()> {
        check_count(ids)?;
        match self.store().set_notifications_read(user, ids, read_at).await? {
            true => Ok(()),
            false => Err(GalleryError::no_access("notification.update")),
        }
    }

    /// # Errors
    /// One of them is not this user's: then none is deleted.
    pub async fn delete_notifications(&self, user: UserId, ids: &[NotificationId]) -> Result<()> {
        check_count(ids)?;
        match self.store().delete_notifications(user, ids).await? {
            true => Ok(()),
            false => Err(GalleryError::no_access("notification.delete")),
        }
    }

    /// What was read a month ago, or is three months old, interests nobody any more.
    pub async fn forget_old_notifications(&self) -> Result<u64> {
        let days = |days: i64| self.now() - jiff::SignedDuration::from_hours(24 * days);
        Ok(self.store().forget_notifications(days(30), days(90)).await?)
    }
}

fn check_count(ids: &[NotificationId]) -> Result<()> {
    match ids.len() <= MOST {
        true => Ok(()),
        false => Err(GalleryError::Invalid(format!("ids: at most {MOST} at once"))),
    }
}
