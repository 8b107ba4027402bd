//! The verbs for orders, payments and customers.

use factum_test_orders::{Outstanding, Overview, customer::Customer, order::Order, payment::Payment};
use std::process::ExitCode;

fn main() -> ExitCode {
    factum::app("orders")
        .aggregate::<Order>()
        .aggregate::<Payment>()
        .aggregate::<Customer>()
        .view::<Overview>()
        .view::<Outstanding>()
        .main()
}
