//! A module's file, opened while a process still maps it: where its code lies, and how its functions are unwound.
//!
//! The open descriptor outlives the process and the file's name, so a program that is deleted meanwhile keeps its symbols.
//! Only the sections that unwinding needs are read, not the file.

use std::fs::{File, Metadata};
use std::io::Read;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use framehop::ModuleSectionInfo;
use gimli::{BaseAddresses, EhFrame, EhFrameHdr, EhFrameOffset, LittleEndian, UnwindSection};
use object::Endianness;
use object::elf::{ELF_NOTE_GNU, ELFCOMPRESS_ZLIB, FileHeader64, NT_GNU_BUILD_ID, PT_LOAD};
use object::read::elf::{CompressionHeader, FileHeader, ProgramHeader, SectionHeader, SectionTable};
use object::read::{ReadCache, ReadRef};

use super::space::Module;

/// Tables of all modules together are not read beyond so many bytes: a browser has 30 MB of them.
pub(super) const MOST_TABLE_BYTES: usize = 128 << 20;

type Elf = FileHeader64<Endianness>;

/// What is known of a module's file.
#[derive(Debug)]
pub(super) struct Image {
    /// `None` for the vdso, which has no file.
    file: Option<File>,
    segments: Vec<Segment>,
    /// The number that the linker gave to the file, and to its debug information; empty if none.
    pub(super) build_id: Vec<u8>,
    pub(super) tables: Tables,
}

/// A loaded piece of the file.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Position in the file, bytes.
    offset: u64,
    length: u64,
    /// Where the file says that it is loaded.
    address: u64,
}

/// The sections by which functions are unwound; none of them need be there.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    base: u64,
    eh_frame: Option<Section>,
    eh_frame_hdr: Option<Section>,
    debug_frame: Option<Section>,
}

#[derive(Clone, Debug)]
struct Section {
    address: u64,
    bytes: Rc<[u8]>,
}

impl Image {
    /// Opens the module's file; `None` for memory without a file, and for a file that is gone or no 64-bit ELF.
    pub(super) fn of(module: &Module) -> Option<Self> {
        if module.path == Path::new("[vdso]") {
            return Self::parse(vdso_bytes()?.as_slice(), None);
        }
        Self::of_file(open(module)?)
    }

    /// Reads an open file; `None` as above.
    pub(super) fn of_file(file: File) -> Option<Self> {
        let cache = ReadCache::new(file.try_clone().ok()?);
        Self::parse(&cache, Some(file))
    }

    fn parse<'data>(data: impl ReadRef<'data>, file: Option<File>) -> Option<Self> {
        let header = Elf::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let headers = header.program_headers(endian, data).ok()?;
        let loaded = headers.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
        let segments: Vec<Segment> = loaded
            .map(|segment| Segment {
                offset: segment.p_offset(endian),
                length: segment.p_filesz(endian),
                address: segment.p_vaddr(endian),
            })
            .collect();
        let sections = header.sections(endian, data).ok()?;
        let base = segments.iter().map(|segment| segment.address & !0xfff).min()?;
        let build_id = build_id(&sections, endian, data).unwrap_or_default();
        Some(Self { file, segments, build_id, tables: Tables::read(&sections, endian, data, base) })
    }

    /// The address that the file gives to that position in it.
    pub(super) fn address_of(&self, offset: u64) -> Option<u64> {
        let inside = |segment: &Segment| {
            let at = offset.checked_sub(segment.offset).filter(|&at| at < segment.length)?;
            segment.address.checked_add(at)
        };
        self.segments.iter().find_map(inside)
    }

    /// The first address of the function at that position, by the tables for unwinding, which `strip` leaves in place.
    pub(super) fn function_at(&self, offset: u64) -> Option<u64> {
        self.tables.function_at(self.address_of(offset)?)
    }

    /// A path under which the module's file can be read as long as this lives: its name, or the open descriptor if the name
    /// now means another file or none. `None` for the vdso.
    pub(super) fn file_of(&self, module: &Module) -> Option<PathBuf> {
        let file = self.file.as_ref()?;
        let is_same = |found: Metadata| file.metadata().is_ok_and(|own| is_one_file(&own, &found));
        if std::fs::metadata(&module.path).is_ok_and(is_same) {
            return Some(module.path.clone());
        }
        Some(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
    }
}

fn build_id<'data, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Elf, R>,
    endian: Endianness,
    data: R,
) -> Option<Vec<u8>> {
    let noted = sections.iter().filter_map(|section| section.notes(endian, data).ok()?);
    let mut notes = noted.flat_map(|mut notes| std::iter::from_fn(move || notes.next().ok()?));
    let found = notes.find(|note| note.n_type(endian) == NT_GNU_BUILD_ID && note.name() == ELF_NOTE_GNU);
    found.map(|note| note.desc().to_vec())
}

