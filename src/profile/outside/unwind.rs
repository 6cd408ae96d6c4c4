//! Walks a stack from the registers and the piece of stack that the kernel copied with a sample.
//!
//! Frame pointers alone lose callers: a leaf function has no frame in optimised code, so its caller is left out, and so is
//! whoever calls a function of a library that keeps none, libc first. So each frame is unwound as its own module's tables
//! say (framehop), and along the frame pointer where there are none. The kernel's chain, which follows frame pointers through
//! memory that was not copied, continues a walk that has reached the end of the copy, and stands in where there is no copy:
//!
//! ```text
//! walk:    leaf ─ caller ─ libc ─ main's child ─ main │ end of the copy
//! chain:   leaf ─────────────────────────────── main ─┼─ _start
//! ```
//!
//! All modules lie in one address space of framehop's, each at a place of its own, whatever processes map them where: so each
//! is read once, and the rules of its functions, once found, serve all processes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

use framehop::{CacheNative, Error, FrameAddress, UnwindRegsNative, Unwinder as _, UnwinderNative};

use super::image::{Image, MOST_TABLE_BYTES};
use super::space::{ModuleId, Modules, Space};

/// Bytes of stack that are copied with each sample. It is what `perf record --call-graph dwarf` takes too.
pub(super) const STACK_BYTES: u32 = 8 << 10;

/// Frames after which a walk ends: more cannot lie in the copy, but for a table that leads in a circle.
const MOST_FRAMES: usize = 1024;

/// Log2 of the bytes that each module may take in framehop's address space; its addresses are 32 bits from the module's first.
const MODULE_BITS: u32 = 32;

/// The user side of a thread that was interrupted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Captured<'a> {
    pub(super) registers: Registers,
    /// The stack from the stack pointer upwards; may be cut anywhere.
    pub(super) stack: Cow<'a, [u8]>,
}

/// The registers that lead from a frame to its caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) instruction: u64,
    pub(super) stack: u64,
    pub(super) frame: u64,
    /// Where there is a register for it; 0 elsewhere.
    pub(super) link: u64,
}

/// Addresses from the innermost frame outwards, and how the walk has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) addresses: Vec<u64>,
    pub(super) is_cut: bool,
}

/// Finds callers; reads a module's tables when its first frame is met.
#[derive(Default)]
pub(super) struct Unwinder {
    framehop: UnwinderNative<Rc<[u8]>, framehop::MayAllocateDuringUnwind>,
    rules: CacheNative<framehop::MayAllocateDuringUnwind>,
    images: Images,
    /// Walks that began in a module without tables.
    pub(super) without_tables: u64,
}

/// The files of the modules that were met.
#[derive(Debug, Default)]
pub(super) struct Images {
    by_module: HashMap<ModuleId, Option<Image>>,
    table_bytes: usize,
}

impl Images {
    /// The module's file, if it could be opened when it was first met.
    pub(super) fn get(&self, module: ModuleId) -> Option<&Image> {
        self.by_module.get(&module)?.as_ref()
    }
}

impl std::fmt::Debug for Unwinder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unwinder").field("images", &self.images).finish_non_exhaustive()
    }
}

impl Unwinder {
    /// The files of all modules with a frame in one of the walks.
    pub(super) fn images(&self) -> &Images {
        &self.images
    }

    /// Walks what was copied, and on along `chain`, the kernel's walk of the same stack.
    pub(super) fn walk(
        &mut self,
        captured: &Captured<'_>,
        chain: &Walk,
        space: &Space,
        modules: &Modules,
    ) -> Walk {
        let walk = self.by_tables(captured, chain, space, modules);
        self.without_tables += u64::from(self.has_no_tables(captured.registers.instruction, space));
        walk
    }

