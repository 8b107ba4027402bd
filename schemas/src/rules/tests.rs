use super::*;
use std::collections::BTreeMap;

const ONE: &str = r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"}]}"#;
const MORE: &str =
    r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"},{"name":"d","type":"long","default":0}]}"#;
const BREAKING: &str =
    r#"{"type":"record","name":"a.B","fields":[{"name":"c","type":"long"},{"name":"d","type":"long"}]}"#;
const EMPTY: &str = r#"{"type":"record","name":"a.B","fields":[]}"#;

/// A registry and the log of its changes.
#[derive(Default)]
struct Site {
    model: Model,
    log: Vec<Change>,
}

impl Site {
    fn settle<T>(&mut self, decided: Result<(T, Vec<Change>), Refusal>) -> Result<T, u32> {
        let (answer, changes) = decided.map_err(|refusal| refusal.code())?;
        for change in changes {
            self.log.push(change.clone());
            self.model.apply(change).unwrap();
        }
        Ok(answer)
    }

    fn register(&mut self, subject: &str, schema: &str) -> Result<(u32, u32), u32> {
        let decided = self.model.register(subject, schema.into());
        self.settle(decided).map(|registered| (registered.id, registered.version))
    }

    fn import(&mut self, subject: &str, schema: &str, id: u32, version: u32) -> Result<u32, u32> {
        let submitted = Submitted { schema, id: Some(id), version: Some(version) };
        let decided = self.model.register(subject, submitted);
        self.settle(decided).map(|registered| registered.id)
    }

    fn delete(&mut self, subject: &str, how: Permanence) -> Result<Vec<u32>, u32> {
        let decided = self.model.delete_subject(subject, how);
        self.settle(decided)
    }

    fn delete_version(&mut self, subject: &str, version: u32, how: Permanence) -> Result<u32, u32> {
        let decided = self.model.delete_version(subject, At::Number(version), how);
        self.settle(decided)
    }

    fn mode(&mut self, subject: Option<&str>, mode: Mode, force: Force) -> Result<(), u32> {
        let decided = self.model.set_mode(subject, Some(mode), force);
        self.settle(decided)
    }

    fn level(&mut self, subject: Option<&str>, level: Level) {
        let decided = self.model.set_level(subject, Some(level));
        self.settle(decided).unwrap();
    }

    /// What compaction leaves: the last record of each key, in the order of the log.
    fn compacted(&self) -> Model {
        let mut last = BTreeMap::new();
        for (at, change) in self.log.iter().enumerate() {
            last.insert(write(change).0, at);
        }
        let mut kept: Vec<usize> = last.into_values().collect();
        kept.sort_unstable();
        let mut model = Model::default();
        kept.into_iter().for_each(|at| model.apply(self.log[at].clone()).unwrap());
        model
    }
}

#[test]
fn equal_schemas_share_an_id_and_subjects_count_their_own_versions() {
    let mut site = Site::default();
    assert_eq!(site.register("s", ONE), Ok((1, 1)));
    assert_eq!(site.register("s", MORE), Ok((2, 2)));
    assert_eq!(site.register("t", MORE), Ok((2, 1)));
    assert_eq!(site.register("s", ONE), Ok((1, 1)));
    assert_eq!(site.model.uses(2, Which::Live).unwrap(), [("s".to_owned(), 2), ("t".to_owned(), 1)]);
    assert_eq!(site.log.len(), 3);
}

#[test]
fn all_schemas_or_none_are_registered() {
    let model = Model::default();
    let named = |schema: &str| ("s".to_owned(), schema.to_owned());
    let (ids, changes) = model.register_all(&[named(ONE), named(MORE), named(ONE)]).unwrap();
    assert_eq!((ids, changes.len()), (vec![1, 2, 1], 2));
    assert_eq!(model.register_all(&[named(ONE), named(BREAKING)]).unwrap_err().code(), 409);
}

#[test]
fn every_level_lets_in_what_it_says() {
    // What is new reads the old with a default, and the old reads the new in any case; and so on.
    let (adds_with_default, adds, removes) = ((ONE, MORE), (ONE, BREAKING), (ONE, EMPTY));
    for (level, [with_default, without, gone]) in [
        (Level::None, [true, true, true]),
        (Level::Backward, [true, false, true]),
        (Level::Forward, [true, true, false]),
        (Level::Full, [true, false, false]),
        (Level::BackwardTransitive, [true, false, true]),
        (Level::ForwardTransitive, [true, true, false]),
        (Level::FullTransitive, [true, false, false]),
    ] {
        for ((old, new), good) in [(adds_with_default, with_default), (adds, without), (removes, gone)] {
            let mut site = Site::default();
            site.level(Some("s"), level);
            site.register("s", old).unwrap();
            let expected = if good { Ok((2, 2)) } else { Err(409) };
            assert_eq!(site.register("s", new), expected, "{level}: {old} then {new}");
        }
    }
}

