//! Clients that do not end.

use std::{sync::mpsc, thread, time::Duration};

/// How long the end of a client is waited for. One that leaves a group takes milliseconds, and up
/// to a session time-out (10 s by default) in the middle of a rebalance.
const LIMIT: Duration = Duration::from_secs(30);

/// Closes a client by dropping it, and leaves it to a thread of its own when that does not end.
///
/// librdkafka (2.12) can wait for ever here: rdkafka's `BaseConsumer` serves rebalances until the
/// group has ended and asks for the group's protocol at each. When the group ends between that
/// request and its answer, the request is destroyed without one (`rd_kafka_cgrp_terminated` purges
/// its queue). It happens to a member that was stopped beyond its session time-out and is closed.
/// Nobody waits for such a client's result; a worker that waited for its end would never go on.
pub(super) fn close_in_time<C: Send + 'static>(client: C) {
    close_within(client, LIMIT);
}

/// Whether it ended in time.
fn close_within<C: Send + 'static>(client: C, limit: Duration) -> bool {
    let (ended, end) = mpsc::channel::<()>();
    let closing = move || {
        drop(client);
        drop(ended);
    };
    // Without a thread (the process has too many) the closure was dropped, and the client with it.
    if thread::Builder::new().name("kafka-close".to_owned()).spawn(closing).is_err() {
        return true;
    }
    let in_time = end.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Disconnected);
    if !in_time {
        tracing::warn!(seconds = limit.as_secs(), "a consumer did not close in time and is left behind");
    }
    in_time
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hangs(mpsc::Receiver<()>, mpsc::Sender<()>);

    impl Drop for Hangs {
        fn drop(&mut self) {
            self.0.recv().expect("it is let go");
            self.1.send(()).expect("somebody waits");
        }
    }

    #[test]
    fn a_client_that_does_not_end_is_left_behind() {
        let ((release, released), (told, ended)) = (mpsc::channel(), mpsc::channel());
        assert!(!close_within(Hangs(released, told), Duration::from_millis(1)));
        release.send(()).expect("it still waits");
        ended.recv().expect("it ends later");
    }

    #[test]
    fn a_client_that_ends_is_waited_for() {
        let ((release, released), (told, ended)) = (mpsc::channel(), mpsc::channel());
        release.send(()).expect("a queue");
        assert!(close_within(Hangs(released, told), Duration::from_secs(60)));
        ended.try_recv().expect("it has ended");
    }
}
