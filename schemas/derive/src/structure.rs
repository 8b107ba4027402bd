//! A struct: one Avro record.

use crate::{
    arguments::{self, OfRecord},
    derives,
    expand::Kind,
    plain,
};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, Fields, ItemStruct, LitStr, Result};

/// Adds the derives, the namespace and `impl Record`.
pub(crate) fn expand(kind: Kind, arguments: OfRecord, mut item: ItemStruct) -> Result<TokenStream> {
    let marks = take_marks(kind, &mut item)?;
    let attribute = kind.name();
    let ident = &item.ident;
    let Some(namespace) = arguments.namespace else {
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
    let plain = plain::expand(&item);
    let is_marked = arguments.deprecated.is_some() || !marks.is_empty();
    let (in_namespace, schema) = if is_marked {
        (None, Some(marked_schema(&namespace, &mut item)?))
    } else {
        wanted.push(("AvroSchema", quote!(::apache_avro::AvroSchema)));
        (Some(quote!(#[avro(namespace = #namespace)])), None)
    };
    let ident = &item.ident;
    let derives = derives::missing(&item.attrs, &wanted);
    let record = arguments.deprecated.map(
        |why| quote!(const DEPRECATED: ::core::option::Option<&'static str> = ::core::option::Option::Some(#why);),
    );
    let fields = (!marks.is_empty()).then(|| {
        let marks = marks.iter().map(|(field, why)| quote!((#field, #why)));
        quote!(const DEPRECATED_FIELDS: &'static [(&'static str, &'static str)] = &[#(#marks),*];)
    });
    Ok(quote! {
        #derives
        #in_namespace
        #item

        #schema

        impl ::factum::schemas::Record for #ident {
            const NAME: &'static str = #name;
            #record
            #fields
            #plain
        }
    })
}

/// The schema of a marked struct: that which is derived for a struct of the same fields, and the marks. So it has
/// them wherever the struct is a field's type, too.
fn marked_schema(namespace: &LitStr, item: &mut ItemStruct) -> Result<TokenStream> {
    let derived = quote!(::apache_avro::AvroSchema);
    if derives::missing(&item.attrs, &[("AvroSchema", derived)]).is_empty() {
        return Err(Error::new_spanned(
            &item.ident,
            "where something is deprecated the attribute writes the schema: take `AvroSchema` out of the derives",
        ));
    }
    // Attributes of other derives stay with the struct, and Avro's go where its derive is.
    let is_of_schema = |it: &Attribute| ["avro", "serde", "doc", "cfg"].iter().any(|name| it.path().is_ident(name));
    let attributes: Vec<Attribute> = item.attrs.iter().filter(|it| is_of_schema(it)).cloned().collect();
    let mut fields = item.fields.clone();
    fields.iter_mut().for_each(|field| field.attrs.retain(is_of_schema));
    item.attrs.retain(|it| !it.path().is_ident("avro"));
    item.fields.iter_mut().for_each(|field| field.attrs.retain(|it| !it.path().is_ident("avro")));
    let (ident, name) = (&item.ident, item.ident.to_string());
    Ok(quote! {
        const _: () = {
            #[derive(::apache_avro::AvroSchema)]
            #[avro(namespace = #namespace)]
            #[serde(rename = #name)]
            #(#attributes)*
            #[allow(dead_code)]
            struct Unmarked #fields

            impl ::apache_avro::AvroSchemaComponent for #ident {
                fn get_schema_in_ctxt(
                    named: &mut ::std::collections::HashSet<::apache_avro::schema::Name>,
                    enclosing: ::apache_avro::schema::NamespaceRef<'_>,
                ) -> ::apache_avro::Schema {
                    ::factum::schemas::marked::<Self>(
                        <Unmarked as ::apache_avro::AvroSchemaComponent>::get_schema_in_ctxt(named, enclosing),
                    )
                }

                fn field_default() -> ::core::option::Option<::serde_json::Value> {
                    <Unmarked as ::apache_avro::AvroSchemaComponent>::field_default()
                }
            }
        };
    })
}

/// Takes `#[event(deprecated = "why")]` from the fields: their names in the schema with the reasons.
/// It is not rustc's own attribute, so that the domain's fold may go on reading the field.
fn take_marks(kind: Kind, item: &mut ItemStruct) -> Result<Vec<(String, LitStr)>> {
    let renames_all = item.attrs.iter().any(|attribute| says(attribute, "rename_all"));
    let mut marks = Vec::new();
    for field in &mut item.fields {
        let Some(at) = field.attrs.iter().position(|attribute| attribute.path().is_ident(kind.name())) else {
            continue;
        };
        let mark = field.attrs.remove(at);
        let why = arguments::of_field(kind, &mark)?;
        if let Some(hidden) = field.attrs.iter().find(|it| says(it, "skip") || says(it, "flatten")) {
            return Err(Error::new_spanned(hidden, "a field that is not in the schema cannot be marked as deprecated"));
        }
        let own = field.attrs.iter().find_map(renamed);
        if own.is_none() && renames_all {
            return Err(Error::new_spanned(
                &mark,
                "beside `rename_all` a deprecated field says its name itself: add `#[serde(rename = \"…\")]`",
            ));
        }
        let ident = field.ident.as_ref().map(|ident| ident.to_string().trim_start_matches("r#").to_owned());
        marks.push((own.or(ident).unwrap_or_default(), why));
    }
    Ok(marks)
}

/// The name that `#[serde(rename = "…")]` gives a field.
fn renamed(attribute: &Attribute) -> Option<String> {
    let mut found = None;
    if attribute.path().is_ident("serde") {
        // What does not parse here is serde's to complain about.
        let _unparsed = attribute.parse_nested_meta(|meta| {
            if let Ok(value) = meta.value() {
                match value.parse::<syn::Expr>()? {
                    syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(name), .. }) if meta.path.is_ident("rename") => {
                        found = Some(name.value());
                    }
                    _ => {}
                }
            }
            Ok(())
        });
    }
    found
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
    fn a_mark_of_deprecation_goes_from_the_struct_into_the_record() {
        let text = expanded(
            "\"a\", deprecated = \"use B\",",
            "struct A { #[event(deprecated = \"use d\")] #[serde(rename = \"old\")] c: i64, #[event(deprecated = \"x\")] r#type: i64, d: i64 }",
        );
        for part in [
            "constDEPRECATED:::core::option::Option<&'staticstr>=::core::option::Option::Some(\"useB\");",
            "&[(\"old\",\"used\"),(\"type\",\"x\")];",
            "structA{#[serde(rename=\"old\")]c:i64,r#type:i64,d:i64}",
            "#[avro(namespace=\"a\")]#[serde(rename=\"A\")]#[allow(dead_code)]structUnmarked{#[serde(rename=\"old\")]c:i64,",
            "impl::apache_avro::AvroSchemaComponentforA",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!expanded("\"a\"", "struct A { c: i64 }").contains("DEPRECATED"));
    }

    #[test]
    fn the_schema_of_a_marked_struct_is_made_of_the_attributes_that_tell_of_it() {
        let item =
            "#[derive(Other)] #[other] #[avro(doc = \"x\")] struct A { #[other] #[avro(default = \"0\")] c: i64 }";
        let text = expanded("\"a\", deprecated = \"use B\"", item);
        for part in [
            "#[other]structA{#[other]c:i64}",
            "#[serde(rename=\"A\")]#[avro(doc=\"x\")]#[allow(dead_code)]structUnmarked{#[avro(default=\"0\")]c:i64}",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        let derived = "#[derive(apache_avro::AvroSchema)] struct A { #[event(deprecated = \"x\")] c: i64 }";
        refused("\"a\"", derived, "take `AvroSchema` out of the derives");
    }

    #[test]
    fn a_field_whose_name_in_the_schema_is_not_known_is_not_marked() {
        let item = "#[serde(rename_all = \"camelCase\")] struct A { #[event(deprecated = \"x\")] old_name: i64 }";
        refused("\"a\"", item, "a deprecated field says its name itself: add `#[serde(rename = ");
        let item = "struct A { #[event(deprecated = \"x\")] #[serde(skip)] c: i64 }";
        refused("\"a\"", item, "a field that is not in the schema cannot be marked");
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
