//! Weakens one ordering at run time, to see that a model notices: `scripts/weaken`.
//!
//! `COREFIT_WEAKEN=FILE:LINE:COLUMN:ROLE:ORDERING` names the access and what it is to be instead (a fence that is `Relaxed`
//! is none). `COREFIT_SITES=FILE` has every access that a model makes written to FILE, once a model, as
//! `FILE:LINE:COLUMN ROLE ORDERING MODEL`: what is not in that list, no model covers.

use crate::primitives::OnceLock;
use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::Location;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::{env, thread};

/// What an ordering is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// A load, a store, or a read-modify-write that succeeds.
    Access,
    /// A compare-and-swap that fails.
    Failure,
    Fence,
}

/// The ordering to use at `site`, where the code says `given`.
pub(crate) fn weakened(site: &Location<'_>, role: Role, given: Ordering) -> Ordering {
    if let Some(path) = sites_file() {
        note(path, site, role, given);
    }
    match mutation() {
        Some((weak_site, weak_role, weak)) if *weak_role == role && is_at(weak_site, site) => *weak,
        _ => given,
    }
}

/// Compares without building a string: this is asked millions of times.
fn is_at(name: &str, site: &Location<'_>) -> bool {
    struct Rest<'a>(&'a str, bool);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            match self.0.strip_prefix(part) {
                Some(rest) => self.0 = rest,
                None => self.1 = false,
            }
            Ok(())
        }
    }
    let mut rest = Rest(name, true);
    write!(rest, "{}:{}:{}", site.file(), site.line(), site.column()).is_ok() && rest.1 && rest.0.is_empty()
}

fn sites_file() -> Option<&'static str> {
    static FILE: OnceLock<Option<String>> = OnceLock::new();
    FILE.get_or_init(|| env::var("COREFIT_SITES").ok()).as_deref()
}

fn note(path: &str, site: &Location<'_>, role: Role, given: Ordering) {
    static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let model = thread::current().name().unwrap_or("?").to_owned();
    let line = format!("{}:{}:{} {role:?} {given:?} {model}", site.file(), site.line(), site.column());
    let mut seen = SEEN.lock().expect("no one panics here");
    if seen.get_or_insert_default().insert(line.clone()) {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| writeln!(file, "{line}")).expect("the file of sites can be written");
    }
}

type Mutation = (String, Role, Ordering);

fn mutation() -> Option<&'static Mutation> {
    static MUTATION: OnceLock<Option<Mutation>> = OnceLock::new();
    MUTATION.get_or_init(|| env::var("COREFIT_WEAKEN").ok().map(|text| parsed(&text))).as_ref()
}

fn parsed(text: &str) -> Mutation {
    let mut parts = text.rsplitn(3, ':');
    let order = match parts.next() {
        Some("Relaxed") => Ordering::Relaxed,
        Some("Acquire") => Ordering::Acquire,
        Some("Release") => Ordering::Release,
        Some("AcqRel") => Ordering::AcqRel,
        other => panic!("COREFIT_WEAKEN: no ordering: {other:?}"),
    };
    let role = match parts.next() {
        Some("Access") => Role::Access,
        Some("Failure") => Role::Failure,
        Some("Fence") => Role::Fence,
        other => panic!("COREFIT_WEAKEN: no role: {other:?}"),
    };
    (parts.next().expect("a site").to_owned(), role, order)
}
