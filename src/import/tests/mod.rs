//! What an import accepts, and what it says where it does not.

mod bank;
mod convert;
mod mapping;
mod rows;
mod sheet;
