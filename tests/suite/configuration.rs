//! Settings: defaults, file, environment; a mistake is named.

use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::process::Command;

use server::config;

fn load(text: &str, environment: &[(&str, &str)]) -> Result<server::Settings, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let origin = file.path().display().to_string();
    config::load(Some(file.path()), environment).map_err(|error| error.to_string().replace(&origin, "latent.toml"))
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let settings = load("[server]\nport = 1\n[media]\npreview = 1000", &[("LATENT__SERVER__PORT", "2")]).unwrap();
    assert_eq!((settings.server.port, settings.media.preview, settings.media.thumbnail), (2, 1000, 250));
}

#[test]
fn an_unknown_key_is_named_with_the_nearest() {
    let error = load("[server]\nprot = 1", &[]).unwrap_err();
    assert_eq!(error, "latent.toml: there is no setting \"server.prot\"; did you mean \"server.port\"?");
    let error = load("", &[("LATENT__SERVER__HOSTS", "x")]).unwrap_err();
    assert_eq!(error, "LATENT__SERVER__HOSTS: there is no setting \"server.hosts\"; did you mean \"server.host\"?");
}

#[test]
fn a_value_of_the_wrong_kind_is_an_error() {
    let error = load("[server]\nport = \"eighty\"", &[]).unwrap_err();
    assert!(error.starts_with("latent.toml: server.port: ") && error.contains("u16"), "{error}");
    let error = load("[server]\nport = 1", &[("LATENT__SERVER__PORT", "70000")]).unwrap_err();
    assert!(error.starts_with("LATENT__SERVER__PORT: server.port: "), "{error}");
    assert!(load("[server\n", &[]).unwrap_err().starts_with("latent.toml is no TOML"));
}

#[test]
fn a_backend_of_ones_own_is_known_and_its_mistakes_too() {
    let text =
        "[storage]\noriginals = \"nas\"\n[storage.backend.nas]\nplugin = \"storage-local\"\nfiles = \"/srv/photos\"";
    assert_eq!(load(text, &[]).unwrap().storage.backend["nas"].files, std::path::Path::new("/srv/photos"));
    let error = load("[storage.backend.nas]\nplugin = \"storage-local\"\nfile = \"/srv\"", &[]).unwrap_err();
    assert_eq!(
        error,
        "latent.toml: there is no setting \"storage.backend.nas.file\"; did you mean \"storage.backend.nas.files\"?"
    );
}

#[test]
fn passwords_are_not_printed() {
    let text = "[database]\nurl = \"postgresql://ann:hunter22@db/latent\"\n[redis]\nurl = \"redis://:hunter22@redis\"";
    let shown = config::print(&load(text, &[]).unwrap());
    assert!(shown.contains("ann:***@db") && !shown.contains("hunter22"), "{shown}");
}

#[test]
fn the_command_line_checks_prints_and_explains() {
    let latent = |args: &[&str]| Command::new(tests::bin_dir().join("latent")).args(args).output().unwrap();
    assert!(latent(&["config", "check"]).status.success());
    let printed = latent(&["config", "print"]);
    assert!(String::from_utf8_lossy(&printed.stdout).contains("[server]"));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[servre]").unwrap();
    let wrong = latent(&["--config", file.path().to_str().unwrap(), "config", "check"]);
    assert_eq!(wrong.status.code(), Some(1));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("there is no setting \"servre\"; did you mean \"server\"?"), "{said}");
    let help = String::from_utf8_lossy(&latent(&["--help"]).stdout).into_owned();
    assert!(help.contains("serve") && help.contains("work") && help.contains("--config"), "{help}");
}

#[test]
fn a_number_that_no_server_can_work_with_is_an_error() {
    let error = load("[media]\npreview-quality = 0", &[]).unwrap_err();
    assert_eq!(error, "latent.toml: media.preview-quality: 0 is not between 1 and 100");
    let error = load("", &[("LATENT__DATABASE__POOL_SIZE", "0")]).unwrap_err();
    assert_eq!(error, "LATENT__DATABASE__POOL_SIZE: database.pool-size: 0 is not between 1 and 1000");
}

#[test]
fn a_password_with_spaces_is_not_printed_either() {
    let shown = config::print(&load("[database]\nurl = \"host=db password='a b' user=ann\"", &[]).unwrap());
    assert!(shown.contains("host=db password=*** user=ann"), "{shown}");
}

/// What `latent` says with these settings; it must fail.
fn refused(text: &str, args: &[&str]) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let output = Command::new(tests::bin_dir().join("latent"))
        .env("LATENT__DATA_DIR", folder.path())
        .env("LATENT_NOT_OURS", std::ffi::OsString::from_vec(vec![0xff]))
        .arg("--config")
        .arg(file.path())
        .args(args)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_check_looks_at_backends_filters_and_pipelines() {
    let text = "pipelines = \"/nowhere\"\n[storage]\noriginals = \"nas\"\n[log]\nfilter = \"a=b=c\"";
    let said = refused(text, &["config", "check"]);
    assert!(said.contains("storage.originals: there is no [storage.backend.nas]"), "{said}");
    assert!(
        said.contains("log.filter: ") && said.contains("pipelines: /nowhere:1: the folder cannot be read"),
        "{said}"
    );
}

#[test]
fn a_queue_that_no_pipeline_has_is_refused_with_the_nearest() {
    let said = refused("", &["work", "--queues", "metadata,thumbnail"]);
    assert!(said.contains("no pipeline has a queue \"thumbnail\"; did you mean \"thumbnails\"?"), "{said}");
}

#[test]
fn a_role_with_half_of_its_services_outside_is_refused() {
    let said = refused("[database]\nurl = \"postgresql://db/latent\"", &["serve"]);
    assert!(said.contains("database.url is set and redis.url is not"), "{said}");
}
