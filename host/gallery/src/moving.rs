//! Objects move from one storage backend to another, while people look at them and others delete them.
//!
//! Each goes as an upload does (DESIGN 3): an intent, the bytes, their hash read back, then the row from the old location to the
//! new one if it still says the old one, which becomes garbage in the same transaction. A crash at any point leaves the object
//! once, and what is left to do stands in the rows.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use blobs::{Blob, BlobClass, Object, Received, StorageError};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use store::moving::{After, Held, Holder, Movable};
use tokio::time::Instant;

use crate::uploads::{Points, wall_clock_ms};
use crate::{Gallery, GalleryError, Result, failpoint};

const POINTS: Points = ["move.intent", "move.put", "move.located"];
/// Rows that are read at once.
const PAGE: i64 = 500;
/// Objects after which the old backend is swept.
const SWEEP_EVERY: u64 = 500;
/// A storage that is away is asked again after this, then after twice as long, up to a few seconds.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What is to move.
#[derive(Debug, Clone)]
pub struct Move {
    pub from: String,
    pub to: String,
    pub what: HashSet<Kind>,
    /// Objects under way at once.
    pub at_once: usize,
    /// Bytes a second, on the average: an object is not divided.
    pub rate: Option<u64>,
    /// How long a storage may be away before the move stops.
    pub patience: Duration,
}

/// What moves together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Pictures of users as well: they are in no other place either.
    Originals,
    /// Previews and thumbnails, of people as well.
    Derivatives,
    EncodedVideos,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Originals, Self::Derivatives, Self::EncodedVideos];
}

/// Where the rows of a kind stand.
#[derive(Debug, Clone, Copy)]
enum Rows {
    Originals,
    Files,
    People,
    Profiles,
    Videos,
}

impl Rows {
    const ALL: [Self; 5] = [Self::Originals, Self::Profiles, Self::Files, Self::People, Self::Videos];

    fn kind(self) -> Kind {
        match self {
            Self::Originals | Self::Profiles => Kind::Originals,
            Self::Files | Self::People => Kind::Derivatives,
            Self::Videos => Kind::EncodedVideos,
        }
    }
}

/// Objects and bytes that are to move, and whether the other backend says that it has the room.
#[derive(Debug, Clone)]
pub struct Plan {
    pub held: Vec<(Kind, Held)>,
    /// Bytes free in the new backend, where it knows.
    pub free: Option<u64>,
}

/// How far a move is.
#[derive(Debug, Default)]
pub struct Progress {
    pub objects: AtomicU64,
    pub bytes: AtomicU64,
    pub failed: AtomicU64,
}

/// How a move ended.
#[derive(Debug, Default)]
pub struct Moved {
    pub objects: u64,
    pub bytes: u64,
    /// What stays where it is, and why.
    pub failures: Vec<Failure>,
    /// Why it stopped before all was tried.
    pub stopped: Option<String>,
}

/// An object that stays where it is.
#[derive(Debug, Clone)]
pub struct Failure {
    /// `asset <id>`, `asset <id> preview` or `person <id>`.
    pub what: String,
    pub location: String,
    pub why: String,
}

/// How the turn of one object ended.
enum Turn {
    Moved(u64),
    /// It was deleted or has moved meanwhile.
    Overtaken,
}

/// An object where it was.
struct Fetched {
    /// Readable more than once.
    bytes: Blob,
    sha256: [u8; 32],
    /// The file that holds them meanwhile, of what arrived from elsewhere.
    _spooled: Option<Received>,
}

/// What the objects that are under way share.
struct Run<'a> {
    order: &'a Move,
    pace: Pace,
    progress: &'a Progress,
    failures: Mutex<Vec<Failure>>,
    stopped: Mutex<Option<String>>,
}

