//! Text of a guest. It ends in logs, in answers and in the database: it is cut, and what is no text in it goes.

/// Characters of an error, or of an event's message.
pub const LONGEST: usize = 2_000;
/// Of a revision, which becomes a part of names.
const LONGEST_NAME: usize = 128;

/// At most `most` characters on one line.
pub fn clean(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() || is_invisible(c) { ' ' } else { c };
    text.chars().take(most).map(plain).collect()
}

/// Line separators, and the marks that turn the direction of the text around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// May this be a part of a space's name?
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '/' | ':' | '=' | '@');
    !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(fits)
}
