//! An HTTP client that sends what it is told, also what no good client would.

use serde_json::Value;
use std::{
    io::{Error, ErrorKind, Read, Result, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Asks one server, each time over a new connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    address: SocketAddr,
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It is this problem (RFC 9457), and says all of this.
    pub(crate) fn is_problem(&self, status: u16, texts: &[&str]) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self:?}");
        let detail = problem["detail"].as_str().unwrap();
        for text in texts {
            assert!(detail.contains(text), "{text:?} is not in {self:?}");
        }
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Client { address }
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)).unwrap()
    }

    /// A POST of JSON.
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        self.try_post(path, headers, body).unwrap()
    }

    /// The same, which fails when the server goes away meanwhile.
    pub(crate) fn try_post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Response> {
        let kind = if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            ""
        } else {
            "Content-Type: application/json\r\n"
        };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{kind}\
             Content-Length: {}\r\n{headers}\r\n{body}",
            self.address,
            body.len()
        ))
    }

    /// Sends these bytes and reads until the server closes.
    pub(crate) fn send(&self, request: &str) -> Result<Response> {
        let mut stream = TcpStream::connect_timeout(&self.address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let cut = || Error::new(ErrorKind::UnexpectedEof, format!("{answer:?} is no whole answer"));
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(cut)?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let response = Response { status, headers, body: body.to_owned() };
        let length = response.header("content-length").and_then(|length| length.parse().ok());
        if length == Some(body.len()) { Ok(response) } else { Err(cut()) }
    }
}
