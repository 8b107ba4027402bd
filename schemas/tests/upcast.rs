//! Bytes that an earlier program wrote, read by one that has other events.
//!
//! The first program opened accounts in euros, moved money, and noted visits;
//! today there are cents, deposits and withdrawals, and no visits.

#![allow(missing_docs, clippy::unwrap_used)]

// The attributes write paths of the facade, whose place this crate takes.
extern crate self as factum;
pub use factum_core::{DecodeError, Error, Message};
pub mod schemas {
    pub use factum_schemas::*;
}

use factum_core::{Decoded, ErrorKind, MessageCodec};
use factum_schemas::{
    AvroMessage, MAX_UPCAST_EVENTS, MemoryRegistry, Record, RecordCodec, Registry, SchemaCache, Upcast, Upcasted,
    check_messages, event, newest_schemas, retired_schemas,
};
use std::sync::Arc;

/// What the first program had.
pub mod first {
    use super::*;

    /// Without the currency that it had a version later.
    #[event("bank.account")]
    pub struct Opened {
        pub euros: i64,
    }

    #[event]
    pub enum Event {
        Opened(Opened),
        Moved(Moved),
        Visited(Visited),
    }
}

#[event("bank.account")]
pub struct Deposited {
    pub cents: i64,
}

#[event("bank.account")]
pub struct Withdrawn {
    pub cents: i64,
}

// One event was split into two, by its sign; 0 is no event.
#[event("bank.account")]
pub struct Moved {
    pub cents: i64,
}

impl Upcast for Moved {
    type Event = Event;
    const INTO: &'static [&'static str] = &[Deposited::NAME, Withdrawn::NAME];

    fn upcast(self, to: &mut Upcasted<Event>) {
        assert!(self.cents != 13, "unlucky");
        if self.cents > 0 {
            to.push(Deposited { cents: self.cents });
        }
        // What was moved out was moved to a fee and to somebody.
        if self.cents < -1 {
            to.push(Withdrawn { cents: 1 });
            to.push(Withdrawn { cents: -self.cents - 1 });
        }
    }
}

// The second version of what was opened. It was retired before the record that it became.
#[event("bank.account")]
pub struct Opened {
    pub euros: i64,
    #[avro(default = "\"EUR\"")]
    pub currency: String,
}

/// Goes on through the upcaster of [`Moved`]: a chain of two.
impl Upcast for Opened {
    type Event = Event;
    const INTO: &'static [&'static str] = &[Moved::NAME];

    fn upcast(self, to: &mut Upcasted<Event>) {
        assert_eq!(self.currency, "EUR");
        to.push(Moved { cents: self.euros * 100 });
    }
}

#[event("bank.account")]
pub struct Visited {}

impl Upcast for Visited {
    type Event = Event;
    const INTO: &'static [&'static str] = &[];

    fn upcast(self, _: &mut Upcasted<Event>) {}
}

#[event(retired(Opened, Moved, Visited))]
pub enum Event {
    Deposited(Deposited),
    Withdrawn(Withdrawn),
}

/// A view's own enum, of one of the records, with a struct of its own for it.
pub mod view {
    use super::{Moved, Opened, event};

    #[event("bank.account")]
    pub struct Deposited {
        pub cents: i64,
        pub note: Option<String>,
    }

    #[event(retired(Moved, Opened))]
    pub enum Deposits {
        Deposited(Deposited),
    }
}

const TOPIC: &str = "bank.account.events";

fn cache() -> Arc<SchemaCache> {
    Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())))
}

/// The bytes of the first program, and what a program of today makes of them.
fn read_today(written: impl Into<first::Event>) -> Result<Decoded<Event>, DecodeError> {
    let (bytes, cache) = bytes_of(written);
    RecordCodec::<Event>::for_writing(TOPIC, &cache).unwrap().decode(&bytes)
}

fn bytes_of(written: impl Into<first::Event>) -> (Vec<u8>, Arc<SchemaCache>) {
    let cache = cache();
    let mut bytes = Vec::new();
    RecordCodec::<first::Event>::for_writing(TOPIC, &cache).unwrap().encode(&written.into(), &mut bytes).unwrap();
    (bytes, cache)
}

fn upcast<E: Into<Event>>(events: impl IntoIterator<Item = E>) -> Result<Decoded<Event>, DecodeError> {
    Ok(Decoded::Upcast(events.into_iter().map(Into::into).collect()))
}

#[test]
fn an_event_is_split_into_two() {
    assert_eq!(read_today(Moved { cents: -30 }), upcast([Withdrawn { cents: 1 }, Withdrawn { cents: 29 }]));
}

#[test]
fn an_event_becomes_another_by_what_it_says() {
    assert_eq!(read_today(Moved { cents: 30 }), upcast([Deposited { cents: 30 }]));
    assert_eq!(read_today(Moved { cents: 0 }), upcast::<Event>([]));
}