impl Tables {
    fn read<'data, R: ReadRef<'data>>(
        sections: &SectionTable<'data, Elf, R>,
        endian: Endianness,
        data: R,
        base: u64,
    ) -> Self {
        let named =
            |name: &str| sections.section_by_name(endian, name.as_bytes()).map(|(_, section)| section);
        let read = |name: &str| {
            let section = named(name)?;
            let bytes = match section.compression(endian, data).ok()? {
                None => Rc::from(section.data(endian, data).ok()?),
                Some((how, offset, size)) if how.ch_type(endian) == ELFCOMPRESS_ZLIB => {
                    inflated(data.read_bytes_at(offset, size).ok()?, how.ch_size(endian))?
                }
                Some(_) => return None,
            };
            Some(Section { address: section.sh_addr(endian), bytes })
        };
        // Go describes its functions in `.debug_frame` alone; what C code is linked to them has an `.eh_frame`.
        let debug_frame = if named(".eh_frame").is_none() || named(".go.buildinfo").is_some() {
            read(".debug_frame")
        } else {
            None
        };
        if debug_frame.is_some() {
            return Self { base, debug_frame, ..Self::default() };
        }
        Self { base, eh_frame: read(".eh_frame"), eh_frame_hdr: read(".eh_frame_hdr"), debug_frame: None }
    }

    /// The lowest address that the file is loaded at.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Bytes of memory that they take.
    pub(super) fn bytes(&self) -> usize {
        let all = [&self.eh_frame, &self.eh_frame_hdr, &self.debug_frame];
        all.into_iter().flatten().map(|section| section.bytes.len()).sum()
    }

    fn function_at(&self, address: u64) -> Option<u64> {
        let (index, frames) = (self.eh_frame_hdr.as_ref()?, self.eh_frame.as_ref()?);
        let bases = BaseAddresses::default().set_eh_frame(frames.address).set_eh_frame_hdr(index.address);
        let index = EhFrameHdr::new(&index.bytes, LittleEndian).parse(&bases, 8).ok()?;
        let table = index.table()?;
        // Not by `pointer_to_offset`, which subtracts without a look.
        let place = table.lookup(address, &bases).ok()?.direct().ok()?.checked_sub(frames.address)?;
        let place = EhFrameOffset(usize::try_from(place).ok()?);
        let mut frames = EhFrame::new(&frames.bytes, LittleEndian);
        frames.set_address_size(8);
        let function = frames.fde_from_offset(&bases, place, EhFrame::cie_from_offset).ok()?;
        function.contains(address).then(|| function.initial_address())
    }

    fn section(&self, name: &[u8]) -> Option<&Section> {
        match name {
            b".eh_frame" => self.eh_frame.as_ref(),
            b".eh_frame_hdr" => self.eh_frame_hdr.as_ref(),
            b".debug_frame" => self.debug_frame.as_ref(),
            _ => None,
        }
    }
}

impl ModuleSectionInfo<Rc<[u8]>> for Tables {
    fn base_svma(&self) -> u64 {
        self.base
    }

    fn section_svma_range(&mut self, name: &[u8]) -> Option<Range<u64>> {
        let Section { address, bytes } = self.section(name)?;
        Some(*address..address.checked_add(bytes.len() as u64)?)
    }

    fn section_data(&mut self, name: &[u8]) -> Option<Rc<[u8]>> {
        self.section(name).map(|section| Rc::clone(&section.bytes))
    }
}

fn is_one_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn inflated(bytes: &[u8], wanted_bytes: u64) -> Option<Rc<[u8]>> {
    let wanted = usize::try_from(wanted_bytes).ok().filter(|&bytes| bytes <= MOST_TABLE_BYTES)?;
    let mut inflated = Vec::with_capacity(wanted);
    flate2::read::ZlibDecoder::new(bytes).take(wanted_bytes).read_to_end(&mut inflated).ok()?;
    (inflated.len() == wanted).then(|| inflated.into())
}

/// Where this process has its vdso: the kernel maps the same one into every 64-bit process.
pub(super) fn own_vdso() -> Option<Range<u64>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
}

fn vdso_bytes() -> Option<Vec<u8>> {
    let Range { start, end } = own_vdso()?;
    let mut bytes = vec![0; usize::try_from(end.checked_sub(start)?).ok()?];
    File::open("/proc/self/mem").ok()?.read_exact_at(&mut bytes, start).ok()?;
    Some(bytes)
}

