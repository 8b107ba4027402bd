//! Keys go where Kafka's own Java client puts them.

#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum_core::{Partition, murmur2, partition_of};

/// Written by `tests/fixtures/Murmur2Vectors.java` with Kafka 4.3's client.
const VECTORS: &str = include_str!("../../tests/fixtures/murmur2.csv");

#[test]
fn keys_hash_and_spread_as_in_kafkas_java_client() {
    let mut checked = 0;
    for line in VECTORS.lines().skip(1) {
        let mut columns = line.split(',');
        let mut next = || columns.next().unwrap();
        let key = bytes(next());
        let hash: i32 = next().parse().unwrap();
        assert_eq!(murmur2(&key).cast_signed(), hash, "murmur2 of {key:02x?}");
        for partitions in [6, 97] {
            let expected = Partition(next().parse().unwrap());
            assert_eq!(partition_of(&key, partitions), expected, "partition of {key:02x?} among {partitions}");
        }
        checked += 1;
    }
    assert!(checked >= 200, "the file has lost vectors: {checked}");
}

#[test]
#[should_panic(expected = "at least one partition")]
fn a_topic_without_partitions_is_a_bug() {
    partition_of(b"key", 0);
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}
