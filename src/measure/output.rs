//! What the program writes: pipes that are drained without blocking it, of which only the end is kept.

#[cfg_attr(not(corefit_linux), path = "portable/pipe.rs")]
mod pipe;
mod search;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use regex::bytes::Regex;

use search::Search;

/// Bytes kept of a stream that is wanted.
const KEPT_BYTES: usize = 1 << 20;
/// Bytes kept of standard error otherwise, to say why a program failed.
const STDERR_BYTES: usize = 4 << 10;
/// Bytes read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The last bytes of a stream.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    limit: usize,
    is_cut: bool,
    /// Everything that came, kept or not.
    all_bytes: u64,
}

impl Tail {
    /// Keeps the last `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, is_cut: false, all_bytes: 0 }
    }

    /// Adds `chunk` at the end. Holds at most twice the limit and a chunk, so that each byte is moved once on average.
    fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        self.all_bytes += chunk.len() as u64;
        if self.bytes.len() > 2 * self.limit {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let excess = self.bytes.len().saturating_sub(self.limit);
        self.is_cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    /// The last bytes, and whether there were more before them.
    pub(super) fn into_bytes(mut self) -> (Vec<u8>, bool) {
        self.cut();
        (self.bytes, self.is_cut)
    }
}

/// The read end of a pipe whose write end the program has.
#[derive(Debug)]
pub(super) struct Stream {
    file: Option<File>,
    capacity: usize,
    tail: Tail,
    search: Option<Search>,
}

impl Stream {
    /// A new pipe: its read end, keeping the last `limit` bytes, and its write end.
    pub(super) fn open(limit: usize) -> io::Result<(Self, OwnedFd)> {
        let (read, write) = io::pipe()?;
        let read = OwnedFd::from(read);
        rustix::fs::fcntl_setfl(&read, rustix::fs::OFlags::NONBLOCK)?;
        let capacity = pipe::widen(&read)?;
        let (file, tail) = (Some(File::from(read)), Tail::new(limit));
        Ok((Self { file, capacity, tail, search: None }, OwnedFd::from(write)))
    }

    /// What to poll; `None` once the stream has ended.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(File::as_fd)
    }

    /// Reads what is there, at most two pipes full, and says how many sixteenths of the pipe it was; `None` for nothing.
    fn drain(&mut self) -> Option<usize> {
        let mut buffer = [0; CHUNK_BYTES];
        let mut read = 0;
        while let Some(file) = &mut self.file {
            match file.read(&mut buffer) {
                Ok(0) => self.file = None,
                Ok(bytes) => {
                    self.tail.push(&buffer[..bytes]);
                    if let Some(search) = &mut self.search {
                        search.see(&buffer[..bytes]);
                    }
                    read += bytes;
                    if read >= 2 * self.capacity {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_broken) => self.file = None,
            }
        }
        (read > 0).then(|| 16 * read / self.capacity.max(1))
    }

    /// Bytes that came so far.
    fn all_bytes(&self) -> u64 {
        self.tail.all_bytes
    }

    /// Reads what is left, closes the pipe and gives its last bytes, and whether there were more before them.
    pub(super) fn finish(mut self) -> (Vec<u8>, bool) {
        self.drain();
        self.tail.into_bytes()
    }
}

/// Everything a program writes that the tool reads.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Option<Stream>,
    stderr: Stream,
    result: Stream,
    pace: Pace,
}

/// The program's ends of the pipes.
#[derive(Debug)]
pub(super) struct Ends {
    /// `None`: `/dev/null`.
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: OwnedFd,
    pub(super) result: OwnedFd,
}

/// What was kept of a program's output.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) result: Vec<u8>,
    /// More came than was kept on the result descriptor.
    pub(super) is_result_cut: bool,
    /// Bytes of standard output and error that went through our pipes, kept or not.
    pub(super) printed_bytes: u64,
}

impl Output {
    /// Opens the pipes; `keep` is whether standard output and error are wanted, or just the end of standard error.
    pub(super) fn open(keep: bool) -> io::Result<(Self, Ends)> {
        let (stdout, stdout_end) = if keep { Some(Stream::open(KEPT_BYTES)?).unzip() } else { (None, None) };
        let (stderr, stderr_end) = Stream::open(if keep { KEPT_BYTES } else { STDERR_BYTES })?;
        let (result, result_end) = Stream::open(KEPT_BYTES)?;
        let ends = Ends { stdout: stdout_end, stderr: stderr_end, result: result_end };
        Ok((Self { stdout, stderr, result, pace: Pace::default() }, ends))
    }

    /// What to poll now: nothing while the pipes are left alone, which is until the time given.
    pub(super) fn to_poll(&self, now: Instant) -> (Vec<BorrowedFd<'_>>, Option<Instant>) {
        if let Some(until) = self.pace.resume_at(now) {
            return (Vec::new(), Some(until));
        }
        let streams = self.stdout.iter().chain([&self.stderr, &self.result]);
        (streams.filter_map(Stream::descriptor).collect(), None)
    }

