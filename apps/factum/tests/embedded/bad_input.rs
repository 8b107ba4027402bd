//! Folders, disks and addresses that are wrong: each is told by its text, and
//! the next good input succeeds.

use crate::{
    books::finished,
    process::until,
    site::{BANK, Site},
};
use serde_json::json;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

const SEGMENT: &str = "00000000000000000001.segment";

/// A folder with one deposit of 5 cents, and its segment.
fn written() -> (Site, PathBuf) {
    let site = Site::new();
    assert_eq!(site.deposit("anna", 5), 1);
    let segment = site.log().join(SEGMENT);
    (site, segment)
}

/// The folder is as it was, and takes more.
fn works(site: &Site) {
    assert_eq!(site.deposit("anna", 7), 2);
    assert_eq!(site.run(&["state", BANK, "anna", "--json"]).json()["state"]["balance_cents"], 12);
}

/// Every verb on a folder that is refused.
fn refused(site: &Site, texts: &[&str]) {
    for verb in [&["up", "--until-idle"][..], &["state", BANK, "anna"], &["query", "balances"]] {
        site.run(verb).refused_with(texts);
    }
}

#[test]
fn a_folder_of_another_version_is_refused() {
    let (site, segment) = written();
    let good = fs::read(&segment).unwrap();
    let mut other = good.clone();
    other[8] = 2;
    let sum = crc32(&other[..12]);
    other[12..16].copy_from_slice(&sum.to_le_bytes());
    fs::write(&segment, other).unwrap();
    let text = format!(
        "error: factum-data/log/{SEGMENT} has format version 2 and this program reads 1: \
         start it with a program of that version, or name another data folder\n"
    );
    refused(&site, &[&text]);
    assert!(site.run(&["up", "--until-idle", "--no-sample", "--data", "other"]).ok);
    fs::write(&segment, good).unwrap();
    works(&site);
}

/// CRC-32 bit by bit, as its definition (ISO 3309) has it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

#[test]
fn a_flipped_byte_is_named_by_file_and_place() {
    let (site, segment) = written();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let begin = format!("error: factum-data/log/{SEGMENT} is damaged at byte ");
    refused(&site, &[&begin, "; restore the data folder from a copy\n"]);
    bytes[middle] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    works(&site);
}

#[test]
fn a_data_folder_that_is_a_file_is_refused() {
    let site = Site::new();
    fs::write(site.path("factum-data"), "notes").unwrap();
    refused(&site, &["factum-data"]);
    assert_eq!(fs::read_to_string(site.path("factum-data")).unwrap(), "notes");
    fs::remove_file(site.path("factum-data")).unwrap();
    assert_eq!(site.deposit("anna", 5), 1);
}

/// A small disk of its own, where the system lets this process mount one.
#[derive(Debug)]
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| SmallDisk(folder.to_owned()))
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let mounted = Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap();
        assert!(mounted.success(), "{options}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what still has a file open there goes with its process.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_read_only_folder_is_refused() {
    let site = Site::new();
    let folder = site.path("factum-data");
    // To root every folder is writable, but for one on a read-only disk.
    let disk = SmallDisk::mount(&folder, "16m");
    assert_eq!(site.deposit("anna", 5), 1);
    let modes = [(site.log().join("owner"), 0o644), (site.log().join(SEGMENT), 0o644), (site.log(), 0o755)];
    match &disk {
        Some(disk) => disk.remount("ro"),
        None => modes.iter().for_each(|(path, mode)| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o555)).unwrap();
        }),
    }
    if disk.is_none() && OpenOptions::new().write(true).open(site.log().join("owner")).is_ok() {
        eprintln!("not run: root without the right to mount; the log's own tests cover a read-only disk");
    } else {
        let text = "cannot write to factum-data/log/owner, make the data folder writable for this process: ";
        refused(&site, &[text]);
    }
    match &disk {
        Some(disk) => disk.remount("rw"),
        None => modes.iter().for_each(|(path, mode)| {
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).unwrap();
        }),
    }
    works(&site);
}

