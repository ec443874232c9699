//! The one directory of a storage plugin: what leads out of it, what is too much, what a disk does not know.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use blobs::{Blob, BlobClass, Object, StorageBackend, StorageError};
use plugin_host::directory::{Abilities, Directory};
use plugin_host::{OperatorGrant, Plugin};
use sha2::{Digest as _, Sha256};

use crate::plugin_host::{House, first_party, house};

const EVERY: [(bool, bool); 4] = [(true, true), (false, true), (true, false), (false, false)];

fn abilities((hard_links, rename_without_replacing): (bool, bool)) -> Abilities {
    Abilities { hard_links, rename_without_replacing }
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

/// The storage plugin of the kit over a library with its marker.
async fn library(house: &House) -> (Arc<Plugin>, Arc<dyn StorageBackend>, std::path::PathBuf) {
    let root = house.folder.path().join("library");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join(".latent"), "").unwrap();
    let grant = OperatorGrant { files: Some(root.clone()), ..OperatorGrant::default() };
    let plugin = house.host.load(first_party("storage-local"), &grant).await.unwrap();
    let storage = plugin.storage();
    (plugin, storage, root)
}

fn object(name: &str, bytes: &[u8]) -> Object {
    Object {
        key: "0192f0c1-7d5e-7abc-8def-0123456789ab".into(),
        class: BlobClass::Original,
        owner: "ann".into(),
        owner_label: None,
        taken_ms: Some(1_710_504_000_000),
        file_name: name.into(),
        sha256: Sha256::digest(bytes).into(),
    }
}

#[tokio::test]
async fn no_path_of_a_guest_leads_out_of_its_directory() {
    let house = house();
    let (_plugin, storage, root) = library(&house).await;
    fs::write(house.folder.path().join("secret"), "s").unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("../secret", root.join("link")).unwrap();
    fs::create_dir(root.join(".inbox")).unwrap();
    fs::write(root.join(".inbox/x.part"), "an upload under way").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let deep = vec!["a"; 33].join("/");
    let long = vec!["a".repeat(200); 21].join("/");
    for path in [
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "up/secret",
        "link",
        "a\0b",
        "",
        ".",
        &deep,
        &long,
        ".inbox/x.part",
        "./.inbox/x.part",
        "fifo",
        ".latent-tmp/x",
    ] {
        let read = storage.get(path, 0, None).await;
        let refused = matches!(read, Err(StorageError::Refused(_) | StorageError::NotFound(_)));
        assert!(refused, "{path:?}: {read:?}");
        let head = storage.head(path).await;
        assert!(matches!(head, Err(StorageError::Refused(_)) | Ok(None)), "{path:?}: {head:?}");
    }
    for path in ["../secret", ".inbox/x.part", ".latent"] {
        assert!(matches!(storage.delete(path).await, Err(StorageError::Refused(_))), "{path:?}");
    }
    assert!(house.folder.path().join("secret").exists() && root.join(".latent").exists());
}