    fn by_tables(&mut self, captured: &Captured<'_>, chain: &Walk, space: &Space, modules: &Modules) -> Walk {
        let bottom = captured.registers.stack;
        let mut read = |address: u64| word(&captured.stack, address.wrapping_sub(bottom)).ok_or(());
        let mut registers = native(captured.registers);
        let mut addresses = vec![captured.registers.instruction];
        let mut at = space.locate(captured.registers.instruction);
        loop {
            let is_innermost = addresses.len() == 1;
            let place = at.and_then(|(module, offset)| self.place_of(module, offset, modules));
            let frame = frame_address(place.unwrap_or(0), is_innermost);
            match self.framehop.unwind_frame(frame, &mut registers, &mut self.rules, &mut read) {
                Ok(Some(caller)) => {
                    at = space.locate(caller.wrapping_sub(1));
                    if at.is_none() {
                        // Outside all code: only the kernel's chain may know more.
                        return continued(addresses, chain, false);
                    }
                    addresses.push(caller);
                }
                Ok(None) => return Walk { addresses, is_cut: false },
                // Outside the copy, or astray: likewise.
                Err(error) => {
                    // Of a process that is about to become another program nothing could be copied.
                    let is_cut = matches!(error, Error::CouldNotReadStack(_)) && !captured.stack.is_empty();
                    return continued(addresses, chain, is_cut);
                }
            }
            if addresses.len() >= MOST_FRAMES {
                return Walk { addresses, is_cut: true };
            }
        }
    }

    fn has_no_tables(&self, address: u64, space: &Space) -> bool {
        let Some((module, _)) = space.locate(address) else { return false };
        self.images.get(module).is_none_or(|image| image.tables.bytes() == 0)
    }

    /// Where that position of the module lies in framehop's address space; `None` if the module's file says nothing about it.
    fn place_of(&mut self, id: ModuleId, offset: u64, modules: &Modules) -> Option<u64> {
        let start = (u64::from(id.number()) + 1) << MODULE_BITS;
        if !self.images.by_module.contains_key(&id) {
            let image = Image::of(modules.get(id));
            if let Some(image) = &image {
                self.images.table_bytes += image.tables.bytes();
                if self.images.table_bytes <= MOST_TABLE_BYTES {
                    let range = start..start + (1 << MODULE_BITS);
                    let module = framehop::Module::new(String::new(), range, start, image.tables.clone());
                    self.framehop.add_module(module);
                }
            }
            self.images.by_module.insert(id, image);
        }
        let image = self.images.get(id)?;
        Some(start + image.address_of(offset)?.checked_sub(image.tables.base())?)
    }
}

/// What framehop looks up; 0 is in no module and makes it follow the frame pointer.
fn frame_address(place: u64, is_innermost: bool) -> FrameAddress {
    let caller = FrameAddress::from_return_address(place + 1);
    caller.filter(|_| !is_innermost).unwrap_or(FrameAddress::from_instruction_pointer(place))
}

fn word(stack: &[u8], offset: u64) -> Option<u64> {
    let start = usize::try_from(offset).ok()?;
    let bytes = stack.get(start..start.checked_add(8)?)?;
    bytes.try_into().ok().map(u64::from_ne_bytes)
}

/// Goes on along the chain behind the walk's last address. The chain leaves callers out, but what it holds comes in the same
/// order, recursion included.
fn continued(mut addresses: Vec<u64>, chain: &Walk, is_cut: bool) -> Walk {
    let mut rest = &chain.addresses[..];
    let mut is_known = false;
    for address in &addresses {
        is_known = rest.first() == Some(address);
        rest = &rest[usize::from(is_known)..];
    }
    if is_known && !rest.is_empty() {
        addresses.extend(rest);
        return Walk { addresses, is_cut: chain.is_cut };
    }
    Walk { addresses, is_cut }
}

#[cfg(target_arch = "x86_64")]
fn native(registers: Registers) -> UnwindRegsNative {
    UnwindRegsNative::new(registers.instruction, registers.stack, registers.frame)
}

#[cfg(target_arch = "aarch64")]
fn native(registers: Registers) -> UnwindRegsNative {
    UnwindRegsNative::new(registers.link, registers.stack, registers.frame)
}
