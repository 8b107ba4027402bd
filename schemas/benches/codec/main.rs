//! The bank's events through the codec, and through code that was written by
//! hand for them: the same bytes, the same values, the same buffers.
//!
//! `cargo bench -p factum-schemas --bench codec`; with `-- --check` it fails
//! where a ratio is above its promise.
//!
//! Times differ from run to run, instructions do not:
//! `valgrind --tool=callgrind --dump-after='*codec*timed*' target/release/deps/codec-… --rounds 2`
//! writes a file for each call of `timed`, by hand and codec in turn; those of
//! the second round hold nothing else. An event is 1/10 240 of their totals:
//!
//! | | by hand | codec | ratio |
//! |---|---|---|---|
//! | encode | 102.5 | 124.3 | 1.21 |
//! | decode | 201.1 | 178.9 | 0.89 |
//! | decode an earlier version | 102.5 | 280.9 | 2.74 |
//! | decode another program's | 312.2 | 578.0 | 1.85 |

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)] // a program of its own that prints

// The attributes write paths of the facade, whose place this crate takes.
extern crate self as factum;
pub use factum_core::{DecodeError, Error, Message};
pub use factum_schemas::{command, event};
pub mod schemas {
    pub use factum_schemas::*;
}

mod bank;
mod by_hand;
#[path = "../../tests/random/mod.rs"]
mod random;

use bank::{Deposited, Event, FeeCharged, InterestCredited, OverdraftInterestCharged, OverdraftLimitSet, Withdrawn};
use by_hand::{ByHand, deposit_of_another, fee_of_version_1};
use factum_core::MessageCodec;
use factum_schemas::{MemoryRegistry, RecordCodec, SchemaCache};
use random::Random;
use std::{hint::black_box, sync::Arc, time::Instant};

/// Events in one pass: few enough for the processor's caches.
const EVENTS: usize = 1_024;
/// Passes that are timed together: well below a millisecond, so that on a busy
/// machine most are timed without an interruption.
const PASSES: usize = 10;
/// How often both are timed, in turn; the medians count.
const ROUNDS: usize = 501;
/// What is promised, as multiples of what is written by hand.
const FAST: f64 = 1.5;
const RESOLVING: f64 = 4.0;

/// Fees as version 1 wrote them, without a reason.
const V1_ID: u32 = 1_000;
const V1: &str = r#"{"type":"record","name":"bank.account.FeeCharged","fields":[{"name":"cents","type":"long"}]}"#;
/// Deposits of another program: fields that are not read, and a narrower number.
const OTHER_ID: u32 = 1_001;
const OTHER: &str = r#"{"type":"record","name":"bank.account.Deposited","fields":[
    {"name":"branch","type":"string"},{"name":"cash","type":"boolean"},{"name":"cents","type":"int"}]}"#;

fn main() {
    let cache = Arc::new(SchemaCache::in_memory(Arc::new(MemoryRegistry::new())));
    let codec = RecordCodec::<Event>::for_writing("bank.account.events", &cache).unwrap();
    cache.learn(V1_ID, V1).unwrap();
    cache.learn(OTHER_ID, OTHER).unwrap();
    // Where nothing was registered before, ids are given in the order of the records.
    let by_hand = ByHand { ids: (1..=6).collect() };

    let mut random = Random(1);
    let events: Vec<Event> = (0..EVENTS).map(|_| random.event()).collect();
    let newest: Vec<Vec<u8>> = events.iter().map(|event| written(&codec, event)).collect();
    for (event, bytes) in events.iter().zip(&newest) {
        let mut own = Vec::new();
        by_hand.encode(event, &mut own).unwrap();
        assert_eq!(own, *bytes, "{event:?}");
        assert_eq!(codec.decode_one(bytes).as_ref(), Ok(event));
    }
    let fees: Vec<Vec<u8>> = (0..EVENTS).map(|_| fee_of_version_1(random.cents())).collect();
    let others: Vec<Vec<u8>> = (0..EVENTS).map(|_| deposit_of_another(random.cents())).collect();
    for bytes in newest.iter().chain(&fees).chain(&others) {
        assert_eq!(codec.decode_one(bytes).unwrap(), by_hand.decode(bytes).unwrap(), "{bytes:?}");
    }

    println!("{:<30} {:>9} {:>9} {:>7} {:>9}", "ns an event", "by hand", "codec", "ratio", "promised");
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let encode = compare(
        ("encode", FAST),
        || encoded(&events, &mut one, |event, into| by_hand.encode(event, into).unwrap()),
        || encoded(&events, &mut two, |event, into| codec.encode(event, into).unwrap()),
    );
    let decode = |what, all: &[Vec<u8>]| {
        compare(
            what,
            || decoded(all, |bytes| by_hand.decode(bytes).unwrap()),
            || decoded(all, |bytes| codec.decode(bytes).unwrap()),
        )
    };
    let kept = [
        encode,
        decode(("decode", FAST), &newest),
        decode(("decode an earlier version", RESOLVING), &fees),
        decode(("decode another program's", RESOLVING), &others),
    ];
    if std::env::args().any(|argument| argument == "--check") && kept.contains(&false) {
        std::process::exit(1);
    }
}

/// One pass, into a buffer that is used again.
fn encoded(events: &[Event], into: &mut Vec<u8>, encode: impl Fn(&Event, &mut Vec<u8>)) {
    for event in events {
        into.clear();
        encode(black_box(event), into);
        black_box(&*into);
    }
}

fn decoded<T>(all: &[Vec<u8>], decode: impl Fn(&[u8]) -> T) {
    for bytes in all {
        drop(black_box(decode(black_box(bytes))));
    }
}

/// Times both in turn; answers whether the median of the ratios keeps the promise.
fn compare((what, promised): (&str, f64), mut by_hand: impl FnMut(), mut codec: impl FnMut()) -> bool {
    let (mut hands, mut codecs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds() {
        let (hand, own) = (timed(&mut by_hand), timed(&mut codec));
        hands.push(hand);
        codecs.push(own);
        ratios.push(own / hand);
    }
    let (hand, own, ratio) = (median(hands), median(codecs), median(ratios));
    println!("{what:<30} {hand:>9.1} {own:>9.1} {ratio:>7.2} {promised:>9.1}");
    ratio <= promised
}

fn rounds() -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--rounds").skip(1);
    arguments.next().map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

/// Nanoseconds for one event.
#[inline(never)] // by its name instructions are counted
fn timed(pass: &mut impl FnMut()) -> f64 {
    let begin = Instant::now();
    (0..PASSES).for_each(|_| pass());
    begin.elapsed().as_secs_f64() * 1e9 / (PASSES * EVENTS) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn written(codec: &RecordCodec<Event>, event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec.encode(event, &mut bytes).unwrap();
    bytes
}

impl Random {
    fn next(&mut self) -> u64 {
        self.bits(31)
    }

    /// Of one to four bytes, as amounts of money are.
    fn cents(&mut self) -> i64 {
        let most = [50, 5_000, 500_000, 50_000_000][usize::try_from(self.next() % 4).unwrap()];
        i64::try_from(self.next() % most).unwrap()
    }

    fn event(&mut self) -> Event {
        let cents = self.cents();
        match self.next() % 6 {
            0 => Deposited { cents }.into(),
            1 => Withdrawn { cents }.into(),
            2 => InterestCredited { cents }.into(),
            3 => OverdraftInterestCharged { cents }.into(),
            4 => FeeCharged { cents, reason: (cents % 2 == 0).then(|| "foreign cash".to_owned()) }.into(),
            _ => OverdraftLimitSet { cents }.into(),
        }
    }
}
