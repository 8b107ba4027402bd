//! Bad disks and folders: each is told by name, and the next good one works.

#![allow(clippy::unwrap_used)] // helpers of tests unwrap as tests do

mod support;

use factum_core::ErrorKind;
use factum_core::log::{Log, TxnError};
use factum_log_embedded::{EmbeddedConfig, EmbeddedLog, Owner, owner};
use std::fs;
use std::net::SocketAddr;
use support::*;

/// A disk with a log of several segments, and the names of these.
fn written() -> (SimDisk, Vec<String>) {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    create_topic(&log, &[]).unwrap();
    for number in 0..20 {
        produce(&log, &format!("value {number:020}")).unwrap();
    }
    drop(log);
    let names = disk.names();
    assert!(names.len() > 2, "{names:?}");
    (disk, names)
}

#[test]
fn a_folder_of_another_format_is_refused() {
    let (disk, names) = written();
    let good = disk.contents(&names[1]);
    disk.edit(&names[1], |bytes| {
        bytes[8] = 2;
        let sum = crc32(&bytes[..12]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    });
    let error = open(&disk).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.to_string(),
        format!(
            "log/{} has format version 2 and this program reads 1: \
             start it with a program of that version, or name another data folder",
            names[1]
        )
    );
    disk.edit(&names[1], |bytes| *bytes = good);
    produce(&open(&disk).unwrap(), "good again").unwrap();
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
fn a_flipped_byte_is_found_wherever_it_is() {
    let (disk, names) = written();
    let before = values(&open(&disk).unwrap(), 0);
    for name in &names {
        let good = disk.contents(name);
        // The frame behind the last one (20 bytes) holds nothing.
        let frames_end = if name == names.last().unwrap() { good.len() - 20 } else { good.len() };
        for at in 0..frames_end {
            disk.edit(name, |bytes| bytes[at] ^= 0x40);
            let error = open(&disk).expect_err(&format!("{name}, byte {at}"));
            assert_eq!(error.kind(), ErrorKind::Data, "{name}, byte {at}: {error}");
            let text = error.to_string();
            let told: usize = text
                .strip_prefix(&format!("log/{name} is damaged at byte "))
                .and_then(|rest| rest.split(':').next())
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("{name}, byte {at}: {text}"));
            assert!(told <= at && text.ends_with("; restore the data folder from a copy"), "byte {at}: {text}");
            disk.edit(name, |bytes| bytes[at] ^= 0x40);
        }
    }
    let log = open(&disk).unwrap();
    assert_eq!(values(&log, 0), before);
    produce(&log, "good again").unwrap();
}

#[test]
fn a_flipped_byte_in_a_checkpoint_is_found() {
    let (disk, _) = written();
    open(&disk).unwrap().reclaim().unwrap();
    let name = disk.names().into_iter().find(|name| name.ends_with(".checkpoint")).unwrap();
    for at in 0..disk.contents(&name).len() {
        disk.edit(&name, |bytes| bytes[at] ^= 1);
        let error = open(&disk).expect_err(&format!("byte {at}"));
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.to_string().starts_with(&format!("log/{name} is ")), "{error}");
        disk.edit(&name, |bytes| bytes[at] ^= 1);
    }
    produce(&open(&disk).unwrap(), "good again").unwrap();
}

#[test]
fn a_missing_segment_is_named() {
    let (disk, names) = written();
    let copy = disk.after_kill();
    factum_log_embedded::disk::Disk::remove(&copy, &names[1]).unwrap();
    let error = open(&copy).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    let expected =
        format!("log/{} is missing, and {} comes after it; restore the data folder from a copy", names[1], names[2]);
    assert_eq!(error.to_string(), expected);
    produce(&open(&disk).unwrap(), "good again").unwrap();
}

#[test]
fn a_full_disk_is_told_and_the_log_goes_on_when_there_is_room() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    create_topic(&log, &[]).unwrap();
    let mut producer = transactional(&log, "p");
    producer.init().unwrap();
    // Rooms of all sizes: nothing fits, a part of the frame, a new file's head and no more.
    for room in [0, 1, 19, 20, 40] {
        let (before, used) = (values(&log, 0), disk.used());
        producer.begin().unwrap();
        producer.produce(&batch(&[(0, format!("txn {room}")), (1, format!("txn {room}"))])).unwrap();
        disk.limit(Some(used + room));
        // Other writers run into it first and take the transaction's frame with them.
        let error = produce(&log, &format!("plain {room}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let text = error.to_string();
        assert!(text.contains("log/") && text.contains("make room on the data folder's disk: "), "{text}");
        // A commit that is not begun can be repeated.
        let Err(TxnError::Retry(error)) = producer.commit() else { panic!("the commit is to be repeated") };
        assert!(error.to_string().contains("make room"), "{error}");
        let error = create_topic(&log, &[]).unwrap_err();
        assert!(error.to_string().contains("make room"), "{error}");
        // What is on the disk opens, and is what was acknowledged.
        assert_eq!(values(&open(&disk.after_kill()).unwrap(), 0), before);
        disk.limit(None);
        assert_eq!(values(&open(&disk.after_power_cut(&mut Chance(7))).unwrap(), 0), before);
        producer.commit().unwrap();
        let expected: Vec<String> =
            before.into_iter().chain([format!("txn {room}"), format!("plain {room}")]).collect();
        assert_eq!(values(&log, 0), expected);
        assert_eq!(values(&open(&disk.after_power_cut(&mut Chance(8))).unwrap(), 0), expected);
    }
}

#[test]
fn a_commit_that_meets_a_full_disk_is_whole_or_not_there() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    create_topic(&log, &[]).unwrap();
    let mut producer = transactional(&log, "p");
    producer.init().unwrap();
    producer.begin().unwrap();
    producer.produce(&batch(&[(0, "txn".to_owned()), (1, "txn".to_owned())])).unwrap();
    disk.limit(Some(disk.used() + 30));
    let Err(TxnError::Fatal(error)) = producer.commit() else { panic!("nobody knows whether it counts") };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().starts_with("the commit of p may yet become durable: cannot write to log/"), "{error}");
    assert!(values(&open_with_room(&disk), 0).is_empty());
    disk.limit(None);
    let mut next = transactional(&log, "p");
    next.init().unwrap();
    next.begin().unwrap();
    next.produce(&batch(&[(0, "next".to_owned())])).unwrap();
    next.commit().unwrap();
    assert_eq!((values(&log, 0), values(&log, 1)), (vec!["txn".to_owned(), "next".to_owned()], vec!["txn".to_owned()]));
}

