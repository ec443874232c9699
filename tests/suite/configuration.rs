//! Settings: defaults, file, environment; a mistake is named.

use std::io::Write as _;
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
    assert!(load("[server]\nport = \"eighty\"", &[]).unwrap_err().contains("u16"));
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
    let text = "[database]\nurl = \"postgresql://ann:secret@db/latent\"\n[redis]\nurl = \"redis://:secret@redis\"";
    let shown = config::print(&load(text, &[]).unwrap());
    assert!(shown.contains("ann:***@db") && !shown.contains("secret"), "{shown}");
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
