//! The sync stream: who may have one, and from where it begins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use store::StoreError;
use store::sync::{COMPLETE, FAMILIES, Family, SyncOf, SyncState, parse_ack};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use types::{SessionId, UserId};

use crate::accounts::{Identity, Means};
use crate::{Gallery, GalleryError, Result};

/// Chunks of lines, as fast as they are taken.
pub type Lines = mpsc::Receiver<Vec<u8>>;

/// Immich's SyncEntityType.
pub const ENTITIES: [&str; 59] = [
    "AuthUserV1",
    "UserV1",
    "UserDeleteV1",
    "AssetV1",
    "AssetV2",
    "AssetDeleteV1",
    "AssetExifV1",
    "AssetEditV1",
    "AssetEditDeleteV1",
    "AssetMetadataV1",
    "AssetMetadataDeleteV1",
    "AssetOcrV1",
    "AssetOcrDeleteV1",
    "PartnerV1",
    "PartnerDeleteV1",
    "PartnerAssetV1",
    "PartnerAssetV2",
    "PartnerAssetBackfillV1",
    "PartnerAssetBackfillV2",
    "PartnerAssetDeleteV1",
    "PartnerAssetExifV1",
    "PartnerAssetExifBackfillV1",
    "PartnerStackBackfillV1",
    "PartnerStackDeleteV1",
    "PartnerStackV1",
    "AlbumV1",
    "AlbumV2",
    "AlbumDeleteV1",
    "AlbumUserV1",
    "AlbumUserBackfillV1",
    "AlbumUserDeleteV1",
    "AlbumAssetCreateV1",
    "AlbumAssetCreateV2",
    "AlbumAssetUpdateV1",
    "AlbumAssetUpdateV2",
    "AlbumAssetBackfillV1",
    "AlbumAssetBackfillV2",
    "AlbumAssetExifCreateV1",
    "AlbumAssetExifUpdateV1",
    "AlbumAssetExifBackfillV1",
    "AlbumToAssetV1",
    "AlbumToAssetDeleteV1",
    "AlbumToAssetBackfillV1",
    "MemoryV1",
    "MemoryDeleteV1",
    "MemoryToAssetV1",
    "MemoryToAssetDeleteV1",
    "StackV1",
    "StackDeleteV1",
    "PersonV1",
    "PersonDeleteV1",
    "AssetFaceV1",
    "AssetFaceV2",
    "AssetFaceDeleteV1",
    "UserMetadataV1",
    "UserMetadataDeleteV1",
    "SyncAckV1",
    RESET,
    COMPLETE,
];
const RESET: &str = "SyncResetV1";

/// What apps before 3.0 ask for. The shapes of these went with them.
pub const RETIRED: [&str; 4] = ["AssetsV1", "PartnerAssetsV1", "AlbumAssetsV1", "AssetFacesV1"];

/// Acks of one request: there are fewer types.
const MOST_ACKS: usize = 1_000;
/// Streams of one user at once: as many phones and tablets.
const MOST_OF_USER: usize = 4;
/// Chunks that wait for a client.
const AHEAD: usize = 8;
/// How long a client waits until another has what it asked for.
const QUEUE_LIMIT: Duration = Duration::from_secs(30);

/// Streams that are being sent. Each holds a connection to the database.
pub(crate) struct Syncs {
    slots: Arc<Semaphore>,
    running: Mutex<Vec<Running>>,
}

struct Running {
    user: UserId,
    session: SessionId,
    task: AbortHandle,
}

impl Syncs {
    /// With a third of the connections: the others are for those who look at photos meanwhile.
    pub fn new(connections: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new((connections / 3).max(1))), running: Mutex::default() }
    }

    /// Makes room: a session that asks again has given up its old stream, and a user has only so many.
    fn begin(&self, user: UserId, session: SessionId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|stream| !stream.task.is_finished());
        let mut others = running.iter().filter(|stream| stream.user == user).count();
        running.retain(|stream| {
            let ends = stream.session == session || stream.user == user && others >= MOST_OF_USER;
            if ends {
                stream.task.abort();
                others -= 1;
            }
            !ends
        });
    }

    fn add(&self, stream: Running) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    }
}

/// Checkpoints hang on sessions.
fn session_of(identity: &Identity) -> Result<SessionId> {
    match identity.means {
        Means::Session(session) => Ok(session),
        Means::ApiKey(_) => Err(GalleryError::Forbidden("Sync endpoints cannot be used with API keys".into())),
    }
}

/// The session ended meanwhile.
fn ended() -> GalleryError {
    GalleryError::Unauthenticated("Invalid user token")
}

