//! The binary, and a broker, a database and a registry that want TLS and a password: with
//! the Cargo feature `tls` it works, without the feature it is told.

// A test that cannot get what it needs is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "registry/embedded.rs"]
mod embedded;
#[path = "registry/place.rs"]
#[allow(dead_code)] // each test file uses a part
mod place;
#[path = "secure/postgres.rs"]
mod postgres;
#[path = "secure/registry.rs"]
mod registry;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// Runs `up --until-idle` with a file of properties, and nothing else that names a cluster.
fn up(folder: &TempDir, properties: &Path, prefix: &str, log: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_factum"))
        .args(["--log", log, "up", "--until-idle", "--prefix", prefix, "--kafka-config"])
        .arg(properties)
        .env_clear()
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(feature = "tls")]
mod with_the_feature {
    use super::*;
    use factum_test_broker::SecureBroker;
    use std::time::{Duration, Instant};

    #[test]
    fn it_works_by_tls_and_password_and_tells_no_secret() {
        let broker = SecureBroker::start();
        let folder = TempDir::new().unwrap();
        let password = password_in(&broker.properties());
        works(&broker, &folder, &password);
        a_wrong_password_is_told_soon(&broker, &folder, &password);
        a_name_without_permission_is_refused(&broker, &folder);
        a_stranger_s_certificate_is_refused(&broker, &folder);
    }

    fn works(broker: &SecureBroker, folder: &TempDir, password: &str) {
        let said = up(folder, &broker.properties(), SecureBroker::PREFIX, "debug");
        let (stdout, stderr) = (text(&said.stdout), text(&said.stderr));
        assert!(said.status.success(), "{stderr}");
        assert!(stdout.contains("account-0009") && stdout.contains("-29496"), "{stdout}");
        // Else the search for the password proves nothing.
        assert!(stderr.contains("DEBUG"), "{stderr}");
        assert!(!stdout.contains(password) && !stderr.contains(password), "{stdout}\n{stderr}");
    }

    fn a_wrong_password_is_told_soon(broker: &SecureBroker, folder: &TempDir, password: &str) {
        let wrong = "no-such-password-7c1d";
        let file = folder.path().join("wrong.properties");
        fs::write(&file, fs::read_to_string(broker.properties()).unwrap().replace(password, wrong)).unwrap();
        for log in ["warn", "debug"] {
            let began = Instant::now();
            let said = up(folder, &file, SecureBroker::PREFIX, log);
            let (stdout, stderr) = (text(&said.stdout), text(&said.stderr));
            assert!(!said.status.success(), "{stdout}");
            assert!(stderr.to_lowercase().contains("authentication failed"), "{stderr}");
            assert!(began.elapsed() < Duration::from_secs(60), "after {:?}: {stderr}", began.elapsed());
            for secret in [wrong, password] {
                assert!(!stdout.contains(secret) && !stderr.contains(secret), "{stdout}\n{stderr}");
            }
        }
    }

    fn a_name_without_permission_is_refused(broker: &SecureBroker, folder: &TempDir) {
        let said = up(folder, &broker.properties(), "others.", "warn");
        let stderr = text(&said.stderr);
        assert!(!said.status.success());
        assert!(stderr.contains("others.bank.account.") && stderr.to_lowercase().contains("authoriz"), "{stderr}");
    }

    /// A broker whose certificate another authority signed gets no password.
    fn a_stranger_s_certificate_is_refused(broker: &SecureBroker, folder: &TempDir) {
        let file = folder.path().join("stranger.properties");
        let properties = fs::read_to_string(broker.properties()).unwrap();
        // The system's authorities did not sign it.
        let others: Vec<_> = properties.lines().filter(|line| !line.starts_with("ssl.ca.location=")).collect();
        fs::write(&file, others.join("\n")).unwrap();
        let said = up(folder, &file, SecureBroker::PREFIX, "debug");
        let stderr = text(&said.stderr);
        assert!(!said.status.success());
        assert!(stderr.contains("certificate verify failed"), "{stderr}");
        assert!(!stderr.contains(&password_in(&broker.properties())), "{stderr}");
    }

    fn password_in(properties: &Path) -> String {
        let text = fs::read_to_string(properties).unwrap();
        text.lines().find_map(|line| line.strip_prefix("sasl.password=")).unwrap().to_owned()
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_the_feature_a_secured_cluster_is_refused_with_the_features_name() {
    // What the properties of a secured broker look like; nobody has to listen.
    let properties = "bootstrap.servers=127.0.0.1:1\nsecurity.protocol=SASL_SSL\nssl.ca.location=ca.pem\n\
                      sasl.mechanism=SCRAM-SHA-512\nsasl.username=factum\nsasl.password=no-such-password-7c1d\n";
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("client.properties");
    fs::write(&file, properties).unwrap();
    let said = up(&folder, &file, "factum.", "debug");
    let stderr = text(&said.stderr);
    assert!(!said.status.success());
    assert!(stderr.contains("security.protocol=SASL_SSL needs a build with the Cargo feature `tls`"), "{stderr}");
    assert!(!stderr.contains("no-such-password-7c1d"), "{stderr}");
}