    /// Reads what is there.
    pub(super) fn drain(&mut self, now: Instant) {
        let streams = self.stdout.iter_mut().chain([&mut self.stderr, &mut self.result]);
        // Where nothing was read, the next byte may wake us: there is no pace to keep.
        if let Some(fullest) = streams.filter_map(Stream::drain).max() {
            self.pace.drained(fullest, now);
        }
    }

    /// From now on looks for a line that `regex` matches in what the program writes to standard output, if that is kept,
    /// and to standard error.
    pub(super) fn search(&mut self, regex: &Regex) {
        for stream in self.stdout.iter_mut().chain([&mut self.stderr]) {
            stream.search = Some(Search::new(regex.clone()));
        }
    }

    /// Whether such a line has come.
    pub(super) fn has_found(&self) -> bool {
        let streams = self.stdout.iter().chain([&self.stderr]);
        streams.into_iter().any(|stream| stream.search.as_ref().is_some_and(|search| search.is_found))
    }

    /// Reads what is left and closes the pipes, whoever still holds their other ends.
    pub(super) fn finish(self) -> Kept {
        let printed_bytes = self.stdout.iter().chain([&self.stderr]).map(Stream::all_bytes).sum();
        let (result, is_result_cut) = self.result.finish();
        let stdout = self.stdout.map(|stream| stream.finish().0).unwrap_or_default();
        Kept { stdout, stderr: self.stderr.finish().0, result, is_result_cut, printed_bytes }
    }
}

/// How long to leave the pipes alone after a drain, so that a program that prints all the time wakes us about 10 times a
/// second, and one that prints fast is never held up by a full pipe.
#[derive(Debug, Default)]
pub(super) struct Pace {
    pause: Duration,
    until: Option<Instant>,
}

impl Pace {
    /// After a quiet spell, which is nothing to read for the longest pause.
    const SHORTEST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(100);

    /// When the pipes are to be polled again; `None` if now.
    pub(super) fn resume_at(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// A drain found the fullest pipe at this many sixteenths: pause longer after little, shorter after much, not at all
    /// after more than half.
    pub(super) fn drained(&mut self, sixteenths: usize, now: Instant) {
        let was_quiet = self.until.is_none_or(|until| now.saturating_duration_since(until) > Self::LONGEST);
        self.pause = match sixteenths {
            _ if was_quiet && sixteenths <= 8 => Self::SHORTEST,
            0 => (self.pause * 2).clamp(Self::SHORTEST, Self::LONGEST),
            1..=8 => self.pause / 2,
            _ => Duration::ZERO,
        };
        self.until = Some(now + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_tail_is_the_end_of_what_was_written(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
            limit in 0_usize..64,
        ) {
            let mut tail = Tail::new(limit);
            for chunk in &chunks {
                tail.push(chunk);
                prop_assert!(tail.bytes.len() <= 2 * limit + 40);
            }
            let all = chunks.concat();
            let (kept, is_cut) = tail.into_bytes();
            prop_assert_eq!(&kept, &all[all.len().saturating_sub(limit)..]);
            prop_assert_eq!(is_cut, all.len() > limit);
        }
    }

    #[test]
    fn a_stream_drains_what_is_there_and_ends_with_its_writers() {
        let (mut stream, write) = Stream::open(6).unwrap();
        let mut write = File::from(write);
        assert_eq!(stream.drain(), None);
        assert!(stream.descriptor().is_some());
        write.write_all(b"hello world").unwrap();
        assert_eq!(stream.drain(), Some(0));
        drop(write);
        stream.drain();
        assert!(stream.descriptor().is_none());
        assert_eq!(stream.finish(), (b" world".to_vec(), true));
    }

    #[test]
    fn a_stream_whose_writer_lives_on_finishes() {
        let (stream, write) = Stream::open(100).unwrap();
        (&File::from(write.try_clone().unwrap())).write_all(b"left").unwrap();
        assert_eq!(stream.finish(), (b"left".to_vec(), false));
        drop(write);
    }

    /// Drains in two seconds of a program that writes a line every `every`.
    fn wakes(every: Duration) -> u32 {
        let start = Instant::now();
        let (mut pace, mut now, mut wakes) = (Pace::default(), start, 0);
        while now < start + Duration::from_secs(2) {
            pace.drained(0, now);
            now = pace.resume_at(now).unwrap_or(now) + every;
            wakes += 1;
        }
        wakes
    }

    #[test]
    fn steady_small_output_slows_the_pace_to_ten_a_second() {
        for every in [10, 1_000, 10_000] {
            let wakes = wakes(Duration::from_micros(every));
            assert!((18..=26).contains(&wakes), "{wakes} with a line every {every} us");
        }
    }

    #[test]
    fn output_after_a_quiet_spell_is_watched_closely_again() {
        let start = Instant::now();
        let mut pace = Pace::default();
        for step in 0..10 {
            pace.drained(0, start + Duration::from_millis(50 * step));
        }
        let later = start + Duration::from_secs(5);
        pace.drained(0, later);
        assert_eq!(pace.resume_at(later), Some(later + Pace::SHORTEST));
    }

    #[test]
    fn a_pipe_more_than_half_full_is_polled_again_at_once() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.drained(0, now);
        pace.drained(9, now);
        assert_eq!(pace.resume_at(now), None);
    }
}