impl Gallery {
    /// What would move.
    ///
    /// # Errors
    /// A backend that the settings do not name, or the same twice.
    pub async fn plan_move(&self, order: &Move) -> Result<Plan> {
        for name in [&order.from, &order.to] {
            if !self.blobs().has(name) {
                let known = self.blobs().names().join(", ");
                let why = format!("there is no [storage.backend.{name}] in the settings; there are {known}");
                return Err(GalleryError::Invalid(why));
            }
        }
        if order.from == order.to {
            return Err(GalleryError::Invalid(format!("everything in {:?} lies there already", order.from)));
        }
        let held = self.store().held_in(&order.from).await?;
        let held = Kind::ALL.into_iter().zip(held).filter(|(kind, _)| order.what.contains(kind)).collect();
        let free = self.blobs().usage_of(&order.to).await.ok().flatten().map(|(_, free)| free);
        Ok(Plan { held, free })
    }

    /// Moves everything that the order names; what comes to lie in the old backend meanwhile moves too. Goes on where one
    /// object fails, and stops where a storage is full or stays away.
    ///
    /// # Errors
    /// Those of [`Gallery::plan_move`], or somebody else is moving.
    pub async fn move_objects(&self, order: &Move, progress: &Progress) -> Result<Moved> {
        self.plan_move(order).await?;
        let Some(_turn) = self.store().turn("storage.move").await? else {
            return Err(GalleryError::Invalid("another move is under way: wait for its end, or end it".into()));
        };
        let pace = Pace::new(order.rate);
        let run = Run { order, pace, progress, failures: Mutex::default(), stopped: Mutex::default() };
        let mut swept = 0;
        loop {
            let before = progress.objects.load(Ordering::Relaxed);
            for rows in Rows::ALL.into_iter().filter(|rows| order.what.contains(&rows.kind())) {
                self.pass(&run, rows, &mut swept).await;
            }
            // Once more for what was overtaken or is new; what failed in the last round stays.
            let moved = progress.objects.load(Ordering::Relaxed) - before;
            if moved == 0 || run.stopped() {
                break;
            }
            lock(&run.failures).clear();
            progress.failed.store(0, Ordering::Relaxed);
        }
        self.sweep_now().await;
        let failures = std::mem::take(&mut *lock(&run.failures));
        let stopped = lock(&run.stopped).take();
        let (objects, bytes) = (progress.objects.load(Ordering::Relaxed), progress.bytes.load(Ordering::Relaxed));
        Ok(Moved { objects, bytes, failures, stopped })
    }

    /// Once through all rows of a table.
    async fn pass(&self, run: &Run<'_>, rows: Rows, swept: &mut u64) {
        let mut after = After::default();
        while !run.stopped() {
            let page = match self.page(run, rows, &after).await {
                Ok(page) => page,
                Err(error) => return run.stop(format!("the database: {error}")),
            };
            let Some(last) = page.last() else { return };
            after = After::this(last);
            futures::stream::iter(&page)
                .for_each_concurrent(run.order.at_once.max(1), |movable| self.try_move(run, movable))
                .await;
            let moved = run.progress.objects.load(Ordering::Relaxed);
            if moved - *swept >= SWEEP_EVERY {
                *swept = moved;
                self.sweep_now().await;
            }
        }
    }

    async fn page(&self, run: &Run<'_>, rows: Rows, after: &After) -> Result<Vec<Movable>> {
        let from = &run.order.from;
        let page = async || match rows {
            Rows::Originals => self.store().originals_in(from, after, PAGE).await,
            Rows::Files => self.store().derivatives_in(from, false, after, PAGE).await,
            Rows::People => self.store().person_thumbnails_in(from, after, PAGE).await,
            Rows::Profiles => self.store().profile_images_in(from, after, PAGE).await,
            Rows::Videos => self.store().derivatives_in(from, true, after, PAGE).await,
        };
        self.patiently(run, async || Ok(page().await?)).await
    }

    /// Moves one object, or notes why it stays.
    async fn try_move(&self, run: &Run<'_>, movable: &Movable) {
        if run.stopped() {
            return;
        }
        run.wait(movable.size.unwrap_or(0).try_into().unwrap_or(0)).await;
        match self.patiently(run, async || self.move_one(run, movable).await).await {
            Ok(Turn::Moved(len)) => {
                run.progress.objects.fetch_add(1, Ordering::Relaxed);
                run.progress.bytes.fetch_add(len, Ordering::Relaxed);
            }
            Ok(Turn::Overtaken) => {}
            Err(error) if stops(&error) => run.stop(error.to_string()),
            Err(error) => run.fail(movable, error.to_string()),
        }
    }

