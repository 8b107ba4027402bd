//! The routes over a service that does what a test tells it.

use crate::{
    AggregateEntry, AuditFound, AuditRequest, Backend, BatchError, Catalog, CausesFound, FollowRequest, HistoryFound,
    HistoryRequest, Limits, Offered, OutcomeRequest, Outlet, PublishAllRequest, PublishRequest, QueryFound,
    QueryRequest, Server, Service, StateFound, StateRequest, Stop, Tally, Told, Update, opaque, router,
};
use factum_core::{CommandId, Error, Result, wire::Answer};
use reqwest::blocking::{Client, Response};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    num::NonZeroU32,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
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
    fn follow(&self, request: &FollowRequest, outlet: Outlet) -> Result<()> {
        let begin: u64 = request
            .from
            .as_deref()
            .unwrap_or("@0")
            .trim_start_matches('@')
            .parse()
            .map_err(|_| Error::invalid("no position"))?;
        outlet.offer(&Told::begin(&format!("@{begin}")));
        std::thread::spawn(move || count(begin, &outlet));
        Ok(())
    }
}

/// Updates without end, of 32 KiB each, as fast as the client takes them.
fn count(begin: u64, outlet: &Outlet) {
    for number in begin + 1.. {
        let data = json!({ "number": number, "weight": "x".repeat(32 * 1024) });
        let told = Told::updates(&[Update { name: "event", data, position: Some(format!("@{number}")) }]);
        loop {
            match outlet.offer(&told) {
                Offered::Taken => break,
                Offered::Full => std::thread::sleep(Duration::from_millis(5)),
                Offered::Gone => return,
            }
        }
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
        let state = factum_schemas::Schema::parse_str(r#""string""#).unwrap();
        let entry = AggregateEntry { name: "shop.order".into(), commands: Vec::new(), events: Vec::new(), state };
        let catalog = Catalog { aggregates: vec![entry], ..Catalog::default() };
        let stop = Stop::default();
        let router = router(Arc::new(gate), catalog, &limits, &stop);
        let server = Server::start_with("127.0.0.1:0".parse().unwrap(), router, limits, &stop).unwrap();
        Site { server, stop, arrived, go }
    }

    fn get(&self, path: &str) -> impl FnOnce() -> Response + Send + 'static {
        let url = format!("http://{}{path}", self.server.address());
        move || Client::builder().no_proxy().build().unwrap().get(url).send().unwrap()
    }
}

/// Does something while one request is under way; that one and the next are served.
fn while_one_is_under_way(limits: Limits, check: impl FnOnce(&Site)) {
    let site = Site::start(limits);
    let first = std::thread::spawn(site.get("/shop/order/1"));
    site.arrived.recv().unwrap();
    check(&site);
    site.go.send(()).unwrap();
    assert_eq!(first.join().unwrap().status(), 200);
    site.go.send(()).unwrap();
    assert_eq!(site.get("/shop/order/2")().status(), 200);
    site.stop.stop();
}

/// Refused with that status and a time to come again.
fn told_to_come_again(site: &Site, path: &str, status: u16) -> Response {
    let refused = site.get(path)();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (status, &"1".parse().unwrap()));
    refused
}

#[test]
fn what_is_beyond_the_limit_is_told_to_come_again_and_the_next_is_served() {
    while_one_is_under_way(Limits { max_in_flight: 1, ..Limits::default() }, |site| {
        let problem: Value = told_to_come_again(site, "/shop/order/2", 503).json().unwrap();
        assert_eq!(problem["detail"], "1 requests are under way, which is the limit; try again later");
        assert_eq!(problem["title"], "overloaded");
    });
}

#[test]
fn a_client_with_its_share_is_told_to_wait_for_itself() {
    let limits = Limits { max_in_flight_per_client: 1, max_streams_per_client: 0, ..Limits::default() };
    while_one_is_under_way(limits, |site| {
        let problem: Value = told_to_come_again(site, "/shop/order/2", 429).json().unwrap();
        let share = "1 requests of this client are under way, which is its share; wait for one of them";
        assert_eq!(problem["detail"], share);
        assert_eq!(problem["title"], "too many requests");
        told_to_come_again(site, "/shop/order/1/events", 429);
    });
}

#[test]
fn a_log_that_is_away_is_503_with_a_time_to_come_again() {
    let site = Site::start(Limits::default());
    let answer = told_to_come_again(&site, "/shop/order/1/commands/3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10", 503);
    assert_eq!(answer.json::<Value>().unwrap()["detail"], "the log is away");
    site.stop.stop();
}

