//! Position tokens as HTTP has them: opaque text that needs no escaping in a URL or a header.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use factum_core::{Error, Result, wire::Token};
use std::borrow::Cow;

/// The opaque form of a position, or of several.
pub fn opaque(positions: &str) -> String {
    URL_SAFE_NO_PAD.encode(positions)
}

/// The positions of an opaque text; what is not opaque is left as it is.
///
/// # Errors
/// `Invalid`: it is neither.
pub(crate) fn plain(text: &str) -> Result<Cow<'_, str>> {
    // Base64 has no `@`, and every position has one.
    if text.is_empty() || text.contains('@') {
        return Ok(text.into());
    }
    let decoded = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.filter(|text| text.contains('@')).map(Cow::from).ok_or_else(|| {
        Error::invalid(format!(
            "{text:?} is not a position token: what an answer tells as `token` is expected, or \
             topic/partition@offset, for example bank.account.events/3@1024"
        ))
    })
}

/// Reads a token in either form.
///
/// # Errors
/// `Invalid`: it is neither.
pub fn parse_token(text: &str) -> Result<Token> {
    plain(text)?.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opaque_token_needs_no_escaping_and_is_the_same_position() {
        let plain = "bank.account.events/3@1024#3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10";
        let token: Token = plain.parse().unwrap();
        let told = opaque(&token.to_string());
        assert!(told.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{told}");
        assert_eq!((parse_token(&told).unwrap(), parse_token(plain).unwrap()), (token.clone(), token));
    }

    #[test]
    fn what_is_no_token_is_refused_with_what_is_expected() {
        let nonsense = opaque("nonsense");
        for wrong in ["1024", "?", "AAAA", nonsense.as_str(), "a@b"] {
            let error = parse_token(wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{wrong:?} is not a position token: ")), "{error}");
        }
        assert!(parse_token("a.b.events/0@1").is_ok());
    }
}
