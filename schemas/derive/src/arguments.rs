//! What stands in the parentheses of an attribute.

use crate::expand::Kind;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    Attribute, Error, LitStr, Result, Token, Type,
    parse::{ParseStream, Parser},
    punctuated::Punctuated,
};

mod words {
    syn::custom_keyword!(deprecated);
    syn::custom_keyword!(retired);
}

/// What a record's attribute says of it.
#[derive(Default)]
pub(crate) struct OfRecord {
    /// Its namespace.
    pub(crate) namespace: Option<LitStr>,
    /// Why it should not be written any more.
    pub(crate) deprecated: Option<LitStr>,
}

/// Those of a struct.
pub(crate) fn of_record(kind: Kind, arguments: TokenStream) -> Result<OfRecord> {
    let name = kind.name();
    if arguments.is_empty() {
        return Ok(OfRecord::default());
    }
    if is_retired(&arguments) {
        return Err(Error::new_spanned(
            arguments,
            format!(
                "`retired` stands on the enum that had the record as a variant, not on the record; here comes its namespace: `#[{name}(\"bank.account\")]`"
            ),
        ));
    }
    let parse = |input: ParseStream<'_>| {
        let namespace = Some(input.parse()?);
        let more = input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty();
        let deprecated = if more { Some(reason(input)?) } else { None };
        input.parse::<Option<Token![,]>>()?;
        Ok(OfRecord { namespace, deprecated })
    };
    parse.parse2(arguments.clone()).map_err(|_| {
        Error::new_spanned(
            &arguments,
            format!(
                "expected a namespace in quotes: `#[{name}(\"bank.account\")]`, and behind it perhaps `deprecated = \"why\"`"
            ),
        )
    })
}

/// Why a field should not be written any more, from its own attribute.
pub(crate) fn of_field(kind: Kind, attribute: &Attribute) -> Result<LitStr> {
    let expected = format!("on a field stands `#[{}(deprecated = \"why, and what to write instead\")]`", kind.name());
    attribute.parse_args_with(reason).map_err(|_| Error::new_spanned(attribute, expected))
}

fn reason(input: ParseStream<'_>) -> Result<LitStr> {
    input.parse::<words::deprecated>()?;
    input.parse::<Token![=]>()?;
    input.parse()
}

/// The retired records of an enum.
pub(crate) fn retired(kind: Kind, arguments: TokenStream) -> Result<Vec<Type>> {
    let name = kind.name();
    if arguments.is_empty() {
        return Ok(Vec::new());
    }
    if syn::parse2::<LitStr>(arguments.clone()).is_ok() {
        return Err(Error::new_spanned(
            arguments,
            format!("the records name their namespace, the enum has none: write `#[{name}]`"),
        ));
    }
    let types = |input: ParseStream<'_>| {
        input.parse::<words::retired>()?;
        let list;
        syn::parenthesized!(list in input);
        let list = Punctuated::<Type, Token![,]>::parse_terminated(&list)?;
        input.parse::<Option<Token![,]>>()?;
        Ok(list)
    };
    let found = types.parse2(arguments.clone()).map_err(|_| {
        Error::new_spanned(&arguments, "expected the retired records: `#[event(retired(Moved, Opened1))]`")
    })?;
    if kind.name() == "command" {
        return Err(Error::new_spanned(
            arguments,
            "commands are not upcast, for none is kept: leave the old record a variant until none is on its way, then delete it",
        ));
    }
    let mut retired: Vec<Type> = Vec::new();
    for record in found {
        let text = record.to_token_stream().to_string();
        if retired.iter().any(|before| before.to_token_stream().to_string() == text) {
            return Err(Error::new_spanned(&record, format!("`{text}` is listed twice as retired: once is enough")));
        }
        retired.push(record);
    }
    Ok(retired)
}

fn is_retired(arguments: &TokenStream) -> bool {
    arguments.to_string().starts_with("retired")
}

#[cfg(test)]
mod tests {
    use crate::expand::{
        Kind,
        tests::{refused, refused_as},
    };

    #[test]
    fn what_is_no_reason_is_refused_with_an_example() {
        for bad in ["\"a\", deprecated", "\"a\", deprecated(\"x\")", "\"a\", gone = \"x\"", "deprecated = \"x\""] {
            refused(bad, "struct Deposited {}", "and behind it perhaps `deprecated = \"why\"`");
        }
        for bad in ["", "()", "(deprecated)", "(\"why\")"] {
            let item = format!("struct Deposited {{ #[event{bad}] cents: i64 }}");
            refused("\"a\"", &item, "on a field stands `#[event(deprecated = \"why, and what to write instead\")]`");
        }
    }

    #[test]
    fn retired_records_stand_on_the_enum() {
        refused("retired(Moved)", "struct Deposited {}", "`retired` stands on the enum");
    }

    #[test]
    fn what_is_no_list_of_records_is_refused_with_an_example() {
        for bad in ["retired", "retired = Moved", "gone(Moved)", "retired(1)", "retired(A), 2"] {
            refused(bad, "enum Event { A(A) }", "expected the retired records: `#[event(retired(Moved, Opened1))]`");
        }
    }

    #[test]
    fn a_command_is_never_retired() {
        refused_as(Kind::Command, "retired(Move)", "enum Command { A(A) }", "commands are not upcast");
    }

    #[test]
    fn a_record_is_retired_once_and_is_no_variant_then() {
        refused("retired(B, b::C, B)", "enum Event { A(A) }", "`B` is listed twice as retired");
        refused("retired(A)", "enum Event { A(A) }", "`A` is a variant and retired");
    }
}
