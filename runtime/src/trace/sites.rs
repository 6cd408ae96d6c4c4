//! The table of places in the source: each is written to the file once, and a number after that.

use super::format::push_varint;
use crate::primitives::Mutex;
use std::collections::HashMap;
use std::panic::Location;
use std::ptr;

/// A place in the source.
pub(crate) type Site = &'static Location<'static>;

/// All places that were named, by address: the compiler makes one `Location` for a call.
#[derive(Default)]
pub(super) struct Sites(Mutex<HashMap<usize, u32>>);

impl Sites {
    /// The number of `site`, from 1. If it is new, `write` is given what the file is to say of it, before anyone else
    /// gets the number.
    pub(super) fn number(&self, site: Site, write: impl FnOnce(&[u8])) -> u32 {
        let mut known = self.0.lock();
        let next = u32::try_from(known.len() + 1).unwrap_or(u32::MAX);
        *known.entry(ptr::from_ref(site).addr()).or_insert_with(|| {
            write(&entry(next, site));
            next
        })
    }
}

fn entry(number: u32, site: Site) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = site.file().as_bytes();
    for value in [u64::from(number), u64::from(site.line()), u64::from(site.column()), file.len() as u64] {
        push_varint(&mut bytes, value);
    }
    bytes.extend_from_slice(file);
    bytes
}

/// Places in a cache, a power of two.
const CACHED: usize = 64;

/// The numbers that one lane used last: no lock for a place that it knows.
pub(super) struct Cache([(usize, u32); CACHED]);

impl Cache {
    pub(super) fn new() -> Self {
        Self([(0, 0); CACHED])
    }

    /// The number of `site`; `ask` says it if it is not here.
    #[inline]
    pub(super) fn number(&mut self, site: Site, ask: impl FnOnce() -> u32) -> u32 {
        let address = ptr::from_ref(site).addr();
        // A `Location` is three words: this spreads those of one table.
        let slot = &mut self.0[(address / size_of::<Location<'_>>()) % CACHED];
        if slot.0 != address {
            *slot = (address, ask());
        }
        slot.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> [Site; 2] {
        [Location::caller(), Location::caller()]
    }

    #[test]
    fn a_place_is_written_once() {
        let sites = Sites::default();
        let mut written = Vec::new();
        let mut number = |site| sites.number(site, |bytes| written.push(bytes.to_vec()));
        let [one, other] = two();
        assert_eq!([number(one), number(other), number(one)], [1, 2, 1]);
        assert_eq!(written.len(), 2);
        assert!(written[0].ends_with(file!().as_bytes()));
    }

    #[test]
    fn a_cache_asks_once() {
        let mut cache = Cache::new();
        let [one, _] = two();
        assert_eq!(cache.number(one, || 7), 7);
        assert_eq!(cache.number(one, || panic!("it was asked before")), 7);
    }
}
