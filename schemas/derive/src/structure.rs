//! A struct: one Avro record.

use crate::{derives, expand::Kind};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, Fields, ItemStruct, LitStr, Result};

/// Adds the derives, the namespace and `impl Record`.
pub(crate) fn expand(kind: Kind, namespace: Option<LitStr>, item: ItemStruct) -> Result<TokenStream> {
    let attribute = kind.name();
    let ident = &item.ident;
    let Some(namespace) = namespace else {
        return Err(Error::new_spanned(
            ident,
            format!("a record needs a namespace, the aggregate's type: write `#[{attribute}(\"bank.account\")]`"),
        ));
    };
    check_namespace(&namespace)?;
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            format!("a record is not generic: write one struct for each `{ident}<…>`"),
        ));
    }
    match &item.fields {
        Fields::Named(_) => {}
        Fields::Unit => {
            return Err(Error::new_spanned(
                ident,
                format!("a record has named fields, also when there are none: write `struct {ident} {{}}`"),
            ));
        }
        Fields::Unnamed(fields) => {
            return Err(Error::new_spanned(
                fields,
                format!("a record's fields have names: write `struct {ident} {{ cents: i64 }}`"),
            ));
        }
    }
    let fields = item.fields.iter().flat_map(|field| &field.attrs);
    if let Some(alias) = item.attrs.iter().chain(fields).find(|attribute| says(attribute, "alias")) {
        return Err(Error::new_spanned(
            alias,
            format!(
                "the decoder does not follow aliases: keep the old name with `#[serde(rename = \"…\")]`, or make a new \
                 record and retire `{ident}`"
            ),
        ));
    }
    if let Some(rename) = item.attrs.iter().find(|attribute| says(attribute, "rename")) {
        return Err(Error::new_spanned(
            rename,
            format!("the record is named like its struct: rename `{ident}` itself"),
        ));
    }

    let name = format!("{}.{ident}", namespace.value());
    let mut wanted = derives::plain();
    wanted.push(("Serialize", quote!(::serde::Serialize)));
    wanted.push(("Deserialize", quote!(::serde::Deserialize)));
    wanted.push(("AvroSchema", quote!(::apache_avro::AvroSchema)));
    let derives = derives::missing(&item.attrs, &wanted);
    Ok(quote! {
        #derives
        #[avro(namespace = #namespace)]
        #item

        impl ::factum::schemas::Record for #ident {
            const NAME: &'static str = #name;
        }
    })
}

fn check_namespace(namespace: &LitStr) -> Result<()> {
    let text = namespace.value();
    let good = text.split('.').all(|part| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    if good {
        return Ok(());
    }
    Err(Error::new_spanned(
        namespace,
        format!(
            "{text:?} is not an Avro namespace: names of letters, digits and `_`, with dots between, like `bank.account`"
        ),
    ))
}

/// Whether an attribute of serde or Avro has an argument of this name.
fn says(attribute: &Attribute, name: &str) -> bool {
    let mut found = false;
    if attribute.path().is_ident("serde") || attribute.path().is_ident("avro") {
        // What does not parse here is theirs to complain about.
        let _unparsed = attribute.parse_nested_meta(|meta| {
            found |= meta.path.is_ident(name);
            if let Ok(value) = meta.value() {
                value.parse::<syn::Expr>()?;
            }
            Ok(())
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::expand::tests::{expanded, refused};

    #[test]
    fn a_struct_becomes_a_record_with_its_full_name() {
        let text = expanded("\"bank.account\"", "pub struct Deposited { pub cents: i64 }");
        for part in [
            "#[derive(::core::fmt::Debug,::core::clone::Clone,::core::cmp::PartialEq,::serde::Serialize,::serde::Deserialize,::apache_avro::AvroSchema)]",
            "#[avro(namespace=\"bank.account\")]",
            "pubstructDeposited{pubcents:i64}",
            "impl::factum::schemas::RecordforDeposited",
            "\"bank.account.Deposited\"",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn a_derive_that_is_there_already_is_not_repeated() {
        let text = expanded("\"a\"", "#[derive(Debug, Eq, serde::Serialize)] struct A {}");
        assert!(!text.contains("::core::fmt::Debug"), "{text}");
        assert!(!text.contains("::serde::Serialize"), "{text}");
        assert!(text.contains("::serde::Deserialize"), "{text}");
    }

    #[test]
    fn a_missing_namespace_is_refused_with_what_to_write() {
        refused("", "struct Deposited { cents: i64 }", "write `#[event(\"bank.account\")]`");
    }

    #[test]
    fn a_namespace_that_avro_does_not_take_is_refused() {
        for bad in ["\"\"", "\"bank-account\"", "\"bank..account\"", "\"1bank\""] {
            refused(bad, "struct Deposited {}", "is not an Avro namespace");
        }
    }

    #[test]
    fn a_unit_struct_is_refused_with_what_to_write() {
        refused("\"a\"", "struct Closed;", "write `struct Closed {}`");
    }

    #[test]
    fn a_tuple_struct_is_refused() {
        refused("\"a\"", "struct Deposited(i64);", "a record's fields have names");
    }

    #[test]
    fn a_generic_struct_is_refused() {
        refused("\"a\"", "struct Deposited<T> { cents: T }", "a record is not generic");
    }

    #[test]
    fn a_renamed_struct_is_refused() {
        refused("\"a\"", "#[serde(rename = \"Paid\")] struct Deposited {}", "rename `Deposited` itself");
    }

    #[test]
    fn an_alias_is_refused_with_what_to_write() {
        for bad in [
            "struct Deposited { #[serde(alias = \"amount\")] cents: i64 }",
            "struct Deposited { #[serde(default, alias = \"amount\")] cents: i64 }",
            "struct Deposited { #[avro(alias = \"amount\")] cents: i64 }",
            "#[avro(alias = \"Paid\")] struct Deposited { cents: i64 }",
        ] {
            refused("\"a\"", bad, "the decoder does not follow aliases: keep the old name with `#[serde(rename");
        }
        expanded("\"a\"", "struct Deposited { #[serde(rename = \"amount\")] cents: i64 }");
    }
}
