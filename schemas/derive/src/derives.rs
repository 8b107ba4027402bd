//! The derives that an item still needs.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Path, Token, punctuated::Punctuated};

/// `#[derive(...)]` of those of `wanted` that the item has not got already:
/// writing `#[derive(Debug)]` beside the attribute is no conflict.
pub(crate) fn missing(attributes: &[Attribute], wanted: &[(&str, TokenStream)]) -> TokenStream {
    let present: Vec<String> = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("derive"))
        .filter_map(|attribute| attribute.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).ok())
        .flatten()
        .filter_map(|path| path.segments.last().map(|last| last.ident.to_string()))
        .collect();
    let paths: Vec<&TokenStream> =
        wanted.iter().filter(|(name, _)| !present.iter().any(|p| p == name)).map(|(_, path)| path).collect();
    if paths.is_empty() { TokenStream::new() } else { quote!(#[derive(#(#paths),*)]) }
}

/// What structs and enums alike derive.
pub(crate) fn plain() -> Vec<(&'static str, TokenStream)> {
    vec![
        ("Debug", quote!(::core::fmt::Debug)),
        ("Clone", quote!(::core::clone::Clone)),
        ("PartialEq", quote!(::core::cmp::PartialEq)),
    ]
}
