//! Every list that crosses into or out of a guest's memory on image paths, in bytes, as the most of any photo. By kind they
//! are counted by the native twins, which are the plugins' own source; beside that, what the host counted at the guest.

use anyhow::{Context as _, Result, ensure};
use blobs::{Blob, BlobClass, Object};
use plugin_host::Plugin;
use sha2::{Digest as _, Sha256};

use crate::house::House;
use crate::native::tally::{self, Kind, Tally};
use crate::report::{Report, Wanted};
use crate::{Place, photos};

/// Bytes of results of a photo.
const MOST: Wanted = Wanted::AtMost(10_000.0);
const NOTHING: Wanted = Wanted::AtMost(0.0);

/// A plugin's path and its twin.
pub struct Path<'a> {
    pub what: &'a str,
    pub plugin: &'a Plugin,
    /// What crossed when the twin was opened.
    pub opened: Tally,
    /// One photo through the plugin.
    pub each: &'a dyn Fn(usize) -> Result<()>,
    /// The same through the twin: how many faces there were.
    pub twin: &'a dyn Fn(usize) -> Result<usize>,
    pub count: usize,
}

/// The table of a path that has a twin.
pub fn of_twin(bench: &str, path: &Path<'_>, report: &mut Report) -> Result<()> {
    ensure!(path.count > 0, "no photo for {}", path.what);
    let what = path.what;
    let (mut kinds, mut most, mut faces, mut of_one) = (Tally::default(), 0, 0, 0);
    for at in 0..path.count {
        tally::take();
        let found = (path.twin)(at)?;
        let crossed = tally::take();
        kinds = kinds.most(crossed);
        if found == 1 {
            of_one = of_one.max(crossed.sum());
        }
        if crossed.sum() > most {
            (most, faces) = (crossed.sum(), found);
        }
    }
    for kind in Kind::ALL {
        if path.opened.of(kind) > 0 {
            let figure = format!("{what}: once an instance, {}", kind.text());
            report.add(bench, &figure, path.opened.of(kind) as f64, "bytes");
        }
        if kinds.of(kind) > 0 {
            report.add(bench, &format!("{what}: most, {}", kind.text()), kinds.of(kind) as f64, "bytes");
        }
    }
    if faces > 0 {
        report.add(bench, &format!("{what}: most, all lists of a photo with one face"), of_one as f64, "bytes");
        report.add(bench, &format!("{what}: faces in the photo of the most bytes"), faces as f64, "");
    }
    report.hold(bench, &format!("{what}: most, all lists of one photo"), most as f64, "bytes", MOST);
    let mut host = Host::of(path.plugin);
    for at in 0..path.count {
        (path.each)(at)?;
        host.look();
    }
    host.hold(bench, what, report);
    Ok(())
}

/// What the host counted at a guest.
struct Host<'a> {
    plugin: &'a Plugin,
    /// Payload and results so far.
    before: (u64, u64),
    payload: u64,
    most: u64,
}

impl<'a> Host<'a> {
    fn of(plugin: &'a Plugin) -> Self {
        let traffic = plugin.traffic();
        Self { plugin, before: (traffic.payload, traffic.results), payload: 0, most: 0 }
    }

    /// After every call.
    fn look(&mut self) {
        let traffic = self.plugin.traffic();
        self.payload += traffic.payload - self.before.0;
        self.most = self.most.max(traffic.results - self.before.1);
        self.before = (traffic.payload, traffic.results);
    }

    fn hold(&self, bench: &str, what: &str, report: &mut Report) {
        let (payload, most) = (self.payload as f64, self.most as f64);
        report.hold(bench, &format!("{what}: payload through guest memory, all photos"), payload, "bytes", NOTHING);
        report.hold(bench, &format!("{what}: most results of one photo, as the host counts"), most, "bytes", MOST);
    }
}

/// storage-local: photos of the import put, found and read back whole and in part.
pub fn storage(place: &Place, report: &mut Report) -> Result<()> {
    const NAME: &str = "storage";
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(".latent"), "")?;
    let house = House::new(place, None)?;
    let guests = house.host.guests().clone();
    let plugin = guests.block_on(house.storage(folder.path()))?;
    let backend = plugin.storage();
    let mut host = Host::of(&plugin);
    let (mut record, mut paths) = (0, 0);
    for path in photos::import_set(place)?.iter().step_by(20) {
        let bytes = std::fs::read(path)?;
        let object = object(path.file_name().context("a photo has a name")?.to_string_lossy().into_owned(), &bytes);
        let source = Blob::open(path)?;
        let stored = guests.block_on(backend.put(&object, &source))?;
        host.look();
        let whole = guests.block_on(backend.get(&stored.location, 0, None))?;
        host.look();
        ensure!(whole.read_blocking()? == bytes, "another photo came back");
        let part = guests.block_on(backend.get(&stored.location, 1_000, Some(10_000)))?;
        host.look();
        ensure!(part.read_blocking()? == bytes[1_000..11_000], "another part came back");
        ensure!(guests.block_on(backend.find(&object))?.is_some(), "the photo is not found");
        host.look();
        let strings = [&object.key, &object.owner, &object.file_name].map(String::len).iter().sum::<usize>();
        record = record.max(strings + object.sha256.len());
        // To `stat` the marker and back, to `place` with the hash and back, and to the caller.
        paths = paths.max(2 * ".latent".len() + 3 * stored.location.len() + object.sha256.len());
    }
    report.add(NAME, "put: most, strings and hash of the object", record as f64, "bytes");
    report.add(NAME, "put: most, paths and hash between plugin and host", paths as f64, "bytes");
    report.hold(NAME, "put: most, all lists of one photo", (record + paths) as f64, "bytes", MOST);
    host.hold(NAME, "put, get, find", report);
    Ok(())
}

fn object(file_name: String, bytes: &[u8]) -> Object {
    Object {
        key: "0192f0c1-7d5e-7abc-8def-0123456789ab".into(),
        class: BlobClass::Original,
        owner: "0192f0c1-7d5e-7abc-8def-0123456789ac".into(),
        owner_label: None,
        taken_ms: Some(1_710_504_000_000),
        file_name,
        sha256: Sha256::digest(bytes).into(),
    }
}
