//! A server as its clients meet it.

use super::Server;
use crate::{Limits, Stop};
use axum::{
    Router,
    body::{Body, Bytes},
    routing,
};
use futures_core::Stream;
use reqwest::{StatusCode, blocking::Client};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    pin::Pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll},
    time::Duration,
};

struct Served {
    server: Server,
    stop: Stop,
    client: Client,
    /// Tells that a slow request has arrived.
    begun: mpsc::Receiver<()>,
}

impl Served {
    fn start(listen: &str) -> Self {
        let (begin, begun) = mpsc::channel();
        let slow = move || {
            begin.send(()).unwrap();
            async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                "done"
            }
        };
        let router = Router::new()
            .route("/", routing::get(|| async { "here" }))
            .route("/slow", routing::get(slow))
            .route("/echo", routing::post(|body: Bytes| async move { body.len().to_string() }));
        let stop = Stop::default();
        let server = Server::start(listen.parse().unwrap(), router, &stop).unwrap();
        Served { server, stop, client: Client::builder().no_proxy().build().unwrap(), begun }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }
}

#[test]
fn a_request_under_way_is_answered_before_the_end_and_then_nobody_listens() {
    let served = Served::start("127.0.0.1:0");
    assert_eq!(served.client.get(served.url("/")).send().unwrap().text().unwrap(), "here");
    let slow = std::thread::spawn({
        let (client, url) = (served.client.clone(), served.url("/slow"));
        move || client.get(url).send().unwrap().text().unwrap()
    });
    served.begun.recv().unwrap();
    served.stop.stop();
    assert_eq!(slow.join().unwrap(), "done");
    let url = served.url("/");
    served.server.join().unwrap();
    assert!(served.client.get(url).send().unwrap_err().is_connect());
}

#[test]
fn a_foreign_host_is_refused_on_a_loopback_address_only() {
    let status = |listen: &str| {
        let served = Served::start(listen);
        let url = format!("http://127.0.0.1:{}/", served.server.address().port());
        let answer = served.client.get(url).header("host", "evil.example").send().unwrap();
        served.stop.stop();
        answer.status()
    };
    assert_eq!(status("127.0.0.1:0"), StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(status("0.0.0.0:0"), StatusCode::OK);
}

#[test]
fn a_body_has_a_limit() {
    let served = Served::start("127.0.0.1:0");
    let small = served.client.post(served.url("/echo")).body(vec![b'x'; 1_000_000]).send().unwrap();
    assert_eq!(small.text().unwrap(), "1000000");
    // Only announced: a client that is still sending when it is refused may see nothing but the end of the connection.
    let mut stream = TcpStream::connect(served.server.address()).unwrap();
    write!(
        stream,
        "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        Limits::default().max_body_bytes + 1
    )
    .unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert_eq!(answer.trim_end(), "HTTP/1.1 413 Payload Too Large");
    served.stop.stop();
}

#[test]
fn a_head_has_a_limit() {
    let limits = Limits { max_head_bytes: 8192, ..Limits::default() };
    let stop = Stop::default();
    let router = Router::new().route("/", routing::get(|| async { "here" }));
    let server = Server::start_with("127.0.0.1:0".parse().unwrap(), router, limits.clone(), &stop).unwrap();
    let answer = |bytes: usize| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        let head = "GET / HTTP/1.1\r\nhost: localhost\r\nlong: ";
        // Not one byte more than is read: else the answer may be lost with the connection.
        write!(stream, "{head}{}", "x".repeat(bytes - head.len())).unwrap();
        if bytes < limits.max_head_bytes {
            write!(stream, "\r\n\r\n").unwrap();
        }
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    };
    assert_eq!(answer(8192), "HTTP/1.1 431 Request Header Fields Too Large");
    assert_eq!(answer(8000), "HTTP/1.1 200 OK");
    stop.stop();
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let limits = Limits { write_timeout: Duration::from_millis(300), ..Limits::default() };
    let stop = Stop::default();
    let (sender, cut_off) = mpsc::channel::<()>();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let endless = move || {
        let body = Body::from_stream(Endless(sender.lock().unwrap().take().unwrap()));
        async { body }
    };
    let router = Router::new().route("/", routing::get(endless));
    let server = Server::start_with("127.0.0.1:0".parse().unwrap(), router, limits, &stop).unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    // Nothing is read until the server has let the answer go.
    let gone = cut_off.recv_timeout(Duration::from_secs(120)).unwrap_err();
    assert_eq!(gone, mpsc::RecvTimeoutError::Disconnected);
    // What was on its way is all there is.
    let ended = std::io::Read::read_to_end(&mut stream, &mut Vec::new());
    assert_ne!(ended.map_err(|error| error.kind()), Err(std::io::ErrorKind::WouldBlock));
    stop.stop();
}

/// An answer without end; its sender goes with it.
struct Endless(#[allow(dead_code, reason = "it is dropped")] mpsc::Sender<()>);

impl Stream for Endless {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(Bytes::from_static(&[b'x'; 64 << 10]))))
    }
}

#[test]
fn an_address_in_use_is_named_with_what_to_do() {
    let served = Served::start("127.0.0.1:0");
    let address: SocketAddr = served.server.address();
    let error = Server::start(address, Router::new(), &Stop::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("{address} is in use; choose another with --http"));
    served.stop.stop();
}

#[test]
fn what_a_router_holds_goes_where_it_may_block() {
    struct Blocking;
    impl Drop for Blocking {
        fn drop(&mut self) {
            // Panics within a runtime.
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {});
        }
    }
    let held = std::sync::Arc::new(Blocking);
    let router = Router::new().route(
        "/",
        routing::get(move || {
            let held = held.clone();
            async move {
                drop(held);
                "here"
            }
        }),
    );
    let stop = Stop::default();
    let server = Server::start("127.0.0.1:0".parse().unwrap(), router, &stop).unwrap();
    let client = Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(format!("http://{}/", server.address())).send().unwrap().text().unwrap(), "here");
    stop.stop();
    server.join().unwrap();
}