#[test]
fn an_earlier_version_of_a_retired_record_resolves_to_it_and_goes_through_a_chain_of_upcasters() {
    assert_eq!(read_today(first::Opened { euros: 7 }), upcast([Deposited { cents: 700 }]));
}

#[test]
fn a_dropped_event_is_no_event() {
    assert_eq!(read_today(Visited {}), upcast::<Event>([]));
}

#[test]
fn an_event_of_today_is_one_and_is_not_upcast() {
    let codec = RecordCodec::<Event>::for_writing(TOPIC, &cache()).unwrap();
    let mut bytes = Vec::new();
    codec.encode(&Deposited { cents: 5 }.into(), &mut bytes).unwrap();
    assert_eq!(codec.decode(&bytes), Ok(Decoded::One(Deposited { cents: 5 }.into())));
}

#[test]
fn a_panic_of_an_upcaster_makes_that_record_unreadable_and_no_other() {
    let error = read_today(Moved { cents: 13 }).unwrap_err();
    let why = "record bank.account.Moved: the upcaster of bank.account.Moved panicked: unlucky";
    assert_eq!(error, DecodeError::Malformed(why.into()));
    assert_eq!(read_today(Moved { cents: 14 }), upcast([Deposited { cents: 14 }]));
}

#[test]
fn truncated_bytes_of_a_retired_record_are_malformed() {
    let (bytes, cache) = bytes_of(Moved { cents: 300 });
    let error = RecordCodec::<Event>::for_reading(&cache).unwrap().decode(&bytes[..bytes.len() - 1]).unwrap_err();
    assert!(error.to_string().ends_with("the value is truncated"), "{error}");
}

#[test]
fn a_view_with_an_enum_of_its_own_gets_what_that_holds() {
    let decode = |written: first::Event| {
        let (bytes, cache) = bytes_of(written);
        RecordCodec::<view::Deposits>::for_reading(&cache).unwrap().decode(&bytes)
    };
    let deposit = view::Deposited { cents: 700, note: None };
    assert_eq!(decode(first::Opened { euros: 7 }.into()), Ok(Decoded::Upcast(vec![deposit.into()])));
    assert_eq!(decode(Moved { cents: -30 }.into()), Ok(Decoded::Upcast(vec![])));
    assert_eq!(decode(Visited {}.into()), Err(DecodeError::UnknownRecord("bank.account.Visited".into())));
}

#[test]
fn retired_records_are_read_and_not_registered() {
    let registry = Arc::new(MemoryRegistry::new());
    let cache = Arc::new(SchemaCache::in_memory(registry.clone()));
    RecordCodec::<Event>::for_writing(TOPIC, &cache).unwrap();
    assert!(registry.latest("bank.account.events-bank.account.Deposited").unwrap().is_some());
    assert!(registry.latest("bank.account.events-bank.account.Moved").unwrap().is_none());
    assert_eq!((newest_schemas::<Event>().unwrap().len(), retired_schemas::<Event>().unwrap().len()), (2, 3));
}

#[test]
fn committed_files_of_retired_records_stay_and_every_version_of_them_must_be_readable() {
    let folder = tempfile::tempdir().unwrap();
    let write = |record: &str, number: u32, fields: &str| {
        let path = folder.path().join(format!("bank.account.{record}"));
        std::fs::create_dir_all(&path).unwrap();
        let schema = format!(r#"{{"type":"record","name":"bank.account.{record}","fields":[{fields}]}}"#);
        std::fs::write(path.join(format!("{number}.avsc")), schema).unwrap();
    };
    let cents = r#"{"name":"cents","type":"long"}"#;
    let euros = r#"{"name":"euros","type":"long"}"#;
    let currency = r#"{"name":"currency","type":"string","default":"EUR"}"#;
    for record in ["Deposited", "Withdrawn", "Moved"] {
        write(record, 1, cents);
    }
    write("Opened", 1, euros);
    let failure = || check_messages::<Event>(folder.path()).unwrap_err().to_string();
    assert!(failure().contains("record bank.account.Opened differs from"), "{}", failure());
    write("Opened", 2, &format!("{euros},{currency}"));
    assert!(failure().contains("record bank.account.Visited has no file"), "{}", failure());
    write("Visited", 1, "");
    assert_eq!(check_messages::<Event>(folder.path()).unwrap().agreeing, 5);
    // A version that the retired struct cannot read.
    write("Opened", 1, r#"{"name":"guilders","type":"long"}"#);
    assert!(failure().contains("cannot read what") && failure().contains("Opened/1.avsc wrote"), "{}", failure());
}

/// Upcasters that are wrong, each with an enum of its own.
macro_rules! wrong {
    ($module:ident, retired($($retired:ident),*), $($from:ident -> [$($into:ident),*] pushes $pushed:expr;)*) => {
        pub mod $module {
            use super::*;

            #[event("test")]
            pub struct Current {}

            $(
                #[event("test")]
                pub struct $from {}

                impl Upcast for $from {
                    type Event = Event;
                    const INTO: &'static [&'static str] = &[$($into::NAME),*];

                    fn upcast(self, to: &mut Upcasted<Event>) {
                        let push: fn(&mut Upcasted<Event>) = $pushed;
                        push(to);
                    }
                }
            )*

            #[event(retired($($retired),*))]
            pub enum Event {
                Current(Current),
            }
        }
    };
}

wrong!(gap, retired(Old), Old -> [Middle] pushes |to| to.push(Middle {}); Middle -> [Current] pushes |to| to.push(Current {}););
wrong!(circle, retired(A, B), A -> [B] pushes |to| to.push(B {}); B -> [Current, A] pushes |to| to.push(A {}););
wrong!(unnamed, retired(A, B), A -> [B] pushes |to| to.push(Current {}); B -> [Current] pushes |to| to.push(Current {}););
wrong!(many, retired(A, B), A -> [Current] pushes |to| (0..=MAX_UPCAST_EVENTS).for_each(|_| to.push(Current {})); B -> [Current] pushes |to| (0..MAX_UPCAST_EVENTS).for_each(|_| to.push(Current {})););

#[track_caller]
fn refused<M: AvroMessage>(text: &str) {
    let error = RecordCodec::<M>::for_reading(&cache()).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, text));
}

