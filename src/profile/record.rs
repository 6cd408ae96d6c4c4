//! The records of a ring as values of our own: what is kept of them, and when each happened.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::rc::Rc;

use linux_perf_event_reader::constants::PERF_RECORD_LOST_SAMPLES;
use linux_perf_event_reader::{
    AttrFlags, BranchSampleFormat, ContextSwitchRecord, Endianness, EventRecord, Mmap2FileId, Mmap2Record,
    PerfClock, PerfEventAttr, PerfEventType, RawData, RawEventRecord, ReadFormat, RecordParseInfo,
    RecordType, SampleFormat, SampleRecord, SamplingPolicy, SoftwareCounterType, TaskWasPreempted,
    WakeupPolicy,
};

use super::event::{REGISTERS, SAMPLE_FORMAT};
use super::piece::Piece;
use super::unwind::{Captured, Registers, STACK_BYTES};

/// Bytes of a record's header: type, flags, size.
const HEADER_BYTES: usize = 8;

/// Something that happened, at `time_ns` of the monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) time_ns: u64,
    pub(super) what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Thread `tid` of process `pid` was running; `chain` holds addresses and context markers, innermost first. Nothing is
    /// captured of a thread of the kernel, and of a 32-bit program.
    Sample { pid: u32, tid: u32, chain: Vec<u64>, captured: Option<Captured> },
    /// Thread `starter` of process `parent` started thread `tid` of process `pid` (the same process if it is a thread).
    Fork { pid: u32, parent: u32, tid: u32, starter: u32 },
    /// Thread `tid` has a new name; one that is started has that of its starter until then.
    Name { tid: u32, name: String },
    /// Thread `tid` of process `pid` came to a CPU or left it.
    Switch { pid: u32, tid: u32, to: Switch },
    /// Thread `tid` ended.
    Exit { tid: u32 },
    /// Process `pid` became another program: its mappings are gone.
    Exec { pid: u32, name: String },
    /// Process `pid` mapped code.
    Map { pid: u32, region: Region },
    /// The kernel dropped records, for want of room.
    Lost { count: u64 },
    /// The kernel slowed sampling down, to keep its own cost bounded.
    Throttle,
}

/// Where a thread is after a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    /// On a CPU.
    In,
    /// Off the CPU; runnable if another one was to run in its place, and it did not have to wait.
    Out { is_runnable: bool },
}

/// Executable memory of a process, and the file behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) start: u64,
    pub(super) length: u64,
    /// Position of `start` in the file, bytes.
    pub(super) offset: u64,
    /// The file, or a name such as `[vdso]` or `//anon`.
    pub(super) path: PathBuf,
    /// The file's inode; 0 if there is no file.
    pub(super) inode: u64,
}

/// Reads records as our events write them.
#[derive(Debug)]
pub(super) struct Parser {
    info: RecordParseInfo,
}

impl Parser {
    pub(super) fn new() -> Self {
        // Only the sample format and `SAMPLE_ID_ALL` decide how records look; the rest is filled in as `event` sets it.
        let attr = PerfEventAttr {
            type_: PerfEventType::Software(SoftwareCounterType::CpuClock),
            sampling_policy: SamplingPolicy::NoSampling,
            sample_format: SampleFormat::from_bits_truncate(SAMPLE_FORMAT),
            read_format: ReadFormat::empty(),
            flags: AttrFlags::SAMPLE_ID_ALL,
            wakeup_policy: WakeupPolicy::EventCount(0),
            branch_sample_format: BranchSampleFormat::empty(),
            sample_regs_user: REGISTERS.mask(),
            sample_stack_user: STACK_BYTES,
            clock: PerfClock::Default,
            sample_regs_intr: 0,
            aux_watermark: 0,
            sample_max_stack: 0,
            aux_sample_size: 0,
            sig_data: 0,
        };
        Self { info: RecordParseInfo::new(&attr, Endianness::NATIVE) }
    }

