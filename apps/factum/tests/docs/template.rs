//! The README's template is a project with every verb for its own domain.

use crate::{outside::Outside, page::blocks_of};
use serde_json::{Value, json};
use std::process::{Child, Command, Output};

/// The template as a project.
struct Project {
    outside: Outside,
    /// What names the log, and what else its programs find.
    variables: Vec<(&'static str, String)>,
}

impl Project {
    fn of_the_readme() -> Self {
        let outside = Outside::new();
        let files = blocks_of("README.md").into_iter().filter_map(|block| Some((block.title?, block.text)));
        let names: Vec<String> =
            files.inspect(|(name, text)| outside.write(name, text)).map(|(name, _)| name).collect();
        assert_eq!(names, ["library/Cargo.toml", "library/src/main.rs"]);
        Project { outside, variables: Vec::new() }
    }

    fn cargo(&self, arguments: &[&str]) -> Output {
        let mut cargo = self.outside.command(env!("CARGO"));
        cargo.current_dir(self.outside.path().join("library")).envs(self.variables.iter().cloned());
        cargo.args(arguments).output().unwrap()
    }

    /// What a verb prints, or the first line of why it failed.
    fn verb(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self.cargo(&[&["run", "--quiet", "--"], arguments].concat());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// The JSON values that a verb prints.
    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = self.verb(&[arguments, &["--json"]].concat()).unwrap();
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A loan, a refused one, and what every verb shows of them.
    fn lends_a_book(&self) {
        let lend = |reader: Value| {
            self.verb(&["publish", "library.book", "dune", "Lend", &json!({ "reader": reader }).to_string()])
        };
        assert!(lend("anna".into()).unwrap().starts_with("accepted: dune is at version 1"));
        let refused = lend("bert".into()).unwrap_err();
        assert!(refused.contains("refused") && refused.contains("anna"), "{refused}");
        let state = json!({ "id": "dune", "version": 1, "state": { "reader": "anna" } });
        assert_eq!(self.json(&["state", "library.book", "dune"]), [state]);
        let history = self.json(&["history", "library.book", "dune"]);
        assert_eq!(history.len(), 1);
        assert_eq!(
            (&history[0]["type"], &history[0]["event"]),
            (&json!("library.book.Lent"), &json!({ "reader": "anna" }))
        );
    }
}

#[test]
fn the_template_of_the_readme_works_on_the_embedded_log_and_on_kafka() {
    let mut project = Project::of_the_readme();
    // The first run of its tests writes the contract, the second compares.
    for write in ["1", "0"] {
        project.variables = vec![("FACTUM_WRITE_SCHEMAS", write.to_owned())];
        let tests = project.cargo(&["test", "--quiet"]);
        assert!(tests.status.success(), "{tests:?}");
    }

    let row = json!({ "key": "dune", "reader": "anna", "loans": 1 });
    let up = project.verb(&["up", "--until-idle"]).unwrap();
    assert!(up.contains("shelf (0 rows shown)"), "{up}");
    project.lends_a_book();
    assert_eq!(project.json(&["query", "shelf", "--where", "loans >= 1"]), std::slice::from_ref(&row));

    // On Kafka a handler must run where commands are published: here it is a process of its own.
    let broker = factum_test_broker::bootstrap().to_owned();
    let prefix = format!("{}.", factum_test_broker::unique("template"));
    project.variables =
        vec![("FACTUM_KAFKA", broker), ("FACTUM_PREFIX", prefix), ("FACTUM_VIEWS", "kafka.sqlite".to_owned())];
    let up = project.verb(&["up", "--until-idle"]).unwrap();
    assert!(up.contains("shelf (0 rows shown)"), "{up}");
    let mut handler = project.outside.command(env!("CARGO"));
    handler.current_dir(project.outside.path().join("library")).envs(project.variables.iter().cloned());
    let handler = handler.args(["run", "--quiet", "--", "run", "handler", "library.book"]).spawn().unwrap();
    let handler = Ended(handler);
    project.lends_a_book();
    drop(handler);
    assert_eq!(project.json(&["up", "--until-idle"]), std::slice::from_ref(&row));
    assert_eq!(project.json(&["query", "shelf"]), [row]);
}

/// A process that does not outlive the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // In good order, so that the next member of the group need not wait for its session to expire.
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().ok();
        self.0.wait().ok();
    }
}