#[test]
fn a_gap_in_a_chain_is_refused_when_a_codec_is_opened() {
    refused::<gap::Event>(
        "record test.Old is upcast to test.Middle, which upcast::gap::Event neither holds nor lists as retired; \
         if its struct is still there, write `#[event(retired(Middle))]` on the enum",
    );
    RecordCodec::<Event>::for_reading(&cache()).unwrap();
}

#[test]
fn upcasters_that_go_in_a_circle_are_refused_when_a_codec_is_opened() {
    refused::<circle::Event>(
        "upcasters of upcast::circle::Event go in a circle: test.A -> test.B -> test.A; have one of them push a \
         record that the enum holds",
    );
    let error = Upcasted::of(circle::A {}).unwrap_err().to_string();
    assert_eq!(error, "record test.A: its upcasters go in a circle, back to test.A");
}

#[test]
fn a_record_that_into_does_not_name_is_not_pushed() {
    let error = Upcasted::of(unnamed::A {}).unwrap_err().to_string();
    assert_eq!(error, "record test.A: the upcaster of test.A pushes test.Current, which its INTO does not name");
    assert_eq!(Upcasted::of(unnamed::B {}).unwrap().len(), 1);
}

#[test]
fn an_upcaster_makes_a_limited_number_of_events() {
    let error = Upcasted::of(many::A {}).unwrap_err().to_string();
    assert_eq!(error, "record test.A: it becomes more than 1000 events");
    assert_eq!(Upcasted::of(many::B {}).unwrap().len(), MAX_UPCAST_EVENTS);
}

/// Two names of one record, which the attribute cannot see.
pub mod twice {
    use super::*;

    pub type Again = Moved;
    pub type Today = Noted;

    #[event(retired(Moved, Again))]
    pub enum Twice {
        Withdrawn(Withdrawn),
    }

    #[event(retired(Moved, Today))]
    pub enum Both {
        Noted(Noted),
    }

    #[event("bank.account")]
    pub struct Noted {}

    impl Upcast for Noted {
        type Event = Event;
        const INTO: &'static [&'static str] = &[];

        fn upcast(self, _: &mut Upcasted<Event>) {}
    }

    /// Its aggregate's enum does not list what this one does.
    #[event("bank.account")]
    pub struct Lost {}

    impl Upcast for Lost {
        type Event = Event;
        const INTO: &'static [&'static str] = &[Deposited::NAME];

        fn upcast(self, _: &mut Upcasted<Event>) {}
    }

    #[event(retired(Lost))]
    pub enum Narrow {
        Deposited(Deposited),
    }
}

#[test]
fn a_record_is_retired_once_and_not_current_also_under_another_name() {
    refused::<twice::Twice>("upcast::twice::Twice lists record bank.account.Moved twice as retired: once is enough");
    refused::<twice::Both>(
        "record bank.account.Noted is both a variant of upcast::twice::Both and retired from it: take it out of \
         one of the two",
    );
}

#[test]
fn a_view_cannot_read_a_retired_record_that_its_aggregate_does_not_know() {
    refused::<twice::Narrow>(
        "record bank.account.Lost is upcast to events of upcast::Event, which neither holds it nor lists as retired; \
         if its struct is still there, write `#[event(retired(Lost))]` on the enum",
    );
}