    /// Appends the records in `read` to `records`, which share it. What cannot be read, to the end of `bytes` if a size is impossible,
    /// counts as one lost record.
    pub(super) fn parse(&self, read: &Rc<Vec<u8>>, records: &mut Vec<Record>) {
        let mut bytes = &read[..];
        while !bytes.is_empty() {
            let Some((record_type, misc, size)) = header(bytes) else {
                records.push(Record { time_ns: 0, what: What::Lost { count: 1 } });
                return;
            };
            let (record, rest) = bytes.split_at(size);
            bytes = rest;
            let body = RawData::Single(&record[HEADER_BYTES..]);
            let raw = RawEventRecord::new(record_type, misc, body, self.info);
            match raw.parse() {
                Ok(parsed) => records.extend(kept(read, &raw, parsed)),
                // The cause is of no use to anybody: that one record is missing is counted and told.
                Err(_) => records.push(Record { time_ns: 0, what: What::Lost { count: 1 } }),
            }
        }
    }
}

/// Type, flags and size of the record that `bytes` begin with; `None` if the size is impossible.
fn header(bytes: &[u8]) -> Option<(RecordType, u16, usize)> {
    let word = bytes.first_chunk::<HEADER_BYTES>()?;
    let record_type = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
    let misc = u16::from_ne_bytes([word[4], word[5]]);
    let size = usize::from(u16::from_ne_bytes([word[6], word[7]]));
    (size >= HEADER_BYTES && size <= bytes.len()).then_some((RecordType(record_type), misc, size))
}

fn kept(read: &Rc<Vec<u8>>, raw: &RawEventRecord<'_>, parsed: EventRecord<'_>) -> Option<Record> {
    let what = match parsed {
        EventRecord::Sample(sample) => sampled(read, &sample)?,
        EventRecord::Fork(fork) => {
            let [pid, parent, tid, starter] = [fork.pid, fork.ppid, fork.tid, fork.ptid].map(id);
            What::Fork { pid: pid?, parent: parent?, tid: tid?, starter: starter? }
        }
        EventRecord::ContextSwitch(switch) => {
            let who = raw.common_data().ok()?;
            What::Switch { pid: id(who.pid?)?, tid: id(who.tid?)?, to: switched(&switch) }
        }
        EventRecord::Exit(exit) => What::Exit { tid: id(exit.tid)? },
        EventRecord::Comm(comm) => {
            let name = String::from_utf8_lossy(&comm.name.as_slice()).into_owned();
            if comm.is_execve {
                What::Exec { pid: id(comm.pid)?, name }
            } else {
                What::Name { tid: id(comm.tid)?, name }
            }
        }
        EventRecord::Mmap2(map) => What::Map { pid: id(map.pid)?, region: region(&map) },
        EventRecord::Lost(lost) => What::Lost { count: lost.count },
        EventRecord::Throttle(_) => What::Throttle,
        EventRecord::Raw(other) if other.record_type.0 == PERF_RECORD_LOST_SAMPLES => {
            let mut data = other.data;
            let mut count = [0; 8];
            data.read_exact(&mut count).ok()?;
            What::Lost { count: u64::from_ne_bytes(count) }
        }
        _ => return None,
    };
    Some(Record { time_ns: raw.timestamp().unwrap_or(0), what })
}

fn sampled(read: &Rc<Vec<u8>>, sample: &SampleRecord<'_>) -> Option<What> {
    let chain = sample.callchain?;
    let chain = (0..chain.len()).filter_map(|index| chain.get(index)).collect();
    let (pid, tid) = (id(sample.pid?)?, id(sample.tid?)?);
    Some(What::Sample { pid, tid, chain, captured: captured(read, sample) })
}

fn captured(read: &Rc<Vec<u8>>, sample: &SampleRecord<'_>) -> Option<Captured> {
    /// Pages end the 32-bit address space below it. No stack of a 64-bit program is as low.
    const FIRST_64_BIT: u64 = 1 << 32;
    let register = |number| sample.user_regs.as_ref()?.get(number);
    let registers = Registers {
        instruction: register(REGISTERS.instruction)?,
        stack: register(REGISTERS.stack).filter(|&stack| stack >= FIRST_64_BIT)?,
        frame: register(REGISTERS.frame)?,
        link: REGISTERS.link.and_then(register).unwrap_or(0),
    };
    let (bytes, copied) = sample.user_stack.as_ref()?;
    let bytes = bytes.as_slice();
    // What the kernel could not read is left as it was in the ring.
    let stack = &bytes[..bytes.len().min(usize::try_from(*copied).unwrap_or(0))];
    Some(Captured { registers, stack: Piece::of(read, stack) })
}

