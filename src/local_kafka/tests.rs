use super::*;
use std::cell::Cell;
use tempfile::TempDir;

fn cluster(way: Way) -> Cluster {
    Cluster { way, brokers: 1, port: PORT }
}

fn wish(way: Option<Way>) -> Wishes {
    Wishes { way, ..Wishes::default() }
}

fn absent() -> Result<(), String> {
    Err("no Docker engine answers".to_owned())
}

#[test]
fn containers_come_first_and_jvms_where_there_are_none() {
    assert_eq!(planned(None, wish(None), || Ok(())).unwrap(), cluster(Way::Docker));
    assert_eq!(planned(None, wish(None), absent).unwrap(), cluster(Way::Jvm));
    assert_eq!(planned(None, wish(Some(Way::Docker)), || Ok(())).unwrap(), cluster(Way::Docker));
    let told = planned(None, wish(Some(Way::Docker)), absent).unwrap_err().to_string();
    assert_eq!(told, "no Docker engine answers; --with jvm does without");
}

#[test]
fn docker_is_not_asked_where_it_does_not_decide() {
    let asked = Cell::new(false);
    let ask = || {
        asked.set(true);
        Ok(())
    };
    assert_eq!(planned(None, wish(Some(Way::Jvm)), ask).unwrap(), cluster(Way::Jvm));
    assert_eq!(planned(Some(&cluster(Way::Jvm)), wish(None), ask).unwrap(), cluster(Way::Jvm));
    assert!(!asked.get());
}

#[test]
fn data_are_used_as_they_were_made() {
    let before = Cluster { way: Way::Jvm, brokers: 3, port: 9192 };
    let wishes = [
        (Wishes { brokers: Some(1), ..Wishes::default() }, "has --brokers 3, not 1"),
        (Wishes { port: Some(1), ..Wishes::default() }, "has --port 9192, not 1"),
        (wish(Some(Way::Docker)), "has --with jvm, not docker"),
    ];
    for (wishes, text) in wishes {
        let told = planned(Some(&before), wishes, || Ok(())).unwrap_err().to_string();
        assert!(told.contains(text) && told.contains("--delete-data"), "{told}");
    }
    let same = Wishes { brokers: Some(3), port: Some(9192), way: Some(Way::Jvm) };
    assert_eq!(planned(Some(&before), same, absent).unwrap(), before);
    assert_eq!(before.bootstrap(), "127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194");
}

#[test]
fn numbers_out_of_range_are_refused() {
    for wishes in [
        Wishes { brokers: Some(0), ..Wishes::default() },
        Wishes { brokers: Some(10), ..Wishes::default() },
        Wishes { port: Some(0), ..Wishes::default() },
        Wishes { port: Some(65_535), ..Wishes::default() },
    ] {
        assert!(planned(None, wishes, absent).is_err(), "{wishes:?}");
    }
}

#[test]
fn a_port_that_is_taken_and_a_folder_with_other_things_are_told() {
    let folder = TempDir::new().unwrap();
    let kafka = LocalKafka::in_folder(Some(folder.path().to_owned())).unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let start = || kafka.start(Wishes { port: Some(port), way: Some(Way::Jvm), brokers: None }, |_| {}).unwrap_err();
    assert!(start().to_string().contains(&format!("port {port} is taken")), "{}", start());
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    assert!(start().to_string().contains("holds other things"), "{}", start());
}

#[test]
fn one_that_was_never_started_is_told_with_the_command_that_starts_it() {
    let folder = TempDir::new().unwrap();
    let kafka = LocalKafka::in_folder(Some(folder.path().join("none"))).unwrap();
    let told = kafka.running().unwrap_err().to_string();
    assert!(told.contains("was never started: `factum kafka start`"), "{told}");
    assert_eq!(kafka.stop().unwrap(), None);
}

#[test]
fn the_script_has_the_version_of_the_image() {
    let script = include_str!("../../deploy/kafka/kafka.sh");
    assert!(script.contains(&format!("\nVERSION={VERSION}\n")));
}
