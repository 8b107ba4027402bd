//! An HTTP server on a thread of its own: one connection for each answer it was given.
#![allow(dead_code)] // each test file uses a part

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Status, content type, body.
    Body(u16, &'static str, String),
    /// Reads the request and closes the connection.
    Hangup,
    /// Reads the request and keeps the connection open until the client leaves.
    Silence,
    /// Begins an answer that says to be long, and sends a byte of it now and then until the client leaves.
    Drops,
    /// Begins an answer and sends more of it until the client leaves.
    Flood,
}

impl Answer {
    /// A JSON answer.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Answer::Body(status, "application/vnd.schemaregistry.v1+json", body.to_owned())
    }

    /// What a proxy says.
    pub(crate) fn html(status: u16) -> Self {
        Answer::Body(status, "text/html", "<html><body>Sorry</body></html>".to_owned())
    }
}

/// What the client sent.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// Method, path and protocol.
    pub(crate) line: String,
    /// The headers.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: String,
}

/// The server; it refuses connections once its answers are used up.
pub(crate) struct Stub {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    /// Starts a server with these answers, in their order.
    pub(crate) fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answers, seen) = (answers.into_iter().collect::<Vec<_>>(), requests.clone());
        thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                serve(stream, &answer, &seen);
            }
        });
        Stub { address, requests }
    }

    /// Its address.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked until now.
    pub(crate) fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap()
    }
}

fn serve(mut stream: TcpStream, answer: &Answer, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = Request::default();
    reader.read_line(&mut request.line).unwrap();
    request.line.truncate(request.line.trim_end().len());
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap() == 0 || header == "\r\n" {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request.head.push_str(&header);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    request.body = String::from_utf8(body).unwrap();
    seen.lock().unwrap().push(request);
    match answer {
        Answer::Body(status, kind, body) => {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all((head + body).as_bytes()).unwrap();
        }
        Answer::Hangup => {}
        Answer::Drops | Answer::Flood => {
            let part = if matches!(answer, Answer::Flood) { vec![b' '; 1 << 16] } else { vec![b' '] };
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").unwrap();
            // Ends when the client has had enough.
            while stream.write_all(&part).and_then(|()| stream.flush()).is_ok() {
                if part.len() == 1 {
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
        Answer::Silence => {
            // Ends when the client gives up; its reason is not the server's business.
            reader.read_to_end(&mut Vec::new()).ok();
        }
    }
}
