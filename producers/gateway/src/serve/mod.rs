//! HTTP: an [`axum::Router`] on a thread of its own.
//!
//! The thread has a current-thread runtime, so that nothing of the processors'
//! threads waits for a request. What comes from outside has limits: connections,
//! the size of a request's head and body and the time for its head, the time for
//! an answer's head, and the time in which a client takes nothing of an answer.
//!
//! A server on a loopback address answers only requests that name a loopback
//! host, and none that a page of another origin sends: else any web page could
//! reach it by a name that resolves to 127.0.0.1 (DNS rebinding).

mod guard;
mod paced;
mod problem;
mod server;
#[cfg(test)]
mod tests;

pub use server::Server;
