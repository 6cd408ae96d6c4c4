//! The records of a ring as values of our own: what is kept of them, and when each happened.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use linux_perf_event_reader::constants::PERF_RECORD_LOST_SAMPLES;
use linux_perf_event_reader::{
    AttrFlags, BranchSampleFormat, ContextSwitchRecord, Endianness, EventRecord, Mmap2FileId, Mmap2Record,
    PerfClock, PerfEventAttr, PerfEventType, RawData, RawEventRecord, ReadFormat, RecordParseInfo,
    RecordType, SampleFormat, SampleRecord, SamplingPolicy, SoftwareCounterType, TaskWasPreempted,
    WakeupPolicy,
};

use super::event::{REGISTERS, SAMPLE_FORMAT};
use super::unwind::{Captured, Registers, STACK_BYTES};

/// Bytes of a record's header: type, flags, size.
const HEADER_BYTES: usize = 8;

/// Something that happened, at `time_ns` of the monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) time_ns: u64,
    pub(super) what: What<'a>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// Thread `tid` of process `pid` was running; `chain` holds addresses and context markers, innermost first. Nothing is
    /// captured of a thread of the kernel, and of a 32-bit program.
    Sample { pid: u32, tid: u32, chain: Vec<u64>, captured: Option<Captured<'a>> },
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

    /// The records in `unread`, in its order.
    pub(super) fn records<'a>(&self, unread: RawData<'a>) -> Records<'a> {
        Records { rest: unread, info: self.info }
    }
}

/// Records as they lie in a ring.
#[derive(Debug)]
pub(super) struct Records<'a> {
    rest: RawData<'a>,
    info: RecordParseInfo,
}

/// A record that has not been read yet.
#[derive(Debug)]
pub(super) struct Unparsed<'a> {
    /// Bytes that it takes in the ring.
    pub(super) bytes: usize,
    /// When it happened; 0 if it does not say so.
    pub(super) time_ns: u64,
    /// `None` if its size is impossible, so that it takes all the rest.
    raw: Option<RawEventRecord<'a>>,
}

impl<'a> Iterator for Records<'a> {
    type Item = Unparsed<'a>;

    fn next(&mut self) -> Option<Unparsed<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let all = self.rest;
        let raw = self.next_raw();
        let bytes = if raw.is_some() { all.len() - self.rest.len() } else { all.len() };
        if raw.is_none() {
            self.rest = RawData::empty();
        }
        let time_ns = raw.as_ref().and_then(RawEventRecord::timestamp).unwrap_or(0);
        Some(Unparsed { bytes, time_ns, raw })
    }
}

impl<'a> Records<'a> {
    fn next_raw(&mut self) -> Option<RawEventRecord<'a>> {
        let mut word = [0; HEADER_BYTES];
        self.rest.read_exact(&mut word).ok()?;
        let record_type = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
        let misc = u16::from_ne_bytes([word[4], word[5]]);
        let size = usize::from(u16::from_ne_bytes([word[6], word[7]]));
        let body = self.rest.split_off_prefix(size.checked_sub(HEADER_BYTES)?).ok()?;
        Some(RawEventRecord::new(RecordType(record_type), misc, body, self.info))
    }
}

impl<'a> Unparsed<'a> {
    /// Reads it. What cannot be read counts as one lost record; `None` for what is of no interest.
    pub(super) fn read(self) -> Option<Record<'a>> {
        let Self { time_ns, raw, .. } = self;
        // The cause is of no use to anybody: that one record is missing is counted and told.
        let what = match raw.as_ref().and_then(|raw| Some((raw, raw.parse().ok()?))) {
            Some((raw, parsed)) => kept(raw, parsed)?,
            None => What::Lost { count: 1 },
        };
        Some(Record { time_ns, what })
    }
}

