//! The direction of the rooms, read from the manifests of `host/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Each room and the rooms that it may use. A new room is put here by hand, with its place in docs/ARCHITECTURE.md.
const ROOMS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("fetch", &[]),
    ("store", &["types"]),
    ("blobs", &["types"]),
    ("queue", &["types"]),
    ("media", &["types"]),
    ("inference", &["types", "fetch"]),
    ("runtime", &["types"]),
    ("plugin-host", &["types", "blobs", "media", "inference"]),
    ("gallery", &["types", "fetch", "store", "blobs", "queue", "media", "inference", "plugin-host"]),
    ("pipelines", &["types", "store", "blobs", "queue", "media", "inference", "plugin-host", "gallery"]),
    ("api", &["types", "gallery", "media", "store", "blobs", "queue"]),
    (
        "server",
        &[
            "types",
            "store",
            "blobs",
            "queue",
            "media",
            "inference",
            "runtime",
            "plugin-host",
            "gallery",
            "pipelines",
            "api",
        ],
    ),
];

/// Foreign systems and the one room that may know each.
const DOORS: &[(&str, &[&str])] = &[
    ("axum", &["api"]),
    ("socketioxide", &["api"]),
    ("tokio-postgres", &["store"]),
    ("deadpool-postgres", &["store"]),
    ("redis", &["queue"]),
    ("wasmtime", &["plugin-host"]),
    ("ort", &["inference"]),
    ("minisign-verify", &["gallery"]),
    ("turbojpeg", &["media"]),
    ("libheif-rs", &["media"]),
    ("anyhow", &["server"]),
];

fn dependencies(room: &Path) -> Vec<String> {
    let text = fs::read_to_string(room.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

fn rooms() -> BTreeMap<String, Vec<String>> {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host");
    fs::read_dir(host)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), dependencies(&path)))
        .collect()
}

#[test]
fn every_room_uses_only_the_rooms_below_it() {
    let known: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut faults = Vec::new();
    for (room, dependencies) in rooms() {
        let Some(allowed) = known.get(&*room) else {
            faults.push(format!("host/{room} has no place yet: add it to ROOMS and to docs/ARCHITECTURE.md"));
            continue;
        };
        for used in dependencies.iter().filter(|name| known.contains_key(&***name)) {
            if !allowed.contains(&&**used) {
                faults.push(format!("{room} must not use {used}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_foreign_system_stops_at_its_door() {
    let doors: BTreeMap<&str, &[&str]> = DOORS.iter().copied().collect();
    let mut faults = Vec::new();
    for (room, dependencies) in rooms() {
        for used in dependencies {
            if let Some(allowed) = doors.get(&*used)
                && !allowed.contains(&&*room)
            {
                faults.push(format!("{room} must not know {used}: only {} does", allowed.join(", ")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