/// The module's file, by its name or by way of a process that still has it mapped, which helps when the file is deleted or
/// in another mount namespace.
pub(super) fn open(module: &Module) -> Option<File> {
    let Module { path, inode, seen_in: (pid, range) } = module;
    if !path.is_absolute() || is_anonymous(path) {
        return None;
    }
    let inside = Path::new("/proc").join(pid.to_string()).join("root").join(path.strip_prefix("/").ok()?);
    let mapped = PathBuf::from(format!("/proc/{pid}/map_files/{:x}-{:x}", range.start, range.end));
    let executed = PathBuf::from(format!("/proc/{pid}/exe"));
    let opened = |path: &Path| {
        // Not to wait for whoever may write into a pipe that has taken the file's place.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
        let is_a_file = file.metadata().is_ok_and(|found| found.is_file());
        is_a_file.then_some(file)
    };
    let is_the_one = |file: &File| file.metadata().is_ok_and(|found| found.ino() == *inode);
    let ways = [path.as_path(), &inside, &mapped, &executed];
    let found = ways.into_iter().filter_map(opened).find(is_the_one);
    // On stacked file systems the kernel's inode may differ from what `stat` says: trust the path, unless it was deleted.
    found.or_else(|| opened(path))
}

/// Whether there is no file behind the module's memory, or none with symbols: what a compiler has made at run time.
pub(super) fn is_anonymous(path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    path.starts_with(b"//anon") || path.starts_with(b"/memfd:") || path.starts_with(b"/dev/zero")
}

#[cfg(test)]
mod tests {
    use super::super::space::{Modules, Space};
    use super::*;
    use proptest::prelude::*;

    fn own_image(address: u64) -> (Image, u64) {
        let mut modules = Modules::default();
        let space = Space::of_process(std::process::id(), &mut modules);
        let (module, offset) = space.locate(address).unwrap();
        (Image::of(modules.get(module)).unwrap(), offset)
    }

    #[test]
    fn the_tables_of_this_binary_say_where_a_function_begins() {
        let function = is_anonymous as *const () as u64;
        let (image, offset) = own_image(function);
        let start = image.address_of(offset);
        assert!(start.is_some() && image.tables.bytes() > 0);
        assert_eq!(image.function_at(offset), start);
        assert_eq!(image.function_at(offset + 1), start, "its second byte belongs to it");
        assert_eq!(image.function_at(u64::MAX), None);
    }

    #[test]
    fn an_open_file_can_be_read_when_its_name_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::copy("/proc/self/exe", &path).unwrap();
        let inode = std::fs::metadata(&path).unwrap().ino();
        let module = Module { path: path.clone(), inode, seen_in: (0, 0..0) };
        let image = Image::of(&module).unwrap();
        assert_eq!(image.file_of(&module), Some(path.clone()));
        std::fs::remove_file(&path).unwrap();
        let found = std::fs::metadata(image.file_of(&module).unwrap()).unwrap();
        assert_eq!(found.ino(), inode);
    }

    #[test]
    fn the_vdso_is_read_from_memory() {
        let Some(bytes) = vdso_bytes() else {
            return;
        };
        let image = Image::parse(bytes.as_slice(), None).unwrap();
        assert!(image.tables.bytes() > 0 && image.file.is_none());
        assert!(!image.build_id.is_empty(), "the kernel's linker writes one");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn a_broken_file_says_nothing_or_something_wrong_but_never_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            offsets in prop::collection::vec(any::<u64>(), 4),
        ) {
            let mut bytes = vdso_bytes().unwrap_or_default();
            for (at, byte) in changes {
                // Every other one is in the headers, where it does most.
                let within = if byte % 2 == 0 { bytes.len() } else { bytes.len().min(256) };
                if within > 0 {
                    bytes[at.index(within)] = byte;
                }
            }
            if let Some(mut image) = Image::parse(bytes.as_slice(), None) {
                for offset in offsets.into_iter().chain(0..64) {
                    image.function_at(offset.wrapping_mul(16));
                    image.function_at(offset);
                }
                for name in [&b".eh_frame"[..], b".eh_frame_hdr", b".debug_frame"] {
                    image.tables.section_svma_range(name);
                }
            }
        }
    }

    #[test]
    fn what_is_no_elf_has_no_image() {
        let garbage: [&[u8]; 3] = [b"", b"\x7fELF", b"#!/bin/sh\n"];
        assert!(garbage.into_iter().all(|bytes| Image::parse(bytes, None).is_none()));
        assert!(inflated(b"garbage", 5).is_none() && inflated(b"", u64::MAX).is_none());
    }
}
