//! The binary and a schema registry behind TLS that wants to know who asks.

use crate::place::{Application, Said, registry};

const LIST: &[&str] = &["schemas", "list"];
const SECRET: &str = "no-such-secret-7c1d";

/// Runs a verb with the registry's settings; neither form of the secret is in what it says.
fn ask(application: &Application, verb: &[&str], url: &str, settings: &[(&str, &str)]) -> Said {
    let said = application.run_with(&[&["--log", "debug"], verb].concat(), url, settings);
    for secret in [SECRET, "bm8tc3VjaC1zZWNyZXQtN2MxZA"] {
        assert!(!said.out.contains(secret) && !said.err.contains(secret), "{said:?}");
    }
    said
}

#[cfg(feature = "tls")]
mod with_the_feature {
    use super::*;
    use std::{
        io::{BufRead, BufReader},
        path::{Path, PathBuf},
        process::{Child, Command, Stdio},
    };
    use tempfile::TempDir;

    const UP: &[&str] = &["up", "--until-idle", "--where", "balance < 0"];
    /// "bob:no-such-secret-7c1d" in base64.
    const BASIC: &str = "Basic Ym9iOm5vLXN1Y2gtc2VjcmV0LTdjMWQ=";
    const BEARER: &str = "Bearer no-such-secret-7c1d";
    const BOB: &[(&str, &str)] = &[("FACTUM_REGISTRY_USER", "bob"), ("FACTUM_REGISTRY_PASSWORD", SECRET)];
    const TOKEN: &[(&str, &str)] = &[("FACTUM_REGISTRY_TOKEN", SECRET)];

    /// An authority with a key and a certificate that it signed for this machine.
    struct Authority(TempDir);

    impl Authority {
        fn new() -> Self {
            Self::for_host("DNS:localhost,IP:127.0.0.1")
        }

        /// The certificate is for these names.
        fn for_host(names: &str) -> Self {
            let folder = TempDir::new().unwrap();
            let script = root().join("deploy/kafka/secure.sh");
            let run = Command::new("bash")
                .args(["-euc", ". \"$1\"; certificates \"$2\" \"$3\"", "bash"])
                .args([script.as_os_str(), folder.path().as_os_str(), names.as_ref()])
                .output()
                .unwrap();
            assert!(run.status.success(), "{run:?}");
            Authority(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("ca.pem")
        }

        /// Key and certificate.
        fn identity(&self) -> PathBuf {
            self.0.path().join("broker.pem")
        }
    }

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// The proxy in front of the registry; it ends with this.
    struct Proxy {
        child: Child,
        url: String,
    }

    impl Proxy {
        fn new(of: &Authority, clients: Option<&Authority>, authorization: &str) -> Self {
            let script = root().join("apps/factum/tests/secure/registry_proxy.py");
            let mut child = Command::new("python3")
                .args([script, PathBuf::from(registry()), of.identity()])
                .arg(clients.map_or("-".into(), Authority::file))
                .arg(authorization)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut port = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
            Proxy { child, url: format!("https://localhost:{}", port.trim()) }
        }
    }

    impl Drop for Proxy {
        fn drop(&mut self) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }

    fn with<'a>(settings: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [settings, more].concat()
    }

    #[test]
    fn an_application_works_over_tls_with_a_password_or_a_token_and_tells_no_secret() {
        let authority = Authority::new();
        let (file, application) = (authority.file().display().to_string(), Application::new());
        let trusted = ("FACTUM_REGISTRY_CA", file.as_str());
        for (wanted, good, bad) in [(BASIC, BOB, TOKEN), (BEARER, TOKEN, BOB)] {
            let proxy = Proxy::new(&authority, None, wanted);
            for wrong in [bad, &[]] {
                for verb in [LIST, UP] {
                    let said = ask(&application, verb, &proxy.url, &with(wrong, &[trusted]));
                    assert!(!said.good, "{said:?}");
                    assert!(said.err.contains("status 401: the registry wants other credentials"), "{said:?}");
                }
            }
            let said = ask(&application, UP, &proxy.url, &with(good, &[trusted]));
            assert!(said.good && said.out.contains("account-0009") && said.out.contains("-29496"), "{said:?}");
            // Else the search for the secret proves nothing.
            assert!(said.err.contains("DEBUG"), "{said:?}");
            let said = ask(&application, LIST, &proxy.url, &with(good, &[trusted]));
            assert!(said.good && said.out.contains(&application.subject("Deposited")), "{said:?}");
        }
    }

