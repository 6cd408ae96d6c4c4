//! From places to names: the symbols of files and of the kernel, inlined functions included.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use blazesym::MaybeDefault;
use blazesym::symbolize::source::{Elf, Kernel, Source};
use blazesym::symbolize::{Input, Symbolized, Symbolizer};

use super::Folded;
use super::name::{bare, plain};
use super::space::{Module, ModuleId, Modules};
use super::tree::Place;

type Names = HashMap<Place, Named>;

/// What a place is called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    /// A function and what was inlined into it there, outermost first; at least one name.
    frames: Vec<String>,
    /// As a return address, which is one further, it would lead to the first instruction of a function: no call is before it.
    returns_to_start: bool,
}

impl Named {
    fn only(name: &str) -> Self {
        Self { frames: vec![name.to_owned()], returns_to_start: false }
    }
}

/// Whether functions that the compiler has inlined into another are frames of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inlined {
    /// Each is a frame.
    Shown,
    /// They count as the function that holds their code.
    Hidden,
}

/// Names the frames of all stacks and counts stacks of equal names together. Neighbouring frames without a name in the same
/// module become one: their number says nothing.
pub(super) fn folded(stacks: &HashMap<Vec<Place>, u64>, modules: &Modules, inlined: Inlined) -> Folded {
    let names = names(stacks.keys().flatten().copied(), modules, inlined);
    let mut folded = Folded::default();
    for (places, count) in stacks {
        folded.add(frames(places, &names), *count);
    }
    folded
}

/// The frames of a stack, outermost first.
fn frames(places: &[Place], names: &Names) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for (depth, place) in places.iter().enumerate().rev() {
        let named = &names[place];
        let is_above_root = depth > 0 && names[&places[depth - 1]].frames == [COROUTINE_ROOT];
        if is_above_root && named.returns_to_start {
            continue;
        }
        for name in &named.frames {
            if !(name.starts_with('[') && frames.last() == Some(name)) {
                frames.push(name.clone());
            }
        }
    }
    frames
}

/// The frame at the root of a goroutine's stack (corosensei). Beside the link to the worker's stack it keeps the goroutine's
/// function, which looks like a return address but is none.
const COROUTINE_ROOT: &str = "stack_init_trampoline";

/// Names all places. Where no symbol is found the name is that of the module in brackets, such as `[libc.so.6]`, of the kernel
/// (`[kernel]`), or `[unknown]`.
fn names(places: impl IntoIterator<Item = Place>, modules: &Modules, inlined: Inlined) -> Names {
    let mut in_kernel = BTreeSet::new();
    let mut in_modules: BTreeMap<ModuleId, BTreeSet<u64>> = BTreeMap::new();
    let mut names = Names::from([(Place::Unknown, Named::only("[unknown]"))]);
    for place in places {
        match place {
            Place::Kernel(address) => {
                in_kernel.insert(address);
            }
            Place::Module(module, offset) => {
                in_modules.entry(module).or_default().insert(offset);
            }
            Place::Unknown => {}
        }
    }
    let symbolizer =
        Symbolizer::builder().enable_auto_reload(false).enable_inlined_fns(inlined == Inlined::Shown).build();
    let addresses: Vec<u64> = in_kernel.into_iter().collect();
    let found = kernel_names(&symbolizer, &addresses);
    names.extend(addresses.into_iter().map(Place::Kernel).zip(found));
    for (id, offsets) in in_modules {
        let offsets: Vec<u64> = offsets.into_iter().collect();
        let found = module_names(&symbolizer, modules.get(id), &offsets);
        names.extend(offsets.into_iter().map(|offset| Place::Module(id, offset)).zip(found));
    }
    names
}

fn kernel_names(symbolizer: &Symbolizer, addresses: &[u64]) -> Vec<Named> {
    let kernel = Kernel { vmlinux: MaybeDefault::None, ..Kernel::default() };
    let found = if addresses.is_empty() || !kernel_addresses_are_shown() {
        vec![None; addresses.len()]
    } else {
        looked_up(symbolizer, &Source::Kernel(kernel), Input::AbsAddr(addresses))
    };
    let named = |symbol: Symbol| Named { frames: symbol.frames, returns_to_start: false };
    found.into_iter().map(|symbol| symbol.map_or_else(|| Named::only("[kernel]"), named)).collect()
}

