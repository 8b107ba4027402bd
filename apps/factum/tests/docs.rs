//! What the documents tell a newcomer to do, done: the README's commands, its
//! template as a project of its own, and every command of docs/first-day.md.
//!
//! The projects lie outside of the checkout and take their dependencies' builds
//! from its target folder.

// A test that cannot get what it needs is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "docs/outside.rs"]
mod outside;
#[path = "docs/page.rs"]
mod page;
#[path = "docs/shell.rs"]
mod shell;

#[path = "docs/first_day.rs"]
mod first_day;
#[path = "docs/readme.rs"]
mod readme;
#[path = "docs/template.rs"]
mod template;
