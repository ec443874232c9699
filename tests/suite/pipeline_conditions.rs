//! Conditions: what they may ask, what a wrong one is told, and what they cost at most.

use gallery::facts::ROOTS;
use pipelines::Condition;
use serde_json::{Value, json};
use tests::photos::{self, Exif};
use tests::{TestApp, eventually};

fn facts() -> Value {
    json!({
        "asset": {
            "id": "1", "type": "IMAGE", "fileName": "IMG_1.JPG", "mimeType": "image/jpeg", "size": 4_000_000,
            "width": 4000, "height": 3000, "isFavorite": false, "visibility": "timeline", "takenAt": "2024-03-15T12:00:00.000Z",
        },
        "exif": { "make": "Canon", "iso": 400, "fNumber": 2.8, "description": "" },
        "owner": { "id": "2", "name": "Ann", "isAdmin": true },
        "findings": {
            "faces": 2, "hasThumbnail": true, "steps": { "metadata": "done", "faces": "skipped" },
            "people": [{ "id": "3", "name": "Grandma", "isFavorite": true }, { "id": "4", "name": "" }],
        },
    })
}

fn holds(text: &str) -> Result<bool, String> {
    Condition::new(text, &["metadata", "faces"]).unwrap_or_else(|why| panic!("{text}: {why}")).holds(&facts())
}

