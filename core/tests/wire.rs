//! The bytes of headers, keys and records, as `docs/wire.md` fixes them. What
//! is written here in hex was written by earlier versions and is read for ever.

#![allow(clippy::unwrap_used)] // a failed assumption fails the test

use factum_core::{
    CommandId, EventId, Fingerprint, Offset, Partition, RecordBatch, TimestampMs, Topic, TopicId, Version,
    handler::window::{Entry, EntryOutcome, Window},
    wire::{
        AnswerCode, Begun, CommandHeaders, Convicted, EVENT_HEADER, EventHeader, MAX_SOURCE_BYTES, Progress,
        SnapshotHead, SnapshotKey, Token, TraceContext,
    },
};

const EVENT: &str = "01 02 0000000000000003 11111111111111111111111111111111 0000000000000400 00000001 00000002 \
                     00000199b4f3c6a0 22222222222222222222222222222222 62616e6b2f302f312e30";
const EVENT_WITH_TRACE: &str = "01 03 0000000000000003 11111111111111111111111111111111 0000000000000400 00000001 \
                                00000002 00000199b4f3c6a0 22222222222222222222222222222222 \
                                0af7651916cd43dd8448eb211c80319c b7ad6b7169203331 01 62616e6b2f302f312e30";
const EVENT_ALONE: &str = "01 00 0000000000000003 11111111111111111111111111111111 0000000000000400 00000001 00000002 \
                           00000199b4f3c6a0 62616e6b2f302f312e30";
const HEAD: &str = "01 0000000000000003 0000000000000401 0003 \
                    11111111111111111111111111111111 0000000000000003 00 00000002 0000000000000401 \
                    22222222222222222222222222222222 0000000000000003 00 00000001 ffffffffffffffff \
                    33333333333333333333333333333333 0000000000000003 01 00000006 226e6f7022f0";
const PROGRESS: &str = "01 0000000000000402 0000000000000007 0000000000000001 00000199b4f3c6a0 \
                        c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0 e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn with_header(name: &str, value: &[u8]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&Topic::from("bank.account.events"), Partition(0));
    record.header(name, value);
    record.finish();
    batch
}

const TRACE: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn event(trace: Option<TraceContext>) -> EventHeader<'static> {
    EventHeader {
        version: Version(3),
        command: CommandId([0x11; 16]),
        command_offset: Offset(1024),
        index: 1,
        size: 2,
        occurred: TimestampMs(0x0199_b4f3_c6a0),
        correlation: CommandId([0x22; 16]),
        cause: None,
        trace,
        source: "bank/0/1.0",
    }
}

fn written(header: &EventHeader<'_>) -> Vec<u8> {
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&Topic::from("bank.account.events"), Partition(0));
    header.write(&mut record);
    record.finish();
    batch.get(0).header(EVENT_HEADER).unwrap().to_vec()
}

#[test]
fn an_events_header() {
    let trace = TraceContext::parse(TRACE);
    assert!(trace.is_some());
    assert_eq!(EVENT_HEADER, "factum");
    for (hex, trace) in [(EVENT, None), (EVENT_WITH_TRACE, trace)] {
        assert_eq!(written(&event(trace)), bytes(hex));
        let batch = with_header(EVENT_HEADER, &bytes(hex));
        assert_eq!(EventHeader::read(batch.get(0)).unwrap(), event(trace));
    }
}

#[test]
fn a_correlation_id_that_is_the_command_id_is_not_written() {
    let alone = EventHeader { correlation: CommandId([0x11; 16]), ..event(None) };
    assert_eq!(written(&alone), bytes(EVENT_ALONE));
    let batch = with_header(EVENT_HEADER, &bytes(EVENT_ALONE));
    assert_eq!(EventHeader::read(batch.get(0)).unwrap(), alone);
}

