//! A token bucket for each client.

use super::{MAX_CLIENTS, Refused};
use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    time::Duration,
};

/// The same rate and burst for every client by itself. What a client lacks of
/// a full bucket is kept as the time at which it is full again (the generic cell
/// rate algorithm, ITU-T I.371); one with a full bucket is forgotten.
/// Times are since any fixed moment.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    per_second: f64,
    burst: f64,
    full_at: HashMap<K, Duration>,
    /// The same in that order.
    order: BTreeSet<(Duration, K)>,
}

impl<K: Copy + Ord + Hash> Buckets<K> {
    /// So many a second, of which so many may come at once.
    pub(super) fn new(per_second: f64, burst: f64) -> Self {
        Buckets { per_second, burst: burst.max(1.0), full_at: HashMap::new(), order: BTreeSet::new() }
    }

    /// Takes so much from a client's bucket, or nothing.
    pub(super) fn take(&mut self, client: K, cost: u32, now: Duration) -> Result<(), Refused> {
        let cost = f64::from(cost);
        if cost > self.burst {
            return Err(Refused::Never { at_once: self.burst });
        }
        while let Some(&(full_at, other)) = self.order.first()
            && full_at <= now
        {
            self.order.pop_first();
            self.full_at.remove(&other);
        }
        let known = self.full_at.get(&client).copied();
        let lacks = known.unwrap_or(now).saturating_sub(now);
        let after = lacks + Duration::from_secs_f64(cost / self.per_second);
        let whole = Duration::from_secs_f64(self.burst / self.per_second);
        if after > whole + SLACK {
            return Err(Refused::Later { wait: after - whole, share: self.burst });
        }
        if let Some(full_at) = known {
            self.order.remove(&(full_at, client));
        } else if self.full_at.len() >= MAX_CLIENTS
            && let Some((_, fullest)) = self.order.pop_first()
        {
            // The one whose bucket is fullest gains least by being forgotten.
            self.full_at.remove(&fullest);
        }
        self.full_at.insert(client, now + after);
        self.order.insert((now + after, client));
        Ok(())
    }
}

/// What rounding may add up to.
const SLACK: Duration = Duration::from_nanos(100);

#[cfg(test)]
mod tests {
    use super::{super::tests::Draw, *};

    #[test]
    fn no_interval_has_more_than_rate_and_burst_and_who_keeps_to_them_is_never_refused() {
        for seed in 0..200 {
            let mut draw = Draw::new(seed);
            let (rate, burst) = (1.0 + 500.0 * draw.part(), 3.0 + 50.0 * draw.part());
            let mut buckets = Buckets::new(rate, burst);
            let (mut now, mut greedy, mut own) = (0.0, 0.0, 0.0);
            // The model of the client that keeps to its limit: a bucket that is never below nothing.
            let mut tokens = burst;
            for _ in 0..2_000 {
                let pause = draw.part() * 2.0 / rate;
                now += pause;
                tokens = (tokens + pause * rate * 0.999).min(burst);
                let at = Duration::from_secs_f64(now);
                // Ten times its limit.
                for _ in 0..10 {
                    greedy += f64::from(u8::from(buckets.take(1, 1, at).is_ok()));
                }
                if tokens >= 1.0 && draw.below(3) > 0 {
                    tokens -= 1.0;
                    own += 1.0;
                    buckets.take(2, 1, at).unwrap_or_else(|refused| panic!("seed {seed}: {refused:?}"));
                }
            }
            assert!(greedy <= now * rate + burst + 1.0, "seed {seed}: {greedy} in {now} s at {rate}/s");
            assert!(greedy >= (now * rate + burst) * 0.9 - 2.0 && own > 0.0, "seed {seed}: {greedy}, {own}");
        }
    }

    #[test]
    fn the_time_told_is_when_it_is_let_through_and_full_buckets_are_forgotten() {
        let mut buckets = Buckets::new(2.0, 4.0);
        let begin = Duration::from_secs(100);
        buckets.take(7, 4, begin).unwrap();
        let Err(Refused::Later { wait, .. }) = buckets.take(7, 3, begin) else { panic!("not refused") };
        assert_eq!(wait, Duration::from_millis(1_500));
        buckets.take(7, 3, begin + wait).unwrap();
        assert_eq!(buckets.take(7, 5, begin), Err(Refused::Never { at_once: 4.0 }));
        buckets.take(8, 1, begin + Duration::from_secs(60)).unwrap();
        assert_eq!((buckets.full_at.len(), buckets.order.len()), (1, 1));
        for client in 0..MAX_CLIENTS + 10 {
            buckets.take(client, 1, begin + Duration::from_secs(60)).unwrap();
        }
        assert_eq!((buckets.full_at.len(), buckets.order.len()), (MAX_CLIENTS, MAX_CLIENTS));
    }
}
