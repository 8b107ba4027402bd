//! The way to a registry, which a test can shut.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Passes bytes on between whoever connects and the server. Shut, it hangs up, as a server does that is ending.
pub(crate) struct Door {
    url: String,
    server: Arc<Mutex<String>>,
    is_open: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Door {
    /// In front of the server of a URL.
    pub(crate) fn to(url: &str) -> Self {
        let (server, path) = parts(url);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/{path}", listener.local_addr().unwrap());
        let server = Arc::new(Mutex::new(server.to_owned()));
        let door = Door { url, server, is_open: Arc::new(AtomicBool::new(true)), connections: Arc::default() };
        let (is_open, connections, server) = (door.is_open.clone(), door.connections.clone(), door.server.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                if is_open.load(Ordering::SeqCst) {
                    let behind = TcpStream::connect(server.lock().unwrap().as_str()).unwrap();
                    pass(&stream, &behind);
                    pass(&behind, &stream);
                    connections.lock().unwrap().extend([stream, behind]);
                }
            }
        });
        door
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn shut(&self) {
        self.is_open.store(false, Ordering::SeqCst);
        for stream in self.connections.lock().unwrap().drain(..) {
            // It may have ended by itself.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    pub(crate) fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    /// Opens it to the server of another URL, which has the same path.
    pub(crate) fn open_to(&self, url: &str) {
        parts(url).0.clone_into(&mut self.server.lock().unwrap());
        self.open();
    }
}

/// Server and path.
fn parts(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap();
    rest.split_once('/').unwrap_or((rest, ""))
}

fn pass(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        // Either side may hang up at any time.
        io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Both).ok();
    });
}
