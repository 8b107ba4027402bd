//! The gateway's paths, parameters, headers and bodies, over a service that is always away.

use super::{http, zoo};
use crate::{Draw, Target};
use axum::http::StatusCode;
use factum_core::{CommandId, Error, Result, wire::Answer};
use factum_gateway::{
    AggregateEntry, AuditFound, AuditRequest, Backend, BatchError, Catalog, CausesFound, FollowRequest, HistoryFound,
    HistoryRequest, Limits, OutcomeRequest, Outlet, PublishAllRequest, PublishRequest, QueryFound, QueryRequest,
    Service, StateFound, StateRequest, Stop, Tally, ViewEntry, opaque, router,
};
use factum_schemas::Schema;
use std::sync::Arc;

/// An input is a request (see [`http::request`]).
pub(super) struct Gateway(http::Routed);

struct Away;

fn away<T>() -> Result<T> {
    Err(Error::unavailable("the log is away"))
}

impl Service for Away {
    fn publish(&self, _: &PublishRequest) -> Result<Answer> {
        away()
    }
    fn check_all(&self, _: &PublishAllRequest<'_>) -> Result<(), BatchError> {
        Ok(away()?)
    }
    fn publish_all(&self, _: &PublishAllRequest<'_>, _: &mut dyn FnMut(u64)) -> Result<Tally, BatchError> {
        Ok(away()?)
    }
    fn state(&self, _: &StateRequest) -> Result<StateFound> {
        away()
    }
    fn history(&self, _: &HistoryRequest) -> Result<HistoryFound> {
        away()
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

impl Backend for Away {
    fn submit(&self, _: &PublishRequest) -> Result<CommandId> {
        away()
    }
    fn outcome(&self, _: &OutcomeRequest) -> Result<Option<Answer>> {
        away()
    }
    fn follow(&self, _: &FollowRequest, _: Outlet) -> Result<()> {
        away()
    }
}

impl Gateway {
    pub(super) fn new() -> Self {
        let schema = |json| Schema::parse_str(json).expect("a sound schema");
        let zoo = AggregateEntry {
            name: "fuzz.zoo".to_owned(),
            commands: vec![schema(zoo::NEWEST)],
            events: vec![schema(zoo::NEWEST)],
            state: schema(zoo::LOGICAL),
        };
        let view = ViewEntry { name: "animals".to_owned(), inputs: vec!["fuzz.zoo".to_owned()], columns: Vec::new() };
        let catalog = Catalog { aggregates: vec![zoo], views: vec![view], ..Catalog::default() };
        Gateway(http::Routed::new(router(Arc::new(Away), catalog, &Limits::default(), &Stop::default())))
    }
}

const PATHS: [&str; 9] = [
    "POST /fuzz/zoo/anna/commands/Zoo",
    "POST /fuzz/zoo/commands",
    "GET /fuzz/zoo/anna/commands/0af76519-16cd-43dd-8448-eb211c80319c",
    "GET /fuzz/zoo/anna?at_version=3",
    "GET /fuzz/zoo/a%C3%A4%2Fb/history?from=1&limit=10",
    "GET /views/animals?where=a%20%3D%201&limit=5&wait=3",
    "GET /audit?since=2026-01-31&by=recorded&limit=10&type=Zoo",
    "GET /correlations/0af76519-16cd-43dd-8448-eb211c80319c",
    "GET /fuzz/zoo/anna/events?from=",
];

impl Target for Gateway {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn share(&self) -> u64 {
        10
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let mut text = draw.one(&PATHS).to_owned();
        if draw.once_in(4) {
            let token = opaque(&super::tokens::token(draw).to_string());
            text.push_str(&format!("{}after={token}", if text.contains('?') { "&" } else { "?" }));
        }
        for header in [
            "Content-Type: application/json",
            "Idempotency-Key: 0af76519-16cd-43dd-8448-eb211c80319c",
            "If-Match: W/\"3\"",
            "Prefer: wait=3, respond-async",
            "Factum-Occurred: 2026-01-31T12:00:00Z",
            "Factum-Causation-Id: 0af76519-16cd-43dd-8448-eb211c80319c/1",
            "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "X-Request-Id: abc",
            "Last-Event-ID: YWJj",
        ] {
            if draw.once_in(2) {
                text.push('\n');
                text.push_str(header);
            }
        }
        text.push_str("\n\n");
        text.push_str(draw.one(&[
            "{}",
            r#"{"flag":true,"small":1,"text":"a"}"#,
            r#"[{"aggregate":"anna","command":"Zoo","fields":{},"id":null,"occurred_ms":1,"expected_version":2}]"#,
        ]));
        text.into_bytes()
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "/",
            "%",
            "%00",
            "%ff",
            "%2F",
            "?",
            "&",
            "=",
            "\n",
            "[",
            "{\"a\":",
            "\"",
            "W/",
            "wait=",
            "at_version=",
            "at_time=",
            "where=",
            "limit=",
            "cursor=",
            "after=",
            "stale=true",
            "*",
            "from=",
            "by=",
        ]
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        let Some(request) = http::request(input) else { return Ok(()) };
        let (status, body) = self.0.answer(request)?;
        // Whatever is not accepted is told as a problem (RFC 9457), but where HTTP itself has no body.
        let told = body.is_empty() || status.is_success() || serde_json::from_slice::<serde_json::Value>(&body).is_ok();
        if told || status == StatusCode::METHOD_NOT_ALLOWED {
            return Ok(());
        }
        Err(format!("{status} without a problem: {}", String::from_utf8_lossy(&body)))
    }
}
