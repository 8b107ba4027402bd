//! Text that PostgreSQL cannot hold.
//!
//! Its text has every character but U+0000, and any client may write one into
//! an aggregate's id. So U+0000 is stored as U+FFFE and `0`, and U+FFFE, which
//! is no character, as itself twice.

use std::borrow::Cow;

const ESCAPE: char = '\u{fffe}';

/// A text as it is stored.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return text.into();
    }
    let mut stored = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => stored.extend([ESCAPE, '0']),
            ESCAPE => stored.extend([ESCAPE, ESCAPE]),
            other => stored.push(other),
        }
    }
    stored.into()
}

/// The text that was stored.
pub(super) fn original(stored: String) -> String {
    if !stored.contains(ESCAPE) {
        return stored;
    }
    let mut text = String::with_capacity(stored.len());
    let mut characters = stored.chars();
    while let Some(character) = characters.next() {
        match (character, characters.as_str().chars().next()) {
            (ESCAPE, Some('0')) => text.push('\0'),
            (ESCAPE, Some(ESCAPE)) => text.push(ESCAPE),
            (other, _) => {
                text.push(other);
                continue;
            }
        }
        characters.next();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_survives_and_none_is_stored_with_a_nul() {
        for text in ["", "ada", "\0", "a\0b\0", "\u{fffe}", "\u{fffe}0", "\0\u{fffe}\u{fffe}0\0", "0\u{fffe}"] {
            let stored = stored(text);
            assert!(!stored.contains('\0'));
            assert_eq!(original(stored.into_owned()), text);
        }
    }
}