fn kept<'a>(raw: &RawEventRecord<'_>, parsed: EventRecord<'a>) -> Option<What<'a>> {
    let what = match parsed {
        EventRecord::Sample(sample) => sampled(&sample)?,
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
    Some(what)
}

fn sampled<'a>(sample: &SampleRecord<'a>) -> Option<What<'a>> {
    let chain = sample.callchain?;
    let chain = (0..chain.len()).filter_map(|index| chain.get(index)).collect();
    let (pid, tid) = (id(sample.pid?)?, id(sample.tid?)?);
    Some(What::Sample { pid, tid, chain, captured: captured(sample) })
}

fn captured<'a>(sample: &SampleRecord<'a>) -> Option<Captured<'a>> {
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
    // What the kernel could not read is left as it was in the ring.
    let known = bytes.len().min(usize::try_from(*copied).unwrap_or(0));
    let stack = match bytes.as_slice() {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..known]),
        // At the end of the ring, and its beginning.
        Cow::Owned(bytes) => Cow::Owned(bytes[..known].to_vec()),
    };
    Some(Captured { registers, stack })
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
    pub(in super::super) fn record(
        record_type: u32,
        misc: u16,
        body: &[u8],
        trailer: Option<u64>,
    ) -> Vec<u8> {
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

    pub(in super::super) fn ids(values: &[u32]) -> Vec<u8> {
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

    fn parse(bytes: &[u8]) -> Vec<Record<'_>> {
        let unparsed: Vec<_> = Parser::new().records(RawData::Single(bytes)).collect();
        let sizes: usize = unparsed.iter().map(|record| record.bytes).sum();
        assert_eq!(sizes, bytes.len(), "all of it belongs to some record");
        unparsed.into_iter().filter_map(Unparsed::read).collect()
    }

    #[test]
    fn a_sample_keeps_its_chain() {
        let bytes = sample(42, 1000, &[PERF_CONTEXT_USER, 0x1000, 0x2000]);
        let records = parse(&bytes);
        let chain = vec![PERF_CONTEXT_USER, 0x1000, 0x2000];
        let what = What::Sample { pid: 42, tid: 42, chain, captured: None };
        assert_eq!(records, [Record { time_ns: 1000, what }]);
    }

    /// A sample with registers and a stack, of which half could be read.
    fn sample_with_stack() -> Vec<u8> {
        let mut body = start_of_sample(42, 1000, &[0x1000]);
        // On both kinds of machine the registers come by their numbers: 6 (frame), 7 (stack), 8 (instruction) on x86-64.
        let registers: Vec<u64> =
            (0..u64::from(REGISTERS.mask().count_ones())).map(|i| (1 << 40) + i).collect();
        body.extend(words(&[2]));
        body.extend(words(&registers));
        body.extend(words(&[16, 7, 8, 8]));
        record(PERF_RECORD_SAMPLE, 2, &body, None)
    }

    #[test]
    fn a_sample_keeps_registers_and_the_stack_that_could_be_read() {
        let bytes = sample_with_stack();
        let records = parse(&bytes);
        let What::Sample { captured: Some(captured), .. } = &records[0].what else {
            panic!("{records:?}");
        };
        assert_eq!(*captured.stack, 7_u64.to_ne_bytes(), "8 of 16 bytes were read");
        let Registers { frame, stack, instruction, .. } = captured.registers;
        assert!(frame < stack && stack < instruction, "{captured:?}");
    }

    #[test]
    fn what_wraps_around_the_end_of_the_ring_is_read_like_all_else() {
        let bytes = [sample_with_stack(), sample(7, 5, &[1, 2]), vec![1, 0, 0]].concat();
        let whole = parse(&bytes);
        assert_eq!(whole.len(), 3);
        for at in 0..=bytes.len() {
            let unread = RawData::Split(&bytes[..at], &bytes[at..]);
            let records: Vec<_> = Parser::new().records(unread).filter_map(Unparsed::read).collect();
            assert_eq!(records, whole, "split at {at}");
        }
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
