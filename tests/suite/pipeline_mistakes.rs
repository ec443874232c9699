//! What a mistake in a pipeline is told: its file, its line, and what was probably meant.

use pipelines::{Definition, Trigger};

const ON: &str = "on = \"asset.created\"\n";
const METADATA: &str = "[[step]]\nid = \"metadata\"\nuse = \"host:metadata\"\n";

fn all(text: &str) -> Vec<String> {
    Definition::parse_all("x.toml", text).unwrap_err().iter().map(ToString::to_string).collect()
}

/// A pipeline with one more step of a plugin, whose first line is the sixth.
fn step(lines: &str) -> String {
    format!("{ON}{METADATA}\n[[step]]\nid = \"faces\"\nuse = \"face-detection\"\nafter = [\"metadata\"]\n{lines}\n")
}

#[test]
fn each_mistake_is_told_with_its_line_and_a_way_out() {
    let alone = |step: &str| format!("{ON}[[step]]\nid = \"a\"\n{step}\n");
    let table: &[(String, &str)] = &[
        (
            METADATA.into(),
            "x.toml:1: `on` is missing: write what starts the pipeline, on = \"asset.created\" for instance",
        ),
        (
            format!("on = \"asset.create\"\n{METADATA}"),
            "x.toml:1: there is no trigger \"asset.create\"; did you mean \"asset.created\"?",
        ),
        (
            format!("on = \"schedle\"\n{METADATA}"),
            "x.toml:1: there is no trigger \"schedle\"; did you mean \"schedule\"?",
        ),
        (
            format!("on = \"schedule\"\n{METADATA}"),
            "x.toml:1: the schedule is missing: write schedule = { cron = \"0 3 * * *\", time-zone = \"Europe/Berlin\" }",
        ),
        (
            format!("on = \"schedule\"\nschedule = {{ time-zone = \"UTC\" }}\n{METADATA}"),
            "x.toml:2: the schedule has no cron: write",
        ),
        (
            format!("on = \"schedule\"\nschedule = {{ cron = \"0 25 * * *\" }}\n{METADATA}"),
            "x.toml:2: \"0 25 * * *\" is no cron expression (",
        ),
        (
            format!("on = \"schedule\"\nschedule = {{ cron = \"0 3 * *\" }}\n{METADATA}"),
            "x.toml:2: \"0 3 * *\" is no cron expression (",
        ),
        (
            format!("on = \"schedule\"\nschedule = {{ cron = \"0 0 3 * * *\" }}\n{METADATA}"),
            "x.toml:2: \"0 0 3 * * *\" is no cron expression (",
        ),
        (
            format!("on = \"schedule\"\nschedule = {{ cron = \"0 0 30 2 *\" }}\n{METADATA}"),
            "x.toml:2: \"0 0 30 2 *\" is a time that never comes",
        ),
        (
            format!(
                "on = \"schedule\"\nschedule = {{ cron = \"0 3 * * *\", time-zone = \"Europe/Berln\" }}\n{METADATA}"
            ),
            "x.toml:2: there is no time zone \"Europe/Berln\"; did you mean \"Europe/Berlin\"?",
        ),
        (
            format!("on = \"schedule\"\nschedule = {{ cron = \"0 3 * * *\", over = \"some\" }}\n{METADATA}"),
            "x.toml:2: there is no such thing to run a schedule over: \"some\"; there are missing, all",
        ),
        (
            format!("on = \"schedule\"\nschedule = {{ corn = \"0 3 * * *\" }}\n{METADATA}"),
            "x.toml:2: a schedule has no key \"corn\"; did you mean \"cron\"?",
        ),
        (
            format!("{ON}schedule = {{ cron = \"0 3 * * *\" }}\n{METADATA}"),
            "x.toml:2: the pipeline has a schedule, and is started on \"asset.created\": write on = \"schedule\"",
        ),
        (format!("{ON}stpe = 1\n{METADATA}"), "x.toml:2: a pipeline has no key \"stpe\"; did you mean \"step\"?"),
        (format!("{ON}[step]\nid = \"a\"\n"), "x.toml:2: a step is written as [[step]], with two brackets"),
        (format!("{ON}[[step]\n"), "x.toml:2: this is no TOML: "),
        (format!("{ON}[[step]]\nuse = \"host:metadata\"\n"), "x.toml:2: a step has no id: write id = "),
        (
            format!("{ON}[[step]]\nid = \"A b\"\nuse = \"host:metadata\"\n"),
            "x.toml:3: the id \"A b\" is no name: small letters, digits and dashes",
        ),
        (format!("{ON}{METADATA}{METADATA}"), "x.toml:6: a second step has the id \"metadata\""),
        (
            format!("{ON}[[step]]\nid = \"a\"\n"),
            "x.toml:3: the step does not say what it uses: write use = \"host:metadata\", or a plugin's id",
        ),
        (
            alone("use = \"host:metadta\""),
            "x.toml:4: there is no step to use called \"host:metadta\"; did you mean \"host:metadata\"?",
        ),
        (alone("use = \"host:metadata\"\nafter = [\"a\"]"), "x.toml:5: the step \"a\" waits for itself"),
        (alone("use = \"host:metadata\"\nuess = 1"), "x.toml:5: a step has no key \"uess\"; did you mean \"use\"?"),
        (
            alone("use = \"host:metadata\"\noptional = true"),
            "x.toml:5: host:metadata is always there: only a plugin's step is optional",
        ),
        (
            alone("use = \"host:metadata\"\nset = { favorite = true }"),
            "x.toml:5: `set` is for steps with use = \"host:set\", and this one uses \"host:metadata\"",
        ),
        (
            alone("use = \"host:metadata\"\nqueue = \"Big one\""),
            "x.toml:5: the queue \"Big one\" is no name: small letters, digits and dashes",
        ),
        (
            alone("use = \"host:set\""),
            "x.toml:4: host:set does not say what it sets: write set = { favorite = true } for instance",
        ),
        (alone("use = \"host:set\"\nset = {}"), "x.toml:5: `set` is empty: write favorite, visibility or rating"),
        (
            alone("use = \"host:set\"\nset = { favourite = true }"),
            "x.toml:5: set has no key \"favourite\"; did you mean \"favorite\"?",
        ),
        (
            alone("use = \"host:set\"\nset = { visibility = \"locked\" }"),
            "x.toml:5: there is no visibility that a pipeline may set: \"locked\"; there are timeline, archive",
        ),
        (alone("use = \"host:set\"\nset = { rating = 6 }"), "x.toml:5: a rating is 1 to 5, not 6"),
        (alone("use = \"host:log\""), "x.toml:4: host:log does not say what it writes: write message = "),
        (step("after-all = 1"), "x.toml:10: a step has no key \"after-all\"; did you mean \"after\"?"),
        (step("retry = { attempts = 0 }"), "x.toml:10: 0 attempts: write 1 to 100"),
        (
            step("retry = { attempts = 2, backoff = \"soon\" }"),
            "x.toml:10: \"soon\" is no duration: write 500ms, 10s or 5m",
        ),
        (
            step("retry = { attempts = 2, backof = \"1s\" }"),
            "x.toml:10: retry has no key \"backof\"; did you mean \"backoff\"?",
        ),
        (step("retry = { attempts = 2, backoff = \"2000m\" }"), "x.toml:10: \"2000m\" is longer than a day"),
        (
            step("on-failure = \"skp\""),
            "x.toml:10: on-failure = \"skp\" is not known: write \"skip\", \"error\", \"retry\" or \"fallback:<plugin>\"; did you mean \"skip\"?",
        ),
        (step("on-failure = \"fallback:face-detection\""), "x.toml:10: \"face-detection\" cannot be its own fallback"),
        (step("on-failure = [\"fallback:b\", \"fallback:b\"]"), "x.toml:10: \"b\" is its fallback already"),
        (
            step("on-failure = [\"skip\", \"fallback:b\"]"),
            "x.toml:10: \"skip\" is the end: what stands behind it never comes",
        ),
        (
            alone("use = \"host:metadata\"\non-failure = \"fallback:b\""),
            "x.toml:5: only a plugin's step can fall back, and this one uses host:metadata",
        ),
        (step("when = \"asset.type ==\""), "x.toml:10: the condition does not parse: "),
        (step("when = \"asset.tpye == 'IMAGE'\""), "x.toml:10: asset has no \"tpye\"; did you mean \"type\"?"),
        (
            step("when = \"findings.steps.faces == 'done'\""),
            "x.toml:10: this step comes after no step \"faces\", so how that ended is not known; there are metadata",
        ),
        (
            "on = \"asset.deleted\"\n".to_owned() + METADATA,
            "x.toml:4: nothing is left of an asset that was deleted but what was known of it, and host:metadata needs the asset: use host:log",
        ),
    ];
    for (text, expected) in table {
        let found = all(text);
        assert!(
            found.iter().any(|mistake| mistake.starts_with(expected)),
            "{text}\nwanted {expected}\nfound {found:#?}"
        );
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_the_order_of_their_lines() {
    let text = "on = \"asset.crated\"\n[[step]]\nid = \"a\"\nuse = \"host:metadata\"\nwhen = \"aset.type == 'IMAGE'\"\n\
                [[step]]\nid = \"b\"\nuse = \"host:thumbnails\"\nafter = [\"c\"]\nqeue = \"x\"\n";
    assert_eq!(
        all(text),
        [
            "x.toml:1: there is no trigger \"asset.crated\"; did you mean \"asset.created\"?",
            "x.toml:5: a condition knows no \"aset\"; did you mean \"asset\"?",
            "x.toml:9: there is no step \"c\"; there are a, b",
            "x.toml:10: a step has no key \"qeue\"; did you mean \"queue\"?",
        ]
    );
}

#[test]
fn a_longer_circle_is_told_without_those_that_only_wait_for_it() {
    let step =
        |id: &str, after: &str| format!("[[step]]\nid = \"{id}\"\nuse = \"host:metadata\"\nafter = [\"{after}\"]\n");
    let text = format!("{ON}{}{}{}{}", step("a", "b"), step("b", "c"), step("c", "b"), step("d", "a"));
    assert_eq!(all(&text), ["x.toml:7: these steps wait for each other: b, c"]);
}

#[test]
fn what_is_written_is_what_is_read() {
    let text = "on = \"schedule\"\nschedule = { cron = \"30 2 * * 1\", time-zone = \"Europe/Berlin\", over = \"all\" }\n\
                [[step]]\nid = \"a\"\nuse = \"some.plugin\"\non-failure = [\"fallback:b\", \"fallback:c\", \"skip\"]\n";
    let read = Definition::parse("night.toml", text).unwrap();
    assert_eq!(read.name, "night");
    let Trigger::Schedule(schedule) = &read.on else { panic!("{:?}", read.on) };
    assert!(schedule.force);
    assert_eq!(read.steps[0].on_failure.to_string(), "fallback:b, then fallback:c, then skip");
    assert_eq!(read.steps[0].queue.0, "a");
}
