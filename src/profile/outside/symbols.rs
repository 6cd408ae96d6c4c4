//! From places to names: the symbols of files and of the kernel, inlined functions included.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use blazesym::symbolize::source::{Elf, Kernel, Process, Source};
use blazesym::symbolize::{Input, Symbolized, Symbolizer};
use blazesym::{MaybeDefault, Pid};

use super::debug_file;
use super::goroutine;
use super::image::{Image, is_anonymous, own_vdso};
use super::jit;
use super::name::{bare, plain};
use super::space::{Module, ModuleId};
use super::tree::{Place, Tree};
use super::{Folded, WORTH_A_WORD};

/// What all places of some stacks are called.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Place, Named>);

/// What a place is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// A function and what was inlined into it there, outermost first; at least one name.
    pub(super) frames: Vec<String>,
    /// As a return address, which is one further, it would lead to the first instruction of a function: no call is before it.
    returns_to_start: bool,
    /// Why the function's own name is not known.
    unnamed: Option<Unnamed>,
}

/// Why a function has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unnamed {
    /// Its file has no symbol for it.
    NoSymbol,
    /// Its file could not be read.
    NoFile,
    /// It was made at run time, and nobody has said what it is.
    MadeAtRunTime,
    /// It was made at run time, and is not in the list that says what such code is.
    NotInList,
}