/// Whether `/proc/kallsyms` tells addresses: `kptr_restrict` makes all of them 0, and each lookup would find the list's last
/// symbol. The first ones, offsets into per-CPU memory, are about 0 by right.
pub(super) fn kernel_addresses_are_shown() -> bool {
    let Ok(symbols) = File::open("/proc/kallsyms") else {
        return false;
    };
    let is_in_kernel = |line: &str| {
        let address = line.split(' ').next().unwrap_or_default();
        u64::from_str_radix(address, 16).is_ok_and(|address| address > u64::MAX / 2)
    };
    BufReader::new(symbols).lines().map_while(Result::ok).any(|line| is_in_kernel(&line))
}

fn module_names(symbolizer: &Symbolizer, module: &Module, offsets: &[u64]) -> Vec<Named> {
    let unnamed = title(&module.path);
    let Some(file) = readable_file(module) else {
        return vec![Named::only(&unnamed); offsets.len()];
    };
    let table = Elf { debug_syms: false, ..Elf::new(&file) };
    let source = Source::Elf(Elf::new(file));
    let mut found = looked_up(symbolizer, &source, Input::FileOffset(offsets));
    // Line tables name a function without its path (`multiply`), the symbol table with it (`app::matrix::multiply`).
    let in_full = looked_up(symbolizer, &Source::Elf(table), Input::FileOffset(offsets));
    for (symbol, full) in found.iter_mut().zip(in_full) {
        if let (Some(symbol), Some(full)) = (symbol, full) {
            symbol.frames[0].clone_from(&full.frames[0]);
        }
    }
    // A caller's place is one before the return address, to be within the call. But a stack made by hand, a signal handler's for one,
    // returns to the first instruction of a function, and before that may be nothing.
    let next: Vec<u64> = offsets.iter().map(|offset| offset + 1).collect();
    let found_next = looked_up(symbolizer, &source, Input::FileOffset(&next));
    let named = found.into_iter().zip(found_next).map(|(here, next)| {
        let returns_to_start = next.as_ref().is_some_and(|next| next.is_start);
        let frames = here.or(next).map_or_else(|| vec![unnamed.clone()], |symbol| symbol.frames);
        Named { frames, returns_to_start }
    });
    named.collect()
}

/// What was found at an address.
#[derive(Clone, Debug)]
struct Symbol {
    /// Bare names, the function that holds the code first, then what was inlined into it.
    frames: Vec<String>,
    /// The address is the function's first.
    is_start: bool,
}

/// One entry per input, in order; `None` where there is no symbol.
fn looked_up(symbolizer: &Symbolizer, source: &Source<'_>, input: Input<&[u64]>) -> Vec<Option<Symbol>> {
    // A file that is no ELF, or is broken, has no symbols: its frames keep the module's name.
    let Ok(found) = symbolizer.symbolize(source, input) else {
        return vec![None; input.into_inner().len()];
    };
    let symbol = |symbolized: &Symbolized<'_>| {
        let Symbolized::Sym(symbol) = symbolized else {
            return None;
        };
        let inlined = symbol.inlined.iter().map(|function| plain(&function.name));
        let frames = std::iter::once(bare(&symbol.name)).chain(inlined).collect();
        Some(Symbol { frames, is_start: symbol.offset == 0 })
    };
    found.iter().map(symbol).collect()
}

/// A path under which the module's file can be read now: its own, or by way of a process that still has it mapped, which
/// helps when the file is deleted or in another mount namespace. `None` for memory without a file and for a file that is gone.
fn readable_file(module: &Module) -> Option<PathBuf> {
    let Module { path, inode, seen_in: (pid, range) } = module;
    if !path.is_absolute() || is_anonymous(path) {
        return None;
    }
    let is_the_file =
        |candidate: &PathBuf| std::fs::metadata(candidate).is_ok_and(|file| file.ino() == *inode);
    let inside = Path::new("/proc").join(pid.to_string()).join("root").join(path.strip_prefix("/").ok()?);
    let mapped = PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", range.start, range.end));
    [path.clone(), inside, mapped]
        .into_iter()
        .find(is_the_file)
        // On stacked file systems the kernel's inode may differ from what `stat` says: trust the path, unless it was deleted.
        .or_else(|| path.is_file().then(|| path.clone()))
}

