//! Texts to the numbers that a text model reads, with the vocabulary of a `tokenizer.json`.
//!
//! Agrees with Hugging Face's `tokenizers` for the two kinds that are read here (tests/compare.py), but for one thing on
//! purpose: what a person types is only text, so the name of a special token in it is spelt out and does not become that token.

mod bpe;
mod wordpiece;

use std::collections::BTreeMap;

use serde::Deserialize;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use bpe::Bpe;
use wordpiece::WordPiece;

/// Of one kind, with one vocabulary.
pub struct Tokenizer {
    kind: Kind,
    start: u32,
    end: u32,
    pad: u32,
    /// Tokens at most, start and end included.
    context: usize,
    fill: bool,
}

enum Kind {
    WordPiece(WordPiece),
    Bpe(Box<Bpe>),
}

/// Pieces to their numbers.
type Vocabulary = BTreeMap<Box<str>, u32>;

impl Tokenizer {
    /// Reads a `tokenizer.json` with a model of the type WordPiece (as BERT's) or BPE (as CLIP's).
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let mut file: File = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let kind = file.model.kind.take();
        let is_bpe = kind.as_deref() == Some("BPE") || (kind.is_none() && !file.model.merges.is_empty());
        if !is_bpe && !matches!(kind.as_deref(), Some("WordPiece") | None) {
            return Err(format!("a tokenizer of the type {}; WordPiece and BPE are read", kind.unwrap_or_default()));
        }
        let added = std::mem::take(&mut file.added_tokens);
        let id = |name: &str, vocabulary: &Vocabulary| {
            let added = added.iter().find(|token| token.content == name).map(|token| token.id);
            added.or_else(|| vocabulary.get(name).copied()).ok_or_else(|| format!("no token {name}"))
        };
        let vocabulary = &file.model.vocab;
        let (start, end) = if is_bpe { ("<|startoftext|>", "<|endoftext|>") } else { ("[CLS]", "[SEP]") };
        let (start, end) = (id(start, vocabulary)?, id(end, vocabulary)?);
        let own_pad = file.padding.map(|padding| padding.pad_id);
        let own_context = file.truncation.map(|truncation| truncation.max_length as usize);
        if is_bpe {
            let kind = Kind::Bpe(Box::new(Bpe::new(file.model, end)?));
            let (pad, context) = (own_pad.unwrap_or(end), own_context.unwrap_or(77));
            return Ok(Self { kind, start, end, pad, context, fill: true });
        }
        let pad = own_pad.map_or_else(|| id("[PAD]", vocabulary), Ok)?;
        let unknown = id(file.model.unk_token.as_deref().unwrap_or("[UNK]"), vocabulary)?;
        let kind = Kind::WordPiece(WordPiece::new(file.model, file.normalizer, unknown));
        Ok(Self { kind, start, end, pad, context: own_context.unwrap_or(256), fill: false })
    }

    /// What the model's manifest says beside the file.
    pub fn configure(&mut self, context: Option<u32>, pad: Option<u32>, fill: Option<bool>) {
        self.context = context.map_or(self.context, |context| context as usize).max(2);
        self.pad = pad.unwrap_or(self.pad);
        self.fill = fill.unwrap_or(self.fill);
    }

    /// Start, the text, end: never more than the context, and the end is always there. Not filled up.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let room = self.context - 2;
        let mut tokens = vec![self.start];
        match &self.kind {
            Kind::WordPiece(kind) => kind.encode(text, room, &mut tokens),
            Kind::Bpe(kind) => kind.encode(text, room, &mut tokens),
        }
        tokens.truncate(room + 1);
        tokens.push(self.end);
        tokens
    }

    /// What shorter texts are filled up with.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// The length that every text is filled up to, where the model wants a fixed one.
    pub fn filled_up_to(&self) -> Option<usize> {
        self.fill.then_some(self.context)
    }
}

/// Texts side by side, filled up to one length.
pub struct Rows {
    pub width: u32,
    /// Row by row.
    pub ids: Vec<i64>,
    /// 1 for a token, 0 for what fills up.
    pub mask: Vec<i64>,
}

impl Rows {
    /// As long as the longest, or as `width` says.
    pub fn new(texts: Vec<Vec<u32>>, pad: u32, width: Option<usize>) -> Self {
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        let width = width.unwrap_or(longest).max(longest);
        let row = |text: &Vec<u32>| {
            let mut row: Vec<i64> = text.iter().map(|id| i64::from(*id)).collect();
            row.resize(width, i64::from(pad));
            row
        };
        Self {
            width: width as u32,
            ids: texts.iter().flat_map(row).collect(),
            mask: texts.iter().flat_map(|text| (0..width).map(|at| i64::from(at < text.len()))).collect(),
        }
    }
}

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Option<Normalizer>,
    #[serde(default)]
    truncation: Option<Truncation>,
    #[serde(default)]
    padding: Option<Padding>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    vocab: Vocabulary,
    #[serde(default)]
    merges: Vec<Merge>,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    max_input_chars_per_word: Option<usize>,
}

/// `"a b"` in older files, `["a", "b"]` in newer ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Line(Box<str>),
    Pair(Box<str>, Box<str>),
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

/// BERT's. Others have other keys, and none of these.
#[derive(Deserialize, Default)]
struct Normalizer {
    #[serde(default)]
    lowercase: Option<bool>,
    #[serde(default)]
    strip_accents: Option<bool>,
    #[serde(default)]
    handle_chinese_chars: Option<bool>,
}

#[derive(Deserialize)]
struct Truncation {
    max_length: u32,
}

#[derive(Deserialize)]
struct Padding {
    pad_id: u32,
}

/// Characters that a token may have, at most: so much of a text can matter, and no more of it is looked at.
const CHARACTERS_OF_A_TOKEN: usize = 64;

fn is_letter(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphabetic() } else { c.general_category_group() == GeneralCategoryGroup::Letter }
}

fn is_number(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_digit() } else { c.general_category_group() == GeneralCategoryGroup::Number }
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || (!c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Punctuation)
}

fn is_nonspacing_mark(c: char) -> bool {
    !c.is_ascii() && c.general_category() == GeneralCategory::NonspacingMark
}

fn is_control(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(
        c.general_category(),
        GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse | GeneralCategory::Surrogate
    )
}

#[cfg(test)]
mod tests;
