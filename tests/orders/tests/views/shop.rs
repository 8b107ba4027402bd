//! A shop on a log, what happens in it, and what its views must say then.

use factum::{
    Aggregate, Database, Envelope, Offset, PendingReply, Reply, TypedClient,
    environment::Environment,
    handler::Granted,
    host::{AggregateHost, HandlerOptions, Running, Stop, Typed, ViewProgress},
    log::Isolation,
    to,
    view::{Value, View, ViewTable},
    views::Query,
};
use factum_test_orders::{
    Outstanding, Overview, Owed, Summary, TOTAL,
    customer::{self, Customer},
    order::{self, Order},
    payment::{self, Payment},
};
use rand_pcg::{Pcg32, rand_core::Rng};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Longer than anything here takes; a test that waits so long has failed.
const DEADLINE: Duration = Duration::from_secs(120);
/// Commands that wait for their answers at the same time.
const WINDOW: usize = 256;

/// Something that a client does.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Place { order: String, cents: i64 },
    Cancel { order: String },
    Pay { payment: String, order: String, cents: i64 },
    TakeBack { payment: String },
    CheckOut { customer: String, order: String, name: String },
}

/// A few events for each of so many orders, mixed; those of one aggregate in their order.
pub(crate) fn actions(seed: u64, orders: u32) -> Vec<Action> {
    let mut random = Pcg32::new(seed, 5);
    let mut below = |limit: u32| random.next_u32() % limit;
    let mut lanes: Vec<Vec<Action>> = Vec::new();
    for number in 0..orders {
        let order = format!("o-{number}");
        let cents = i64::from(below(10_000)) + 1;
        let mut lane = vec![Action::Place { order: order.clone(), cents }];
        if below(4) == 0 {
            lane.push(Action::Cancel { order: order.clone() });
        }
        lanes.push(lane);
        for part in 0..below(3) {
            // The first one has the order's own id: ids are of one aggregate type only.
            let payment = if part == 0 { order.clone() } else { format!("{order}-{part}") };
            let cents = if part == 0 { cents } else { i64::from(below(500)) + 1 };
            let mut lane = vec![Action::Pay { payment: payment.clone(), order: order.clone(), cents }];
            if below(5) == 0 {
                lane.push(Action::TakeBack { payment });
            }
            lanes.push(lane);
        }
        let customer = format!("c-{}", below(orders));
        lanes.push(vec![Action::CheckOut { customer, order, name: format!("name {number}") }]);
    }
    let mut mixed = Vec::new();
    let mut places = vec![0; lanes.len()];
    while let Some(open) = std::num::NonZeroUsize::new(lanes.len()) {
        let lane = usize::try_from(random.next_u32()).unwrap() % open;
        mixed.push(lanes[lane][places[lane]].clone());
        places[lane] += 1;
        if places[lane] == lanes[lane].len() {
            lanes.swap_remove(lane);
            places.swap_remove(lane);
        }
    }
    mixed
}

/// What the views must say after these actions, whatever the order of their events.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Books {
    pub(crate) orders: BTreeMap<String, Summary>,
    pub(crate) owed: BTreeMap<String, Owed>,
}

impl Books {
    pub(crate) fn of(actions: &[Action]) -> Self {
        let mut books = Books::default();
        let mut payments: BTreeMap<&str, (&str, i64)> = BTreeMap::new();
        let mut placed: BTreeMap<&str, i64> = BTreeMap::new();
        for action in actions {
            match action {
                Action::Place { order, cents } => {
                    books.order(order).cents = Some(*cents);
                    books.owe(order, *cents);
                    placed.insert(order, *cents);
                }
                Action::Cancel { order } => {
                    books.order(order).cancelled = true;
                    books.owe(order, -placed[order.as_str()]);
                }
                Action::Pay { payment, order, cents } => {
                    let row = books.order(order);
                    (row.paid_cents, row.payments) = (row.paid_cents + cents, row.payments + 1);
                    books.owe(order, -cents);
                    payments.insert(payment, (order, *cents));
                }
                Action::TakeBack { payment } => {
                    let (order, cents) = payments[payment.as_str()];
                    let row = books.order(order);
                    (row.paid_cents, row.payments) = (row.paid_cents - cents, row.payments - 1);
                    books.owe(order, cents);
                }
                Action::CheckOut { customer, order, name } => {
                    let row = books.order(order);
                    (row.customer, row.name) = (Some(customer.clone()), Some(name.clone()));
                }
            }
        }
        books.owed.retain(|_, owed| owed.cents != 0);
        books
    }

    fn order(&mut self, order: &str) -> &mut Summary {
        self.orders.entry(order.to_owned()).or_default()
    }

    fn owe(&mut self, order: &str, more: i64) {
        for key in [order, TOTAL] {
            self.owed.entry(key.to_owned()).or_insert(Owed { cents: 0 }).cents += more;
        }
    }