/// What a process that starts now, somewhere with room, finds.
fn open_with_room(disk: &SimDisk) -> EmbeddedLog {
    open(&disk.after_power_cut(&mut Chance(3))).unwrap()
}

#[test]
fn after_a_failed_sync_nothing_is_written_until_the_log_is_opened_again() {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    create_topic(&log, &[]).unwrap();
    produce(&log, "durable").unwrap();
    disk.fail_next_sync();
    let expected = "the log takes no more writes until its process is started again: \
                    cannot sync log/00000000000000000002.segment: input/output error";
    let error = produce(&log, "unclear").unwrap_err();
    assert_eq!(error.to_string(), format!("the record may yet become durable: {expected}"));
    for _ in 0..3 {
        let error = produce(&log, "refused").unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Unavailable, expected));
    }
    let error = create_topic(&log, &[]).unwrap_err();
    assert_eq!(error.to_string(), expected);
    drop(log);
    let log = open(&disk.after_power_cut(&mut Chance(5))).unwrap();
    assert_eq!(values(&log, 0)[0], "durable");
    produce(&log, "good again").unwrap();
}

#[test]
fn a_read_only_disk_is_told() {
    let disk = SimDisk::default();
    disk.set_read_only(true);
    let log = open(&disk).unwrap();
    let error = create_topic(&log, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = error.to_string();
    let expected = "cannot create log/00000000000000000001.segment, make the data folder writable for this process: ";
    assert!(text.starts_with(expected), "{text}");
    disk.set_read_only(false);
    create_topic(&log, &[]).unwrap();
    produce(&log, "good again").unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::write(&data, "a file where the folder belongs").unwrap();
    let error = EmbeddedLog::open(&data, EmbeddedConfig::default()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot create {}: ", data.join("log").display())), "{error}");
    fs::remove_file(&data).unwrap();
    create_topic(&EmbeddedLog::open(&data, EmbeddedConfig::default()).unwrap(), &[]).unwrap();
}

#[cfg(unix)]
#[test]
fn a_folder_without_the_right_to_write_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("log");
    fs::create_dir(&files).unwrap();
    fs::set_permissions(&files, fs::Permissions::from_mode(0o555)).unwrap();
    // To root no folder is read-only.
    let root = fs::write(files.join("probe"), "").is_ok();
    let opened = EmbeddedLog::open(folder.path(), EmbeddedConfig::default());
    if root {
        drop(opened.unwrap());
    } else {
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let expected = format!(
            "cannot write to {}, make the data folder writable for this process: ",
            files.join("owner").display()
        );
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    fs::set_permissions(&files, fs::Permissions::from_mode(0o755)).unwrap();
    create_topic(&EmbeddedLog::open(folder.path(), EmbeddedConfig::default()).unwrap(), &[]).unwrap();
}

#[test]
fn a_second_owner_is_told_who_the_first_is() {
    let folder = tempfile::tempdir().unwrap();
    let pid = std::process::id();
    assert_eq!(owner(folder.path()).unwrap(), None);
    let log = EmbeddedLog::open(folder.path(), EmbeddedConfig::default()).unwrap();
    assert_eq!(owner(folder.path()).unwrap(), Some(Owner { pid, http: None }));
    let refused = |who: &str| {
        let error = EmbeddedLog::open(folder.path(), EmbeddedConfig::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced);
        let path = folder.path().display();
        let expected = format!("the data folder {path} belongs to {who}: stop that one, or name another folder");
        assert_eq!(error.to_string(), expected);
    };
    refused(&format!("process {pid}"));
    let http: SocketAddr = "127.0.0.1:8710".parse().unwrap();
    log.announce(http).unwrap();
    assert_eq!(owner(folder.path()).unwrap(), Some(Owner { pid, http: Some(http) }));
    refused(&format!("process {pid}, which serves http://127.0.0.1:8710"));

    create_topic(&log, &[]).unwrap();
    let producer = log.producer().unwrap();
    drop(log);
    refused(&format!("process {pid}, which serves http://127.0.0.1:8710"));
    drop(producer);
    assert_eq!(owner(folder.path()).unwrap(), None, "the last client is gone");
    let log = EmbeddedLog::open(folder.path(), EmbeddedConfig::default()).unwrap();
    produce(&log, "good again").unwrap();
    assert_eq!(owner(folder.path()).unwrap(), Some(Owner { pid, http: None }));
}
