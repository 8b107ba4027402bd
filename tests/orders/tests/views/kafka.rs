//! Processes that share the partitions on Kafka and the rows in PostgreSQL.

use crate::shop::{Books, Shop, actions, wait_until};
use factum::{Database, KafkaConfig, environment::Environment};
use factum_test_broker::{bootstrap, unique};
use factum_test_database::TestDatabase;
use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// A process that keeps both views up to date; it is killed when this value goes.
struct Instance {
    process: Child,
    log: PathBuf,
}

impl Instance {
    fn start(folder: &tempfile::TempDir, name: &str, prefix: &str, database: &str) -> Self {
        let log = folder.path().join(name);
        let process = Command::new(env!("CARGO_BIN_EXE_orders"))
            .args(["run", "view", "orders", "outstanding", "--views", database])
            .args(["--kafka", bootstrap(), "--prefix", prefix, "--log", "warn,factum_views=info"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Instance { process, log }
    }

    /// Whether it was given partitions of both views.
    fn has_its_part(&self) -> bool {
        let log = fs::read_to_string(&self.log).unwrap();
        ["orders", "outstanding"]
            .iter()
            .all(|view| log.lines().any(|line| line.contains("starts") && line.contains(&format!("\"{view}\""))))
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have been killed already, or have ended with an error that the test tells.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

#[test]
fn two_processes_split_the_partitions_and_a_third_goes_on_for_one_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (schema, prefix) = (TestDatabase::new(), format!("{}.", unique("orders")));
    let mut environment = Environment::on_kafka(KafkaConfig::bootstrap(bootstrap())).unwrap();
    environment.prefix.clone_from(&prefix);
    let shop = Shop::open(environment, 4);
    let actions = actions(7, 500);
    let (before, after) = actions.split_at(actions.len() / 2);

    schema.client().batch_execute("CREATE TABLE reminded (key text COLLATE \"C\" PRIMARY KEY)").unwrap();
    let mut first = Instance::start(&folder, "first", &prefix, &schema.url());
    let second = Instance::start(&folder, "second", &prefix, &schema.url());
    wait_until("sharing the partitions", || first.has_its_part() && second.has_its_part());
    shop.act(before);
    first.kill();
    let third = Instance::start(&folder, "third", &prefix, &schema.url());
    shop.act(after);

    let database = Database::parse(&schema.url()).unwrap();
    let expected = Books::of(&actions);
    wait_until("as the books say", || Books::read(&database) == expected);
    // It may be given its part after the second one has done the work of both.
    wait_until("shared with the third", || third.has_its_part());
    let taken: i64 = schema.client().query_one("SELECT max(epoch) FROM factum_progress", &[]).unwrap().get(0);
    assert!(taken >= 2, "partitions were taken over");
    // What its author writes by hand is there with the rows.
    let without = "SELECT count(*) FROM outstanding_v1 AS o WHERE NOT EXISTS (SELECT FROM reminded WHERE key = o.key)";
    assert_eq!(schema.client().query_one(without, &[]).unwrap().get::<_, i64>(0), 0);
    assert!(expected.owed.len() > 1, "nobody owes anything");
    shop.close();
}
