//! The attributes `#[event]` and `#[command]`.
//!
//! They derive names and schemas and nothing else: no control flow, no
//! registration, no naming policy. Plain derives with `impl Message` and
//! `impl AvroMessage` by hand stay an equal way, see `factum::schemas`.
//!
//! On a struct, `#[event("bank.account")]` makes it an Avro record of that
//! namespace. On an enum, `#[event]` makes it the set of the records that its
//! variants hold:
//!
//! ```text
//! #[event("bank.account")] pub struct Deposited { pub cents: i64 }
//! #[event("bank.account")] pub struct Withdrawn { pub cents: i64 }
//! #[event] pub enum Event { Deposited(Deposited), Withdrawn(Withdrawn) }
//! ```
//!
//! A record or a field that should not be written any more is marked, which the
//! schema tells to all: `#[event("bank.account", deprecated = "use LimitSet")]` on
//! the struct, `#[event(deprecated = "use memo")]` on the field. A struct within a
//! record is marked the same way, by the attribute in the place of its derives.
//!
//! A record that is in the log and written no more is *retired*: its struct
//! stays with an `impl Upcast`, and the enum lists it, `#[event(retired(Moved))]`.
//!
//! The crate of the domain depends on `factum`, `serde`, `serde_json` and
//! `apache-avro`: the derives that are added name them by absolute paths.

mod arguments;
mod derives;
mod expand;
mod plain;
mod records;
mod structure;

use expand::Kind;
use proc_macro::TokenStream;

/// Makes a struct an event's record (`#[event("bank.account")]`), or an enum
/// the set of events that a topic carries (`#[event]`, with records that it had
/// once `#[event(retired(Moved))]`).
#[proc_macro_attribute]
pub fn event(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Kind::Event, arguments.into(), item.into()).into()
}

/// Makes a struct a command's record (`#[command("bank.account")]`), or an enum
/// the set of commands that a topic carries (`#[command]`).
#[proc_macro_attribute]
pub fn command(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(Kind::Command, arguments.into(), item.into()).into()
}