#[test]
fn a_path_that_is_not_utf_8_is_told_as_a_problem() {
    let site = Site::start(Limits::default());
    for path in ["/shop/order/a%C3x/history", "/shop/%ff/1", "/views/%80", "/shop/order/1/events%C3"] {
        let answer = site.get(path)();
        assert!(answer.status().is_client_error(), "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        let problem: Value = answer.json().unwrap();
        assert!(problem["detail"].is_string(), "{path}: {problem}");
    }
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
    let site = Site::start(Limits { drain: Duration::from_secs(120), ..Limits::default() });
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

/// The updates of a stream up to a number, and the id of the last.
fn numbers(response: Response, last: u64) -> (Vec<u64>, String) {
    let mut id = String::new();
    let mut seen = Vec::new();
    for line in BufReader::new(response).lines().map_while(Result::ok) {
        if let Some(told) = line.strip_prefix("id: ") {
            id = told.to_owned();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            let data: Value = serde_json::from_str(data).unwrap();
            seen.push(data["number"].as_u64().unwrap());
            if seen.last() == Some(&last) {
                break;
            }
        }
    }
    (seen, id)
}

#[test]
fn a_stream_goes_on_where_its_client_was() {
    let site = Site::start(Limits::default());
    let first = site.get("/shop/order/1/events")();
    assert_eq!(first.headers()["content-type"], "text/event-stream");
    let (seen, id) = numbers(first, 50);
    assert_eq!((seen, &id), ((1..=50).collect::<Vec<_>>(), &opaque("@50")));
    let client = Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/shop/order/1/events?after=@7", site.server.address());
    // What a browser saw last counts more than where it began.
    let again = client.get(&url).header("last-event-id", &id).send().unwrap();
    assert_eq!(numbers(again, 52).0, [51, 52]);
    assert_eq!(client.get(&url).header("last-event-id", "x").send().unwrap().status(), 400);
    site.stop.stop();
    site.server.join().unwrap();
}

#[test]
fn a_stream_whose_client_does_not_read_is_cut_off_and_its_place_is_free_again() {
    let slow_to_read = |site: &Site| {
        let mut slow = TcpStream::connect(site.server.address()).unwrap();
        write!(slow, "GET /shop/order/1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut status = [0; 15];
        slow.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200 OK");
        slow
    };
    let limits = Limits { max_streams: 1, write_timeout: Duration::from_secs(600), ..Limits::default() };
    let site = Site::start(limits.clone());
    let slow = slow_to_read(&site);
    let refused = site.get("/shop/order/2/events")();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let detail = refused.json::<Value>().unwrap()["detail"].clone();
    assert_eq!(detail, "1 streams are under way, which is the limit; try again later");
    drop(slow);
    site.stop.stop();

    let site = Site::start(Limits { write_timeout: Duration::from_millis(300), ..limits });
    let slow = slow_to_read(&site);
    // Nothing is read any more, and the connection stays open here.
    let begun = Instant::now();
    while site.get("/shop/order/2/events")().status() != 200 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the slow client still has its place");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(slow);
    site.stop.stop();
}

#[test]
fn the_pages_need_nothing_from_elsewhere() {
    let site = Site::start(Limits::default());
    let document: Value = site.get("/openapi.json")().json().unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, script) in [("/docs", "/docs/docs.js"), ("/demo", "/demo/demo.js")] {
        let page = site.get(path)();
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
        let page = page.text().unwrap();
        let links = page.split("src=\"").chain(page.split("href=\"")).filter(|part| part.starts_with('/'));
        let links: Vec<&str> = links.filter_map(|part| part.split('"').next()).collect();
        assert!(links.contains(&script), "{links:?}");
        for link in links {
            assert_eq!(site.get(link)().status(), 200, "{link}");
        }
        assert!(!page.contains("://"), "{page}");
    }
    site.stop.stop();
}

/// Posts one command after the other to that path, as many at once as each number says, until one is not
/// passed on to the service, which is away.
fn post(site: &Site, at_once: &[usize]) -> Option<Response> {
    let client = Client::builder().no_proxy().build().unwrap();
    at_once.iter().find_map(|count| {
        let body = vec![json!({ "aggregate": "1", "command": "Pay", "fields": {} }); *count];
        let url = format!("http://{}/shop/order/commands", site.server.address());
        let answer = client.post(url).json(&body).send().unwrap();
        (answer.status() != 503).then_some(answer)
    })
}

#[test]
fn a_client_beyond_its_rate_is_told_which_limit_it_is_and_when_to_come_again() {
    let limits = Limits {
        requests_per_second_per_client: NonZeroU32::new(1),
        burst: Duration::from_secs(10),
        ..Limits::default()
    };
    let site = Site::start(limits);
    // Nine in three requests, and then two more; a second that passes meanwhile gives one of them.
    let refused = post(&site, &[1, 4, 4, 8]).unwrap();
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=7).contains(&wait), "{wait}");
    let problem: Value = refused.json().unwrap();
    assert_eq!((&problem["limit"], &problem["per_second"]), (&json!("client"), &json!(1.0)));
    assert_eq!(
        problem["detail"],
        "the limit is 1 requests a second of one client, where each of many commands counts, 10 at once for this one; \
         come again after Retry-After"
    );
    // What is not a command counts, too.
    let read = (0..100).map(|_| site.get("/shop/order/1/history")().status()).find(|status| *status == 429);
    assert_eq!(read, Some(reqwest::StatusCode::TOO_MANY_REQUESTS));
    site.stop.stop();
}

#[test]
fn an_aggregate_types_rate_is_its_own_and_more_than_it_ever_lets_through_is_too_large() {
    let by_type = [("shop.order".to_owned(), NonZeroU32::new(1).unwrap())].into();
    let limits = Limits {
        commands_per_second: NonZeroU32::new(1_000),
        commands_per_second_by_type: by_type,
        burst: Duration::from_secs(5),
        ..Limits::default()
    };
    let site = Site::start(limits);
    let refused = post(&site, &[5; 100]).unwrap();
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().unwrap();
    assert_eq!((&problem["limit"], &problem["at_once"]), (&json!("aggregate-type"), &json!(5.0)));
    let too_many = post(&site, &[6]).unwrap();
    assert_eq!((too_many.status().as_u16(), too_many.headers().contains_key("retry-after")), (413, false));
    let problem: Value = too_many.json().unwrap();
    assert_eq!(problem["title"], "too many commands at once");
    // Reading is no command.
    assert!((0..20).all(|_| site.get("/shop/order/1/history")().status() != 429));
    site.stop.stop();
}