    /// The books as the views have them.
    pub(crate) fn read(database: &Database) -> Self {
        let number = |value: &Value| match value {
            Value::Integer(number) => *number,
            other => panic!("{other:?} is not an integer"),
        };
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::Text(text) => Some(text.clone()),
            other => panic!("{other:?} is not a text"),
        };
        let mut books = Books::default();
        for (key, columns) in rows::<Overview>(database) {
            let summary = Summary {
                cents: (columns["cents"] != Value::Null).then(|| number(&columns["cents"])),
                cancelled: columns["cancelled"] == Value::Boolean(true),
                paid_cents: number(&columns["paid_cents"]),
                payments: number(&columns["payments"]),
                customer: text(&columns["customer"]),
                name: text(&columns["name"]),
            };
            books.orders.insert(key, summary);
        }
        for (key, columns) in rows::<Outstanding>(database) {
            books.owed.insert(key, Owed { cents: number(&columns["cents"]) });
        }
        books
    }
}

/// A view's rows: keys, and values by column.
fn rows<V: View>(database: &Database) -> Vec<(String, BTreeMap<String, Value>)> {
    let query = Query::new(&ViewTable::of::<V>().unwrap()).limited(10_000).unwrap();
    let page = database.rows().page(&query).unwrap();
    assert_eq!(page.next, None);
    let columns = page.columns;
    let rows = page.rows.into_iter();
    rows.map(|row| (row[0].to_string(), columns.iter().cloned().zip(row).collect())).collect()
}

/// The shop's handlers, and clients that talk to them.
pub(crate) struct Shop {
    pub(crate) environment: Environment,
    stop: Stop,
    handlers: Vec<Running>,
    orders: TypedClient<Order>,
    payments: TypedClient<Payment>,
    customers: TypedClient<Customer>,
}

impl Shop {
    pub(crate) fn open(environment: Environment, partitions: u32) -> Self {
        let stop = Stop::default();
        let mut handlers = Vec::new();
        let hosts: [&dyn AggregateHost; 3] =
            [&Typed::<Order>::default(), &Typed::<Payment>::default(), &Typed::<Customer>::default()];
        for host in hosts {
            environment.create_topics(host.aggregate_type(), partitions, None).unwrap();
            let options = HandlerOptions { granted: Granted::All, ..HandlerOptions::default() };
            handlers.push(host.start_handler(&environment, options, &stop).unwrap().0);
        }
        let (orders, payments, customers) =
            (environment.client().unwrap(), environment.client().unwrap(), environment.client().unwrap());
        Shop { environment, stop, handlers, orders, payments, customers }
    }

    /// Does all of it; a payment is taken back only after it was received, and so on.
    pub(crate) fn act(&self, actions: &[Action]) {
        for window in actions.chunks(WINDOW) {
            let pending: Vec<Box<dyn FnOnce()>> = window.iter().map(|action| self.submit(action)).collect();
            pending.into_iter().for_each(|wait| wait());
        }
    }

    fn submit(&self, action: &Action) -> Box<dyn FnOnce()> {
        match action.clone() {
            Action::Place { order, cents } => sent(&self.orders, to(order, order::Place { cents })),
            Action::Cancel { order } => sent(&self.orders, to(order, order::Cancel {})),
            Action::Pay { payment, order, cents } => {
                sent(&self.payments, to(payment, payment::Receive { order, cents }))
            }
            Action::TakeBack { payment } => sent(&self.payments, to(payment, payment::Cancel {})),
            Action::CheckOut { customer, order, name } => {
                sent(&self.customers, to(customer, customer::CheckOut { order, name }))
            }
        }
    }

    /// Whether these instances of a view have read everything, together.
    pub(crate) fn is_read_by(&self, instances: &[&ViewProgress]) -> bool {
        let mut positions = BTreeMap::new();
        instances.iter().for_each(|instance| positions.extend(instance.positions()));
        let mut admin = self.environment.log.admin().unwrap();
        Overview::INPUTS.iter().all(|input| {
            let places = admin.partitions(&self.environment.topics(input).events).unwrap();
            places.iter().all(|place| {
                let end = admin.bounds(place, Isolation::ReadCommitted).unwrap().end;
                end == Offset(0) || positions.get(place).is_some_and(|position| *position >= end)
            })
        })
    }

    pub(crate) fn close(self) {
        self.stop.stop();
        self.handlers.into_iter().for_each(|handler| handler.join().unwrap());
    }
}

/// Sends a command; what it returns waits for the answer, which is yes.
fn sent<A: Aggregate, C: Into<A::Command>>(client: &TypedClient<A>, command: Envelope<C>) -> Box<dyn FnOnce()>
where
    A::Command: factum::schemas::AvroMessage,
    A::Refusal: serde::de::DeserializeOwned + std::fmt::Debug,
{
    let pending: PendingReply<A::Refusal> = client.submit(command).unwrap();
    Box::new(move || match pending.wait().unwrap() {
        Reply::Accepted(_) => {}
        other => panic!("{other:?}"),
    })
}

/// Asks until it is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < DEADLINE, "not {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