#[test]
fn a_mistaken_source_makes_no_folder() {
    let root = tempfile::tempdir().unwrap();
    let directory = Directory::at(root.path());
    assert_eq!(kind(directory.rename("nothing", "a/b/c")), io::ErrorKind::NotFound);
    let deep = vec!["a"; 40].join("/");
    assert_eq!(kind(directory.place(&deep, &Blob::from_bytes(&b"x"[..]), false)), io::ErrorKind::InvalidInput);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_file_is_placed_whatever_the_disk_can_do() {
    for can in EVERY {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::with(root.path(), abilities(can));
        let (one, other) = (Blob::from_bytes(&b"one"[..]), Blob::from_bytes(&b"other"[..]));
        let inbox = tempfile::NamedTempFile::new().unwrap();
        fs::write(inbox.path(), "a file").unwrap();
        let file = Blob::open(inbox.path()).unwrap();
        for (path, blob) in [("a/b/one", &one), ("a/file", &file)] {
            for _ in 0..2 {
                let entry = directory.place(path, blob, true).unwrap();
                assert_eq!((entry.path.as_str(), entry.len), (path, blob.len()), "{can:?}");
            }
            assert_eq!(kind(directory.place(path, &other, true)), io::ErrorKind::AlreadyExists, "{can:?}");
            assert_eq!(fs::read(root.path().join(path)).unwrap(), blob.read_blocking().unwrap(), "{can:?}");
        }
        directory.place("c", &other, false).unwrap();
        assert_eq!(kind(directory.rename("c", "a/file")), io::ErrorKind::AlreadyExists, "{can:?}");
        directory.rename("c", "new/c").unwrap();
        assert_eq!(fs::read(root.path().join("new/c")).unwrap(), b"other", "{can:?}");
        assert!(!root.path().join("c").exists(), "{can:?}");
        directory.remove("new/c").unwrap();
        directory.remove("new/c").unwrap();
        let left: Vec<_> = fs::read_dir(root.path().join(".latent-tmp")).unwrap().collect();
        assert!(left.is_empty(), "{can:?}: {left:?}");
    }
}

#[test]
fn one_of_many_at_once_gets_the_name() {
    for can in EVERY {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::with(root.path(), abilities(can));
        let placed = std::thread::scope(|scope| {
            let tasks: Vec<_> = (0..8_u8)
                .map(|at| {
                    let directory = &directory;
                    scope.spawn(move || directory.place("a/name", &Blob::from_bytes(vec![at; 1_000]), false).is_ok())
                })
                .collect();
            tasks.into_iter().map(|task| task.join().unwrap()).filter(|placed| *placed).count()
        });
        assert_eq!(placed, 1, "{can:?}");
        let bytes = fs::read(root.path().join("a/name")).unwrap();
        assert!(bytes.len() == 1_000 && bytes.iter().all(|byte| *byte == bytes[0]), "{can:?}");
    }
}

#[test]
fn pages_of_a_list_lose_nothing() {
    let root = tempfile::tempdir().unwrap();
    let directory = Directory::at(root.path());
    let mut paths =
        vec!["ann/x", "ann/y", "ann-b/z", "ann.txt", "ann0", "ann/deep/er/file", "b", "ann-b/.hidden", ".inbox/x"];
    for path in &paths {
        fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
        fs::write(root.path().join(path), "x").unwrap();
    }
    // What is no file is passed by.
    symlink("ann", root.path().join("ann-link")).unwrap();
    symlink("nowhere", root.path().join("ann/broken")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.path().join("c"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    paths.retain(|path| !path.contains("/.") && !path.starts_with('.'));
    paths.sort_unstable();
    for limit in [1, 2, 3, 100] {
        let (mut listed, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = directory.list("", after.as_deref(), limit).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.path.clone());
            listed.extend(page.into_iter().map(|entry| entry.path));
        }
        assert_eq!(listed, paths, "pages of {limit}");
    }
    let some: Vec<_> = directory.list("ann/", None, 100).unwrap().into_iter().map(|entry| entry.path).collect();
    assert_eq!(some, ["ann/deep/er/file", "ann/x", "ann/y"]);
    assert_eq!(directory.list("ann/d", Some("ann/deep/er/file"), 100).unwrap(), []);
}

#[test]
fn a_listing_of_many_folders_needs_few_handles() {
    let root = tempfile::tempdir().unwrap();
    let mut path = root.path().to_path_buf();
    // Deeper than anything that can be named.
    (0..60).for_each(|_| path.push("d"));
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("unreachable"), "x").unwrap();
    fs::write(root.path().join("d/d/reachable"), "x").unwrap();
    let listed = Directory::at(root.path()).list("", None, 10).unwrap();
    assert_eq!(listed.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["d/d/reachable"]);
}

#[test]
fn what_a_dead_process_left_is_swept() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(".latent-tmp");
    fs::create_dir(&folder).unwrap();
    let old = SystemTime::now() - Duration::from_secs(120);
    let make = |name: &str, modified| {
        let file = fs::File::create(folder.join(name)).unwrap();
        file.set_modified(modified).unwrap();
        file
    };
    make("dead", old);
    make("young", SystemTime::now());
    let living = make("living", old);
    rustix::fs::flock(&living, rustix::fs::FlockOperation::LockExclusive).unwrap();
    Directory::at(root.path()).sweep();
    let left: HashSet<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, HashSet::from(["young", "living"].map(OsString::from)));
    // A disk that is not mounted is no reason to fail.
    Directory::at(Path::new("/nonexistent")).sweep();
}

#[tokio::test]
async fn an_object_is_found_behind_a_gap_and_not_stored_twice() {
    let house = house();
    let (_plugin, storage, root) = library(&house).await;
    let (a, b) = (Blob::from_bytes(&b"a"[..]), Blob::from_bytes(&b"b"[..]));
    let first = storage.put(&object("IMG.jpg", b"a"), &a).await.unwrap();
    let second = storage.put(&object("IMG.jpg", b"b"), &b).await.unwrap();
    assert!(second.location.ends_with("IMG+1.jpg"), "{}", second.location);
    storage.delete(&first.location).await.unwrap();
    let found = storage.find(&object("IMG.jpg", b"b")).await.unwrap().unwrap();
    assert_eq!(found.location, second.location);
    assert_eq!(storage.put(&object("IMG.jpg", b"b"), &b).await.unwrap().location, second.location);
    assert_eq!(storage.find(&object("IMG.jpg", b"a")).await.unwrap(), None);
    assert!(!root.join(&first.location).exists());
}

#[tokio::test]
async fn on_a_disk_that_is_not_mounted_nothing_is_missing() {
    let house = house();
    let (_plugin, storage, root) = library(&house).await;
    let stored = storage.put(&object("IMG.jpg", b"a"), &Blob::from_bytes(&b"a"[..])).await.unwrap();
    assert!(matches!(storage.get("library/none.jpg", 0, None).await, Err(StorageError::NotFound(_))));
    fs::rename(&root, house.folder.path().join("elsewhere")).unwrap();
    fs::create_dir(&root).unwrap();
    assert!(matches!(storage.get(&stored.location, 0, None).await, Err(StorageError::Unavailable(_))));
    assert!(matches!(storage.head(&stored.location).await, Err(StorageError::Unavailable(_))));
    assert!(matches!(
        storage.put(&object("x", b"x"), &Blob::from_bytes(&b"x"[..])).await,
        Err(StorageError::Unavailable(_))
    ));
}

#[tokio::test]
async fn storing_and_reading_move_no_payload() {
    let house = house();
    let (plugin, storage, root) = library(&house).await;
    let bytes = vec![7_u8; 3 << 20];
    for blob in [Blob::from_bytes(bytes.clone()), {
        let path = root.join("library/source");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &bytes).unwrap();
        Blob::open(path).unwrap()
    }] {
        let stored = storage.put(&object("IMG.jpg", &bytes), &blob).await.unwrap();
        let read = storage.get(&stored.location, 1 << 20, Some(1 << 20)).await.unwrap();
        assert_eq!(read.read().await.unwrap(), bytes[1 << 20..2 << 20]);
        storage.delete(&stored.location).await.unwrap();
    }
    let traffic = plugin.traffic();
    assert_eq!((traffic.payload, traffic.results), (0, 0), "{traffic:?}");
    assert_eq!(fs::metadata(root.join("library")).unwrap().permissions().mode() & 0o700, 0o700);
}
