//! The routes over a service that does what a test tells it.

use crate::{
    AggregateEntry, AuditFound, AuditRequest, Backend, BatchError, Catalog, CausesFound, HistoryFound, HistoryRequest,
    Limits, OutcomeRequest, PublishAllRequest, PublishRequest, QueryFound, QueryRequest, Server, Service, StateFound,
    StateRequest, Stop, Tally, router,
};
use factum_core::{CommandId, Error, Result, wire::Answer};
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

/// States wait until the test lets them go; everything else is away.
struct Gate {
    arrived: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
}

fn away<T>() -> Result<T> {
    Err(Error::unavailable("the log is away"))
}

impl Service for Gate {
    fn publish(&self, _: &PublishRequest) -> Result<Answer> {
        away()
    }
    fn check_all(&self, _: &PublishAllRequest<'_>) -> Result<(), BatchError> {
        Ok(away()?)
    }
    fn publish_all(&self, _: &PublishAllRequest<'_>, _: &mut dyn FnMut(u64)) -> Result<Tally, BatchError> {
        Ok(away()?)
    }
    fn state(&self, request: &StateRequest) -> Result<StateFound> {
        self.arrived.lock().unwrap().send(()).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        Ok(StateFound {
            id: request.id.as_str().to_owned(),
            version: 3,
            state: json!({}),
            folded: None,
            left_out: None,
        })
    }
    fn history(&self, _: &HistoryRequest) -> Result<HistoryFound> {
        panic!("a bug")
    }
    fn audit(&self, _: &AuditRequest) -> Result<AuditFound> {
        away()
    }
    fn causes(&self, _: CommandId) -> Result<CausesFound> {
        away()
    }
    fn query(&self, _: &QueryRequest) -> Result<QueryFound> {
        away()
    }
}

impl Backend for Gate {
    fn submit(&self, _: &PublishRequest) -> Result<CommandId> {
        away()
    }
    fn outcome(&self, _: &OutcomeRequest) -> Result<Option<Answer>> {
        away()
    }
}

struct Site {
    server: Server,
    stop: Stop,
    arrived: Receiver<()>,
    go: Sender<()>,
}

impl Site {
    fn start(limits: Limits) -> Self {
        let (arrive, arrived) = channel();
        let (go, going) = channel();
        let gate = Gate { arrived: Mutex::new(arrive), go: Mutex::new(going) };
        let entry = AggregateEntry { name: "shop.order".into(), commands: Vec::new(), events: Vec::new() };
        let catalog = Catalog { aggregates: vec![entry], ..Catalog::default() };
        let stop = Stop::default();
        let router = router(Arc::new(gate), Arc::new(catalog), &limits);
        let server = Server::start_with("127.0.0.1:0".parse().unwrap(), router, limits, &stop).unwrap();
        Site { server, stop, arrived, go }
    }

    fn get(&self, path: &str) -> impl FnOnce() -> Response + Send + 'static {
        let url = format!("http://{}{path}", self.server.address());
        move || Client::builder().no_proxy().build().unwrap().get(url).send().unwrap()
    }
}

#[test]
fn what_is_beyond_the_limit_is_told_to_come_again_and_the_next_is_served() {
    let site = Site::start(Limits { max_in_flight: 1, ..Limits::default() });
    let first = std::thread::spawn(site.get("/shop/order/1"));
    site.arrived.recv().unwrap();
    let refused = site.get("/shop/order/2")();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let problem: Value = refused.json().unwrap();
    assert_eq!(problem["detail"], "1 requests are under way, which is the limit; try again later");
    assert_eq!(problem["title"], "overloaded");
    site.go.send(()).unwrap();
    assert_eq!(first.join().unwrap().status(), 200);
    site.go.send(()).unwrap();
    assert_eq!(site.get("/shop/order/2")().status(), 200);
    site.stop.stop();
}

#[test]
fn a_log_that_is_away_is_503_with_a_time_to_come_again() {
    let site = Site::start(Limits::default());
    let answer = site.get("/shop/order/1/commands/3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10")();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(answer.json::<Value>().unwrap()["detail"], "the log is away");
    site.stop.stop();
}

#[test]
fn a_panic_is_an_answer_and_the_next_request_is_served() {
    let site = Site::start(Limits { max_in_flight: 1, ..Limits::default() });
    let answer = site.get("/shop/order/1/history")();
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.json::<Value>().unwrap()["detail"], "the request failed; the log tells why");
    site.go.send(()).unwrap();
    assert_eq!(site.get("/shop/order/1")().status(), 200);
    site.stop.stop();
}

#[test]
fn requests_under_way_are_answered_when_the_process_ends() {
    let site = Site::start(Limits { drain: Duration::from_secs(20), ..Limits::default() });
    let asked = std::thread::spawn(site.get("/shop/order/1"));
    site.arrived.recv().unwrap();
    site.stop.stop();
    // The server has begun to end when it takes no connection any more.
    let address = site.server.address();
    while std::net::TcpStream::connect(address).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    site.go.send(()).unwrap();
    assert_eq!(asked.join().unwrap().status(), 200);
    site.server.join().unwrap();
}