    /// Tries again what a storage or the database that is away could not do, as long as the order's patience lasts.
    async fn patiently<T>(&self, run: &Run<'_>, work: impl AsyncFn() -> Result<T>) -> Result<T> {
        let end = Instant::now() + run.order.patience;
        let mut wait = ASK_AGAIN;
        loop {
            match work().await {
                Err(error) if is_away(&error) && Instant::now() + wait < end && !run.stopped() => {
                    tracing::debug!(%error, "Tries again to move an object");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
                ended => return ended,
            }
        }
    }

    async fn move_one(&self, run: &Run<'_>, movable: &Movable) -> Result<Turn> {
        let Some(fetched) = self.fetch(movable).await? else { return Ok(Turn::Overtaken) };
        let Fetched { bytes, sha256, .. } = &fetched;
        let sha256 = *sha256;
        if let Some(size) = movable.size
            && u64::try_from(size) != Ok(bytes.len())
        {
            let found = bytes.len();
            return Err(StorageError::Other(format!("it has {found} bytes there, and {size} were kept")).into());
        }
        if movable.sha256.as_ref().is_some_and(|known| **known != sha256) {
            return Err(StorageError::Other("its bytes there are not those that were uploaded".into()).into());
        }
        let object = object(movable, sha256);
        let to = &run.order.to;
        let (intent, location) = self.put_intended(movable.owner, (to, &object), bytes, POINTS).await?;
        self.store().spare(&location).await?;
        if let Err(error) = self.verify(&location, sha256).await {
            self.store().intent_to_garbage(intent).await?;
            return Err(error);
        }
        let places = (&*movable.location, &*location);
        let moved = match &movable.holder {
            Holder::Original(asset) => self.store().move_original(*asset, intent, places, None).await?,
            holder => self.store().move_derivative(holder, movable.owner, intent, places).await?,
        };
        failpoint::hit("move.committed");
        Ok(if moved { Turn::Moved(bytes.len()) } else { Turn::Overtaken })
    }

    /// The bytes where they are now, such that they can be read more than once, and their hash. `None`: its row names another
    /// place by now.
    async fn fetch(&self, movable: &Movable) -> Result<Option<Fetched>> {
        let bytes = match self.read(&movable.location, 0, None).await {
            Err(GalleryError::Storage(StorageError::NotFound(why))) => {
                let place = self.location_of(&movable.holder).await?;
                if place.as_ref() != Some(&movable.location) {
                    return Ok(None);
                }
                return Err(StorageError::NotFound(why).into());
            }
            other => other?,
        };
        if bytes.is_seekable() {
            let sha256 = hash(&bytes).await?;
            return Ok(Some(Fetched { bytes, sha256, _spooled: None }));
        }
        // What arrives can be read once, and has to be hashed and put, and maybe put again.
        let mut writer = self.blobs().inbox.create().await?;
        let mut chunks = std::pin::pin!(bytes.into_stream());
        while let Some(chunk) = chunks.next().await {
            writer.write(chunk.map_err(cut_off)?).await?;
        }
        let spooled = writer.finish().await?;
        Ok(Some(Fetched { bytes: spooled.blob()?, sha256: spooled.sha256, _spooled: Some(spooled) }))
    }

    /// Reads back what was put.
    async fn verify(&self, location: &str, sha256: [u8; 32]) -> Result<()> {
        let back = self.blobs().get(location, 0, None).await?;
        if hash(&back).await? == sha256 {
            return Ok(());
        }
        Err(StorageError::Other(format!("what lies at {location} after the copy are other bytes")).into())
    }

    /// Where its row says that it is.
    async fn location_of(&self, holder: &Holder) -> Result<Option<String>> {
        Ok(match holder {
            Holder::Original(asset) => self.store().original(*asset).await?.map(|file| file.location),
            Holder::Derivative(asset, kind) => self.store().derivative(*asset, kind).await?.map(|file| file.location),
            Holder::Person(person) => self.store().person_thumbnail(*person).await?,
            Holder::Profile(user) => self.store().profile_image(*user).await?,
        })
    }
}

impl Run<'_> {
    fn stopped(&self) -> bool {
        lock(&self.stopped).is_some()
    }

