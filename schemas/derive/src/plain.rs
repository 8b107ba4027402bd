//! The code of a struct whose fields are plain.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Fields, GenericArgument, ItemStruct, PathArguments, Type};

/// `const PLAIN`, or nothing where a field is of another type, or an attribute
/// of serde or Avro may change what is written.
pub(crate) fn expand(item: &ItemStruct) -> TokenStream {
    let Fields::Named(fields) = &item.fields else { return TokenStream::new() };
    let is_plain = fields.named.iter().all(|field| is_plain(&field.ty) && field.attrs.iter().all(is_harmless));
    // What is written for the struct itself is its namespace.
    if !is_plain || item.attrs.iter().any(|attribute| attribute.path().is_ident("serde")) {
        return TokenStream::new();
    }
    let ident = &item.ident;
    let types: Vec<&Type> = fields.named.iter().map(|field| &field.ty).collect();
    let names: Vec<&syn::Ident> = fields.named.iter().filter_map(|field| field.ident.as_ref()).collect();
    let texts: Vec<String> = names.iter().map(|name| name.to_string().trim_start_matches("r#").to_owned()).collect();
    quote! {
        const PLAIN: ::core::option::Option<::factum::schemas::plain::Plain<Self>> =
            ::core::option::Option::Some(::factum::schemas::plain::Plain {
                fields: || ::std::vec![#((#texts, <#types as ::factum::schemas::plain::PlainField>::avro())),*],
                put: |_record, _into| {
                    #(::factum::schemas::plain::PlainField::put(&_record.#names, _into);)*
                },
                take: {
                    #[inline(always)] // a closure cannot ask for it
                    fn take(
                        _from: &mut ::factum::schemas::plain::PlainBytes<'_>,
                    ) -> ::core::result::Result<#ident, ::factum::schemas::plain::PlainWrong> {
                        ::core::result::Result::Ok(#ident {
                            #(#names: ::factum::schemas::plain::PlainField::take(_from)?),*
                        })
                    }
                    take
                },
                resolve: {
                    #[inline(always)]
                    fn resolve(
                        _from: &mut ::factum::schemas::plain::PlainParts<'_>,
                    ) -> ::core::result::Result<#ident, ::factum::schemas::plain::PlainWrong> {
                        ::core::result::Result::Ok(#ident { #(#names: _from.field()?),* })
                    }
                    resolve
                },
            });
    }
}

fn is_plain(kind: &Type) -> bool {
    let Type::Path(path) = kind else { return false };
    let Some(name) = path.path.segments.first().filter(|_| path.qself.is_none() && path.path.segments.len() == 1)
    else {
        return false;
    };
    let inner = match &name.arguments {
        PathArguments::None => None,
        PathArguments::AngleBracketed(inner) if inner.args.len() == 1 => match &inner.args[0] {
            GenericArgument::Type(inner) => Some(inner),
            _ => return false,
        },
        _ => return false,
    };
    match (name.ident.to_string().as_str(), inner) {
        ("bool" | "i32" | "i64" | "f32" | "f64" | "String", None) => true,
        ("Option" | "Vec", Some(inner)) => is_plain(inner),
        _ => false,
    }
}

/// Documentation, and a default of Avro's, which is for readers.
fn is_harmless(attribute: &Attribute) -> bool {
    if attribute.path().is_ident("doc") {
        return true;
    }
    let mut known = true;
    attribute.path().is_ident("avro")
        && attribute
            .parse_nested_meta(|meta| {
                known &= meta.path.is_ident("default") || meta.path.is_ident("doc");
                meta.value()?.parse::<syn::Expr>().map(drop)
            })
            .is_ok()
        && known
}

#[cfg(test)]
mod tests {
    use crate::expand::tests::expanded;

    fn is_plain(fields: &str) -> bool {
        expanded("\"a\"", &format!("pub struct R {{ {fields} }}")).contains("constPLAIN")
    }

    #[test]
    fn numbers_text_options_and_lists_of_them_are_plain() {
        for fields in
            ["", "a: i64", "a: bool, b: Option<String>, c: Vec<f64>", "/** what */ #[avro(default = \"0\")] a: i32"]
        {
            assert!(is_plain(fields), "{fields}");
        }
    }

    #[test]
    fn other_types_and_attributes_that_may_change_what_is_written_go_through_serde() {
        for field in [
            "a: u64",
            "a: Kind",
            "a: other::String",
            "a: Vec<Line>",
            "a: BTreeMap<String, i64>",
            "#[serde(rename = \"b\")] a: i64",
            "#[serde(with = \"cents\")] a: String",
            "#[avro(skip)] a: i64",
            "#[cfg(feature = \"a\")] a: i64",
        ] {
            assert!(!is_plain(field), "{field}");
        }
        assert!(!expanded("\"a\"", "#[serde(rename_all = \"camelCase\")] struct R { a: i64 }").contains("constPLAIN"));
    }
}
