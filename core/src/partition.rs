//! Which partition a key belongs to: Kafka's Java default partitioner.
//!
//! librdkafka's own default is another function (CRC32), so the clients of
//! Factum compute this one and the handler verifies it.

use crate::Partition;

/// The partition of `key` in a topic of `partitions` partitions:
/// `toPositive(murmur2(key)) % partitions`, as in
/// `org.apache.kafka.clients.producer.internals.BuiltInPartitioner`.
///
/// # Panics
/// When `partitions` is 0, which no topic has.
pub fn partition_of(key: &[u8], partitions: u32) -> Partition {
    assert!(partitions > 0, "a topic has at least one partition");
    Partition((murmur2(key) & 0x7fff_ffff) % partitions)
}

/// `org.apache.kafka.common.utils.Utils.murmur2`: 32-bit MurmurHash2 with seed `0x9747b28c`.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    // Java's length is an int; a key never gets near the truncation.
    #[allow(clippy::cast_possible_truncation)]
    let mut h = 0x9747_b28c_u32 ^ data.len() as u32;
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes(chunk.try_into().expect("chunks of four bytes"));
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let rest = chunks.remainder();
    for (i, &byte) in rest.iter().enumerate().rev() {
        h ^= u32::from(byte) << (8 * i);
    }
    if !rest.is_empty() {
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}
