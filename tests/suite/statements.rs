//! Every statement of `store` that stands in one text is one that a migrated database understands.

use std::collections::BTreeMap;
use std::path::Path;

use tests::Database;

/// The string literals of a source file as the compiler reads them, without those in comments.
fn literals(source: &str) -> Vec<String> {
    let code: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    let mut rest = &*code;
    while let Some(at) = rest.find('"') {
        let is_raw = rest[..at].ends_with("r#");
        rest = &rest[at + 1..];
        let (text, length) = if is_raw {
            let end = rest.find("\"#").expect("a raw string ends");
            (rest[..end].to_owned(), end + 1)
        } else {
            plain(rest)
        };
        found.push(text);
        rest = &rest[length + 1..];
    }
    found
}

/// A literal up to its closing quote, and how many bytes of source it takes.
fn plain(source: &str) -> (String, usize) {
    let mut text = String::new();
    let mut at = 0;
    loop {
        let left = &source[at..];
        match left.chars().next().expect("a string ends") {
            '"' => return (text, at),
            // A line that goes on: the next begins at its first letter.
            '\\' if left[1..].starts_with('\n') => at += left.len() - left[1..].trim_start().len(),
            '\\' => {
                let escaped = left[1..].chars().next().expect("an escape ends");
                text.push(match escaped {
                    'n' => '\n',
                    other => other,
                });
                at += 1 + escaped.len_utf8();
            }
            letter => {
                text.push(letter);
                at += letter.len_utf8();
            }
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// `const NAME: &str = "…"` of a file, with what it may hold of others of its kind.
fn constants(source: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for part in source.split("const ").skip(1) {
        if let Some((name, value)) = part.split_once(": &str =")
            && value.trim_start().starts_with('"')
        {
            found.insert(name.to_owned(), literals(value).remove(0));
        }
    }
    found
}

fn is_statement(text: &str) -> bool {
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|start| text.trim_start().starts_with(start))
}

/// Statements with a part that only a run knows: the table of a space, the conditions of a filter. Tests of people, search, the
/// timeline and assets run each of them; here they may only become fewer.
const MADE_AT_RUN_TIME: usize = 30;

#[tokio::test]
async fn every_statement_of_the_store_is_understood() {
    let mut files = Vec::new();
    sources(&tests::root().join("host/store/src"), &mut files);
    let everywhere: BTreeMap<String, String> = files.iter().flat_map(|(_, source)| constants(source)).collect();
    let client = Database::new().await.raw().await;
    let (mut prepared, mut made) = (0, Vec::new());
    let mut wrong = Vec::new();
    for (file, source) in &files {
        let own = constants(source);
        for literal in literals(source).into_iter().filter(|literal| is_statement(literal)) {
            let mut statement = literal.clone();
            for (name, text) in own.iter().chain(&everywhere) {
                statement = statement.replace(&format!("{{{name}}}"), text);
            }
            if statement.contains('{') {
                made.push(format!("{file}: {literal}"));
                continue;
            }
            prepared += 1;
            if let Err(error) = client.prepare(&statement).await {
                let why = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
                wrong.push(format!("{file}: {why}\n{statement}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(prepared >= 100, "only {prepared} statements were found: does this test still read the sources?");
    assert!(
        made.len() <= MADE_AT_RUN_TIME,
        "write the statement in one text, or run it in a test and count it here ({}):\n{}",
        made.len(),
        made.join("\n")
    );
}
