//! The verb that health checks of containers run.

use crate::site::Site;

#[test]
fn health_says_ready_with_its_exit_code_and_otherwise_why_not() {
    let site = Site::new();
    let up = site.serve();
    // As in a container, where the process listens at every address.
    let address = format!("0.0.0.0:{}", up.address.port());
    crate::process::until("it is ready", || site.run(&["health", "--http", &address]).ok.then_some(()));
    let alive = site.run(&["health", "--live", "--http", &address]);
    assert_eq!((alive.ok, alive.stdout.as_str()), (true, "alive\n"), "{alive:?}");
    drop(up);
    let gone = site.run(&["health", "--http", &address]);
    assert!(!gone.ok && gone.stderr.contains("/readyz: error sending request"), "{gone:?}");
}
