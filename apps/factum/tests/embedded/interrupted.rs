//! Ctrl-C while the first run publishes its sample.

use crate::{
    books::{finished, sample},
    process::{Process, Ran, until},
    site::Site,
};

/// The sample is there before a signal now and then: then another is tried.
const ATTEMPTS: usize = 20;

/// Starts the first run, and sends Ctrl-C when a part of the sample is in the log.
fn interrupt(site: &Site) -> Process {
    let process = site.start(&["up", "--until-idle", "--json", "--limit", "10000"]);
    let segment = site.log().join("00000000000000000001.segment");
    until("a part of the sample", || {
        let bytes = segment.metadata().map_or(0, |file| file.len());
        (bytes > 60_000).then_some(())
    });
    process.signal("INT");
    process
}

/// The next run has all of the sample, each command once.
fn recovers(site: &Site) -> Ran {
    let (ran, balances) = finished(site, &[]);
    assert_eq!(balances, sample().balances);
    ran
}

#[test]
fn the_sample_that_was_interrupted_goes_on_with_the_next_run() {
    let interrupted = (0..ATTEMPTS).find_map(|_| {
        let site = Site::new();
        let ran = interrupt(&site).end();
        // It may have ended before the signal came.
        let interrupted = ran.stderr.contains("was interrupted");
        assert!(ran.ok && (!interrupted || ran.stderr.contains("stopping; once more to stop at once")), "{ran:?}");
        interrupted.then_some((site, ran))
    });
    let (site, ran) = interrupted.unwrap_or_else(|| panic!("{ATTEMPTS} samples were there before the signal"));
    let note = "bank.account: the year 2025 of 200 accounts was interrupted; the next run goes on with it";
    assert!(ran.stderr.contains(note), "{ran:?}");
    assert_eq!(ran.stdout, "", "a part of the sample is no result");
    let next = recovers(&site);
    assert!(next.stderr.contains("bank.account: going on with the year 2025 of 200 accounts, "), "{next:?}");
    assert!(!recovers(&site).stderr.contains("going on with"));
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_the_next_run_recovers() {
    let stopped = (0..ATTEMPTS).find_map(|_| {
        let site = Site::new();
        let mut process = interrupt(&site);
        until("the first signal was taken, or it ended", || {
            (process.stderr().contains("once more to stop at once") || !process.is_running()).then_some(())
        });
        if process.is_running() {
            process.signal("INT");
        }
        let code = process.finish().code();
        assert!(matches!(code, Some(0 | 130)), "{code:?}: {}", process.stderr());
        (code == Some(130)).then_some(site)
    });
    recovers(&stopped.unwrap_or_else(|| panic!("{ATTEMPTS} processes had ended before the second signal")));
}
