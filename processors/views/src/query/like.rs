//! Patterns of `like`.

use factum_core::{Error, Result};

/// A pattern: `%` stands for any number of characters, `_` for exactly one (a
/// Unicode scalar value), `\%`, `\_` and `\\` for themselves. Upper and lower
/// case are different. The whole text has to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Any,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `Invalid`: a backslash stands before another character, or last.
    pub fn parse(text: &str) -> Result<Self> {
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(next) = chars.next() {
            tokens.push(match next {
                '%' => Token::Any,
                '_' => Token::One,
                '\\' => match chars.next() {
                    Some(escaped @ ('%' | '_' | '\\')) => Token::Char(escaped),
                    _ => {
                        return Err(Error::invalid(format!(
                            "like {text:?}: a backslash stands before %, _ or a backslash only"
                        )));
                    }
                },
                other => Token::Char(other),
            });
        }
        tokens.dedup_by(|next, before| *next == Token::Any && *before == Token::Any);
        Ok(Pattern { text: text.to_owned(), tokens })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a text is like it.
    ///
    /// Takes at most the product of both lengths: after a mismatch only the last `%` takes one
    /// character more.
    pub fn matches(&self, text: &str) -> bool {
        let (mut rest, mut at) = (text, 0);
        let mut retry: Option<(&str, usize)> = None;
        loop {
            let mut chars = rest.chars();
            let next = chars.next();
            match (self.tokens.get(at), next) {
                (Some(Token::Any), _) => {
                    at += 1;
                    retry = Some((rest, at));
                }
                (Some(Token::One), Some(_)) => (rest, at) = (chars.as_str(), at + 1),
                (Some(Token::Char(wanted)), Some(found)) if *wanted == found => (rest, at) = (chars.as_str(), at + 1),
                (None, None) => return true,
                _ => {
                    let Some((from, after)) = retry else { return false };
                    let mut chars = from.chars();
                    if chars.next().is_none() {
                        return false;
                    }
                    (rest, at) = (chars.as_str(), after);
                    retry = Some((rest, at));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_text() {
        for (pattern, matching, other) in [
            ("", vec![""], vec!["a"]),
            ("a", vec!["a"], vec!["", "A", "ab", "ba"]),
            ("%", vec!["", "a", "ä\n%"], vec![]),
            ("a%", vec!["a", "ab", "a%"], vec!["", "ba", "Ab"]),
            ("%a%b", vec!["ab", "xaab", "abab", "a b"], vec!["aba", "b", "a"]),
            ("_", vec!["a", "ä", "\u{1f600}", "%"], vec!["", "ab"]),
            ("_%_", vec!["ab", "abc"], vec!["a", ""]),
            (r"100\%", vec!["100%"], vec!["100", r"100\%", "1000"]),
            (r"a\_\\%", vec![r"a_\", r"a_\b"], vec!["ab", r"a_"]),
        ] {
            let read = Pattern::parse(pattern).unwrap();
            assert!(matching.iter().all(|text| read.matches(text)), "{pattern}");
            assert!(!other.iter().any(|text| read.matches(text)), "{pattern}");
        }
    }

    #[test]
    fn many_wildcards_do_not_take_exponential_time() {
        let pattern = Pattern::parse(&"%a".repeat(500)).unwrap();
        assert!(!pattern.matches(&"a".repeat(499)));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(5_000))));
        assert!(pattern.matches(&"a".repeat(500)));
    }

    #[test]
    fn a_backslash_before_anything_else_is_refused() {
        for text in [r"\", r"a\b", r"\\\"] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.to_string().contains("a backslash stands before %, _ or a backslash only"), "{error}");
        }
    }
}
