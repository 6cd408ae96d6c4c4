//! What other systems than Linux say of the machine, by POSIX's functions and macOS's `sysctl`.
#![allow(unsafe_code, reason = "getloadavg, sysconf and sysctlbyname have no safe form")]

use std::io;

use super::{CpuList, Machine, anywhere};

/// All but what `measure` has to try out.
pub(super) fn look() -> Machine {
    Machine {
        cpu_model: model::cpu_model(),
        kernel: Some(rustix::system::uname().release().to_string_lossy().into_owned()),
        memory_bytes: memory_bytes(),
        load_average: load_average(),
        ..anywhere()
    }
}

/// Memory of the machine, bytes.
fn memory_bytes() -> Option<u64> {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    u64::try_from(pages).ok()?.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

/// Load average of the last minute.
fn load_average() -> Option<f64> {
    let mut load = 0.0;
    // SAFETY: one number is asked for, and `load` is one that lives over the call.
    let numbers = unsafe { libc::getloadavg(&raw mut load, 1) };
    (numbers == 1 && load.is_finite()).then_some(load)
}

#[cfg(target_os = "macos")]
mod model {
    use std::ffi::CStr;

    /// The CPU's name, such as `Apple M2`.
    pub(super) fn cpu_model() -> Option<String> {
        let mut text = [0_u8; 256];
        let mut bytes = text.len();
        let name = c"machdep.cpu.brand_string".as_ptr();
        // SAFETY: `name` is a C string, and `text` has `bytes` bytes, both alive over the call; nothing is set.
        let status = unsafe {
            libc::sysctlbyname(name, text.as_mut_ptr().cast(), &raw mut bytes, std::ptr::null_mut(), 0)
        };
        let name = CStr::from_bytes_until_nul(&text).ok().filter(|_| status == 0)?;
        Some(name.to_string_lossy().into_owned())
    }
}

#[cfg(not(target_os = "macos"))]
mod model {
    /// No other system has a way of its own here.
    pub(super) fn cpu_model() -> Option<String> {
        None
    }
}

/// Whether a battery is being drained: not asked.
pub(super) fn is_on_battery() -> bool {
    false
}

/// How often the CPUs slowed themselves down because they were hot: not known.
pub(super) fn thermal_throttles() -> Option<u64> {
    None
}

/// The CPUs that this process may use.
///
/// # Errors
/// In one line: there is no choice of them.
pub(crate) fn cpus_allowed() -> Result<CpuList, String> {
    Err("this system lets no program choose its CPUs, as Linux does".to_owned())
}

/// Nothing: there is no choice of CPUs.
///
/// # Errors
/// Always.
pub(crate) fn stay_on(_cpus: &CpuList) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_load_are_known() {
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(load_average().is_some_and(|load| load >= 0.0));
    }
}