#[test]
fn transitive_levels_look_at_every_version() {
    for (level, expected) in [(Level::Backward, Ok((3, 3))), (Level::BackwardTransitive, Err(409))] {
        let mut site = Site::default();
        site.level(None, level);
        site.register("s", EMPTY).unwrap();
        site.register("s", MORE.replace(r#""type":"long"}"#, r#""type":"long","default":1}"#).as_str()).unwrap();
        // The second version has both fields, the first has none.
        assert_eq!(site.register("s", BREAKING), expected, "{level}");
    }
}

#[test]
fn a_refusal_names_field_version_and_way_out() {
    let mut site = Site::default();
    site.register("s", ONE).unwrap();
    let refusal = site.model.register("s", BREAKING.into()).unwrap_err();
    assert_eq!(
        refusal.message(),
        "subject s: the new schema cannot read what version 1 wrote (field d: it is missing there and has no default); \
         its compatibility is BACKWARD_TRANSITIVE: a breaking change needs a new record name"
    );
    assert_eq!(site.register("s", MORE), Ok((2, 2)));
}

#[test]
fn soft_deletion_hides_and_hard_deletion_removes() {
    let mut site = Site::default();
    site.register("s", ONE).unwrap();
    site.register("s", MORE).unwrap();
    assert_eq!(site.delete("t", Permanence::Soft), Err(40401));
    assert_eq!(site.delete("s", Permanence::Hard), Err(40405));
    assert_eq!(site.delete("s", Permanence::Soft), Ok(vec![1, 2]));
    assert_eq!(site.delete("s", Permanence::Soft), Err(40404));
    assert_eq!(site.model.versions("s", Which::Live).unwrap_err().code(), 40401);
    assert_eq!(site.model.versions("s", Which::All).unwrap(), [1, 2]);
    assert_eq!(site.model.subjects("", Which::Deleted), ["s"]);
    // Ids outlive the subject: values that have them are still read.
    assert!(site.model.schema(1).is_ok());
    assert_eq!(site.register("s", BREAKING), Ok((3, 3)));
    assert_eq!(site.delete("s", Permanence::Soft), Ok(vec![3]));
    assert_eq!(site.delete("s", Permanence::Hard), Ok(vec![1, 2, 3]));
    assert_eq!(site.model.schema(1).unwrap_err().code(), 40403);
    assert_eq!(site.model.subjects("", Which::All), Vec::<String>::new());
}

#[test]
fn versions_are_deleted_one_by_one() {
    let mut site = Site::default();
    site.register("s", ONE).unwrap();
    site.register("s", MORE).unwrap();
    assert_eq!(site.delete_version("s", 3, Permanence::Soft), Err(40402));
    assert_eq!(site.delete_version("s", 1, Permanence::Hard), Err(40407));
    assert_eq!(site.delete_version("s", 1, Permanence::Soft), Ok(1));
    assert_eq!(site.delete_version("s", 1, Permanence::Soft), Err(40406));
    assert_eq!(site.model.versions("s", Which::Live).unwrap(), [2]);
    assert_eq!(site.model.versions("s", Which::Deleted).unwrap(), [1]);
    assert_eq!(site.delete_version("s", 1, Permanence::Hard), Ok(1));
    assert_eq!(site.model.version("s", At::Number(1), Which::All).unwrap_err().code(), 40402);
    assert_eq!(site.model.version("s", At::Latest, Which::Live).unwrap().id, 2);
    // The same schema comes again with the next version and a new id: the old one is gone for good.
    assert_eq!(site.register("s", ONE), Ok((3, 3)));
}

#[test]
fn an_id_never_comes_back_even_after_compaction() {
    let mut site = Site::default();
    site.register("s", ONE).unwrap();
    site.register("s", MORE).unwrap();
    site.delete("s", Permanence::Soft).unwrap();
    site.delete("s", Permanence::Hard).unwrap();
    let compacted = site.compacted();
    assert_eq!(site.register("s", EMPTY), Ok((3, 1)));
    assert_eq!(compacted.register("s", EMPTY.into()).unwrap().0.id, 3);
}

#[test]
fn compaction_changes_no_answer() {
    let mut site = Site::default();
    site.level(None, Level::Full);
    site.level(Some("s"), Level::None);
    site.register("s", ONE).unwrap();
    site.register("s", MORE).unwrap();
    site.register("t", MORE).unwrap();
    site.delete_version("s", 1, Permanence::Soft).unwrap();
    site.delete("t", Permanence::Soft).unwrap();
    site.register("t", ONE).unwrap();
    site.mode(Some("s"), Mode::ReadOnly, Force::No).unwrap();
    let compacted = site.compacted();
    for which in [Which::Live, Which::All, Which::Deleted] {
        assert_eq!(compacted.subjects("", which), site.model.subjects("", which));
        for subject in ["s", "t"] {
            assert_eq!(compacted.versions(subject, which), site.model.versions(subject, which), "{subject} {which:?}");
        }
    }
    assert_eq!((compacted.level("s"), compacted.level("t")), (Level::None, Level::Full));
    assert_eq!((compacted.mode("s"), compacted.mode("t")), (Mode::ReadOnly, Mode::ReadWrite));
}

#[test]
fn modes_forbid() {
    let mut site = Site::default();
    site.register("s", ONE).unwrap();
    site.mode(Some("s"), Mode::ReadOnly, Force::No).unwrap();
    // What is there already needs no writing.
    assert_eq!(site.register("s", ONE), Ok((1, 1)));
    assert_eq!(site.register("s", MORE), Err(42205));
    assert_eq!(site.delete("s", Permanence::Soft), Err(42205));
    site.mode(Some("s"), Mode::ReadWrite, Force::No).unwrap();
    assert_eq!(site.register("s", MORE), Ok((2, 2)));
    assert_eq!(site.import("s", EMPTY, 9, 9), Err(42205));
}

#[test]
fn import_keeps_ids_of_another_registry() {
    let mut site = Site::default();
    site.register("s", ONE).unwrap();
    assert_eq!(site.mode(Some("s"), Mode::Import, Force::No), Err(42205));
    assert_eq!(site.mode(Some("t"), Mode::Import, Force::No), Ok(()));
    assert_eq!(site.register("t", MORE), Err(42205));
    assert_eq!(site.import("t", BREAKING, 70, 3), Ok(70));
    assert_eq!(site.import("t", BREAKING, 70, 3), Ok(70));
    assert_eq!(site.import("t", MORE, 70, 4), Err(42205), "the id has another schema");
    assert_eq!(site.import("t", ONE, 71, 4), Err(42205), "the schema has another id");
    assert_eq!(site.import("t", MORE, 71, 3), Err(42205), "the version has another schema");
    assert_eq!(site.import("t", MORE, 0, 4), Err(42205));
    site.mode(Some("t"), Mode::ReadWrite, Force::No).unwrap();
    site.level(Some("t"), Level::None);
    assert_eq!(site.register("t", EMPTY), Ok((71, 4)));
}

#[test]
fn what_is_no_schema_subject_version_level_or_mode_is_told() {
    let mut site = Site::default();
    assert_eq!(site.register("s", "{"), Err(42201));
    assert_eq!(site.register("s", &format!(r#"{{"type":"string","doc":"{}"}}"#, "x".repeat(1 << 20))), Err(42201));
    for subject in ["", "a\nb", &"x".repeat(1_001)] {
        assert_eq!(site.register(subject, ONE), Err(42208), "{subject:?}");
    }
    for version in ["0", "-2", "x", "", "4294967296"] {
        assert_eq!(version.parse::<At>().unwrap_err().code(), 42202, "{version}");
    }
    assert_eq!("backward".parse::<Level>().unwrap_err().code(), 42203);
    assert_eq!("WRITE".parse::<Mode>().unwrap_err().code(), 42204);
    assert_eq!(site.register("s", ONE), Ok((1, 1)));
}

#[test]
fn an_id_cannot_have_two_schemas_nor_a_schema_two_ids() {
    let mut model = Model::default();
    let change = |id, version, schema: &str| Change::Schema {
        registered: Registered { subject: "s".to_owned(), version, id, schema: schema.to_owned() },
        deleted: false,
    };
    model.apply(change(1, 1, ONE)).unwrap();
    assert_eq!(model.apply(change(1, 2, MORE)).unwrap_err().to_string(), "id 1 is given to a second schema");
    assert_eq!(model.apply(change(2, 2, ONE)).unwrap_err().to_string(), "id 2 is given to a schema whose id is 1");
}
