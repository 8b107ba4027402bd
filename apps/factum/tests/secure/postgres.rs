//! The binary and a PostgreSQL that wants TLS and a password.

use crate::text;
use std::process::Command;
use tempfile::TempDir;

/// Runs a verb over views in that database, and nothing else that names one.
/// Whether it succeeded, and everything that it said.
fn run(folder: &TempDir, verb: &[&str], views: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_factum"))
        .args(["--log", "debug"])
        .args(verb)
        .args(["--views", views])
        .env_clear()
        .current_dir(folder.path())
        .output()
        .unwrap();
    (output.status.success(), [text(&output.stdout), text(&output.stderr)].concat())
}

const UP: &[&str] = &["up", "--until-idle"];
const QUERY: &[&str] = &["query", "balances"];

#[cfg(feature = "tls")]
mod with_the_feature {
    use super::*;
    use factum_test_database::{OwnServer, SecureServer};

    #[test]
    fn views_are_kept_over_tls_and_what_is_wrong_says_what_to_do_and_no_password() {
        let (server, folder) = (SecureServer::start(), TempDir::new().unwrap());
        let stranger = SecureServer::start();
        let (password, authority) = (server.password(), server.authority().display().to_string());
        let ask = |verb: &[&str], views: &str| {
            let (ok, said) = run(&folder, verb, views);
            assert!(!said.contains(&password), "{said}");
            (ok, said)
        };
        let full = format!("&sslmode=verify-full&sslrootcert={authority}");
        let works = |url: &str| {
            let (ok, said) = ask(QUERY, url);
            assert!(ok && said.contains("account-0009") && said.contains("-29496"), "{said}");
        };
        let refused = |url: &str, told: &[&str]| {
            let (ok, said) = ask(QUERY, url);
            assert!(!ok, "{url}: {said}");
            for told in told {
                assert!(said.contains(told), "{url} does not say {told:?}: {said}");
            }
            // And the next one with what it should have said.
            works(&server.url("localhost", &full));
        };

        let (ok, said) = ask(UP, &server.url("localhost", &full));
        assert!(ok && said.contains("account-0009"), "{said}");
        works(&server.url("127.0.0.1", &full));

        refused(
            &server.url("localhost", &format!("&sslmode=verify-full&sslrootcert={}", stranger.authority().display())),
            &["certificate verify failed", "sslrootcert=FILE in the URL names the PEM file of the one that signed it"],
        );
        // The system's authorities did not sign it.
        refused(&server.url("localhost", "&sslmode=verify-ca"), &["not from an authority that is trusted"]);
        refused(
            &server.url("db.example", &full),
            &[
                "the server's certificate is for another name: connect by a name that is in it, or take sslmode=verify-ca",
            ],
        );
        works(&server.url("db.example", &format!("&sslmode=verify-ca&sslrootcert={authority}")));
        works(&server.url("db.example", "&sslmode=require"));
        refused(
            &server.url("localhost", "&sslmode=verify-full&sslrootcert=/no/such.pem"),
            &["sslrootcert in the URL: /no/such.pem is no PEM file with the certificates of authorities"],
        );
        refused(
            &server.url("localhost", ""),
            &["where the server wants TLS, add sslmode=verify-full&sslrootcert=FILE to the URL"],
        );
        let wrong = server.url("localhost", &full).replace(&password, "no-such-password-7c1d");
        refused(&wrong, &["password authentication failed for user \"factum\""]);
        assert!(!ask(QUERY, &wrong).1.contains("no-such-password-7c1d"));

        let plain = OwnServer::start(&[]);
        refused(
            &format!("{}?sslmode=require", plain.url()),
            &["server does not support TLS; switch it on there (ssl = on), or leave sslmode out"],
        );
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_the_feature_tls_to_postgresql_is_refused_with_the_features_name() {
    let folder = TempDir::new().unwrap();
    for verb in [UP, QUERY] {
        let url = "postgres://ada:no-such-password-7c1d@127.0.0.1:1/bank?sslmode=verify-full";
        let (ok, said) = run(&folder, verb, url);
        assert!(!ok, "{said}");
        assert!(
            said.contains("sslmode=verify-full for PostgreSQL needs a build with the Cargo feature `tls`"),
            "{said}"
        );
        assert!(!said.contains("no-such-password-7c1d"), "{said}");
    }
}