impl Named {
    fn only(name: impl Into<String>) -> Self {
        Self { frames: vec![name.into()], ..Self::default() }
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

impl Names {
    /// Names all frames of the stacks, and the threads that they belong to.
    pub(super) fn of(stacks: &HashMap<Vec<Place>, u64>, tree: &Tree, inlined: Inlined) -> Self {
        Self::of_places(stacks.keys().flatten().copied(), tree, inlined)
    }

    /// Where no symbol is found the name is that of the module in brackets, with the function's beginning in it if that can
    /// be told, such as `[libc.so.6+0x29ca8]`; `[kernel]`, or `[unknown]`.
    fn of_places(places: impl IntoIterator<Item = Place>, tree: &Tree, inlined: Inlined) -> Self {
        let mut in_kernel = BTreeSet::new();
        let mut in_modules: BTreeMap<ModuleId, BTreeSet<u64>> = BTreeMap::new();
        let mut names = HashMap::from([(Place::Unknown, Named::only("[unknown]"))]);
        for place in places {
            match place {
                Place::Kernel(address) => {
                    in_kernel.insert(address);
                }
                Place::Module(module, offset) => {
                    in_modules.entry(module).or_default().insert(offset);
                }
                Place::Thread(id) => {
                    names.entry(place).or_insert_with(|| Named::only(plain_title(&tree.threads.title(id))));
                }
                Place::Unknown => {}
            }
        }
        let symbolizer = Symbolizer::builder()
            .enable_auto_reload(false)
            .enable_inlined_fns(inlined == Inlined::Shown)
            .build();
        let addresses: Vec<u64> = in_kernel.into_iter().collect();
        let found = kernel_names(&symbolizer, &addresses);
        names.extend(addresses.into_iter().map(Place::Kernel).zip(found));
        for (id, offsets) in in_modules {
            let offsets: Vec<u64> = offsets.into_iter().collect();
            let image = tree.unwinder.images().get(id);
            let found = module_names(&symbolizer, tree.modules.get(id), image, &offsets);
            names.extend(offsets.into_iter().map(|offset| Place::Module(id, offset)).zip(found));
        }
        Self(names)
    }

    /// Names the frames of the stacks and counts stacks of equal names together. Neighbouring frames without a name in the
    /// same function or module become one: their number says nothing.
    pub(super) fn folded(&self, stacks: &HashMap<Vec<Place>, u64>) -> Folded {
        let mut folded = Folded::default();
        for (places, count) in stacks {
            let (places, thread) = match places.split_last() {
                Some((thread @ Place::Thread(_), places)) => (places, Some(thread)),
                _ => (&places[..], None),
            };
            let mut frames = self.frames(places);
            goroutine::rooted(&mut frames);
            frames.splice(0..0, thread.into_iter().flat_map(|thread| self.0[thread].frames.clone()));
            folded.add(frames, *count);
        }
        folded
    }

    /// The frames of a stack, outermost first.
    fn frames(&self, places: &[Place]) -> Vec<String> {
        let mut frames: Vec<String> = Vec::new();
        for (depth, place) in places.iter().enumerate().rev() {
            let named = &self.0[place];
            let is_above_root = depth > 0 && self.0[&places[depth - 1]].frames == [COROUTINE_ROOT];
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

    /// What a reader must know about frames without a name: one line for each module in which much time is spent without it.
    pub(super) fn warnings(&self, stacks: &HashMap<Vec<Place>, u64>, tree: &Tree) -> Vec<String> {
        let mut samples: BTreeMap<ModuleId, (u64, Place)> = BTreeMap::new();
        for (places, count) in stacks {
            let innermost = places[0];
            if let Place::Module(id, _) = innermost
                && self.0[&innermost].unnamed.is_some()
            {
                samples.entry(id).or_insert((0, innermost)).0 += count;
            }
        }
        let all: u64 = stacks.values().sum();
        let many = samples.into_iter().filter(|(_, (count, _))| count * WORTH_A_WORD >= all);
        let warning = |(id, (count, place)): (ModuleId, (u64, Place))| {
            let Named { frames, unnamed, .. } = &self.0[&place];
            let module = tree.modules.get(id);
            let path = module.path.display();
            let why = match (*unnamed)? {
                Unnamed::NoSymbol => format!(
                    "`{path}` that have no symbols (stripped?): they are called {}, by where they begin if that is known; \
                     build without `strip`, or put the debug file into /usr/lib/debug",
                    frames[0]
                ),
                Unnamed::NoFile => format!(
                    "`{path}`, which could not be read (deleted, or of another user?): they have no names"
                ),
                Unnamed::MadeAtRunTime => format!(
                    "code that process {} made at run time: it has names if the program writes /tmp/perf-PID.map \
                     (`node --perf-basic-prof`, `python -X perf`, Java's perf-map-agent)",
                    module.seen_in.0
                ),
                Unnamed::NotInList => format!(
                    "code that process {0} made at run time and that its list, /tmp/perf-{0}.map, does not have (a line is \
                     `START SIZE NAME`, the numbers hexadecimal)",
                    module.seen_in.0
                ),
            };
            Some(format!("{count} of {all} stacks end in functions of {why}"))
        };
        many.filter_map(warning).collect()
    }
}

/// A thread's name may hold anything.
fn plain_title(title: &str) -> String {
    title.chars().map(|c| if c == ';' { ':' } else { c }).filter(|c| !c.is_control()).collect()
}

/// The frame at the root of a goroutine's stack (corosensei). Beside the link to the worker's stack it keeps the goroutine's
/// function, which looks like a return address but is none.
const COROUTINE_ROOT: &str = "stack_init_trampoline";

fn kernel_names(symbolizer: &Symbolizer, addresses: &[u64]) -> Vec<Named> {
    let kernel = Kernel { vmlinux: MaybeDefault::None, ..Kernel::default() };
    let found = if addresses.is_empty() || !kernel_addresses_are_shown() {
        vec![None; addresses.len()]
    } else {
        looked_up(symbolizer, &Source::Kernel(kernel), Input::AbsAddr(addresses))
    };
    let named = |symbol: Symbol| Named { frames: symbol.frames, ..Named::default() };
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

fn module_names(
    symbolizer: &Symbolizer,
    module: &Module,
    image: Option<&Image>,
    offsets: &[u64],
) -> Vec<Named> {
    let title = title(&module.path);
    if is_anonymous(&module.path) {
        let listed = jit::names(module.seen_in.0, offsets);
        let why = if listed.is_some() { Unnamed::NotInList } else { Unnamed::MadeAtRunTime };
        let unnamed = Named { unnamed: Some(why), ..Named::only(title) };
        let names = listed.unwrap_or_else(|| vec![None; offsets.len()]).into_iter();
        return names.map(|name| name.map_or_else(|| unnamed.clone(), Named::only)).collect();
    }
    if module.path == Path::new("[vdso]") {
        let named = vdso_names(symbolizer, offsets).into_iter();
        return named.map(|symbol| symbol.unwrap_or_else(|| Named::only(title.clone()))).collect();
    }
    let opened = if image.is_none() { Image::of(module) } else { None };
    let image = image.or(opened.as_ref());
    let Some((image, file)) = image.and_then(|image| Some((image, image.file_of(module)?))) else {
        let unnamed = Named { unnamed: Some(Unnamed::NoFile), ..Named::only(title) };
        return vec![unnamed; offsets.len()];
    };
    let found = names_of_image(symbolizer, image, file, offsets, Path::new(debug_file::FOLDER))
        .into_iter()
        .zip(offsets);
    let named = found.map(|(named, &offset)| {
        named.unwrap_or_else(|| {
            let name = match image.function_at(offset) {
                Some(start) => format!("{}+{start:#x}]", title.trim_end_matches(']')),
                None => title.clone(),
            };
            Named { unnamed: Some(Unnamed::NoSymbol), ..Named::only(name) }
        })
    });
    named.collect()
}

/// By the symbols that were split off, if they are there, and where they say nothing by those of the file itself.
pub(super) fn names_of_image(
    symbolizer: &Symbolizer,
    image: &Image,
    file: PathBuf,
    offsets: &[u64],
    debug_folder: &Path,
) -> Vec<Option<Named>> {
    let own = |offsets: &[u64]| names_in_file(symbolizer, file, offsets, |places| Input::FileOffset(places));
    let Some(debug_file) = debug_file::of(&image.build_id, debug_folder) else {
        return own(offsets);
    };
    let addresses: Vec<u64> =
        offsets.iter().map(|&offset| image.address_of(offset).unwrap_or(u64::MAX)).collect();
    let mut named = names_in_file(symbolizer, debug_file, &addresses, |places| Input::VirtOffset(places));
    let is_left = |index: &usize| named[*index].is_none();
    let left: Vec<usize> = (0..offsets.len()).filter(is_left).collect();
    if !left.is_empty() {
        let offsets: Vec<u64> = left.iter().map(|&index| offsets[index]).collect();
        left.into_iter().zip(own(&offsets)).for_each(|(index, own)| named[index] = own);
    }
    named
}

/// By this process's own vdso, which is the same as that of all others.
fn vdso_names(symbolizer: &Symbolizer, offsets: &[u64]) -> Vec<Option<Named>> {
    let Some(Range { start, .. }) = own_vdso() else {
        return vec![None; offsets.len()];
    };
    let addresses: Vec<u64> = offsets.iter().map(|offset| start + offset).collect();
    let source = Source::Process(Process { map_files: false, perf_map: false, ..Process::new(Pid::Slf) });
    let found = looked_up(symbolizer, &source, Input::AbsAddr(&addresses)).into_iter();
    found.map(|symbol| symbol.map(|symbol| Named { frames: symbol.frames, ..Named::default() })).collect()
}

/// One entry for each of `places`, which are of the kind that `input` says.
fn names_in_file(
    symbolizer: &Symbolizer,
    file: PathBuf,
    places: &[u64],
    input: fn(&[u64]) -> Input<&[u64]>,
) -> Vec<Option<Named>> {
    let table = Source::Elf(Elf { debug_syms: false, ..Elf::new(&file) });
    let found = looked_up(symbolizer, &Source::Elf(Elf::new(file)), input(places));
    // Line tables name a function without its path (`multiply`), the symbol table with it (`app::matrix::multiply`).
    let in_full = looked_up(symbolizer, &table, input(places));
    // A caller's place is one before the return address, to be within the call. But a stack made by hand, a signal handler's for one,
    // returns to the first instruction of a function, and before that may be nothing.
    let next: Vec<u64> = places.iter().map(|place| place.saturating_add(1)).collect();
    let next = looked_up(symbolizer, &table, input(&next));
    let named = found.into_iter().zip(in_full).zip(next).map(|((found, full), next)| {
        let returns_to_start = next.as_ref().is_some_and(|next| next.is_start);
        let frames = match (found, full) {
            (Some(mut found), Some(full)) => {
                found.frames[0].clone_from(&full.frames[0]);
                found.frames
            }
            (found, full) => found.or(full).or(next)?.frames,
        };
        Some(Named { frames, returns_to_start, unnamed: None })
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
    use super::super::space::{Modules, Space};
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

    fn own_place(address: u64) -> (Place, Tree) {
        let mut tree = Tree::default();
        let space = Space::of_process(std::process::id(), &mut tree.modules);
        let (module, offset) = space.locate(address).unwrap();
        (Place::Module(module, offset), tree)
    }

    #[test]
    fn a_function_of_this_binary_is_found_by_its_place_in_the_file() {
        let (place, tree) = own_place(title as *const () as u64);
        let names = Names::of_places([place], &tree, Inlined::Shown);
        let outermost = &names.0[&place].frames[0];
        assert!(outermost.contains("symbols::title"), "{outermost}");
        assert!(!outermost.contains("::h"), "{outermost}");
    }

    #[test]
    fn what_is_not_found_is_named_after_its_module_and_never_missing() {
        let (mut space, mut tree) = (Space::default(), Tree::default());
        let region = |start, path: &str| super::super::record::Region {
            start,
            length: 0x1000,
            offset: 0,
            path: path.into(),
            inode: 0,
        };
        space.map(1, region(0x1000, "/nonexistent/lib.so"), &mut tree.modules);
        space.map(1, region(0x2000, "/proc/version"), &mut tree.modules);
        let place = |address| {
            let (module, offset) = space.locate(address).unwrap();
            Place::Module(module, offset)
        };
        let places = [place(0x1004), place(0x2004), Place::Unknown];
        let names = Names::of_places(places, &tree, Inlined::Shown);
        assert_eq!(
            places.map(|place| names.0[&place].frames.join(";")),
            ["[lib.so]", "[version]", "[unknown]"]
        );
        let stacks = HashMap::from([(vec![places[0]], 19), (vec![places[2], places[1]], 1)]);
        let warnings = names.warnings(&stacks, &tree);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("19 of 20 stacks end in functions of `/nonexistent/lib.so`"));
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
        let named = |name: &str, returns_to_start| Named { returns_to_start, ..Named::only(name) };
        let names = HashMap::from([
            (place(1), named("work", false)),
            (place(2), named(COROUTINE_ROOT, false)),
            (place(3), named("before_the_function", true)),
            (place(4), named("resume", false)),
            (Place::Unknown, Named::only("[a]")),
        ]);
        let names = Names(names);
        let stack = [1, 2, 3, 4].map(place);
        assert_eq!(names.frames(&stack), ["resume", COROUTINE_ROOT, "work"]);
        let stack = [place(1), place(3), Place::Unknown, Place::Unknown];
        assert_eq!(names.frames(&stack), ["[a]", "before_the_function", "work"]);
    }

    #[test]
    fn kernel_places_are_always_named() {
        let places = [Place::Kernel(0xffff_ffff_8100_0000), Place::Kernel(1)];
        let names = Names::of_places(places, &Tree::default(), Inlined::Shown);
        assert!(places.iter().all(|place| !names.0[place].frames.is_empty()));
    }
}