fn switched(switch: &ContextSwitchRecord) -> Switch {
    match switch {
        ContextSwitchRecord::In { .. } => Switch::In,
        ContextSwitchRecord::Out { preempted, .. } => {
            Switch::Out { is_runnable: *preempted == TaskWasPreempted::Yes }
        }
    }
}

fn region(map: &Mmap2Record<'_>) -> Region {
    let inode = match &map.file_id {
        Mmap2FileId::InodeAndVersion(file) => file.inode,
        Mmap2FileId::BuildId(_) => 0,
    };
    let path = OsString::from_vec(map.path.as_slice().into_owned());
    Region { start: map.address, length: map.length, offset: map.page_offset, path: path.into(), inode }
}

/// Process ids are positive, but for the kernel's own (0: idle, or of another namespace; -1: none).
fn id(raw: i32) -> Option<u32> {
    u32::try_from(raw).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use linux_perf_event_reader::constants::*;

    /// One record as the kernel writes it; `trailer` is what `SAMPLE_ID_ALL` adds to all but samples.
    fn record(record_type: u32, misc: u16, body: &[u8], trailer: Option<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(record_type.to_ne_bytes());
        bytes.extend(misc.to_ne_bytes());
        bytes.extend([0, 0]);
        bytes.extend(body);
        if let Some(time_ns) = trailer {
            bytes.extend(ids(&[7, 8]));
            bytes.extend(time_ns.to_ne_bytes());
            bytes.extend([0; 8]);
        }
        let size = u16::try_from(bytes.len()).unwrap();
        bytes[6..8].copy_from_slice(&size.to_ne_bytes());
        bytes
    }

    fn words(values: &[u64]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    fn ids(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    fn sample(pid: u32, time_ns: u64, chain: &[u64]) -> Vec<u8> {
        let mut body = start_of_sample(pid, time_ns, chain);
        // No registers, no stack: as of a thread of the kernel.
        body.extend(words(&[0, 0]));
        record(PERF_RECORD_SAMPLE, 2, &body, None)
    }

    fn start_of_sample(pid: u32, time_ns: u64, chain: &[u64]) -> Vec<u8> {
        let mut body = words(&[chain[0]]);
        body.extend(ids(&[pid, pid]));
        body.extend(words(&[time_ns, 0, chain.len() as u64]));
        body.extend(words(chain));
        body
    }

    fn parse(bytes: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        Parser::new().parse(&Rc::new(bytes.to_vec()), &mut records);
        records
    }

    #[test]
    fn a_sample_keeps_its_chain() {
        let records = parse(&sample(42, 1000, &[PERF_CONTEXT_USER, 0x1000, 0x2000]));
        let chain = vec![PERF_CONTEXT_USER, 0x1000, 0x2000];
        let what = What::Sample { pid: 42, tid: 42, chain, captured: None };
        assert_eq!(records, [Record { time_ns: 1000, what }]);
    }

    #[test]
    fn a_sample_keeps_registers_and_the_stack_that_could_be_read() {
        let mut body = start_of_sample(42, 1000, &[0x1000]);
        // On both kinds of machine the registers come by their numbers: 6 (frame), 7 (stack), 8 (instruction) on x86-64.
        let registers: Vec<u64> =
            (0..u64::from(REGISTERS.mask().count_ones())).map(|i| (1 << 40) + i).collect();
        body.extend(words(&[2]));
        body.extend(words(&registers));
        body.extend(words(&[16, 7, 8, 8]));
        let records = parse(&record(PERF_RECORD_SAMPLE, 2, &body, None));
        let What::Sample { captured: Some(captured), .. } = &records[0].what else {
            panic!("{records:?}");
        };
        assert_eq!(*captured.stack, 7_u64.to_ne_bytes(), "8 of 16 bytes were read");
        let Registers { frame, stack, instruction, .. } = captured.registers;
        assert!(frame < stack && stack < instruction, "{captured:?}");
    }

    #[test]
    fn processes_and_threads_are_told_apart_and_an_exec_from_a_rename() {
        let mut bytes = record(PERF_RECORD_FORK, 0, &[ids(&[7, 6, 8, 6]), words(&[5])].concat(), Some(5));
        bytes.extend(record(PERF_RECORD_EXIT, 0, &[ids(&[7, 6, 8, 6]), words(&[6])].concat(), Some(6)));
        let renamed = [ids(&[7, 7]), b"name\0\0\0\0".to_vec()].concat();
        bytes.extend(record(PERF_RECORD_COMM, 0, &renamed, Some(7)));
        bytes.extend(record(PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC, &renamed, Some(8)));
        let expected = [
            Record { time_ns: 5, what: What::Fork { pid: 7, parent: 6, tid: 8, starter: 6 } },
            Record { time_ns: 6, what: What::Exit { tid: 8 } },
            Record { time_ns: 7, what: What::Name { tid: 7, name: "name".into() } },
            Record { time_ns: 8, what: What::Exec { pid: 7, name: "name".into() } },
        ];
        assert_eq!(parse(&bytes), expected);
    }

    #[test]
    fn a_switch_tells_who_left_and_whether_it_had_to_wait() {
        let next = ids(&[1, 1]);
        let out = PERF_RECORD_MISC_SWITCH_OUT;
        let mut bytes = record(PERF_RECORD_SWITCH_CPU_WIDE, out, &next, Some(5));
        bytes.extend(record(PERF_RECORD_SWITCH, out | PERF_RECORD_MISC_SWITCH_OUT_PREEMPT, &[], Some(6)));
        bytes.extend(record(PERF_RECORD_SWITCH_CPU_WIDE, 0, &next, Some(7)));
        let expected = [
            (5, Switch::Out { is_runnable: false }),
            (6, Switch::Out { is_runnable: true }),
            (7, Switch::In),
        ]
        .map(|(time_ns, to)| Record { time_ns, what: What::Switch { pid: 7, tid: 8, to } });
        assert_eq!(parse(&bytes), expected);
    }

    #[test]
    fn a_mapping_names_its_file() {
        let mut body = ids(&[7, 7]);
        body.extend(words(&[0x40_0000, 0x1000, 0x2000]));
        body.extend(ids(&[8, 1]));
        body.extend(words(&[99, 0]));
        body.extend(ids(&[5, 2]));
        body.extend(b"/bin/with space\0");
        let path = PathBuf::from("/bin/with space");
        let region = Region { start: 0x40_0000, length: 0x1000, offset: 0x2000, path, inode: 99 };
        let expected = Record { time_ns: 3, what: What::Map { pid: 7, region } };
        assert_eq!(parse(&record(PERF_RECORD_MMAP2, 2, &body, Some(3))), [expected]);
    }

    #[test]
    fn both_kinds_of_loss_are_counted() {
        let mut bytes = record(PERF_RECORD_LOST, 0, &words(&[1, 30]), Some(4));
        bytes.extend(record(PERF_RECORD_LOST_SAMPLES, 0, &words(&[12]), Some(5)));
        let counts: Vec<What> = parse(&bytes).into_iter().map(|record| record.what).collect();
        assert_eq!(counts, [What::Lost { count: 30 }, What::Lost { count: 12 }]);
    }

    #[test]
    fn garbage_is_one_loss_and_ends_the_reading() {
        let mut bytes = sample(1, 1, &[1]);
        bytes.extend([9, 0, 0, 0, 0, 0, 3, 0, 1, 1, 1]);
        let records = parse(&bytes);
        assert_eq!(records.len(), 2);
        assert_eq!(records[1].what, What::Lost { count: 1 });
    }

    #[test]
    fn a_record_cut_short_is_a_loss_and_the_next_one_is_read() {
        let mut bytes = record(PERF_RECORD_FORK, 0, &ids(&[7, 6]), None);
        bytes.extend(sample(1, 1, &[1]));
        let records = parse(&bytes);
        assert_eq!(records[0].what, What::Lost { count: 1 });
        assert!(matches!(records[1].what, What::Sample { pid: 1, .. }));
    }
}