#[test]
fn a_condition_asks_for_asset_exif_owner_and_findings() {
    for (text, expected) in [
        ("asset.type == 'IMAGE'", true),
        ("asset.type != 'IMAGE'", false),
        ("asset.fileName.startsWith('IMG')", true),
        ("asset.fileName.lowerAscii().endsWith('.jpg') && asset.size > 1000000", true),
        ("asset.fileName.matches('^IMG_[0-9]+')", true),
        ("asset.width * asset.height >= 12000000", true),
        ("exif.make in ['Canon', 'Nikon']", true),
        ("exif.iso > 200 && exif.fNumber < 4", true),
        ("exif.fNumber < 4.0", true),
        ("owner.name == 'Ann' && owner.isAdmin", true),
        ("findings.faces > 1", true),
        ("findings.people.exists(p, p.name == 'Grandma')", true),
        ("findings.people.exists(p, p.name == 'Grandpa')", false),
        ("findings.people.filter(p, p.name != '').size() == 1", true),
        ("findings.people.all(p, p.name != '')", false),
        ("size(findings.people.map(p, p.name)) == 2", true),
        ("findings.people[0].name == 'Grandma'", true),
        ("findings.steps.metadata == 'done' && findings.steps.faces != 'done'", true),
        ("timestamp(asset.takenAt).getFullYear() == 2024", true),
        ("asset['type'] == 'IMAGE'", true),
        ("asset.isFavorite ? false : findings.hasThumbnail", true),
    ] {
        assert_eq!(holds(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_unknown_of_an_asset_makes_a_condition_not_hold() {
    for (text, expected) in [
        ("exif.city == 'Delft'", false),
        ("exif.city != 'Delft'", false),
        ("!(exif.city == 'Delft')", false),
        ("has(exif.city)", false),
        ("!has(exif.city)", true),
        ("has(exif.city) && exif.city == 'Delft'", false),
        ("exif.city == 'Delft' || asset.type == 'IMAGE'", true),
        ("exif.rating > 3", false),
    ] {
        assert_eq!(holds(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_condition_is_told_before_anything_runs() {
    for (text, expected) in [
        ("aset.type == 'IMAGE'", "a condition knows no \"aset\"; did you mean \"asset\"?"),
        ("make == 'Canon'", "a condition knows no \"make\"; did you mean \"exif.make\"?"),
        ("asset.make == 'Canon'", "asset has no \"make\"; did you mean \"exif.make\"?"),
        ("asset.filName == 'x'", "asset has no \"filName\"; did you mean \"fileName\"?"),
        ("asset['typ'] == 'x'", "asset has no \"typ\"; did you mean \"type\"?"),
        ("asset.type.name == 'x'", "asset.type is a text, which has no \"name\""),
        ("findings.people.exists(p, p.nam == 'x')", "p has no \"nam\"; did you mean \"name\"?"),
        ("findings.people == 'x'", "findings.people is a list, and 'x' is a text: the two cannot be compared"),
        ("asset.size == '3'", "asset.size is a whole number, and '3' is a text: the two cannot be compared"),
        (
            "asset.size > asset.type",
            "asset.size is a whole number, and asset.type is a text: the two cannot be compared",
        ),
        ("exif.city == null", "nothing is null: ask has(exif.city) whether something is known"),
        ("asset.type", "the condition gives a text, not true or false"),
        ("asset.type && true", "asset.type is a text, not true or false"),
        ("asset.type in findings.faces", "findings.faces is a whole number, not a list"),
        ("3 in ['a']", "3 is a whole number, and a part of it holds a text: it is never in it"),
        ("asset.fileName.startWith('x')", "conditions have no function \"startWith\"; did you mean \"startsWith\"?"),
        ("asset.size.startsWith('x')", "startsWith is for a text, and asset.size is a whole number"),
        ("asset.fileName.contains(3)", "contains takes a text, and 3 is a whole number"),
        (
            "exif.fNumber * asset.size > 3.0",
            "exif.fNumber and asset.size are different kinds of numbers: write double(…) around the whole one",
        ),
        ("asset.size.exists(x, x > 1)", "asset.size is a whole number, not a list"),
        (
            "findings.steps.thumbnails == 'done'",
            "this step comes after no step \"thumbnails\", so how that ended is not known",
        ),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "the condition goes through more than 2 lists within each other"),
        ("asset.fileName.replace('a', 'b') == 'x'", "conditions have no function \"replace\""),
    ] {
        let why = Condition::new(text, &["metadata", "faces"]).unwrap_err();
        assert!(why.starts_with(expected), "{text}\nwanted {expected}\nfound  {why}");
    }
}

#[test]
fn a_condition_that_would_cost_too_much_is_refused() {
    for text in ["(".repeat(10_000), "!".repeat(1_000) + "true", format!("{}true{}", "(".repeat(60), ")".repeat(60)), {
        let many = vec!["asset.type == 'IMAGE'"; 120];
        many.join(" || ")
    }] {
        let why = Condition::new(&text, &[]).unwrap_err();
        assert!(why.contains("longer than") || why.contains("more than"), "{why}");
    }
}

#[test]
fn an_error_while_it_runs_says_which_condition_and_why() {
    let why = holds("findings.people[7].name == 'x'").unwrap_err();
    assert!(why.starts_with("the condition \"findings.people[7].name == 'x'\" cannot be evaluated: "), "{why}");
    let why = holds("asset.size / (asset.width - asset.width) == 1").unwrap_err();
    assert!(why.to_lowercase().contains("zero"), "{why}");
}

#[tokio::test]
async fn every_fact_that_is_promised_is_there_and_no_other() {
    let app = TestApp::start().await;
    let client = app.sign_up().await;
    let exif = Exif { make: Some("Canon"), gps: Some((52.0, 4.3)), orientation: 1, ..Exif::default() };
    let id = client.uploaded("a.jpg", photos::encoded_jpeg(320, 240, 1, Some(&exif))).await;
    client.processed(&id).await;
    let gallery = &app.running.gallery;
    let asset = gallery.for_ingest(id.parse().unwrap()).await.unwrap().unwrap();
    let asked = gallery::facts::Asked { owner: true, findings: true };
    let facts = gallery.facts(&asset, asked).await.unwrap();
    for (root, fields) in ROOTS {
        for name in facts[*root].as_object().unwrap().keys() {
            assert!(fields.iter().any(|(known, _)| known == name), "{root}.{name} is no fact that conditions know");
        }
    }
    assert_eq!(facts["exif"]["make"], "Canon");
    assert_eq!(facts["owner"]["name"], "Ann");
    assert_eq!(facts["findings"]["faces"], 0);
    assert_eq!(facts["asset"]["width"], 320);
}

#[tokio::test]
async fn a_condition_that_breaks_ends_its_step_as_on_failure_says() {
    let folder = tempfile::tempdir().unwrap();
    let step = |id: &str, policy: &str| {
        format!(
            "[[step]]\nid = \"{id}\"\nuse = \"host:set\"\nset = {{ favorite = true }}\nafter = [\"metadata\"]\n\
             when = \"findings.people[3].name == 'x'\"\n{policy}\n"
        )
    };
    let text = format!(
        "on = \"asset.created\"\n[[step]]\nid = \"metadata\"\nuse = \"host:metadata\"\n{}{}",
        step("skips", "on-failure = \"skip\""),
        step("fails", "on-failure = \"error\"")
    );
    std::fs::write(folder.path().join("ingest.toml"), text).unwrap();
    let app = TestApp::with(|settings| settings.pipelines = folder.path().to_path_buf()).await;
    let client = app.sign_up().await;
    let id = client.uploaded("a.jpg", photos::jpeg(1)).await;
    let asset = client.processed(&id).await;
    assert_eq!(asset["isFavorite"], false);
    let steps = client.get(&format!("/latent/assets/{id}/steps")).await.ok();
    assert_eq!(steps["steps"]["ingest/skips"], "skipped");
    assert_eq!(steps["steps"]["ingest/fails"], "failed");
    let errors = client.get(&format!("/latent/assets/{id}/errors")).await.ok();
    let message = errors[0]["message"].as_str().unwrap();
    assert!(message.contains("findings.people[3].name") && message.contains("cannot be evaluated"), "{message}");
    let raw = app.database.raw().await;
    eventually("nothing is left to do", || async {
        let open: i64 = raw.query_one("SELECT count(*) FROM asset_open", &[]).await.unwrap().get(0);
        (open == 0).then_some(())
    })
    .await;
}