fn is_anonymous(path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    path.starts_with(b"//anon") || path.starts_with(b"/memfd:") || path.starts_with(b"/dev/zero")
}

/// What an unnamed frame of the module is called: its file's name in brackets.
fn title(path: &Path) -> String {
    if path.as_os_str().as_bytes().starts_with(b"//anon") {
        return "[anon]".into();
    }
    let name = path.file_name().unwrap_or(OsStr::new("unknown")).to_string_lossy();
    let name = name.trim_end_matches(" (deleted)").trim_matches(['[', ']']);
    bare(&format!("[{name}]"))
}

#[cfg(test)]
mod tests {
    use super::super::space::Space;
    use super::*;

    #[test]
    fn a_frame_without_symbol_has_its_modules_name() {
        let table = [
            ("/usr/lib/x86_64-linux-gnu/libc.so.6", "[libc.so.6]"),
            ("/opt/app (deleted)", "[app]"),
            ("[vdso]", "[vdso]"),
            ("//anon", "[anon]"),
            ("/memfd:jit code (deleted)", "[memfd:jit code]"),
            ("", "[unknown]"),
        ];
        for (path, expected) in table {
            assert_eq!(title(Path::new(path)), expected);
        }
    }

    fn own_place(address: u64) -> (Place, Modules) {
        let mut modules = Modules::default();
        let space = Space::of_process(std::process::id(), &mut modules);
        let (module, offset) = space.locate(address).unwrap();
        (Place::Module(module, offset), modules)
    }

    #[test]
    fn a_function_of_this_binary_is_found_by_its_place_in_the_file() {
        let (place, modules) = own_place(title as *const () as u64);
        let names = names([place], &modules, Inlined::Shown);
        let outermost = &names[&place].frames[0];
        assert!(outermost.contains("symbols::title"), "{outermost}");
        assert!(!outermost.contains("::h"), "{outermost}");
    }

    #[test]
    fn what_is_not_found_is_named_after_its_module_and_never_missing() {
        let (mut space, mut modules) = (Space::default(), Modules::default());
        let region = |start, path: &str| super::super::record::Region {
            start,
            length: 0x1000,
            offset: 0,
            path: path.into(),
            inode: 0,
        };
        space.map(1, region(0x1000, "/nonexistent/lib.so"), &mut modules);
        space.map(1, region(0x2000, "/proc/version"), &mut modules);
        let place = |address| {
            let (module, offset) = space.locate(address).unwrap();
            Place::Module(module, offset)
        };
        let places = [place(0x1004), place(0x2004), Place::Unknown];
        let names = names(places, &modules, Inlined::Shown);
        assert_eq!(
            places.map(|place| names[&place].frames.join(";")),
            ["[lib.so]", "[version]", "[unknown]"]
        );
    }

    #[test]
    fn what_only_looks_like_the_caller_of_a_coroutines_root_is_dropped() {
        let (mut space, mut modules) = (Space::default(), Modules::default());
        let path = "/bin/a".into();
        space.map(
            1,
            super::super::record::Region { start: 0, length: 9, offset: 0, path, inode: 0 },
            &mut modules,
        );
        let place = |address| Place::Module(space.locate(address).unwrap().0, address);
        let named = |name: &str, returns_to_start| Named { frames: vec![name.into()], returns_to_start };
        let names = Names::from([
            (place(1), named("work", false)),
            (place(2), named(COROUTINE_ROOT, false)),
            (place(3), named("before_the_function", true)),
            (place(4), named("resume", false)),
            (Place::Unknown, Named::only("[a]")),
        ]);
        let stack = [1, 2, 3, 4].map(place);
        assert_eq!(frames(&stack, &names), ["resume", COROUTINE_ROOT, "work"]);
        let stack = [place(1), place(3), Place::Unknown, Place::Unknown];
        assert_eq!(frames(&stack, &names), ["[a]", "before_the_function", "work"]);
    }

    #[test]
    fn kernel_places_are_always_named() {
        let places = [Place::Kernel(0xffff_ffff_8100_0000), Place::Kernel(1)];
        let names = names(places, &Modules::default(), Inlined::Shown);
        assert!(places.iter().all(|place| !names[place].frames.is_empty()));
    }
}