#[test]
fn a_full_disk_is_told_and_the_same_process_goes_on_when_there_is_room() {
    let site = Site::new();
    let folder = site.path("factum-data");
    let Some(_disk) = SmallDisk::mount(&folder, "4m") else {
        eprintln!("not run: no disk can be mounted; the log's own tests cover a full disk that is simulated");
        return;
    };
    let mut up = site.serve();
    assert_eq!(site.deposit("anna", 5), 1);
    let filler = folder.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let full = (0..).find_map(|_| file.write_all(&[0; 512]).err()).unwrap();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    drop(file);
    let text = format!("cannot write to factum-data/log/{SEGMENT}, make room on the data folder's disk: ");
    // What is left of the last block of the log's file is used up by some commands, and
    // the first that finds it full waits for the handler, which then cannot write.
    let id = "3f0a4a34-6f3c-4c31-a6d5-3d6f2a1c9b10";
    let command = ["publish", BANK, "bert", "Deposit", r#"{"cents": 7}"#, "--timeout", "1"];
    let told = until("the log notices", || {
        let ran = site.run(&command);
        ran.stderr.contains(&text).then_some(ran)
    });
    told.refused_with(&["No space left on device"]);
    up.process.says(&text, 1);
    assert!(up.process.is_running(), "{}", up.process.stderr());
    fs::remove_file(&filler).unwrap();
    let again = [&command[..6], &["30", "--command-id", id, "--json"]].concat();
    let version = until("there is room", || {
        let ran = site.run(&again);
        ran.ok.then(|| ran.json()["version"].as_u64().unwrap())
    });
    up.process.stop();
    // What was not acknowledged may count, and comes before what was.
    let state = site.run(&["state", BANK, "bert", "--json"]).json();
    assert_eq!((&state["version"], &state["state"]["balance_cents"]), (&json!(version), &json!(7 * version)));
    works(&site);
}

#[test]
fn a_second_up_is_told_who_has_the_folder() {
    let site = Site::new();
    let mut up = site.serve();
    let text = format!(
        "error: the data folder factum-data belongs to process {}, which serves http://{}: \
         stop that one, or name another folder\n",
        site.owner()["pid"],
        up.address
    );
    for second in [&["up", "--until-idle"][..], &["up", "--http", "127.0.0.1:0"], &["bench", "latency"]] {
        site.run(second).refused_with(&[&text]);
    }
    assert_eq!(site.deposit("anna", 5), 1);
    assert!(site.run(&["up", "--until-idle", "--no-sample", "--data", "other"]).ok);
    up.process.stop();
    works(&site);
}

#[test]
fn a_process_that_serves_nobody_is_waited_for_and_then_named() {
    let site = Site::new();
    let long = site.deposits("long", (0..20_000).map(|row| (format!("a-{}", row % 500), "1".to_owned())));
    let long: Vec<&str> = long.iter().map(String::as_str).collect();
    let mut import = site.start(&[&["publish", BANK], &long[..]].concat());
    let owner =
        until("the import has the log", || fs::read(site.log().join("owner")).ok().filter(|text| !text.is_empty()));
    let owner: serde_json::Value = serde_json::from_slice(&owner).unwrap();
    import.signal("STOP");
    let text =
        format!("process {} holds the log in factum-data and serves nobody; try again when it has ended", owner["pid"]);
    site.run(&["state", BANK, "a-1"]).refused_with(&[&text]);
    import.signal("CONT");
    // Answered once the import has ended.
    assert_eq!(site.run(&["state", BANK, "a-1", "--json"]).json()["state"]["balance_cents"], 40);
    assert!(import.finish().success());
    assert_eq!(site.deposit("anna", 5), 1);
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_takes_another() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = format!("error: {address} is in use; choose another with --http\n");
    site.run(&["up", "--no-sample", "--http", &address]).refused_with(&[&text]);
    site.run(&["up", "--http", "127.0.0.1:one"])
        .refused_with(&["invalid value '127.0.0.1:one' for '--http <ADDRESS:PORT>'"]);
    let mut up = site.serve();
    assert_eq!(site.deposit("anna", 5), 1);
    up.process.stop();
    drop(taken);
    let (_, balances) = finished(&site, &["--no-sample"]);
    assert_eq!(balances, [("anna".to_owned(), (5, 1))].into());
}
