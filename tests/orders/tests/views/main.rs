//! Views over several aggregate types, by several instances at once.

#![allow(clippy::unwrap_used)] // a test's failure is its panic

mod kafka;
mod shared_rows;
mod shop;