#[test]
fn the_event_that_caused_the_command_is_in_the_header_of_its_events() {
    let cause = EventId { command: CommandId([0x33; 16]), index: 7 };
    let caused = EventHeader { cause: Some(cause), ..event(TraceContext::parse(TRACE)) };
    let bytes = written(&caused);
    let batch = with_header(EVENT_HEADER, &bytes);
    assert_eq!(EventHeader::read(batch.get(0)).unwrap(), caused);
    assert_eq!(bytes[1], 7);
    assert_eq!(cause.to_string().parse::<EventId>().unwrap(), cause);
    for wrong in ["", "7", &CommandId([3; 16]).to_string(), &format!("{}/+1", CommandId([3; 16]))] {
        assert!(EventId::parse(wrong.as_bytes()).is_none(), "{wrong}");
    }
}

#[test]
fn a_source_that_is_too_long_is_cut_between_characters() {
    for (source, len) in [("x".repeat(200), MAX_SOURCE_BYTES), (format!("x{}", "é".repeat(100)), MAX_SOURCE_BYTES - 1)]
    {
        let header = EventHeader { source: &source, ..event(None) };
        let batch = with_header(EVENT_HEADER, &written(&header));
        assert_eq!(EventHeader::read(batch.get(0)).unwrap().source, &source[..len]);
    }
}

#[test]
fn an_events_header_that_says_the_impossible_is_refused() {
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes(EVENT);
        change(&mut bytes);
        EventHeader::read(with_header(EVENT_HEADER, &bytes).get(0)).is_err()
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|b| b[0] = 2), "another layout");
    assert!(refused(&|b| b[1] = 8), "an unknown flag");
    assert!(refused(&|b| b[1] = 3), "a trace that is not there");
    assert!(refused(&|b| b[2..10].fill(0)), "version 0");
    assert!(refused(&|b| b[37] = 2), "an index beyond the batch");
    assert!(refused(&|b| b[26] = 0x80), "a negative offset");
    assert!(refused(&|b| b.push(0xff)), "a source that is no text");
    assert!(refused(&|b| b.extend([b'x'; 128])), "a source that is too long");
    assert!(EventHeader::read(with_header("other", b"").get(0)).is_err());
}

#[test]
fn what_was_begun_is_read_as_it_was_written() {
    let begun = Begun { command: Offset(7), tries: 2, commands_id: TopicId([0xc0; 16]) };
    let mut written = Vec::new();
    begun.write(&mut written);
    assert_eq!(written, bytes("01 0000000000000007 00000002 c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0"));
    assert_eq!(Begun::read(&written), Some(begun));
    assert_eq!(Begun::read(&written[..28]), None);
    written.push(0);
    assert_eq!(Begun::read(&written), None);
}

#[test]
fn commands_that_ended_the_process_are_read_as_they_were_written_and_the_oldest_is_forgotten() {
    let id = |number: usize| CommandId([u8::try_from(number).unwrap(); 16]);
    let mut convicted = Convicted::default();
    (0..=Convicted::LIMIT).chain([Convicted::LIMIT]).for_each(|number| convicted.insert(id(number)));
    assert!(!convicted.contains(id(0)) && convicted.contains(id(1)) && convicted.contains(id(Convicted::LIMIT)));
    let mut written = Vec::new();
    convicted.write(&mut written);
    assert_eq!(written.len(), 1 + 16 * Convicted::LIMIT);
    assert_eq!(Convicted::read(&written), Some(convicted));
    assert_eq!(Convicted::read(&written[..2]), None, "half an id");
    assert_eq!(Convicted::read(&[2]), None, "another layout");
    written.extend([7; 16]);
    assert_eq!(Convicted::read(&written), None, "more than the limit");
}