    /// The first reason counts.
    fn stop(&self, why: String) {
        lock(&self.stopped).get_or_insert(why);
    }

    /// Waits until those before have had their time, or all stops.
    async fn wait(&self, bytes: u64) {
        let Some(turn) = self.pace.turn(bytes) else { return };
        while Instant::now() < turn && !self.stopped() {
            tokio::time::sleep_until(turn.min(Instant::now() + ASK_AGAIN)).await;
        }
    }

    fn fail(&self, movable: &Movable, why: String) {
        let what = match &movable.holder {
            Holder::Original(asset) => format!("asset {asset}"),
            Holder::Derivative(asset, kind) => format!("asset {asset} {kind}"),
            Holder::Person(person) => format!("person {person}"),
            Holder::Profile(user) => format!("the picture of user {user}"),
        };
        self.progress.failed.fetch_add(1, Ordering::Relaxed);
        lock(&self.failures).push(Failure { what, location: movable.location.clone(), why });
    }
}

/// Would every other object fail in the same way?
fn stops(error: &GalleryError) -> bool {
    is_away(error) || matches!(error, GalleryError::Storage(StorageError::Full(_)) | GalleryError::Io(_))
}

fn is_away(error: &GalleryError) -> bool {
    matches!(error, GalleryError::Storage(StorageError::Unavailable(_)))
        || matches!(error, GalleryError::Store(_)) && error.is_transient()
}

/// What the new backend is told of it.
fn object(movable: &Movable, sha256: [u8; 32]) -> Object {
    let (key, class) = match &movable.holder {
        Holder::Original(asset) => (asset.to_string(), BlobClass::Original),
        Holder::Derivative(asset, kind) if kind.starts_with("encoded") => (asset.to_string(), BlobClass::EncodedVideo),
        Holder::Derivative(asset, _) => (asset.to_string(), BlobClass::Derivative),
        Holder::Person(person) => (person.to_string(), BlobClass::Derivative),
        Holder::Profile(user) => (user.to_string(), BlobClass::Profile),
    };
    // What is made of photos has the hash in its name, which is the last part of its location.
    let name = || movable.location.rsplit(['/', ':']).next().unwrap_or("unnamed").to_owned();
    Object {
        key,
        class,
        owner: movable.owner.to_string(),
        owner_label: movable.owner_label.clone(),
        taken_ms: movable.taken.and_then(wall_clock_ms),
        file_name: movable.file_name.clone().unwrap_or_else(name),
        sha256,
    }
}

/// The SHA-256 of all bytes.
async fn hash(bytes: &Blob) -> Result<[u8; 32]> {
    // A disk that cannot read one file reads the others; a network that breaks off is down.
    let why = |error| {
        if bytes.is_seekable() { StorageError::Other(format!("cannot read it: {error}")) } else { cut_off(error) }
    };
    let mut chunks = std::pin::pin!(bytes.clone().into_stream());
    let mut sha256 = Sha256::new();
    while let Some(chunk) = chunks.next().await {
        sha256.update(&chunk.map_err(why)?);
    }
    Ok(sha256.finalize().into())
}

fn cut_off(error: std::io::Error) -> StorageError {
    StorageError::Unavailable(format!("it was cut off: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Bytes a second.
struct Pace {
    rate: Option<u64>,
    /// When the next may begin.
    next: Mutex<Instant>,
}

impl Pace {
    fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.filter(|rate| *rate > 0), next: Mutex::new(Instant::now()) }
    }

    /// When an object may begin; it takes its time from those after it.
    fn turn(&self, bytes: u64) -> Option<Instant> {
        let rate = self.rate?;
        let mut next = lock(&self.next);
        let turn = (*next).max(Instant::now());
        *next = turn + Duration::from_secs_f64(bytes as f64 / rate as f64);
        Some(turn)
    }
}
