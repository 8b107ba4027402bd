//! Short texts of clients: position tokens in both forms, ids, times.

use crate::{Draw, Target, target::same};
use factum_core::{
    AggregateId, CommandId, EventId, Offset, Partition, Topic, TopicId,
    wire::{Token, TraceContext},
};
use factum_gateway::{Clock, QueryRequest, opaque, parse_time, parse_token};
use std::{fmt::Display, str::FromStr};

pub(super) struct Tokens;

/// A token of anything.
pub(super) fn token(draw: &mut Draw) -> Token {
    let topic = if draw.once_in(8) { draw.text() + "x" } else { "bank.account.events".to_owned() };
    Token {
        // These two signs end a topic's name.
        place: Topic::from(topic.replace(['@', '#'], "x").as_str()).partition(Partition(draw.odd_u32())),
        offset: Offset(draw.odd_signed().max(0)),
        topic_id: draw.once_in(2).then(|| TopicId(u128::from(draw.number()).to_be_bytes())),
    }
}

impl Target for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn example(&self, draw: &mut Draw) -> Vec<u8> {
        let token = token(draw);
        let text = match draw.below(6) {
            0 | 1 => token.to_string(),
            2 | 3 => opaque(&token.to_string()),
            4 => TopicId(u128::from(draw.number()).to_be_bytes()).to_string() + draw.one(&["", "/0", "/4294967295"]),
            _ => draw
                .one(&[
                    "2026-01-31T12:00:00Z",
                    "2026-01-31",
                    "recorded",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                ])
                .to_owned(),
        };
        text.into_bytes()
    }

    fn words(&self) -> &'static [&'static str] {
        &["@", "#", "/", "+", "-", "=", ",", "Z", "T"]
    }

    fn run(&mut self, input: &[u8]) -> Result<(), String> {
        drop(AggregateId::check(input));
        let Ok(text) = std::str::from_utf8(input) else { return Ok(()) };
        if let Ok(token) = parse_token(text) {
            same("the token", &token, &parse_token(&token.to_string()).map_err(|error| error.to_string())?)?;
            let opaque = opaque(&token.to_string());
            same("the token in its opaque form", &token, &parse_token(&opaque).map_err(|error| error.to_string())?)?;
        }
        told_again::<Token>(text)?;
        told_again::<CommandId>(text)?;
        told_again::<EventId>(text)?;
        told_again::<TopicId>(text)?;
        told_again::<TraceContext>(text)?;
        told_again::<Clock>(text)?;
        drop(parse_time(text));
        let pairs = [("after", text), ("wait", text), ("stale", text), ("where", text)];
        for chosen in pairs.chunks(1).chain([&pairs[..]]) {
            let pairs = chosen.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            if let Ok(request) = QueryRequest::from_url("balances".to_owned(), pairs, Some(text)) {
                let again = QueryRequest::from_url("balances".to_owned(), request.to_parameters(), None);
                same("a query's tokens", &request.after, &again.map_err(|error| error.to_string())?.after)?;
            }
        }
        Ok(())
    }
}

fn told_again<T: FromStr<Err = factum_core::Error> + Display + PartialEq + std::fmt::Debug>(
    text: &str,
) -> Result<(), String> {
    let Ok(read) = text.parse::<T>() else { return Ok(()) };
    same("what was told", &read, &read.to_string().parse().map_err(|error: factum_core::Error| error.to_string())?)
}
