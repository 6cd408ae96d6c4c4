//! Reading back what was recorded, and what was not.

use super::*;
use crate::clock::Pair;
use crate::park::WaitReason;
use crate::trace::format::{CHUNK_HEADER_BYTES, ChunkHeader, Content, HEADER_BYTES, kind, push_varint};
use crate::trace::lane::Lane;
use crate::trace::recorder::Recorder;
use crate::trace::settings::{Level, Settings};
use crate::trace::stream::Stream;
use proptest::prelude::*;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file without a name that holds `bytes`.
fn file(bytes: &[u8]) -> File {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

/// The file that `record` leaves, with a limit of so many bytes.
fn recorded(limit_bytes: u64, record: impl FnOnce(&'static Recorder)) -> Vec<u8> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("corefit-trace-{}-{number}", std::process::id()));
    let settings = Settings { path: path.clone(), level: Level::Sched, limit_bytes };
    let recorder: &'static Recorder = Box::leak(Box::new(Recorder::start(&settings).unwrap()));
    assert_eq!(recorder.begin_runtime(), 1);
    record(recorder);
    recorder.end_runtime(1);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    bytes
}

/// Two chunks of a worker, and one event outside.
fn example() -> Vec<u8> {
    recorded(u64::MAX, |recorder| {
        let mut outside = Stream::begin(recorder, 1, 0);
        outside.spawn(1, Location::caller());
        let mut lane = Lane::begin(recorder, 1);
        lane.processor(3);
        lane.run(1);
        lane.call(0xABC0, Location::caller());
        (2..9_000).for_each(|id| lane.stream.spawn(id, Location::caller()));
        lane.park(WaitReason::ChanRecv, 0xABC0);
        outside.unpark(1);
        lane.run(1);
        lane.ended();
    })
}

/// All that can be read of a file, if anything can.
fn read(bytes: &[u8]) -> Result<(Trace, Vec<Event>, Option<String>), TraceError> {
    let trace = Trace::of(file(bytes))?;
    let mut events = trace.events();
    let read: Vec<Event> = (&mut events).map(Result::unwrap).collect();
    let damage = events.damage();
    drop(events);
    Ok((trace, read, damage))
}

#[test]
fn what_was_recorded_comes_back_in_order() {
    let (trace, events, damage) = read(&example()).unwrap();
    assert_eq!((damage, trace.end(), trace.dropped(), trace.torn_bytes()), (None, Some(End::Returned), 0, 0));
    assert_eq!((events.len() as u64, events.len()), (trace.event_count(), 2 + 5 + 8_998));
    assert!(events.is_sorted_by_key(|event| event.time_ns));
    let names: Vec<_> =
        events.iter().map(|event| event.what.name()).filter(|&name| name != "spawn").collect();
    assert_eq!(names, ["processor", "run", "park", "unpark", "run", "end"]);
    let spawned: Vec<u64> = events
        .iter()
        .filter_map(|event| match event.what {
            What::Spawn { goroutine, .. } => Some(goroutine),
            _ => None,
        })
        .collect();
    assert_eq!(spawned, (1..9_000).collect::<Vec<_>>());
}

#[test]
fn who_where_and_why_come_back() {
    let (trace, events, _) = read(&example()).unwrap();
    let first = &events[0];
    assert_eq!((first.worker, first.goroutine, first.processor), (0, 0, None));
    let park = events.iter().find(|event| event.what.name() == "park").unwrap();
    assert_eq!((park.runtime, park.worker, park.goroutine, park.processor), (1, 1, 1, Some(3)));
    let What::Park { reason, object, place, segment } = park.what else { panic!("{park:?}") };
    assert_eq!((reason, object), ("chan receive", 0xABC0));
    assert_eq!(trace.place(place).unwrap().file, file!());
    let run = events.iter().find(|event| event.what == What::Run).unwrap();
    assert!(segment.wall_ns.unwrap().abs_diff(park.time_ns - run.time_ns) <= 1, "rounded twice");
    assert!(segment.cpu_ns <= segment.wall_ns);
}

#[test]
fn what_has_no_room_is_counted_and_the_rest_is_whole() {
    let limit = 10_000;
    let bytes = recorded(limit, |recorder| {
        let mut lane = Lane::begin(recorder, 1);
        for id in 1..10_000 {
            lane.run(id);
            lane.ended();
        }
    });
    assert!(bytes.len() as u64 <= limit + (32 << 10), "one buffer more: {}", bytes.len());
    let (trace, events, damage) = read(&bytes).unwrap();
    assert_eq!((damage, trace.torn_bytes()), (None, 0));
    assert!(!events.is_empty() && trace.dropped() > 0);
    assert_eq!(events.len() as u64 + trace.dropped(), 2 * 9_999);
}

#[test]
fn a_torn_end_leaves_the_whole_chunks() {
    let bytes = example();
    let (_, all, _) = read(&bytes).unwrap();
    let (trace, events, damage) = read(&bytes[..bytes.len() - 1]).unwrap();
    assert!(trace.torn_bytes() > 0 && damage.is_none());
    assert!(!events.is_empty() && events.len() < all.len());
}

#[test]
fn a_missing_chunk_is_noticed_and_its_segment_has_no_length() {
    let bytes = example();
    let head =
        |at: usize| ChunkHeader::parse(bytes[at..at + CHUNK_HEADER_BYTES].try_into().unwrap()).unwrap();
    let (mut kept, mut at) = (bytes[..HEADER_BYTES].to_vec(), HEADER_BYTES);
    while at < bytes.len() {
        let header = head(at);
        let next = at + CHUNK_HEADER_BYTES + header.payload_bytes as usize;
        let is_first_of_worker =
            header.content == Content::Events && header.thread != 0 && header.sequence == 0;
        if !is_first_of_worker {
            kept.extend_from_slice(&bytes[at..next]);
        }
        at = next;
    }
    let (_, events, damage) = read(&kept).unwrap();
    assert_eq!(damage.as_deref(), Some("1 chunks are missing"));
    let park = events.iter().find(|event| event.what.name() == "park").unwrap();
    assert_eq!(
        (park.goroutine, park.what.segment()),
        (1, Some(Segment::default())),
        "who ran is in the head"
    );
}

#[test]
fn an_unknown_event_ends_its_chunk_only() {
    let mut bytes = example();
    let (_, all, _) = read(&bytes).unwrap();
    let head = ChunkHeader {
        content: Content::Events,
        payload_bytes: 3,
        events: 2,
        lane: 77,
        sequence: 0,
        runtime: 1,
        thread: 0,
        base_ticks: 0,
        running: 0,
        written: Pair::default(),
    };
    bytes.extend_from_slice(&head.to_bytes());
    bytes.extend_from_slice(&[kind::PREEMPT, 1, 255]);
    let (_, events, damage) = read(&bytes).unwrap();
    assert_eq!(events.len(), all.len() + 1);
    assert_eq!(damage.as_deref(), Some("1 chunks could not be decoded to their end"));
}

#[test]
fn what_is_no_trace_is_refused() {
    assert!(matches!(read(b""), Err(TraceError::Foreign)));
    assert!(matches!(read(&[b'x'; 100]), Err(TraceError::Foreign)));
    let mut bytes = example();
    bytes[8] = 2;
    assert!(matches!(read(&bytes), Err(TraceError::Version(2))));
    assert!(matches!(Trace::open(Path::new("/nonexistent")), Err(TraceError::Io(_))));
    assert!(matches!(Trace::open(Path::new("/")), Err(TraceError::Io(_))));
}

/// A chunk of lane `lane` that begins at `base_ticks`, of events that are given as their kind and values.
fn lane_of(lane: u32, base_ticks: u64, events: &[(u8, &[u64])]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (kind, values) in events {
        payload.push(*kind);
        values.iter().for_each(|&value| push_varint(&mut payload, value));
    }
    let header = ChunkHeader {
        content: Content::Events,
        payload_bytes: u32::try_from(payload.len()).unwrap(),
        events: u32::try_from(events.len()).unwrap(),
        lane,
        sequence: 0,
        runtime: 1,
        thread: lane,
        base_ticks,
        running: 0,
        written: Pair::default(),
    };
    [header.to_bytes().as_slice(), &payload].concat()
}

/// The header of a trace whose ticks are nanoseconds from 0.
fn header() -> Vec<u8> {
    let header = Header {
        level: 0,
        clock: 0,
        cpu: 1,
        end: 1,
        start: Pair::default(),
        start_unix_ns: 0,
        dropped: 0,
        pid: 1,
    };
    header.to_bytes().to_vec()
}

#[test]
fn an_effect_that_is_timed_before_its_cause_comes_after_it() {
    let (plus_seven, zero) = (14, 0);
    let spawner = lane_of(1, 1_000, &[(kind::SPAWN, &[0, plus_seven, zero])]);
    let runner = lane_of(2, 990, &[(kind::RUN, &[0, plus_seven]), (kind::END, &[2, zero])]);
    let (_, events, _) = read(&[header(), runner, spawner].concat()).unwrap();
    let told: Vec<_> = events.iter().map(|event| (event.what.name(), event.time_ns)).collect();
    assert_eq!(told, [("spawn", 1_000), ("run", 1_000), ("end", 1_000)]);
}

#[test]
fn an_effect_without_a_cause_comes_all_the_same() {
    let plus_seven = 14;
    let orphan = lane_of(1, 10, &[(kind::RUN, &[0, plus_seven]), (kind::PREEMPT, &[5])]);
    let other = lane_of(2, 0, &[(kind::PREEMPT, &[20]), (kind::PREEMPT, &[9_000_000])]);
    let (_, events, _) = read(&[header(), orphan, other].concat()).unwrap();
    let told: Vec<_> = events.iter().map(|event| (event.what.name(), event.time_ns)).collect();
    assert_eq!(told, [("preempt", 20), ("run", 20), ("preempt", 20), ("preempt", 9_000_020)]);
}

/// Bytes that a reader might take for a chunk.
fn chunk() -> impl Strategy<Value = Vec<u8>> {
    let events = proptest::collection::vec(
        (0_u8..48, proptest::collection::vec(any::<u64>().prop_map(|value| value >> (value % 64)), 0..5)),
        0..20,
    );
    let payload = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        events.prop_map(|events| {
            let mut bytes = Vec::new();
            for (kind, values) in events {
                bytes.push(kind);
                values.into_iter().for_each(|value| push_varint(&mut bytes, value));
            }
            bytes
        }),
    ];
    (payload, any::<[u64; 4]>(), 0..3_u32, 0..3_u32, any::<bool>(), 0..300_u32).prop_map(
        |(payload, longs, lane, sequence, is_events, off)| {
            let header = ChunkHeader {
                content: if is_events { Content::Events } else { Content::Sites },
                payload_bytes: if off < 250 { payload.len() as u32 } else { off },
                events: off,
                lane,
                sequence,
                runtime: lane,
                thread: sequence,
                base_ticks: longs[0],
                running: longs[1],
                written: Pair { ticks: longs[2], ns: longs[3] },
            };
            [header.to_bytes().as_slice(), &payload].concat()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_the_reader_panic(
        chunks in proptest::collection::vec(chunk(), 0..6),
        tail in proptest::collection::vec(any::<u8>(), 0..200),
        mut head: [u8; HEADER_BYTES],
    ) {
        head[..8].copy_from_slice(b"corefitT");
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let bytes = [head.as_slice(), &chunks.concat(), &tail].concat();
        prop_assert!(read(&bytes).is_ok());
    }

    #[test]
    fn no_damage_makes_the_reader_panic(at: prop::sample::Index, value: u8, cut: prop::sample::Index) {
        let mut bytes = example();
        let at = at.index(bytes.len());
        bytes[at] = value;
        bytes.truncate(cut.index(bytes.len()) + 1);
        // Refused, or read as far as it goes.
        let _ = read(&bytes);
    }
}