#[test]
fn the_keys_of_the_snapshots_topic() {
    let print = Fingerprint([0xab; 8]);
    let keys = [
        (SnapshotKey::Snapshot(print, b"A-1"), "01 01 abababababababab 412d31"),
        (SnapshotKey::Marker(print), "02 01 abababababababab"),
        (SnapshotKey::Position, "03 01"),
        (SnapshotKey::Window(b"A-1"), "04 01 412d31"),
        (SnapshotKey::Begun, "05 01"),
        (SnapshotKey::Convicted, "06 01"),
        (SnapshotKey::Prepared(print, b"A-1"), "07 01 abababababababab 412d31"),
        (SnapshotKey::PreparedMarker(print), "08 01 abababababababab"),
    ];
    for (key, hex) in keys {
        let mut found = Vec::new();
        key.write(&mut found);
        assert_eq!(found, bytes(hex));
        assert_eq!(SnapshotKey::read(&bytes(hex)), Some(key));
    }
    for unknown in [
        "",
        "01",
        "09 01",
        "07 01 ababababababab",
        "08 01 abababababababab 00",
        "05 01 00",
        "05 02",
        "01 02 abababababababab 41",
        "02 01 ab",
        "02 01 abababababababab 00",
        "03 01 00",
    ] {
        assert_eq!(SnapshotKey::read(&bytes(unknown)), None, "{unknown}");
    }
}

fn head() -> SnapshotHead {
    let mut window = Window::new(64);
    let accepted = |events, last_event| EntryOutcome::Accepted { events, last_event };
    let mut push = |id, outcome| {
        window.push(Entry { command: CommandId([id; 16]), version: Version(3), outcome });
    };
    push(0x11, accepted(2, Some(Offset(1025))));
    push(0x22, accepted(1, None));
    push(0x33, EntryOutcome::Refused("\"nop\"".into()));
    SnapshotHead { version: Version(3), last_event: Some(Offset(1025)), window }
}

#[test]
fn a_snapshots_head() {
    // The refusal here has 5 bytes; what follows the head is the state.
    let hex = HEAD.replace("00000006 226e6f7022f0", "00000005 226e6f7022");
    let mut found = Vec::new();
    let SnapshotHead { version, last_event, window } = &head();
    SnapshotHead::write(*version, *last_event, window, &mut found);
    assert_eq!(found, bytes(&hex));
    found.extend_from_slice(b"state");
    assert_eq!(SnapshotHead::read(&found, 64), Some((head(), &b"state"[..])));
    // A smaller window keeps the newest.
    let (smaller, _) = SnapshotHead::read(&found, 1).unwrap();
    assert_eq!(smaller.window.iter().map(|entry| entry.command.0[0]).collect::<Vec<_>>(), [0x33]);
    assert_eq!(SnapshotHead::read(&bytes(HEAD), 64), None, "a refusal that is not UTF-8");
}

#[test]
fn a_marker_and_a_position() {
    let progress = Progress {
        events: Offset(1026),
        next_command: Offset(7),
        floor: Offset(1),
        clock: TimestampMs(0x0199_b4f3_c6a0),
        commands_id: TopicId([0xc0; 16]),
        events_id: TopicId([0xe0; 16]),
    };
    let mut found = Vec::new();
    progress.write(&mut found);
    assert_eq!((found.len(), &found), (Progress::BYTES, &bytes(PROGRESS)));
    assert_eq!(Progress::read(&found), Some(progress));
    found.push(0);
    assert_eq!(Progress::read(&found), None);
}

#[test]
fn a_token_as_text() {
    let id = "c0c0c0c0-c0c0-c0c0-c0c0-c0c0c0c0c0c0";
    let long = format!("bank.account.events/3@1024#{id}");
    for text in ["bank.account.events/3@1024", &long] {
        let token: Token = text.parse().unwrap();
        assert_eq!((token.place.partition, token.offset), (Partition(3), Offset(1024)));
        assert_eq!(token.topic_id.is_some(), text == long);
        assert_eq!(token.to_string(), text);
    }
    for wrong in [
        "",
        "x",
        "x/1",
        "x@1",
        "/1@1",
        "x/1@-1",
        "x/-1@1",
        "x/1@1#",
        "x/1@1#2",
        "x/y@1",
        "x/1@",
        "x/1@9223372036854775808",
    ] {
        assert!(wrong.parse::<Token>().is_err(), "{wrong:?}");
    }
}

