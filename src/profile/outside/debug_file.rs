//! The file with the symbols that were split off a program, by the number that the linker gave to both (the build-id), as
//! distributions keep it. One that a debug link in the program names is found by blazesym.

use std::path::{Path, PathBuf};

/// Where distributions put such files.
pub(super) const FOLDER: &str = "/usr/lib/debug";

/// The debug file of the program with that build-id, if it is there.
pub(super) fn of(build_id: &[u8], folder: &Path) -> Option<PathBuf> {
    path(build_id, folder).filter(|path| path.is_file())
}

/// Where it lies; `None` if the program has no build-id.
fn path(build_id: &[u8], folder: &Path) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    let name: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(folder.join(format!(".build-id/{first:02x}/{name}.debug")))
}

#[cfg(test)]
mod tests {
    use super::super::image::Image;
    use super::super::space::Module;
    use super::super::symbols::names_of_image;
    use super::*;
    use blazesym::symbolize::Symbolizer;
    use object::{Object, ObjectSegment, ObjectSymbol};
    use std::ffi::OsStr;
    use std::process::Command;

    const SOURCE: &str =
        "int hidden(int n) { return n * 7; }\nint main(int n, char **v) { return hidden(n); }\n";

    fn run(program: &str, args: &[&OsStr]) {
        let done = Command::new(program).args(args).status();
        assert!(done.is_ok_and(|status| status.success()), "`{program}` failed");
    }

    /// The function's position in the file, by its symbol table.
    fn position_of(file: &Path, function: &str) -> u64 {
        let bytes = std::fs::read(file).expect("it was made just now");
        let elf = object::File::parse(&*bytes).expect("a compiler made it");
        let address = elf.symbol_by_name(function).expect("it is in there").address();
        let mut segments = elf.segments();
        let segment = segments
            .find(|segment| (segment.address()..segment.address() + segment.size()).contains(&address))
            .expect("code is loaded");
        segment.file_range().0 + address - segment.address()
    }

    #[test]
    fn a_stripped_program_without_a_debug_link_has_the_names_of_its_debug_file() {
        let folder = tempfile::tempdir().unwrap();
        let [source, program, debug] = ["app.c", "app", "debug"].map(|name| folder.path().join(name));
        std::fs::write(&source, SOURCE).unwrap();
        let flags = ["-O0", "-g", "-Wl,--build-id", "-o"].map(OsStr::new);
        run("cc", &[&flags[..], &[program.as_os_str(), source.as_os_str()]].concat());
        let offset = position_of(&program, "hidden") + 4;
        run("objcopy", &[OsStr::new("--only-keep-debug"), program.as_os_str(), debug.as_os_str()]);
        run("strip", &[program.as_os_str()]);

        let module = Module { path: program.clone(), inode: 0, seen_in: (0, 0..0) };
        let image = Image::of(&module).unwrap();
        let name = |file: &Path| {
            let symbolizer = Symbolizer::new();
            let found = names_of_image(&symbolizer, &image, file.into(), &[offset], folder.path());
            found[0].as_ref().map(|named| named.frames.join(";"))
        };
        assert_eq!(name(&program), None, "it is stripped");
        let stored = path(&image.build_id, folder.path()).unwrap();
        std::fs::create_dir_all(stored.parent().unwrap()).unwrap();
        std::fs::rename(&debug, &stored).unwrap();
        assert_eq!(name(&program).as_deref(), Some("hidden"));
        assert_eq!(name(Path::new("/nowhere")).as_deref(), Some("hidden"), "nobody asks the program");
    }

    #[test]
    fn without_a_build_id_there_is_no_debug_file() {
        assert_eq!(path(&[], Path::new("/d")), None);
        let expected = PathBuf::from("/d/.build-id/ab/01ff.debug");
        assert_eq!(path(&[0xab, 0x01, 0xff], Path::new("/d")), Some(expected));
    }
}
