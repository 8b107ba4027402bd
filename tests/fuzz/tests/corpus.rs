//! Inputs that once found something find nothing any more; and the harness
//! itself finds what it is there for.
#![allow(clippy::unwrap_used)] // a test's failure is its panic

use factum_fuzz::{Draw, Guarded, MAX_INPUT_BYTES, MAX_MEMORY_BYTES, Target, corpus, hex, input, targets};

#[test]
fn what_once_failed_is_read_or_refused() {
    for kept in corpus::kept().unwrap() {
        let target = targets::named(&kept.target).unwrap_or_else(|| panic!("there is no target {}", kept.target));
        let ran = Guarded::new(target).run(&kept.bytes);
        assert_eq!(ran, Ok(()), "{}/{}", kept.target, kept.name);
    }
}

#[test]
fn a_few_inputs_of_every_target_are_read_or_refused() {
    for target in targets::all() {
        let mut guarded = Guarded::new(target);
        for seed in 0..guarded.target().share() {
            let input = input(guarded.target(), seed);
            assert!(input.len() <= MAX_INPUT_BYTES);
            assert_eq!(guarded.run(&input), Ok(()), "{} seed {seed}: {}", guarded.target().name(), hex::encode(&input));
        }
    }
}

#[test]
fn every_targets_examples_change_with_the_seed() {
    for target in targets::all() {
        let examples: std::collections::BTreeSet<Vec<u8>> =
            (0..40).map(|seed| target.example(&mut Draw::new(seed))).collect();
        assert!(examples.len() > 5, "{} has {} examples", target.name(), examples.len());
    }
}

#[test]
fn a_seed_is_the_same_input_on_every_machine() {
    let tokens = targets::named("tokens").unwrap();
    let found: Vec<String> = (1..4).map(|seed| hex::encode(&input(&*tokens, seed))).collect();
    let expected = [
        "596d46756179356859324e76645735304c6d56325a573530637938775144416a4d4441774d4441774d4441744d4441774d4330774d4441774c574d324e7a63745a5451354f54686a4e3249794d6a4d78",
        "30303030303030302d303030302d303030302d63303963ad653234383365613839363263",
        "62616e6b2e6163636f756e742e6576656e74732f3174b8ebb822a131d5dae1407abb34406e74732f3134406e74732f3134406e74732f31344033",
    ];
    assert_eq!(found, expected);
}

/// Does what no reader may do.
struct Bad(&'static str);

impl Target for Bad {
    fn name(&self) -> &'static str {
        "bad"
    }

    fn example(&self, _: &mut Draw) -> Vec<u8> {
        vec![1]
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        match self.0 {
            "panics" => panic!("a byte {}", input[0]),
            // Who does not ask whether there is so much ends with the process.
            "wastes" if Vec::<u8>::new().try_reserve(MAX_MEMORY_BYTES + 1).is_err() => Err("no memory".into()),
            _ => Err("the round trip does not hold".into()),
        }
    }
}

#[test]
fn a_panic_too_much_memory_and_a_broken_round_trip_are_found() {
    let found = |what| Guarded::new(Box::new(Bad(what))).run(&[1]).unwrap_err();
    assert_eq!(found("panics"), "it panicked: a byte 1");
    assert_eq!(found("wastes"), "no memory");
    assert_eq!(found("breaks"), "the round trip does not hold");
}
