//! A registry that wants to know who asks, over HTTP.
#![allow(missing_docs, clippy::unwrap_used)] // clippy's exception for tests leaves out their helpers

mod site;

use factum_core::{Error, ErrorKind};
use factum_schemas::{Access, Credentials, HttpRegistry, Registry, RegistryClient};
use site::{ONE, Site};
use std::{error::Error as _, time::Duration};

const SECRET: &str = "no-such-secret-7c1d";
/// "bob:no-such-secret-7c1d" in base64.
const BASIC: &str = "Basic Ym9iOm5vLXN1Y2gtc2VjcmV0LTdjMWQ=";
const BEARER: &str = "Bearer no-such-secret-7c1d";

fn bob() -> Credentials {
    Credentials::Basic { user: "bob".into(), password: Some(SECRET.into()) }
}

fn token(text: &str) -> Credentials {
    Credentials::Bearer { token: text.into() }
}

fn access(credentials: Option<Credentials>) -> Access {
    Access { credentials, timeout: Duration::from_secs(60), ..Access::default() }
}

/// An error with all its causes, for people and as a log may show it.
fn told(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(" {cause} {cause:?}");
        source = cause.source();
    }
    text
}

#[test]
fn who_may_ask_is_answered_and_who_may_not_is_told_without_a_secret() {
    for (wanted, good, bad) in [
        (BASIC, bob(), [None, Some(token(SECRET)), Some(Credentials::Basic { user: "eve".into(), password: None })]),
        (BEARER, token(SECRET), [None, Some(bob()), Some(token("no-such-secret-7c1e"))]),
    ] {
        let site = Site::guarded(wanted);
        for credentials in bad {
            let shown = format!("{credentials:?}");
            let client = RegistryClient::new(&site.url(), &access(credentials.clone())).unwrap();
            let codecs = HttpRegistry::with_access(&[&site.url()], &access(credentials)).unwrap();
            for error in [
                client.subjects().unwrap_err(),
                client.register("s", ONE).unwrap_err(),
                codecs.register("s", ONE).unwrap_err(),
                codecs.schema_by_id(1).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Invalid, "{shown}: {error}");
                assert!(error.to_string().ends_with("status 401: the registry wants other credentials"), "{error}");
                assert!(!told(&error).contains("no-such-secret"), "{}", told(&error));
            }
            assert!(!format!("{client:?} {codecs:?}").contains("no-such-secret"));
        }
        let client = RegistryClient::new(&site.url(), &access(Some(good.clone()))).unwrap();
        let codecs = HttpRegistry::with_access(&[&site.url()], &access(Some(good))).unwrap();
        assert_eq!((codecs.register("s", ONE).unwrap(), client.subjects().unwrap()), (1, vec!["s".to_owned()]));
        assert_eq!(codecs.latest("s").unwrap().unwrap().0, 1);
    }
}

#[test]
fn credentials_in_the_address_do_as_well() {
    let site = Site::guarded(BASIC);
    let address = site.url().replace("http://", &format!("http://bob:{SECRET}@"));
    let codecs = HttpRegistry::with_access(&[&address], &access(None)).unwrap();
    assert_eq!(codecs.register("s", ONE).unwrap(), 1);
    assert_eq!(codecs.name(), site.url());
    let wrong = HttpRegistry::with_access(&[&address.replace("bob", "eve")], &access(None)).unwrap();
    let error = wrong.register("s", ONE).unwrap_err();
    assert!(!told(&error).contains("no-such-secret"), "{}", told(&error));
}
