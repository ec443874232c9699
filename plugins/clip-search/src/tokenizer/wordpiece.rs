//! BERT's: words without case and accents, cut into the longest pieces that the vocabulary has.

use unicode_normalization::UnicodeNormalization as _;

use super::{Model, Normalizer, Vocabulary, is_control, is_nonspacing_mark, is_punctuation};

pub struct WordPiece {
    vocabulary: Vocabulary,
    /// Before every piece of a word but the first.
    prefix: String,
    unknown: u32,
    /// A longer word is unknown.
    longest_word: usize,
    lower_case: bool,
    strip_accents: bool,
    space_ideographs: bool,
}

impl WordPiece {
    pub fn new(model: Model, normalizer: Option<Normalizer>, unknown: u32) -> Self {
        let normalizer = normalizer.unwrap_or_default();
        let lower_case = normalizer.lowercase.unwrap_or(true);
        Self {
            vocabulary: model.vocab,
            prefix: model.continuing_subword_prefix.unwrap_or_else(|| "##".into()),
            unknown,
            longest_word: model.max_input_chars_per_word.unwrap_or(100),
            lower_case,
            strip_accents: normalizer.strip_accents.unwrap_or(lower_case),
            space_ideographs: normalizer.handle_chinese_chars.unwrap_or(true),
        }
    }

    /// Adds at least `room` tokens where the text has so many.
    pub fn encode(&self, text: &str, room: usize, tokens: &mut Vec<u32>) {
        let normalized = self.normalize(text);
        let enough = tokens.len() + room;
        for word in normalized.split(' ').flat_map(split_punctuation).filter(|word| !word.is_empty()) {
            if tokens.len() >= enough {
                break;
            }
            self.word(word, tokens);
        }
    }

    fn normalize(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '\t' | '\n' | '\r' => clean.push(' '),
                '\0' | '\u{fffd}' => {}
                _ if is_control(c) => {}
                _ if c.is_whitespace() => clean.push(' '),
                _ if self.space_ideographs && is_ideograph(c) => clean.extend([' ', c, ' ']),
                _ => clean.push(c),
            }
        }
        if self.strip_accents {
            clean = clean.nfd().filter(|c| !is_nonspacing_mark(*c)).collect();
        }
        if self.lower_case { clean.chars().flat_map(char::to_lowercase).collect() } else { clean }
    }

    /// The longest piece first; a word with a part that is no piece is unknown as a whole.
    fn word(&self, word: &str, tokens: &mut Vec<u32>) {
        if word.chars().nth(self.longest_word).is_some() {
            tokens.push(self.unknown);
            return;
        }
        let before = tokens.len();
        let mut rest = word;
        while !rest.is_empty() {
            let Some((id, length)) = self.longest(rest, rest.len() != word.len()) else {
                tokens.truncate(before);
                tokens.push(self.unknown);
                return;
            };
            tokens.push(id);
            rest = &rest[length..];
        }
    }

    fn longest(&self, rest: &str, continues: bool) -> Option<(u32, usize)> {
        let prefix = if continues { self.prefix.as_str() } else { "" };
        let mut piece = format!("{prefix}{rest}");
        while piece.len() > prefix.len() {
            if let Some(id) = self.vocabulary.get(piece.as_str()) {
                return Some((*id, piece.len() - prefix.len()));
            }
            piece.pop();
        }
        None
    }
}

/// Every punctuation mark is a word by itself.
fn split_punctuation(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(is_punctuation).flat_map(|part| {
        let mark = part.chars().next_back().filter(|c| is_punctuation(*c)).map_or(0, char::len_utf8);
        let (word, mark) = part.split_at(part.len() - mark);
        [word, mark]
    })
}

/// As BERT lists them: no kana, no hangul.
fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c),
        0x4E00..=0x9FFF | 0x3400..=0x4DBF | 0x20000..=0x2A6DF | 0x2A700..=0x2B73F | 0x2B740..=0x2B81F
        | 0x2B920..=0x2CEAF | 0xF900..=0xFAFF | 0x2F800..=0x2FA1F)
}