#[test]
fn a_commands_headers() {
    let mut batch = RecordBatch::new();
    let mut record = batch.start(&Topic::from("c"), Partition(0));
    for (name, value) in [
        ("ce_id", "11111111-1111-1111-1111-111111111111"),
        ("ce_time", "2025-10-05T12:00:00.123+02:00"),
        ("reply-to", "3"),
        ("expected-version", "18446744073709551615"),
        ("deadline", "2025-10-05T10:00:01Z"),
        ("correlation-id", "22222222-2222-2222-2222-22222222222A"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
        ("ce_type", "bank.account.Deposit"),
        ("reply-to", "4"),
    ] {
        record.header(name, value.as_bytes());
    }
    record.finish();
    let headers = CommandHeaders::read(batch.get(0)).unwrap();
    let mut correlation = [0x22; 16];
    correlation[15] = 0x2a;
    assert_eq!(headers.id, Some(CommandId([0x11; 16])));
    assert_eq!(headers.time, Some(TimestampMs(1_759_658_400_123)));
    assert_eq!(headers.reply_to, Some(4), "of two with one name the last counts");
    assert_eq!(headers.expected_version, Some(Version(u64::MAX)));
    assert_eq!(headers.deadline, Some(TimestampMs(1_759_658_401_000)));
    assert_eq!(headers.correlation, Some(CommandId(correlation)));
    assert_eq!(headers.trace.map(|trace| trace.flags), Some(0));
    assert_eq!(CommandHeaders::read(with_header("x", b"").get(0)).unwrap(), CommandHeaders::default());
}

#[test]
fn a_commands_source_is_told_where_it_is_a_text_of_a_bounded_length() {
    let source = |value: &[u8]| {
        let batch = with_header("ce_source", value);
        CommandHeaders::source(batch.get(0)).map(str::to_owned)
    };
    assert_eq!(source("käse/1/0.1.0".as_bytes()).as_deref(), Some("käse/1/0.1.0"));
    assert_eq!(source(&[b'x'; 128]).map(|source| source.len()), Some(128));
    for wrong in [&b""[..], b"\xff", &[b'x'; 129]] {
        assert_eq!(source(wrong), None, "{wrong:?}");
    }
    assert_eq!(CommandHeaders::source(with_header("ce_id", b"x").get(0)), None);
    // It is no reason to refuse a command.
    assert_eq!(CommandHeaders::read(with_header("ce_source", b"\xff").get(0)).unwrap(), CommandHeaders::default());
}

#[test]
fn a_commands_header_that_is_not_valid_is_named() {
    let cases: [(&str, &[u8], &str); 12] = [
        ("ce_id", b"1", "header ce_id is not valid: \"1\" is not a UUID"),
        ("ce_id", b"", "header ce_id is not valid: \"\" is not a UUID"),
        ("correlation-id", b"\xff", "header correlation-id is not valid: \"\u{fffd}\" is not a UUID"),
        ("ce_time", b"yesterday", "header ce_time is not valid: \"yesterday\" is not an RFC 3339 time"),
        ("deadline", b"1700000000", "header deadline is not valid: \"1700000000\" is not an RFC 3339 time"),
        ("reply-to", b"-1", "header reply-to is not valid: \"-1\" is not a decimal number"),
        ("reply-to", b"+1", "header reply-to is not valid: \"+1\" is not a decimal number"),
        ("reply-to", b"4294967296", "header reply-to is not valid: \"4294967296\" is not a decimal number"),
        ("expected-version", b"1.0", "header expected-version is not valid: \"1.0\" is not a decimal number"),
        ("expected-version", b" 1", "header expected-version is not valid: \" 1\" is not a decimal number"),
        ("expected-version", b"0x1", "header expected-version is not valid: \"0x1\" is not a decimal number"),
        ("expected-version", b"\x00\x00\x00\x01", "is not a decimal number"),
    ];
    for (name, value, expected) in cases {
        let wrong = CommandHeaders::read(with_header(name, value).get(0)).unwrap_err();
        assert!(wrong.0.contains(expected), "{}", wrong.0);
    }
    let long = CommandHeaders::read(with_header("ce_id", &[b'x'; 5_000]).get(0)).unwrap_err();
    assert!(long.0.len() < 200, "a long value is not repeated whole");
}

#[test]
fn a_trace_context_that_is_not_well_formed_is_passed_over() {
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(TraceContext::parse(good.as_bytes()).unwrap().to_string(), good);
    for wrong in [
        "",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
    ] {
        assert_eq!(TraceContext::parse(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn an_answer_code_as_text() {
    let codes = [
        (AnswerCode::Accepted, "accepted"),
        (AnswerCode::Refused, "refused"),
        (AnswerCode::Conflict, "conflict"),
        (AnswerCode::Forbidden, "forbidden"),
        (AnswerCode::DeadlineExceeded, "deadline-exceeded"),
        (AnswerCode::AlreadyHandled, "already-handled"),
        (AnswerCode::WrongPartition, "wrong-partition"),
        (AnswerCode::InvalidKey, "invalid-key"),
        (AnswerCode::InvalidHeader, "invalid-header"),
        (AnswerCode::Undecodable, "undecodable"),
        (AnswerCode::Failed, "failed"),
    ];
    for (code, text) in codes {
        assert_eq!((code.to_string(), text.parse::<AnswerCode>().unwrap()), (text.to_owned(), code));
    }
    assert!("Accepted".parse::<AnswerCode>().is_err());
}

/// A small generator (xorshift), so that a failure is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}

fn read_everything(bytes: &[u8]) {
    let batch = with_header(EVENT_HEADER, bytes);
    EventHeader::read(batch.get(0)).map(|_| ()).unwrap_or_default();
    SnapshotKey::read(bytes);
    SnapshotHead::read(bytes, 64);
    Progress::read(bytes);
    Begun::read(bytes);
    TraceContext::parse(bytes);
    CommandId::parse(bytes);
    for name in ["ce_id", "ce_time", "reply-to", "expected-version", "deadline", "correlation-id", "traceparent"] {
        CommandHeaders::read(with_header(name, bytes).get(0)).map(|_| ()).unwrap_or_default();
    }
    String::from_utf8_lossy(bytes).parse::<Token>().map(|_| ()).unwrap_or_default();
}

#[test]
fn bytes_that_are_cut_off_are_refused() {
    let event = bytes(EVENT);
    for len in 0..66 {
        assert!(EventHeader::read(with_header(EVENT_HEADER, &event[..len]).get(0)).is_err(), "{len} bytes");
    }
    let head = bytes(&HEAD.replace("00000006 226e6f7022f0", "00000005 226e6f7022"));
    (0..head.len()).for_each(|len| assert_eq!(SnapshotHead::read(&head[..len], 64), None, "{len} bytes"));
    let progress = bytes(PROGRESS);
    (0..progress.len()).for_each(|len| assert_eq!(Progress::read(&progress[..len]), None, "{len} bytes"));
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let mut dice = Dice(0x5eed);
    let seeds: Vec<Vec<u8>> = [EVENT, EVENT_WITH_TRACE, HEAD, PROGRESS].iter().map(|hex| bytes(hex)).collect();
    for _ in 0..20_000 {
        let mut bytes = match dice.roll(5) {
            seed @ 0..4 => seeds[seed].clone(),
            _ => (0..dice.roll(150)).map(|_| u8::try_from(dice.roll(256)).unwrap()).collect(),
        };
        for _ in 0..dice.roll(4) {
            if !bytes.is_empty() {
                let at = dice.roll(bytes.len());
                bytes[at] = u8::try_from(dice.roll(256)).unwrap();
            }
        }
        bytes.truncate(dice.roll(bytes.len() + 1));
        read_everything(&bytes);
    }
}
