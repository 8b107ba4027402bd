//! A client for load: one kept connection, requests that are made beforehand, answers that are only counted.

use factum_core::{Error, Result};
use socket2::{Domain, Socket, Type};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A connection of HTTP/1.1 that stays open.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    head: String,
    body: Vec<u8>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(address).map_err(|error| broken(address, &error))?, address)
    }

    /// The same from an address of this machine; on Linux each of 127.0.0.0/8 is one.
    pub(super) fn open_from(address: SocketAddr, from: Ipv4Addr) -> Result<Self> {
        let connect = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((from, 0)).into())?;
            socket.connect(&address.into())?;
            Ok(TcpStream::from(socket))
        };
        Self::over(connect().map_err(|error: std::io::Error| broken(address, &error))?, address)
    }

    fn over(stream: TcpStream, address: SocketAddr) -> Result<Self> {
        let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(TIMEOUT)));
        set.map_err(|error| broken(address, &error))?;
        Ok(Connection { stream: BufReader::new(stream), head: String::new(), body: Vec::new() })
    }

    /// Sends a whole request; the status of its answer.
    ///
    /// # Errors
    /// `Unavailable` when the connection ends.
    pub(super) fn status(&mut self, request: &[u8]) -> Result<u16> {
        self.exchange(request).map_err(|error| Error::unavailable(format!("the gateway's connection ended: {error}")))
    }

    /// Sends a whole request; the body of its answer, which is 200.
    ///
    /// # Errors
    /// `Unavailable` when the connection ends; `Invalid` for another answer.
    pub(super) fn ask(&mut self, request: &[u8]) -> Result<&[u8]> {
        match self.status(request)? {
            200 => Ok(&self.body),
            status => {
                let body = String::from_utf8_lossy(&self.body);
                Err(Error::invalid(format!("the gateway answered {status}: {body}")))
            }
        }
    }

    fn exchange(&mut self, request: &[u8]) -> std::io::Result<u16> {
        let no_http = || std::io::Error::other("what came is not HTTP");
        self.stream.get_mut().write_all(request)?;
        let (mut status, mut length) = (None, 0);
        loop {
            self.head.clear();
            if self.stream.read_line(&mut self.head)? == 0 {
                return Err(no_http());
            }
            let line = self.head.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().map_err(|_| no_http())?;
                }
                Some(_) => {}
                None => status = line.split(' ').nth(1).and_then(|status| status.parse().ok()),
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        status.ok_or_else(no_http)
    }
}

/// The bytes of a GET.
pub(super) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// The bytes of a POST of JSON.
pub(super) fn post(path: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn broken(address: SocketAddr, error: &std::io::Error) -> Error {
    Error::unavailable(format!("there is no connection to the gateway at {address}: {error}"))
}
