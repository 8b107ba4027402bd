//! Who may talk to a server on a loopback address.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::net::IpAddr;

/// Refuses a request that names a host that is not this machine (421), and one
/// that a page of another origin sends (403).
pub(super) async fn only_local(request: Request, next: Next) -> Response {
    match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err((code, why)) => (code, format!("{why}\n")).into_response(),
    }
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    let foreign = (
        StatusCode::MISDIRECTED_REQUEST,
        "this server listens on a loopback address only: name it localhost or 127.0.0.1",
    );
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(foreign) };
    let host: Authority = host.as_bytes().try_into().map_err(|_| foreign)?;
    if !is_local(&host) || !uri.authority().is_none_or(is_local) {
        return Err(foreign);
    }
    let same = |origin: &[u8]| {
        let origin = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host.as_str().as_bytes()))
    };
    if headers.get_all(header::ORIGIN).iter().all(|origin| same(origin.as_bytes())) {
        Ok(())
    } else {
        Err((StatusCode::FORBIDDEN, "a page of another origin may not use this server"))
    }
}

fn is_local(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn answer(host: Option<&'static str>, origin: Option<&'static str>) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, HeaderValue::from_static(host));
        }
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        check(&Uri::from_static("/metrics"), &headers).map_or_else(|(code, _)| code.as_u16(), |()| 200)
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in ["localhost:8710", "LOCALHOST", "127.0.0.1:8710", "127.9.9.9", "[::1]:8710"] {
            assert_eq!(answer(Some(host), None), 200, "{host}");
        }
        for host in
            ["evil.example", "evil.example:8710", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil.example", ""]
        {
            assert_eq!(answer(Some(host), None), 421, "{host}");
        }
        assert_eq!(answer(None, None), 421);
    }

    #[test]
    fn only_pages_of_this_server_may_use_it() {
        assert_eq!(answer(Some("localhost:8710"), Some("http://localhost:8710")), 200);
        for origin in ["http://evil.example", "http://localhost:3000", "null", "localhost:8710", ""] {
            assert_eq!(answer(Some("localhost:8710"), Some(origin)), 403, "{origin}");
        }
    }

    #[test]
    fn two_hosts_or_a_foreign_one_in_the_uri_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        let uri = Uri::from_static("http://evil.example/metrics");
        assert_eq!(check(&uri, &headers).unwrap_err().0, StatusCode::MISDIRECTED_REQUEST);
        headers.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert_eq!(check(&Uri::from_static("/"), &headers).unwrap_err().0, StatusCode::MISDIRECTED_REQUEST);
    }
}
