//! Against what Hugging Face's `tokenizers` gives. tests/compare.py writes the fixtures, each with the part of a real vocabulary
//! that its texts need, and compares with whole vocabularies where LATENT_TOKENIZERS names a folder of them.

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        (
            include_bytes!(concat!("../../tests/fixtures/", $name, "/tokenizer.json")).as_slice(),
            include_bytes!(concat!("../../tests/fixtures/", $name, "/cases.json")).as_slice(),
        )
    };
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
}

fn check(tokenizer: &[u8], cases: &[u8]) -> usize {
    let tokenizer = Tokenizer::parse(tokenizer).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(cases).unwrap();
    for Case { text, ids } in &cases {
        assert_eq!(&tokenizer.encode(text), ids, "{text:?}");
    }
    cases.len()
}

#[test]
fn wordpiece_agrees_with_the_reference() {
    let (tokenizer, cases) = fixture!("wordpiece");
    assert!(check(tokenizer, cases) > 50);
}

#[test]
fn bpe_agrees_with_the_reference() {
    let (tokenizer, cases) = fixture!("clip");
    assert!(check(tokenizer, cases) > 50);
}

/// Folders made by `tests/compare.py`: tokenizer.json and cases.json, every long settled character among them.
#[test]
fn whole_vocabularies_agree_with_the_reference() {
    let Some(folder) = std::env::var_os("LATENT_TOKENIZERS") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let count = check(&read("tokenizer.json"), &read("cases.json"));
        println!("{}: {count} texts", folder.display());
    }
}

#[test]
fn the_end_is_kept_when_a_text_is_cut() {
    for (tokenizer, _) in [fixture!("wordpiece"), fixture!("clip")] {
        let mut tokenizer = Tokenizer::parse(tokenizer).unwrap();
        tokenizer.configure(Some(5), Some(7), Some(true));
        let end = tokenizer.end;
        let ids = tokenizer.encode("dog dog dog dog dog dog dog dog");
        assert_eq!((ids.len(), ids[0], ids[4]), (5, tokenizer.start, end));
        let ids = tokenizer.encode(&"x".repeat(1_000_000));
        assert!(ids.len() <= 5 && ids.last() == Some(&end));
        assert_eq!((tokenizer.pad(), tokenizer.filled_up_to()), (7, Some(5)));
    }
}

#[test]
fn rows_are_filled_up_and_masked() {
    let rows = Rows::new(vec![vec![1, 2, 3], vec![4]], 9, None);
    assert_eq!((rows.width, rows.ids, rows.mask), (3, vec![1, 2, 3, 4, 9, 9], vec![1, 1, 1, 1, 0, 0]));
    let rows = Rows::new(vec![vec![1]], 0, Some(3));
    assert_eq!((rows.width, rows.ids, rows.mask), (3, vec![1, 0, 0], vec![1, 0, 0]));
}

#[test]
fn a_file_of_another_kind_is_refused_in_words() {
    let error = Tokenizer::parse(br#"{"model":{"type":"Unigram","vocab":{}}}"#).err().unwrap();
    assert!(error.contains("Unigram"), "{error}");
    assert!(Tokenizer::parse(br#"{"model":{"type":"WordPiece","vocab":{}}}"#).err().unwrap().contains("[CLS]"));
    assert!(Tokenizer::parse(b"not json").is_err());
}
