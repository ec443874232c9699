//! What an operator writes about a plugin: origins, secrets, ceilings; and what is shown of it.

use std::io::Write as _;

use server::config;

fn load(text: &str) -> Result<server::Settings, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let origin = file.path().display().to_string();
    config::load(Some(file.path()), []).map_err(|error| error.to_string().replace(&origin, "latent.toml"))
}

const CLOUD: &str = r#"
[storage.backend.cloud]
plugin = "storage-s3"
http = ["https://S3.example.net:443", { origin = "http://minio.lan:9000", private = true, ca = "/etc/minio.pem" }]
memory = "64MiB"
concurrency = 8
settings = { bucket = "photos" }
[storage.backend.cloud.secrets.key]
value = "a-very-secret-value"
origin = "https://s3.example.net"
"#;

#[test]
fn origins_are_texts_or_tables() {
    let settings = load(CLOUD).unwrap();
    let cloud = &settings.storage.backend["cloud"];
    let shown: Vec<_> =
        cloud.http.iter().map(|http| (http.origin.to_string(), http.private, http.ca.is_some())).collect();
    assert_eq!(
        shown,
        [("https://s3.example.net".to_owned(), false, false), ("http://minio.lan:9000".to_owned(), true, true)]
    );
    assert_eq!(cloud.secrets["key"].origin, cloud.http[0].origin);
}

#[test]
fn a_secret_is_not_printed_and_the_rest_can_be_read_again() {
    let printed = config::print(&load(CLOUD).unwrap());
    assert!(!printed.contains("a-very-secret-value") && printed.contains("value = \"***\""), "{printed}");
    let again = load(&printed).unwrap();
    assert_eq!(again.storage.backend["cloud"].http, load(CLOUD).unwrap().storage.backend["cloud"].http);
}

#[test]
fn a_mistake_in_a_grant_is_named() {
    for (line, words) in [
        ("http = [\"s3.example.net\"]", "is no origin"),
        ("http = [\"https://s3.example.net/bucket\"]", "it holds more than scheme, host and port"),
        ("http = [{ origin = \"https://a.example\", privat = true }]", "privat"),
        ("http = \"https://a.example\"", "latent.toml: storage.backend.cloud"),
        ("secrets.key = { env = \"KEY\" }", "origin"),
        ("secrets.key = { enf = \"KEY\", origin = \"https://a.example\" }", "enf"),
        ("kv = \"1MB\"", "is no size: write 64MiB"),
        ("htpp = []", "did you mean \"storage.backend.cloud.http\""),
    ] {
        let error = load(&format!("[storage.backend.cloud]\nplugin = \"storage-s3\"\n{line}")).unwrap_err();
        assert!(error.contains(words), "{line}: {error}");
    }
}

#[test]
fn a_secret_that_is_not_to_be_had_is_found_by_the_check() {
    let check = |line: &str| {
        let text =
            format!("[plugins.\"latent.clip-search\".secrets]\nkey = {{ {line}, origin = \"https://a.example\" }}");
        let mut settings = load(&text).unwrap();
        settings.kit = tests::kit();
        server::check(&settings).join("\n")
    };
    for (line, words) in [
        ("env = \"LATENT_TEST_NO_SUCH\"", "the environment has no variable LATENT_TEST_NO_SUCH"),
        ("file = \"/nonexistent\"", "cannot read /nonexistent"),
        ("env = \"A\", value = \"12345678\"", "write one of `env`, `file` and `value`"),
    ] {
        let found = check(line);
        assert!(found.contains("plugins.latent.clip-search: the secret \"key\"") && found.contains(words), "{found}");
    }
    assert_eq!(check("value = \"12345678\""), "");
}
