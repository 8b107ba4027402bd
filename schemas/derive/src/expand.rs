//! The entry of both attributes: what they stand on decides.

use crate::{arguments, records, structure};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Item, Result};

/// Which attribute it was; only messages differ.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// `#[event]`
    Event,
    /// `#[command]`
    Command,
}

impl Kind {
    /// The attribute's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Event => "event",
            Kind::Command => "command",
        }
    }
}

/// The item with its derives and impls; for a wrong one the item as it was and
/// a compile error, so that the rest of the crate does not report it as missing.
pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    parse(kind, arguments, item.clone()).unwrap_or_else(|error| {
        let error = error.to_compile_error();
        quote!(#item #error)
    })
}

fn parse(kind: Kind, arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let name = kind.name();
    match syn::parse2(item.clone()) {
        Ok(Item::Struct(item)) => structure::expand(kind, arguments::of_record(kind, arguments)?, item),
        Ok(Item::Enum(item)) => records::expand(kind, arguments::retired(kind, arguments)?, item),
        _ => Err(Error::new_spanned(
            item,
            format!("`#[{name}]` stands on a struct (one record) or on an enum (a set of records)"),
        )),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proc_macro2::TokenStream;
    use std::str::FromStr;

    /// The expansion without spaces, to look for parts of it.
    pub(crate) fn expanded(arguments: &str, item: &str) -> String {
        let tokens = |text| TokenStream::from_str(text).unwrap();
        expand(Kind::Event, tokens(arguments), tokens(item)).to_string().replace(' ', "")
    }

    /// Expects a compile error with this text.
    #[track_caller]
    pub(crate) fn refused(arguments: &str, item: &str, message: &str) {
        refused_as(Kind::Event, arguments, item, message);
    }

    /// Expects it of this attribute.
    #[track_caller]
    pub(crate) fn refused_as(kind: Kind, arguments: &str, item: &str, message: &str) {
        let tokens = |text| TokenStream::from_str(text).unwrap();
        let error = parse(kind, tokens(arguments), tokens(item)).expect_err("the macro refuses this").to_string();
        assert!(error.contains(message), "the message is: {error}");
    }

    #[test]
    fn a_function_is_refused() {
        refused("", "fn event() {}", "stands on a struct (one record) or on an enum (a set of records)");
    }

    #[test]
    fn an_argument_that_is_not_a_text_is_refused_with_an_example() {
        refused("bank.account", "struct Deposited {}", "expected a namespace in quotes: `#[event(\"bank.account\")]`");
    }

    #[test]
    fn the_item_stays_beside_an_error() {
        let text = expanded("", "struct Deposited { cents: i64 }");
        assert!(text.starts_with("structDeposited{cents:i64}"), "{text}");
        assert!(text.contains("compile_error"), "{text}");
    }
}
