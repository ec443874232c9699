//! Pipelines as text: what is understood, and what a mistake is told.

use pipelines::{Definition, Pipelines};

fn error(text: &str) -> String {
    Definition::parse("ingest.toml", text).unwrap_err().to_string()
}

const STEP: &str = "on = \"asset.created\"\n[[step]]\nid = \"metadata\"\nuse = \"host:metadata\"\n";

#[test]
fn the_shipped_pipelines_are_in_order() {
    for file in std::fs::read_dir(tests::root().join("config/pipelines")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        Definition::parse(&name, &std::fs::read_to_string(&path).unwrap()).unwrap();
    }
}

#[test]
fn steps_run_after_those_they_wait_for_in_whatever_order_they_are_written() {
    let text = "on = \"asset.created\"\n[[step]]\nid = \"b\"\nuse = \"host:thumbnails\"\nafter = [\"a\"]\n[[step]]\nid = \"a\"\nuse = \"host:metadata\"\n";
    let pipeline = Definition::parse("x.toml", text).unwrap();
    assert_eq!(pipeline.steps.iter().map(|step| &*step.id).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_mistake_names_its_line_and_what_was_meant() {
    assert_eq!(
        error(&STEP.replace("asset.created", "asset.create")),
        "ingest.toml:1: there is no trigger \"asset.create\"; did you mean \"asset.created\"?"
    );
    assert_eq!(
        error(&format!("{STEP}after = [\"metdata\"]\n")),
        "ingest.toml:5: there is no step \"metdata\"; did you mean \"metadata\"?"
    );
    let unparsable = error(&format!("{STEP}when = \"asset.type ==\"\n"));
    assert!(unparsable.starts_with("ingest.toml:5: the condition does not parse"), "{unparsable}");
    assert!(error(&format!("{STEP}retry = {{ attempts = 3, backoff = \"soon\" }}\n")).contains("ingest.toml:5"));
    assert!(error(&format!("{STEP}wehn = \"true\"\n")).contains("ingest.toml:5"));
    assert!(error(&format!("{STEP}[[step]]\nid = \"metadata\"\nuse = \"host:metadata\"\n")).contains("second step"));
}

#[test]
fn a_circle_is_refused() {
    let text = "on = \"asset.created\"\n[[step]]\nid = \"a\"\nuse = \"host:metadata\"\nafter = [\"b\"]\n[[step]]\nid = \"b\"\nuse = \"host:metadata\"\nafter = [\"a\"]\n";
    assert_eq!(error(text), "ingest.toml:3: these steps wait for each other: a, b");
}

#[test]
fn a_pipeline_without_steps_is_refused() {
    assert_eq!(error("on = \"asset.created\"\n"), "ingest.toml:2: the pipeline has no [[step]]");
}

#[test]
fn queues_are_worked_on_in_the_order_of_the_steps() {
    let text = std::fs::read_to_string(tests::root().join("config/pipelines/ingest.toml")).unwrap();
    let shipped = Pipelines::new(vec![Definition::parse("ingest.toml", &text).unwrap()]);
    let queues: Vec<String> = shipped.queues().into_iter().map(|queue| queue.0).collect();
    assert_eq!(queues, ["metadata", "thumbnails", "faces", "search", "video-conversion"]);
}
