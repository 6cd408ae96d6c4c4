//! Names of targets, which are names of folders of results.

use super::Error;
use crate::quote::one_line;

/// Longest slug of a command line, in characters; if it is cut, the digits of the hash come after these.
const SLUG_CHARS: usize = 48;

/// Longest name given by hand: a file name has 255 bytes, and suffixes are put to it.
const NAME_CHARS: usize = 200;

/// Ending of the folder that keeps the sweep before.
const FORMER: &str = ".prev";

/// Files that stand beside the folders of the targets.
const RESERVED: [&str; 2] = ["index.html", "summary.csv"];

/// Whether `name` can be a target's.
///
/// # Errors
/// It is empty or too long, has other characters than `[A-Za-z0-9._-]`, starts with a dot, or is the name of something
/// else in a folder of results.
pub(super) fn check(name: &str) -> Result<(), Error> {
    let refuse = |why: &str| {
        Err(Error::Invalid(format!("`{}` cannot be the name of a target: {why}", one_line(name))))
    };
    if name.is_empty() || !name.chars().all(is_plain) {
        return refuse("use letters, digits, `.`, `_` and `-`");
    }
    if name.starts_with('.') {
        return refuse("it starts with a dot");
    }
    if name.len() > NAME_CHARS {
        return refuse("it has more than 200 characters");
    }
    if name.ends_with(FORMER) || RESERVED.contains(&name) {
        return refuse("the results have something else of that name");
    }
    Ok(())
}

/// A name for a command line: its plain characters, each run of others as one `-`. If anything had to be cut, it ends
/// with 6 digits of the hash of the whole command line.
pub(super) fn slug(argv: &[String]) -> String {
    let mut slug = String::new();
    let mut is_gap = false;
    for c in argv.join(" ").chars() {
        if is_plain(c) {
            slug.extend(is_gap.then_some('-'));
            slug.push(c);
        }
        is_gap = !is_plain(c);
    }
    let slug = slug.trim_start_matches(['.', '-']);
    if check(slug).is_ok() && slug.len() <= SLUG_CHARS {
        return slug.to_owned();
    }
    // The `-` before the digits takes the place of the last character.
    let cut = &slug[..slug.len().min(SLUG_CHARS - 1)];
    let cut = if cut.is_empty() { "command" } else { cut };
    format!("{cut}-{:06x}", fnv1a(argv.join("\0").as_bytes()) & 0xFF_FFFF)
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo): the same on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn slug_is(argv: &[&str], expected: &str) {
        assert_eq!(slug(&argv.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn a_command_line_becomes_a_readable_name() {
        slug_is(&["true"], "true");
        slug_is(&["sleep", "0.1"], "sleep-0.1");
        slug_is(&["./app", "--threads", "{procs}"], "app---threads-procs");
        slug_is(&["/usr/bin/app", "-x"], "usr-bin-app--x");
    }

    #[test]
    fn a_name_that_was_cut_carries_a_hash_of_the_whole() {
        let long = |last: &str| slug(&[format!("app{}", "-x".repeat(40)), last.to_owned()]);
        assert_eq!(long("a").len(), 54);
        assert!(long("a").starts_with(&format!("app{}", "-x".repeat(22))), "{}", long("a"));
        assert_ne!(long("a"), long("b"));
        assert_eq!(long("a"), long("a"));
    }

    #[test]
    fn what_leaves_no_usable_name_gets_a_hash() {
        assert!(slug(&["日本".to_owned()]).starts_with("command-"));
        assert!(slug(&["./app.prev".to_owned()]).starts_with("app.prev-"));
        assert_ne!(slug(&["..".to_owned()]), slug(&["...".to_owned()]));
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn names_that_are_no_folder_of_ours_are_refused() {
        let long = "x".repeat(201);
        for name in
            ["", ".", "..", ".x", "a/b", "a b", "ä", "a\n", "x.prev", "summary.csv", "index.html", &long]
        {
            let error = check(name).expect_err(name).to_string();
            assert!(!error.contains('\n'), "{error}");
        }
        for name in ["x", "1.0", "a-b_c.d", "-x"] {
            check(name).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_command_line_has_a_usable_name(argv in prop::collection::vec(any::<String>(), 1..5)) {
            let name = slug(&argv);
            prop_assert!(check(&name).is_ok() && name.len() <= SLUG_CHARS + 6, "{}", name);
        }
    }
}