impl Gallery {
    /// What is new to the client of a session, of the families that it asks for: lines of JSON, the last of which is missing when
    /// the stream broke. `reset`: the client has nothing any more.
    pub async fn sync_stream(&self, identity: &Identity, requests: &[String], reset: bool) -> Result<Lines> {
        let session = session_of(identity)?;
        check_requests(requests)?;
        let wanted = |family: &&Family| requests.iter().any(|request| request == family.request);
        let families: Vec<&'static Family> = FAMILIES.iter().filter(wanted).collect();
        if reset {
            self.store().reset_sync(session).await?;
        }
        let state = self.store().sync_state(session).await?.ok_or_else(ended)?;
        let (lines, taken) = mpsc::channel(AHEAD);
        if state.is_reset_pending || state.is_outdated {
            // Nothing else: all of it would be wiped.
            let line = format!("{{\"type\":\"{RESET}\",\"data\":{{}},\"ack\":\"{RESET}|reset\"}}\n");
            let _ = lines.send(line.into_bytes()).await;
            return Ok(taken);
        }
        self.send(identity.user.id, session, state, families, lines).await?;
        Ok(taken)
    }

    async fn send(
        &self,
        user: UserId,
        session: SessionId,
        state: SyncState,
        families: Vec<&'static Family>,
        lines: mpsc::Sender<Vec<u8>>,
    ) -> Result<()> {
        let syncs = &self.0.syncs;
        syncs.begin(user, session);
        let slot = tokio::time::timeout(QUEUE_LIMIT, syncs.slots.clone().acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(StoreError::Unavailable("too many clients sync at once".into()).into());
        };
        let gallery = self.clone();
        let task = tokio::spawn(async move {
            let _slot = slot;
            let of = SyncOf { user, checkpoints: &state.checkpoints, families: &families };
            match gallery.store().sync(&of, &lines).await {
                Ok(true) => {}
                Ok(false) => tracing::debug!(session.id = %session, "A client left its sync stream"),
                Err(error) => tracing::error!(session.id = %session, %error, "A sync stream broke"),
            }
        });
        syncs.add(Running { user, session, task: task.abort_handle() });
        Ok(())
    }

    /// Acks of a session: type and ack.
    pub async fn sync_acks(&self, identity: &Identity) -> Result<Vec<(String, String)>> {
        Ok(self.store().sync_acks(session_of(identity)?).await?)
    }

    /// Keeps how far a client is. The ack of a reset says that it has wiped everything.
    pub async fn set_sync_acks(&self, identity: &Identity, acks: &[String]) -> Result<()> {
        let session = session_of(identity)?;
        if acks.len() > MOST_ACKS {
            return Err(GalleryError::Invalid(format!("acks must be at most {MOST_ACKS}")));
        }
        let (mut kept, mut reset) = (BTreeMap::new(), false);
        for ack in acks {
            if ack.split('|').next() == Some(RESET) {
                kept.clear();
                reset = true;
            } else {
                let (kind, ack) = check_ack(ack)?;
                kept.insert(kind, ack);
            }
        }
        match self.store().set_sync_acks(session, &kept, reset).await {
            Err(error) if error.is_constraint("sync_checkpoint_session_id_fkey") => Err(ended()),
            kept => Ok(kept?),
        }
    }

    /// Forgets how far a client is with these types; `None`: with all.
    pub async fn delete_sync_acks(&self, identity: &Identity, types: Option<&[String]>) -> Result<()> {
        let session = session_of(identity)?;
        if let Some(unknown) = types.unwrap_or_default().iter().find(|kind| !is_entity(kind)) {
            return Err(GalleryError::Invalid(format!("types: {:?} is no type of entity", brief(unknown))));
        }
        Ok(self.store().delete_sync_acks(session, types).await?)
    }
}

fn check_requests(requests: &[String]) -> Result<()> {
    for request in requests {
        if RETIRED.contains(&&**request) {
            return Err(GalleryError::Invalid(format!("types: {request} is not supported any more, ask for its V2")));
        }
        if store::sync::family(request).is_none() {
            return Err(GalleryError::Invalid(format!("types: {:?} is no type of request", brief(request))));
        }
    }
    Ok(())
}

fn is_entity(kind: &str) -> bool {
    ENTITIES.contains(&kind)
}

/// A type that there is, an id, and for a backfill how far it is. Returns type and ack.
fn check_ack(ack: &str) -> Result<(String, String)> {
    let known = parse_ack(ack).filter(|(kind, _, _)| is_entity(kind));
    let known = known.filter(|(_, _, sent)| sent.is_none_or(|sent| sent == "complete" || is_uuid(sent)));
    match known {
        Some((kind, _, _)) => Ok((kind.to_owned(), ack.to_owned())),
        None => Err(GalleryError::Invalid(format!("acks: {:?} is none that a stream carries", brief(ack)))),
    }
}

fn is_uuid(text: &str) -> bool {
    text.parse::<SessionId>().is_ok()
}

fn brief(text: &str) -> String {
    text.chars().take(80).collect()
}
