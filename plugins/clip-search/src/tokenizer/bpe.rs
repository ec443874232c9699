//! CLIP's: the bytes of each word, joined pair by pair in the order that was learnt.

use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization as _;

use super::{CHARACTERS_OF_A_TOKEN, Merge, Model, is_letter, is_number};

pub struct Bpe {
    /// The token of each byte, within a word and at its end.
    bytes: [[u32; 2]; 256],
    /// Two tokens to the order of their joining and the token they become.
    merges: BTreeMap<(u32, u32), (u32, u32)>,
}

impl Bpe {
    /// `unknown` stands for a byte that the vocabulary does not have.
    pub fn new(model: Model, unknown: u32) -> Result<Self, String> {
        let suffix = model.end_of_word_suffix.as_deref().unwrap_or("</w>");
        let id = |piece: &str| model.vocab.get(piece).copied();
        let mut bytes = [[unknown; 2]; 256];
        for (byte, letter) in letters().into_iter().enumerate() {
            bytes[byte] = [
                id(letter.encode_utf8(&mut [0; 4])).unwrap_or(unknown),
                id(&format!("{letter}{suffix}")).unwrap_or(unknown),
            ];
        }
        let mut merges = BTreeMap::new();
        for (rank, merge) in (0..).zip(&model.merges) {
            let (left, right) = match merge {
                Merge::Pair(left, right) => (&**left, &**right),
                Merge::Line(line) => line.split_once(' ').ok_or_else(|| format!("the merge {line:?} is no pair"))?,
            };
            let missing = || format!("the merge {left} {right} is not in the vocabulary");
            let pair = id(left).zip(id(right)).ok_or_else(missing)?;
            let joined = id(&format!("{left}{right}")).ok_or_else(missing)?;
            merges.entry(pair).or_insert((rank, joined));
        }
        Ok(Self { bytes, merges })
    }

    /// Adds at least `room` tokens where the text has so many.
    pub fn encode(&self, text: &str, room: usize, tokens: &mut Vec<u32>) {
        let normalized = normalize(text, room * CHARACTERS_OF_A_TOKEN);
        let enough = tokens.len() + room;
        let mut rest = normalized.trim_start();
        while !rest.is_empty() && tokens.len() < enough {
            let (word, after) = rest.split_at(word_length(rest));
            self.word(word, tokens);
            rest = after.trim_start();
        }
    }

    fn word(&self, word: &str, tokens: &mut Vec<u32>) {
        let mut pieces: Vec<u32> = word.bytes().map(|byte| self.bytes[usize::from(byte)][0]).collect();
        if let (Some(piece), Some(byte)) = (pieces.last_mut(), word.bytes().next_back()) {
            *piece = self.bytes[usize::from(byte)][1];
        }
        loop {
            let pairs = pieces.windows(2).enumerate();
            let best = pairs.filter_map(|(at, pair)| Some((*self.merges.get(&(pair[0], pair[1]))?, at))).min();
            let Some(((_, joined), at)) = best else { break };
            pieces[at] = joined;
            pieces.remove(at + 1);
        }
        tokens.extend(pieces);
    }
}

/// Composed, lower case, single spaces, so many characters at most.
fn normalize(text: &str, at_most: usize) -> String {
    let mut normalized = String::new();
    let mut space = false;
    for c in text.nfc().take(at_most) {
        if c.is_whitespace() {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) {
            normalized.push(' ');
        }
        normalized.extend(c.to_lowercase());
    }
    normalized
}

/// Bytes of the first word: `'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+`. The text starts with no space.
fn word_length(text: &str) -> usize {
    for ending in ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"] {
        if text.starts_with(ending) {
            return ending.len();
        }
    }
    let first = text.chars().next().unwrap_or(' ');
    let end = |belongs: fn(char) -> bool| text.find(|c| !belongs(c)).unwrap_or(text.len());
    if is_letter(first) {
        end(is_letter)
    } else if is_number(first) {
        first.len_utf8()
    } else {
        end(|c| !c.is_whitespace() && !is_letter(c) && !is_number(c))
    }
}

/// A printable letter for every byte (GPT-2's table): the others are moved above 255.
fn letters() -> [char; 256] {
    let mut moved = 256;
    std::array::from_fn(|byte| {
        let prints = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if prints {
            byte as u32
        } else {
            moved += 1;
            moved - 1
        };
        char::from_u32(code).unwrap_or(' ')
    })
}
