//! Notices at build time what the code cannot see of itself: whether it is built with frame pointers, and whether it may
//! use what only Linux has.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(corefit_linux)");
    if is_linux() {
        println!("cargo::rustc-cfg=corefit_linux");
    }
    // Cargo joins the flags of `.cargo/config.toml` or `RUSTFLAGS`, whichever it uses, by this character.
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let has_frame_pointers = frame_pointers(flags.split('\u{1f}'));
    println!("cargo::rustc-check-cfg=cfg(corefit_frame_pointers)");
    if has_frame_pointers {
        println!("cargo::rustc-cfg=corefit_frame_pointers");
    }
}

/// Whether the tool is built for Linux as such. With `--cfg corefit_portable_os` it is built there as for any other system,
/// so that this can be tested.
fn is_linux() -> bool {
    let target = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    target == "linux" && std::env::var_os("CARGO_CFG_COREFIT_PORTABLE_OS").is_none()
}

/// Whether rustc keeps frame pointers under these flags: the last word on it counts, and without one it does not.
fn frame_pointers<'a>(flags: impl Iterator<Item = &'a str>) -> bool {
    let options = flags.filter_map(|flag| {
        flag.strip_prefix("-C").unwrap_or(flag).trim().strip_prefix("force-frame-pointers")
    });
    options.last().is_some_and(|value| !matches!(value.trim_start_matches('='), "no" | "n" | "off" | "false"))
}
