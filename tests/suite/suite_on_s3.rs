//! The gallery's own tests once more, with originals and all that is made of them in a bucket.

use std::process::Command;

use serde_json::json;
use tests::{IN_A_BUCKET, TestApp, photos};

/// What the product does with bytes. Not those that look at files of the storage, or break a disk: they are about storage-local.
const MODULES: &[&str] =
    &["access::", "assets::", "photos::", "timeline::", "steps::", "jobs::", "server::", "uploads::"];
/// Tests of these modules that look into the folder, or set the template of its paths.
const ABOUT_FILES: &[&str] = &[
    "assets::the_trash_gives_back_and_empties_for_ever",
    "jobs::a_thumbnail_that_vanished_from_the_storage_is_made_again",
    "server::a_storage_folder_that_is_not_mounted_is_neither_written_nor_hidden",
    "server::another_librarys_disk_is_refused_while_running_and_at_the_start",
    "steps::a_changed_recipe_does_exactly_its_step_again",
    "steps::an_original_that_is_gone_is_an_error_for_its_owner_to_see_and_not_for_ever_tried",
    "uploads::an_intent_whose_upload_died_is_swept_and_an_asset_is_not",
    "uploads::an_original_moves_to_where_its_date_says",
    "uploads::bytes_that_two_owners_share_stay_until_both_have_deleted_them",
    "uploads::keeps_the_bytes_and_says_created_then_duplicate",
    "uploads::names_that_try_to_lead_out_stay_in",
    "uploads::the_date_of_the_photo_decides_the_folder",
    "uploads::the_same_bytes_twenty_times_at_once_are_one_asset_and_one_file",
    "uploads::the_same_bytes_under_another_name_that_nobody_owns_are_swept",
    "uploads::two_photos_of_one_name_and_day_are_two_files",
    "uploads::a_body_that_is_cut_off_leaves_nothing",
];
/// Tests with a worker of another process, which knows of the folder only.
const OF_TWO_PROCESSES: &[&str] = &[
    "jobs::a_job_that_kills_every_worker_has_failed_instead_of_killing_for_ever",
    "jobs::what_a_worker_of_another_process_makes_is_heard_here_once",
];
/// So many are left, at the least: a filter that finds nothing would pass.
const LEAST: usize = 45;

#[test]
fn the_gallerys_tests_pass_with_everything_in_a_bucket() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let others = ABOUT_FILES.iter().chain(OF_TWO_PROCESSES);
    command.args(MODULES).args(others.flat_map(|name| ["--skip", *name])).args(["--skip", "on_s3"]);
    let output = command.env(IN_A_BUCKET, "1").current_dir(tests::root().join("tests")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let passed = said.split("test result: ok. ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(passed.is_some_and(|passed: usize| passed >= LEAST), "{said}");
}

#[tokio::test]
async fn originals_and_thumbnails_lie_in_the_bucket_and_go_with_the_photo() {
    let s3 = tests::s3::S3::start().await;
    let app = TestApp::with(|settings| tests::add_bucket(settings, "main", &s3.url)).await;
    let client = app.sign_up().await;
    let id = client.uploaded("IMG_1.jpg", photos::jpeg(1)).await;
    client.processed(&id).await;
    let blobs = app.running.gallery.blobs();
    let there = blobs.list_in("main", None, 100).await.unwrap();
    let folders: Vec<&str> = there.iter().map(|stored| stored.location.split('/').next().unwrap()).collect();
    assert_eq!(folders, ["library", "thumbs", "thumbs"]);
    assert!(there[0].location.ends_with("/IMG_1.jpg"));
    let original = client.request(reqwest::Method::GET, &format!("/assets/{id}/original"));
    let part = original.header("range", "bytes=100-199").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), photos::jpeg(1)[100..200]);
    let storage = client.get("/server/storage").await.ok();
    assert_eq!(storage["diskAvailableRaw"], 1_u64 << 50, "a bucket has no end");
    assert!(storage["diskUseRaw"].as_u64().unwrap() >= photos::jpeg(1).len() as u64);
    client.delete("/assets", &json!({ "ids": [id], "force": true })).await.ok();
    assert_eq!(blobs.list_in("main", None, 100).await.unwrap(), []);
}

#[test]
fn the_example_is_one() {
    let path = tests::root().join("examples/storage-s3/latent.toml");
    let settings = server::config::load(Some(&path), []).unwrap();
    assert_eq!(settings.storage.originals, "amazon");
    let plugin = std::fs::read(tests::kit().join("plugins/storage-s3.wasm")).unwrap();
    let manifest = plugin_host::read_manifest(&plugin).unwrap();
    for name in ["amazon", "shelf"] {
        manifest.check_settings(&settings.storage.backend[name].settings).unwrap();
    }
}