    #[test]
    fn a_certificate_of_an_authority_that_is_not_trusted_is_refused() {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let (application, proxy) = (Application::new(), Proxy::new(&authority, None, BASIC));
        let file = stranger.file().display().to_string();
        for settings in [with(BOB, &[]), with(BOB, &[("FACTUM_REGISTRY_CA", file.as_str())])] {
            for verb in [LIST, UP] {
                let said = ask(&application, verb, &proxy.url, &settings);
                assert!(!said.good, "{said:?}");
                assert!(said.err.contains("certificate verify failed"), "{said:?}");
                assert!(said.err.contains("--registry-ca FILE names the authority that signed it"), "{said:?}");
            }
        }
        let file = authority.file().display().to_string();
        let said = ask(&application, LIST, &proxy.url, &with(BOB, &[("FACTUM_REGISTRY_CA", file.as_str())]));
        assert!(said.good, "{said:?}");
    }

    #[test]
    fn a_certificate_that_is_for_another_host_is_refused() {
        let (other, own) = (Authority::for_host("DNS:registry.example,IP:127.0.0.9"), Authority::new());
        let (application, proxy) = (Application::new(), Proxy::new(&other, None, BASIC));
        let trusting = |authority: &Authority| authority.file().display().to_string();
        let file = trusting(&other);
        let settings = with(BOB, &[("FACTUM_REGISTRY_CA", file.as_str())]);
        let by_number = proxy.url.replace("localhost", "127.0.0.1");
        for (url, why) in [(&proxy.url, "(hostname mismatch)"), (&by_number, "(IP address mismatch)")] {
            for verb in [LIST, UP] {
                let said = ask(&application, verb, url, &settings);
                assert!(
                    !said.good && said.err.contains("certificate verify failed") && said.err.contains(why),
                    "{said:?}"
                );
                let told = "; its certificate is for another host: name the registry as its certificate does";
                // Another authority would change nothing.
                assert!(said.err.contains(told) && !said.err.contains("--registry-ca"), "{said:?}");
            }
        }
        let (proxy, file) = (Proxy::new(&own, None, BASIC), trusting(&own));
        let said = ask(&application, LIST, &proxy.url, &with(BOB, &[("FACTUM_REGISTRY_CA", file.as_str())]));
        assert!(said.good, "{said:?}");
    }

    #[test]
    fn a_registry_that_wants_a_certificate_gets_one() {
        let (authority, clients) = (Authority::new(), Authority::new());
        let (application, proxy) = (Application::new(), Proxy::new(&authority, Some(&clients), BASIC));
        let (file, own) = (authority.file().display().to_string(), clients.identity().display().to_string());
        let strange = authority.identity().display().to_string();
        let trusted = with(BOB, &[("FACTUM_REGISTRY_CA", file.as_str())]);
        let identity = |file| with(&trusted, &[("FACTUM_REGISTRY_CERTIFICATE", file)]);
        let no_key = format!("the certificate and key in {file} are not usable: there is no PEM private key in it");
        let none = "/no/such.pem cannot be read";
        for (settings, told) in [
            (trusted.clone(), "no schema registry answers: "),
            (identity(strange.as_str()), "no schema registry answers: "),
            (identity(file.as_str()), no_key.as_str()),
            (identity("/no/such.pem"), none),
        ] {
            let said = ask(&application, LIST, &proxy.url, &settings);
            assert!(!said.good && said.err.contains(told), "{said:?}");
        }
        let said = ask(&application, UP, &proxy.url, &identity(own.as_str()));
        assert!(said.good && said.out.contains("-29496"), "{said:?}");
        let said = ask(&application, LIST, &proxy.url, &identity(own.as_str()));
        assert!(said.good && said.out.contains(&application.subject("Deposited")), "{said:?}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_the_feature_tls_to_the_registry_is_refused_with_the_features_name() {
    let application = Application::new();
    let url = format!("https://bob:{SECRET}@127.0.0.1:1");
    for verb in [LIST, &["up", "--until-idle"]] {
        let said = ask(&application, verb, &url, &[]);
        assert!(!said.good, "{said:?}");
        let told = "the schema registry https://127.0.0.1:1 needs TLS: build with the feature `tls`";
        assert!(said.err.contains(told), "{said:?}");
    }
    // And the next one, without TLS.
    assert!(ask(&application, LIST, &registry(), &[]).good);
}
