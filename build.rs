//! Notices at build time what the binary cannot see of itself later: whether it is built with frame pointers.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Cargo joins the flags of `.cargo/config.toml` or `RUSTFLAGS`, whichever it uses, by this character.
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let has_frame_pointers = frame_pointers(flags.split('\u{1f}'));
    println!("cargo::rustc-check-cfg=cfg(corefit_frame_pointers)");
    if has_frame_pointers {
        println!("cargo::rustc-cfg=corefit_frame_pointers");
    }
}

/// Whether rustc keeps frame pointers under these flags: the last word on it counts, and without one it does not.
fn frame_pointers<'a>(flags: impl Iterator<Item = &'a str>) -> bool {
    let options = flags.filter_map(|flag| {
        flag.strip_prefix("-C").unwrap_or(flag).trim().strip_prefix("force-frame-pointers")
    });
    options.last().is_some_and(|value| !matches!(value.trim_start_matches('='), "no" | "n" | "off" | "false"))
}
