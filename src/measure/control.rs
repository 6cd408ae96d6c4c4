//! The words between the tool and the launcher, on the Unix socket that is the launcher's standard input.
//!
//! ```text
//! tool                                launcher
//! spawn it, its stdin a socket        session, death with the parent, stdin from /dev/null
//! read Ready ◀──────────────────────  Ready { pid }
//! open counters on the pid            (waits)
//! go, with the result descriptor ──▶  receive it, look the program up, read the clock
//! read Exec  ◀──────────────────────  Exec { clock, what the launcher used }
//! read the end of the stream ◀──────  exec closes the socket (close-on-exec): the program runs
//!   or Failed ◀─────────────────────  Failed { errno }: it does not
//! ```
//!
//! The go comes only after `Ready`, hence only after the launcher asked to die with the tool: if the tool dies before,
//! the socket ends and the launcher leaves; if it dies after, the kernel kills the child. No orphan can start.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use rustix::time::{ClockId, clock_gettime};

use super::kernel::Usage;

/// Numbers of a word: a kind and what belongs to it, little-endian.
const WORD_NUMBERS: usize = 9;
const WORD_BYTES: usize = WORD_NUMBERS * 8;
const READY: u64 = 1;
const EXEC: u64 = 2;
const FAILED: u64 = 3;

/// What the launcher says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It waits for the go; the program will have this process id.
    Ready { pid: u32 },
    /// It is about to exec, at this time, having used this much itself.
    Exec { clock_ns: u64, used: Usage },
    /// It could not do its work: the system's error number.
    Failed { errno: i32 },
}

impl Word {
    fn encode(self) -> [u8; WORD_BYTES] {
        let numbers: [u64; WORD_NUMBERS] = match self {
            Self::Ready { pid } => [READY, u64::from(pid), 0, 0, 0, 0, 0, 0, 0],
            Self::Failed { errno } => [FAILED, u64::from(errno.unsigned_abs()), 0, 0, 0, 0, 0, 0, 0],
            Self::Exec { clock_ns, used } => [
                EXEC,
                clock_ns,
                used.user_us,
                used.system_us,
                used.voluntary_switches,
                used.involuntary_switches,
                used.minor_faults,
                used.major_faults,
                used.max_rss_bytes,
            ],
        };
        let mut bytes = [0; WORD_BYTES];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8; WORD_BYTES]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = bytes[at * 8..at * 8 + 8].try_into().expect("eight bytes were taken");
            u64::from_le_bytes(bytes)
        };
        match number(0) {
            READY => Some(Self::Ready { pid: u32::try_from(number(1)).ok()? }),
            FAILED => Some(Self::Failed { errno: i32::try_from(number(1)).ok()? }),
            EXEC => Some(Self::Exec {
                clock_ns: number(1),
                used: Usage {
                    user_us: number(2),
                    system_us: number(3),
                    voluntary_switches: number(4),
                    involuntary_switches: number(5),
                    minor_faults: number(6),
                    major_faults: number(7),
                    max_rss_bytes: number(8),
                },
            }),
            _ => None,
        }
    }
}

/// Says a word.
pub(super) fn tell(mut socket: &UnixStream, word: Word) -> io::Result<()> {
    socket.write_all(&word.encode())
}

/// Waits for a word; `None` if the other side closed without one.
pub(super) fn hear(mut socket: &UnixStream) -> io::Result<Option<Word>> {
    let mut bytes = [0; WORD_BYTES];
    match socket.read_exact(&mut bytes) {
        Ok(()) => Word::decode(&bytes)
            .map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an unknown word from the launcher")),
        // A reset is an end too: the other side closed with something of ours unread.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Tells the launcher to exec, and hands it the write end of the result pipe.
pub(super) fn send_go(socket: &UnixStream, result: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [result];
    let fits = ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    debug_assert!(fits, "the space was sized for one descriptor");
    // Rust's start-up code ignores SIGPIPE, so that a launcher that is gone is an error.
    rustix::net::sendmsg(socket, &[IoSlice::new(b"g")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

/// Waits for the go; `None` if the tool went away. The descriptor that comes with it stays open over an exec.
pub(super) fn receive_go(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = loop {
        match rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::empty(),
        ) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.map(Some).ok_or_else(|| io::Error::other("the go came without a result descriptor"))
}

/// The monotonic clock, which tool and launcher share. Nanoseconds.
pub(super) fn clock_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_is_heard_as_it_was_told() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let used = Usage {
            user_us: 1,
            system_us: 2,
            voluntary_switches: 3,
            involuntary_switches: 4,
            minor_faults: 5,
            major_faults: 6,
            max_rss_bytes: 7,
        };
        let words = [
            Word::Ready { pid: 4_000_000 },
            Word::Exec { clock_ns: u64::MAX, used },
            Word::Failed { errno: 13 },
        ];
        for word in words {
            tell(&theirs, word).unwrap();
            assert_eq!(hear(&ours).unwrap(), Some(word));
        }
        drop(theirs);
        assert_eq!(hear(&ours).unwrap(), None);
    }

    #[test]
    fn the_go_carries_a_descriptor() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut read, write) = io::pipe().unwrap();
        send_go(&ours, write.as_fd()).unwrap();
        drop(write);
        let received = receive_go(&theirs).unwrap().unwrap();
        io::PipeWriter::from(received).write_all(b"through").unwrap();
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn no_go_comes_from_a_tool_that_went_away() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        assert!(receive_go(&theirs).unwrap().is_none());
    }

    #[test]
    fn a_launcher_that_dies_with_the_go_unread_is_an_end_not_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_read, write) = io::pipe().unwrap();
        send_go(&ours, write.as_fd()).unwrap();
        drop(theirs);
        assert_eq!(hear(&ours).unwrap(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_decode_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), WORD_BYTES)) {
            let bytes: [u8; WORD_BYTES] = bytes.try_into().unwrap();
            if let Some(word) = Word::decode(&bytes) {
                prop_assert_eq!(Word::decode(&word.encode()), Some(word));
            }
        }
    }
}
