//! One rate that clients share fairly.
//!
//! Every command that is let through is a debt of its client. Debts are repaid
//! at the rate, equally by all who have one, which is processor sharing (the
//! fluid limit of fair queueing: Demers, Keshav and Shenker 1989). A client is
//! let through while its debt stays within its share of the burst. So with `n`
//! clients in debt each of them gets at least the `n`-th part of the rate, and
//! what one leaves over the others share: max-min fairness.
//!
//! Bounds, which the tests assert in simulated time: a client that sends at most
//! the `n`-th part of the rate, with bursts of at most the `n`-th part of the
//! burst, is never refused, whatever the other `n - 1` do. All together get at
//! most `rate × time + burst × (1 + ln n)`.

use super::{MAX_CLIENTS, Refused};
use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    time::Duration,
};

/// A rate, and who is in debt for it. Times are since any fixed moment.
#[derive(Debug)]
pub(super) struct FairShare<K> {
    per_second: f64,
    burst: f64,
    /// What each debtor would have repaid since the last time that nobody was in debt.
    repaid: f64,
    /// Of every client in debt: the `repaid` at which it is out of it.
    debtors: HashMap<K, f64>,
    /// The same in that order, as bits, which order as the numbers do: none is negative.
    order: BTreeSet<(u64, K)>,
    at: Duration,
}

impl<K: Copy + Ord + Hash> FairShare<K> {
    /// So many commands a second, of which so many may come at once.
    pub(super) fn new(per_second: f64, burst: f64) -> Self {
        let (debtors, order) = (HashMap::new(), BTreeSet::new());
        FairShare { per_second, burst: burst.max(1.0), repaid: 0.0, debtors, order, at: Duration::ZERO }
    }

    /// Lets so many commands of a client through, or none of them.
    pub(super) fn take(&mut self, client: K, commands: u32, now: Duration) -> Result<(), Refused> {
        let commands = f64::from(commands);
        if commands > self.burst {
            return Err(Refused::Never { at_once: self.burst });
        }
        self.repay(now);
        let known = self.debtors.get(&client).copied();
        let debt = known.map_or(0.0, |until| until - self.repaid);
        let sharers = (self.debtors.len() + usize::from(known.is_none())) as f64;
        let share = (self.burst / sharers).max(1.0);
        if debt + commands > share + SLACK {
            // A request beyond the share has to wait for others, at least until its own debt is repaid.
            let wait = (debt + commands.min(share) - share) * sharers / self.per_second;
            return Err(Refused::Later { wait: Duration::from_secs_f64(wait.max(0.0)), share });
        }
        if let Some(until) = known {
            self.order.remove(&(until.to_bits(), client));
        } else if self.debtors.len() >= MAX_CLIENTS
            && let Some((_, least)) = self.order.pop_first()
        {
            // The one with the smallest debt gains least by being forgotten.
            self.debtors.remove(&least);
        }
        let until = self.repaid + debt + commands;
        self.debtors.insert(client, until);
        self.order.insert((until.to_bits(), client));
        Ok(())
    }

    /// Repays what the rate allows since the last time; who is out of debt is forgotten.
    fn repay(&mut self, now: Duration) {
        let mut pot = now.saturating_sub(self.at).as_secs_f64() * self.per_second;
        self.at = self.at.max(now);
        while let Some(&(bits, client)) = self.order.first() {
            let debtors = self.debtors.len() as f64;
            let until = f64::from_bits(bits);
            let needed = (until - self.repaid) * debtors;
            if needed > pot {
                self.repaid += pot / debtors;
                return;
            }
            pot -= needed;
            self.repaid = until;
            self.order.pop_first();
            self.debtors.remove(&client);
        }
        self.repaid = 0.0;
    }
}

/// What rounding may add up to, in commands.
const SLACK: f64 = 1e-6;

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)] // a test's numbers are small
mod tests {
    use super::{super::tests::Draw, *};

    /// How a client sends.
    #[derive(Debug, Clone, Copy)]
    enum Pattern {
        /// At a steady rate.
        Steady(f64),
        /// At a steady rate for some time, then not at all for as long.
        OnAndOff { per_second: f64, phase: f64 },
        /// So many at once, at random times with this rate.
        Bursts { per_second: f64, size: u32 },
    }

    impl Pattern {
        fn draw(draw: &mut Draw, per_second: f64, burst: f64) -> Self {
            match draw.below(3) {
                0 => Pattern::Steady(per_second),
                1 => Pattern::OnAndOff { per_second, phase: 0.05 + 3.0 * draw.part() },
                _ => {
                    let size = 1 + draw.below(burst.max(1.0) as u64) as u32;
                    Pattern::Bursts { per_second: per_second / f64::from(size), size }
                }
            }
        }

        /// The time after `at` at which it sends next, and how many commands.
        fn next(self, at: f64, draw: &mut Draw) -> (f64, u32) {
            match self {
                Pattern::Steady(per_second) => (at + 1.0 / per_second, 1),
                Pattern::OnAndOff { per_second, phase } => {
                    let next = at + 1.0 / per_second;
                    let is_off = (next / phase) as u64 % 2 == 1;
                    (if is_off { ((next / phase).floor() + 1.0) * phase } else { next }, 1)
                }
                Pattern::Bursts { per_second, size } => (at - (1.0 - draw.part()).ln() / per_second, size),
            }
        }
    }

    /// What became of one client's commands.
    #[derive(Debug, Clone, Copy, Default)]
    struct Told {
        sent: f64,
        taken: f64,
        refused: u32,
    }

