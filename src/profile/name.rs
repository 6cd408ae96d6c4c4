//! Bare names for flame graphs: what a person calls the function, without what a compiler or a linker added.

/// The bare form of a demangled name: no hash, no clone suffix, no parameter list, nothing that the folded format reserves.
/// Never empty.
pub(super) fn bare(name: &str) -> String {
    let name = without_parameters(without_hash(without_clone_suffixes(name.trim())));
    // `;` separates frames and a line break ends a stack; `[u8; 4]` keeps its sense with a colon.
    let clean: String =
        name.chars().map(|c| if c == ';' { ':' } else { c }).filter(|c| !c.is_control()).collect();
    let clean = clean.trim();
    if clean.is_empty() { "[unknown]".into() } else { clean.into() }
}

/// The bare form of the name that debug information gives an inlined function, without its generic arguments: those of a
/// Rust closure fill lines, and the symbol table has none for the functions around it.
pub(super) fn plain(name: &str) -> String {
    let name = bare(name);
    let mut depth = 0_usize;
    for (at, byte) in name.bytes().enumerate().rev() {
        match byte {
            b'>' => depth += 1,
            // The arrow of a function type closes nothing; then nothing is cut.
            b'<' if depth == 0 => break,
            b'<' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            // A name that is nothing but arguments, or an operator, stays.
            let is_cut = at > 0 && byte == b'<' && !name[..at].ends_with("operator");
            return if is_cut { name[..at].trim_end_matches("::").to_owned() } else { name };
        }
    }
    name
}

/// Rust's legacy mangling ends in `::h` and 16 hexadecimal digits.
fn without_hash(name: &str) -> &str {
    let Some((path, last)) = name.rsplit_once("::h") else {
        return name;
    };
    let is_hash = last.len() == 16 && last.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { path } else { name }
}

/// `.llvm.123`, `.constprop.0`, `.cold`, `[clone .isra.0]` and the like name the same function as the bare name.
fn without_clone_suffixes(name: &str) -> &str {
    const SUFFIXES: [&str; 8] =
        ["llvm", "constprop", "isra", "part", "cold", "lto_priv", "specialized", "localalias"];
    let mut name = name.split_once(" [clone ").map_or(name, |(function, _)| function);
    while let Some((head, last)) = name.rsplit_once('.') {
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
        let (function, suffix) =
            if is_number { head.rsplit_once('.').unwrap_or_default() } else { (head, last) };
        if function.is_empty() || !SUFFIXES.contains(&suffix) {
            break;
        }
        name = function;
    }
    name
}

/// C++ names end in their parameters: `f(int, std::vector<int>) const` is `f`, and `T::operator()(int)` is `T::operator()`.
fn without_parameters(name: &str) -> &str {
    let function = name.trim_end_matches(" const").trim_end_matches(" &&").trim_end_matches(" &");
    if !function.ends_with(')') {
        return name;
    }
    let mut depth = 0_usize;
    for (at, byte) in function.bytes().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let bare = &function[..at];
            // A call operator without parameters, a tuple type or an anonymous namespace is no parameter list.
            let is_parameters = bare.ends_with(|c: char| c.is_alphanumeric() || "_>])=+-*/<!~".contains(c));
            return if is_parameters && !bare.ends_with("operator") { bare } else { name };
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ugly_names_become_bare() {
        let table = [
            ("core::fmt::write::h0123456789abcdef", "core::fmt::write"),
            ("core::fmt::write::h0123456789abcdef.llvm.1234", "core::fmt::write"),
            ("app::hash::h", "app::hash::h"),
            ("app::hello", "app::hello"),
            ("app::h0123456789abcdeg", "app::h0123456789abcdeg"),
            (
                "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop",
                "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop",
            ),
            ("app::sum::<[u8; 4]>", "app::sum::<[u8: 4]>"),
            ("app::main::{closure#0}", "app::main::{closure#0}"),
            (
                "core::ops::function::FnOnce::call_once{{vtable.shim}}",
                "core::ops::function::FnOnce::call_once{{vtable.shim}}",
            ),
            ("<(A, B) as app::Trait>::run", "<(A, B) as app::Trait>::run"),
            ("<F as app::Call<()>>::call::<(i32, u8)>", "<F as app::Call<()>>::call::<(i32, u8)>"),
            (
                "std::vector<int, std::allocator<int>>::push_back(int&&)",
                "std::vector<int, std::allocator<int>>::push_back",
            ),
            ("Solver::solve(std::vector<double> const&, int) const", "Solver::solve"),
            ("T::operator()(int) const", "T::operator()"),
            ("T::operator()", "T::operator()"),
            ("(anonymous namespace)::f(void (*)(int))", "(anonymous namespace)::f"),
            ("operator<<(std::ostream&, Foo const&)", "operator<<"),
            ("main.(*T).run", "main.(*T).run"),
            ("main.main.func1", "main.main.func1"),
            ("foo.constprop.0", "foo"),
            ("foo.isra.0.cold", "foo"),
            ("main.coldPath", "main.coldPath"),
            ("main.cold.func1.2", "main.cold.func1.2"),
            (".cold", ".cold"),
            ("foo(int) [clone .part.3]", "foo"),
            ("do_syscall_64", "do_syscall_64"),
            ("with\nnewline", "withnewline"),
            ("  ", "[unknown]"),
        ];
        for (ugly, expected) in table {
            assert_eq!(bare(ugly), expected, "{ugly}");
        }
    }

    #[test]
    fn inlined_functions_are_named_without_generic_arguments() {
        let table = [
            ("catch_unwind<core::panic::AssertUnwindSafe<{closure#0}>, ()>", "catch_unwind"),
            ("{closure#0}<usize, alloc::vec::Vec<u16>>", "{closure#0}"),
            ("sum::<u64>", "sum"),
            ("multiply_add", "multiply_add"),
            ("<T as U>", "<T as U>"),
            ("operator<", "operator<"),
            ("operator->", "operator->"),
            ("max<int>", "max"),
            ("v<int>::at", "v<int>::at"),
        ];
        for (long, expected) in table {
            assert_eq!(plain(long), expected, "{long}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_name_can_stand_in_a_folded_line(name in "\\PC{0,40}|[a-z:;.()<>\\[\\] \n]{0,40}") {
            let bare = bare(&name);
            prop_assert!(!bare.is_empty());
            prop_assert!(!bare.contains([';', '\n']));
        }
    }
}
