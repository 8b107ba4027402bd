//! One call of a registry's API: where it goes, what its answer means, and how long all that may take.

use super::{Access, Credentials, address::Address};
use factum_core::{Error, ErrorKind, Result};
use reqwest::{
    Method, Url,
    blocking::{Client, Response},
    header::{ACCEPT, CONTENT_TYPE},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    fmt,
    io::Read,
    thread,
    time::{Duration, Instant},
};

const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 16 << 20;
/// How much of a stranger's answer an error shows, in characters.
const SHOWN: usize = 120;
/// How often all addresses are tried before a call fails, and the pause before the second time; each further one
/// is four times as long. Every call may be repeated: what is registered or set already stays as it is.
const ROUNDS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Makes calls.
pub(super) struct Caller {
    addresses: Vec<Url>,
    credentials: Option<Credentials>,
    client: Client,
    timeout: Duration,
}

/// A call to one address that came to nothing.
struct Failed {
    error: Error,
    /// Whether the same call may succeed in a moment. Not where somebody else answers, nor where the registry has
    /// had too many calls.
    passes: bool,
}

#[derive(Deserialize)]
struct ErrorBody {
    error_code: i64,
    message: String,
}

impl Caller {
    /// Of the registry at these addresses, tried in their order.
    ///
    /// # Errors
    /// `Invalid` when there is no address, or when one or a certificate is not usable.
    pub(super) fn new<'a>(addresses: impl IntoIterator<Item = &'a str>, access: &Access) -> Result<Self> {
        let parsed = addresses.into_iter().map(Address::parse).collect::<Result<Vec<_>>>()?;
        if parsed.is_empty() {
            return Err(Error::invalid("the schema registry has no address: http://host:port is expected"));
        }
        let unusable = |e: &dyn fmt::Display| Error::invalid(format!("the schema registry cannot be called: {e}"));
        let client = access.client(&parsed)?.build().map_err(|e| unusable(&e))?;
        let url = |address: &Address| Url::parse(&address.url).map_err(|e| unusable(&e));
        let addresses = parsed.iter().map(url).collect::<Result<_>>()?;
        Ok(Caller { addresses, credentials: access.credentials_for(&parsed), client, timeout: access.timeout })
    }

    /// The addresses, without credentials.
    pub(super) fn name(&self) -> String {
        let addresses = self.addresses.iter().map(|address| address.as_str().trim_end_matches('/'));
        addresses.collect::<Vec<_>>().join(", ")
    }

    /// What the first address answers that is up. A registry in trouble is asked again after a moment, for as
    /// long as one call may take: one that does not answer at all is not asked twice.
    ///
    /// # Errors
    /// `Unavailable`: the registry is away, in trouble, or not a registry; `Data`: it has nothing of that name;
    /// `Invalid`: it refuses the call. All name address and status.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<T> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut round = 1;
        loop {
            let (mut last, mut passes) = (None, false);
            for address in &self.addresses {
                match self.call_one(method.clone(), below(address, path, query), body) {
                    Ok(answer) => return Ok(answer),
                    Err(failed) if failed.error.kind() != ErrorKind::Unavailable => return Err(failed.error),
                    // The next address may be that of one that is up.
                    Err(failed) => {
                        passes |= failed.passes;
                        last = Some(failed.error);
                    }
                }
            }
            if !passes || round == ROUNDS || begun.elapsed() + pause >= self.timeout {
                return Err(last.unwrap_or_else(|| Error::invalid("the schema registry has no address")));
            }
            thread::sleep(pause);
            (round, pause) = (round + 1, pause * 4);
        }
    }

    fn call_one<T: DeserializeOwned>(&self, method: Method, url: Url, body: Option<&Value>) -> Result<T, Failed> {
        let what = format!("{method} {url}");
        let mut request = self.client.request(method, url).header(ACCEPT, format!("{MEDIA_TYPE}, application/json"));
        // The client's own time-out is for each wait: an answer in drops would never end.
        request = request.timeout(self.timeout);
        request = match &self.credentials {
            Some(Credentials::Basic { user, password }) => request.basic_auth(user, password.as_ref()),
            Some(Credentials::Bearer { token }) => request.bearer_auth(token),
            None => request,
        };
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body.to_string());
        }
        let response = request.send().map_err(|e| {
            let cause = cause(&e);
            let fix = certificate_fix(&cause);
            let error = Error::unavailable(format!("{what}: no schema registry answers: {cause}{fix}"));
            Failed { error, passes: true }
        })?;
        answer(&what, response)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

fn below(address: &Url, path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = address.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

fn answer<T: DeserializeOwned>(what: &str, response: Response) -> Result<T, Failed> {
    let status = response.status().as_u16();
    let passes = status >= 500;
    let failed = |error| Failed { error, passes };
    let mut body = Vec::new();
    let read = response.take(MAX_ANSWER_BYTES + 1).read_to_end(&mut body);
    read.map_err(|e| {
        let what = format!("{what}: status {status}, and the answer broke off after {} bytes", body.len());
        Failed { error: Error::with_source(ErrorKind::Unavailable, what, e), passes: true }
    })?;
    if body.len() as u64 > MAX_ANSWER_BYTES {
        return Err(failed(Error::unavailable(format!("{what}: the answer has more than {MAX_ANSWER_BYTES} bytes"))));
    }
    let what = format!("{what}: status {status}");
    if (200..300).contains(&status) {
        return serde_json::from_slice(&body).map_err(|_| failed(stranger(&what, &body)));
    }
    let Ok(ErrorBody { error_code, message }) = serde_json::from_slice(&body) else {
        return Err(failed(match status {
            401 | 403 => Error::invalid(format!("{what}: the registry wants other credentials")),
            _ => stranger(&what, &body),
        }));
    };
    let kind = match status {
        // Confluent's codes for what is not there have two digits more. Without them it is the path that is not
        // there (Apicurio says 0 then), and nothing is known of what was asked for.
        404 if error_code / 100 == 404 => ErrorKind::Data,
        400 | 401 | 403 | 404 | 405 | 409 | 413 | 422 => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Err(failed(Error::new(kind, format!("{what}: {} (error {error_code})", message.trim()))))
}

/// Somebody else answered, a proxy for example.
fn stranger(what: &str, body: &[u8]) -> Error {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
    let line: String = line.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    Error::unavailable(format!("{what} with {line:?}, which no schema registry says: is this the address of one?"))
}

/// What went wrong first: the library's own words repeat the address. Where a certificate is refused, the error
/// around the first one says why.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(deeper) = deepest.source() {
        deepest = deeper;
        let text = deepest.to_string();
        if text.contains(REFUSED_CERTIFICATE) {
            return text;
        }
    }
    deepest.to_string()
}

/// OpenSSL's words.
const REFUSED_CERTIFICATE: &str = "certificate verify failed";

/// What can be done about the registry's certificate, if that is why nobody answers.
fn certificate_fix(cause: &str) -> &'static str {
    if !cause.contains(REFUSED_CERTIFICATE) {
        ""
    } else if cause.ends_with("name mismatch)") || cause.ends_with("address mismatch)") {
        "; its certificate is for another host: name the registry as its certificate does"
    } else if ["issuer", "self-signed", "self signed", "first certificate"].iter().any(|word| cause.contains(word)) {
        "; --registry-ca FILE names the authority that signed it"
    } else {
        ""
    }
}