    fn run(share: &mut FairShare<usize>, patterns: &[Pattern], seconds: f64, draw: &mut Draw) -> Vec<Told> {
        let mut told = vec![Told::default(); patterns.len()];
        let mut next: Vec<(f64, u32)> = patterns.iter().map(|pattern| pattern.next(0.0, draw)).collect();
        loop {
            let client = (0..next.len()).min_by(|a, b| next[*a].0.total_cmp(&next[*b].0)).unwrap();
            let (at, commands) = next[client];
            if at >= seconds {
                return told;
            }
            told[client].sent += f64::from(commands);
            match share.take(client, commands, Duration::from_secs_f64(at)) {
                Ok(()) => told[client].taken += f64::from(commands),
                Err(_) => told[client].refused += 1,
            }
            next[client] = patterns[client].next(at, draw);
        }
    }

    #[test]
    fn a_client_within_its_share_is_never_refused_whatever_the_others_do() {
        let mut others_refused = 0;
        for seed in 0..150 {
            let mut draw = Draw::new(seed);
            let clients = 2 + draw.below(9) as usize;
            let rate = 20.0 + 2_000.0 * draw.part();
            let burst = (rate * (0.2 + 2.0 * draw.part())).max(clients as f64);
            let (share, at_once) = (rate / clients as f64, (burst / clients as f64).floor());
            // Its own bursts, at times that leave the share to repay each before the next.
            let size = 1 + draw.below(at_once as u64) as u32;
            let within = Pattern::Steady(share * 0.999 / f64::from(size));
            let mut patterns = vec![within];
            for _ in 1..clients {
                let times = if draw.below(2) == 0 { 10.0 } else { 0.1 + 3.0 * draw.part() };
                patterns.push(Pattern::draw(&mut draw, share * times, burst));
            }
            let mut fair = FairShare::new(rate, burst);
            let mut next: Vec<(f64, u32)> = patterns.iter().map(|pattern| pattern.next(0.0, &mut draw)).collect();
            let mut taken = 0.0;
            let seconds = 6_000.0 / rate;
            loop {
                let client = (0..clients).min_by(|a, b| next[*a].0.total_cmp(&next[*b].0)).unwrap();
                let (at, commands) = next[client];
                if at >= seconds {
                    break;
                }
                let commands = if client == 0 { size } else { commands };
                let answer = fair.take(client, commands, Duration::from_secs_f64(at));
                assert!(client > 0 || answer.is_ok(), "seed {seed}, at {at}: {answer:?}, {patterns:?}");
                others_refused += u32::from(answer.is_err());
                taken += if answer.is_ok() { f64::from(commands) } else { 0.0 };
                next[client] = patterns[client].next(at, &mut draw);
            }
            let most = rate * seconds + burst * (1.0 + (clients as f64).ln()) + clients as f64;
            assert!(taken <= most, "seed {seed}: {taken} of at most {most}");
        }
        assert!(others_refused > 10_000, "{others_refused}");
    }

    #[test]
    fn who_asks_for_more_gets_an_equal_part_of_what_the_others_leave() {
        for seed in 0..20 {
            let mut draw = Draw::new(seed);
            let (greedy, modest) = (1 + draw.below(4) as usize, draw.below(4) as usize);
            let clients = (greedy + modest) as f64;
            let rate = 200.0 + 800.0 * draw.part();
            let mut patterns = vec![Pattern::Steady(10.0 * rate); greedy];
            patterns.extend(vec![Pattern::Steady(rate / clients / 2.0); modest]);
            let mut fair = FairShare::new(rate, rate);
            let seconds = 30.0;
            let told = run(&mut fair, &patterns, seconds, &mut draw);
            assert!(told[greedy..].iter().all(|told| told.refused == 0), "seed {seed}: {told:?}");
            let left = rate - modest as f64 * rate / clients / 2.0;
            let fair_part = left / greedy as f64 * seconds;
            for told in &told[..greedy] {
                let ratio = told.taken / fair_part;
                assert!((0.95..1.1).contains(&ratio), "seed {seed}: {ratio} of the fair part, {told:?}");
            }
        }
    }

    #[test]
    fn at_ten_times_its_limit_a_client_costs_the_other_nothing_and_gets_the_rest() {
        let mut fair = FairShare::new(100.0, 100.0);
        let told = run(&mut fair, &[Pattern::Steady(1_000.0), Pattern::Steady(40.0)], 100.0, &mut Draw::new(1));
        assert_eq!((told[1].refused, told[1].taken), (0, told[1].sent));
        assert!((5_900.0..6_200.0).contains(&told[0].taken), "{told:?}");
    }

    #[test]
    fn who_was_refused_and_comes_again_in_the_time_told_is_let_through() {
        let mut fair = FairShare::new(10.0, 5.0);
        let mut now = Duration::ZERO;
        for _ in 0..5 {
            fair.take(1, 1, now).unwrap();
        }
        for _ in 0..20 {
            let Err(Refused::Later { wait, share }) = fair.take(1, 1, now) else { panic!("not refused") };
            assert_eq!(share, 5.0);
            assert!(wait <= Duration::from_millis(101), "{wait:?}");
            now += wait;
            fair.take(1, 1, now).unwrap();
        }
        let Err(Refused::Never { at_once }) = fair.take(2, 6, now) else { panic!("not refused") };
        assert_eq!(at_once, 5.0);
    }

    #[test]
    fn clients_out_of_debt_are_forgotten_and_those_in_debt_have_a_limit() {
        let mut fair = FairShare::new(1.0, 10.0);
        for client in 0..MAX_CLIENTS + 1_000 {
            fair.take(client, 1, Duration::ZERO).unwrap();
        }
        assert_eq!((fair.debtors.len(), fair.order.len()), (MAX_CLIENTS, MAX_CLIENTS));
        fair.take(1, 1, Duration::from_secs(10_000_000)).unwrap();
        assert_eq!((fair.debtors.len(), fair.order.len()), (1, 1));
    }
}
