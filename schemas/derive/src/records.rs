//! An enum: the set of records that its variants hold.

use crate::{derives, expand::Kind};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, Fields, ItemEnum, Result, Type, Variant};

/// Adds the derives, `From` for each record, `impl Message` and `impl AvroMessage`.
pub(crate) fn expand(kind: Kind, retired: Vec<Type>, item: ItemEnum) -> Result<TokenStream> {
    let ident = &item.ident;
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            format!("a set of records is not generic: write one enum for each `{ident}<…>`"),
        ));
    }
    if item.variants.is_empty() {
        return Err(Error::new_spanned(
            ident,
            format!("a set of records has at least one: write `enum {ident} {{ Deposited(Deposited) }}`"),
        ));
    }
    let mut variants = Vec::new();
    let mut records: Vec<&Type> = Vec::new();
    for variant in &item.variants {
        let record = record_of(kind, variant)?;
        if let Some(first) =
            records.iter().position(|r| r.to_token_stream().to_string() == record.to_token_stream().to_string())
        {
            let (first, record): (&syn::Ident, _) = (variants[first], record.to_token_stream());
            return Err(Error::new_spanned(
                variant,
                format!(
                    "`{first}` holds the record `{record}` already, so bytes could not tell the two apart: write a struct of its own for `{}`",
                    variant.ident
                ),
            ));
        }
        if let Some(both) =
            retired.iter().find(|r| r.to_token_stream().to_string() == record.to_token_stream().to_string())
        {
            let name = both.to_token_stream();
            return Err(Error::new_spanned(
                both,
                format!("`{name}` is a variant and retired: take it out of one of the two"),
            ));
        }
        variants.push(&variant.ident);
        records.push(record);
    }
    let retired = (!retired.is_empty()).then(|| {
        quote! {
            fn retired() -> ::std::vec::Vec<::factum::schemas::Retired<Self>> {
                ::std::vec![#(::factum::schemas::Retired::of::<#retired>()),*]
            }
        }
    });

    let derives = derives::missing(&item.attrs, &derives::plain());
    let rule = match kind {
        Kind::Event => TokenStream::new(),
        Kind::Command => {
            quote!(
                const RULE: ::factum::schemas::rules::Level = ::factum::schemas::rules::Level::FullTransitive;
            )
        }
    };
    let index: Vec<usize> = (0..variants.len()).collect();
    Ok(quote! {
        #derives
        #item

        impl ::factum::Message for #ident {
            const RECORDS: &'static [&'static str] = &[#(<#records as ::factum::schemas::Record>::NAME),*];

            #[inline]
            fn record(&self) -> usize {
                match self { #(#ident::#variants(_) => #index),* }
            }
        }

        impl ::factum::schemas::AvroMessage for #ident {
            #rule

            fn schemas() -> ::std::vec::Vec<::factum::schemas::Schema> {
                ::std::vec![#(::factum::schemas::schema_of::<#records>()),*]
            }

            #[inline]
            fn write(&self, to: ::factum::schemas::RecordWriter<'_>) -> ::core::result::Result<(), ::factum::Error> {
                match self { #(#ident::#variants(record) => to.record(record)),* }
            }

            #[inline(always)] // a caller knows how a record is read, so each variant does
            fn read(record: usize, from: ::factum::schemas::RecordReader<'_>) -> ::core::result::Result<Self, ::factum::DecodeError> {
                match record {
                    #(#index => from.record().map(#ident::#variants),)*
                    _ => ::core::unreachable!("records are numbered as in RECORDS"),
                }
            }

            #retired
        }

        #(
            impl ::core::convert::From<#records> for #ident {
                fn from(record: #records) -> Self {
                    #ident::#variants(record)
                }
            }
        )*
    })
}

fn record_of(kind: Kind, variant: &Variant) -> Result<&Type> {
    let attribute = kind.name();
    let ident = &variant.ident;
    let (what, fields) = match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => return Ok(&fields.unnamed[0].ty),
        Fields::Unnamed(_) => ("holds one record", "/* the fields, with names */"),
        Fields::Named(_) => ("holds a record that is a struct of its own", "/* its fields */"),
        Fields::Unit => ("holds a record, also when it has no fields", ""),
    };
    let body = if fields.is_empty() { "{}".to_owned() } else { format!("{{ {fields} }}") };
    Err(Error::new_spanned(
        variant,
        format!("a variant {what}: write `{ident}({ident})` with `#[{attribute}(\"…\")] pub struct {ident} {body}`"),
    ))
}

#[cfg(test)]
mod tests {
    use crate::expand::{
        Kind, expand,
        tests::{expanded, refused},
    };

    #[test]
    fn an_enum_becomes_a_message_of_its_records() {
        let text = expanded("", "pub enum Event { Deposited(Deposited), Gone(other::Withdrawn) }");
        for part in [
            "#[derive(::core::fmt::Debug,::core::clone::Clone,::core::cmp::PartialEq)]",
            "impl::factum::MessageforEvent",
            "&[<Depositedas::factum::schemas::Record>::NAME,<other::Withdrawnas::factum::schemas::Record>::NAME]",
            "Event::Gone(_)=>1usize",
            "impl::factum::schemas::AvroMessageforEvent",
            "impl::core::convert::From<other::Withdrawn>forEvent",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn commands_go_both_ways_and_events_back() {
        let items = "pub enum Command { Deposit(Deposit) }".parse().unwrap();
        let text = expand(Kind::Command, proc_macro2::TokenStream::new(), items).to_string();
        assert!(text.contains("FullTransitive"), "{text}");
        assert!(!expanded("", "pub enum Event { Deposited(Deposited) }").contains("RULE"));
    }

    #[test]
    fn retired_records_are_listed_with_their_upcasters() {
        let text = expanded("retired(Moved, old::Opened,)", "pub enum Event { Deposited(Deposited) }");
        let list =
            "::std::vec![::factum::schemas::Retired::of::<Moved>(),::factum::schemas::Retired::of::<old::Opened>()]";
        assert!(text.contains(list), "{text}");
        assert!(!expanded("", "pub enum Event { Deposited(Deposited) }").contains("retired"));
    }

    #[test]
    fn a_unit_variant_is_refused_with_what_to_write() {
        refused("", "enum Event { Closed }", "write `Closed(Closed)` with `#[event(\"…\")] pub struct Closed {}`");
    }

    #[test]
    fn a_variant_with_named_fields_is_refused_with_what_to_write() {
        refused(
            "",
            "enum Event { Deposited { cents: i64 } }",
            "write `Deposited(Deposited)` with `#[event(\"…\")] pub struct Deposited { /* its fields */ }`",
        );
    }

    #[test]
    fn a_variant_with_several_fields_is_refused() {
        refused("", "enum Event { Deposited(i64, i64) }", "a variant holds one record: write `Deposited(Deposited)`");
    }

    #[test]
    fn a_record_in_two_variants_is_refused() {
        refused("", "enum Event { A(Deposited), B(Deposited) }", "`A` holds the record `Deposited` already");
    }

    #[test]
    fn a_generic_enum_is_refused() {
        refused("", "enum Event<T> { A(T) }", "a set of records is not generic");
    }

    #[test]
    fn an_enum_without_records_is_refused() {
        refused("", "enum Event {}", "has at least one");
    }

    #[test]
    fn a_namespace_on_an_enum_is_refused() {
        refused("\"bank.account\"", "enum Event { A(A) }", "the enum has none: write `#[event]`");
    }
}
