//! The operations of level `sync`.
//!
//! One that gives something to others (a value, a lock) is recorded before it is done, one that takes something after it
//! was done: so in a trace a value is sent before it is received, and a lock released before it is taken again.

/// An operation on a channel, a lock or a goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// A value is sent; it may yet have to wait, or be refused.
    Send,
    /// A value was received.
    Receive,
    /// A receive found the channel closed and empty.
    ReceiveClosed,
    /// A channel is closed.
    Close,
    /// A lock was taken, for writing if it knows readers.
    Lock,
    /// It is released.
    Unlock,
    /// A lock was taken for reading.
    ReadLock,
    /// It is released.
    ReadUnlock,
    /// A goroutine's result was taken; the object is that of its `join` waits.
    Join,
    /// A condition, a wait group or the like was waited for.
    Wait,
    /// It is signalled.
    Signal,
}

impl Op {
    /// Every operation, by its code.
    const ALL: [Self; 11] = [
        Self::Send,
        Self::Receive,
        Self::ReceiveClosed,
        Self::Close,
        Self::Lock,
        Self::Unlock,
        Self::ReadLock,
        Self::ReadUnlock,
        Self::Join,
        Self::Wait,
        Self::Signal,
    ];

    pub(super) fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Whether it takes something that another gave.
    pub(super) fn is_taking(self) -> bool {
        match self {
            Self::Receive | Self::ReceiveClosed | Self::Lock | Self::ReadLock | Self::Join | Self::Wait => {
                true
            }
            Self::Send | Self::Close | Self::Unlock | Self::ReadUnlock | Self::Signal => false,
        }
    }

    /// As tables name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::ReceiveClosed => "receive_closed",
            Self::Close => "close",
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::ReadLock => "read_lock",
            Self::ReadUnlock => "read_unlock",
            Self::Join => "join",
            Self::Wait => "wait",
            Self::Signal => "signal",
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn codes_and_operations_go_both_ways() {
        for (code, op) in (0..).zip(Op::ALL) {
            assert_eq!((op.code(), Op::from_code(code)), (code, Some(op)));
        }
        assert_eq!(Op::from_code(200), None);
    }
}
