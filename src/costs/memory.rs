//! How much memory this process and the kernel use, and what each of many has added to it.

use std::fs;

use super::subject::Figures;

/// From how many on the kernel's own memory is read: it is known of the whole machine only, which moves by tens of KiB by
/// itself, and a thread takes some 25 KiB of it.
const KERNEL_FROM: u64 = 1000;

/// A reading, bytes. `None` is what the kernel does not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    resident: Option<u64>,
    page_tables: Option<u64>,
    address: Option<u64>,
    /// Kernel stacks and unreclaimable slabs of the whole machine.
    kernel: Option<u64>,
}

impl Memory {
    /// Now.
    pub(super) fn now() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let (rollup, status) = (read("/proc/self/smaps_rollup"), read("/proc/self/status"));
        let machine = read("/proc/meminfo");
        Self {
            // The rollup counts pages; `VmRSS` may be off by what each CPU has not added yet.
            resident: bytes(&rollup, "Rss:").or_else(|| bytes(&status, "VmRSS:")),
            page_tables: bytes(&status, "VmPTE:"),
            address: bytes(&status, "VmSize:"),
            kernel: bytes(&machine, "KernelStack:").zip(bytes(&machine, "SUnreclaim:")).map(|(a, b)| a + b),
        }
    }

    /// What each of `count` has added since `before`. A reading that went down says nothing of them and is left out.
    pub(super) fn growth(&self, before: &Self, count: u64, figures: &mut Figures) {
        let each = |before: Option<u64>, after: Option<u64>| {
            Some(after?.checked_sub(before?)? as f64 / count as f64)
        };
        figures.add("resident_bytes", each(before.resident, self.resident));
        figures.add("page_table_bytes", each(before.page_tables, self.page_tables));
        figures.add("address_bytes", each(before.address, self.address));
        if count >= KERNEL_FROM {
            figures.add("kernel_bytes", each(before.kernel, self.kernel));
        }
    }
}

/// Threads of this process.
pub(super) fn threads() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok())
}

/// The figure of a `Key:   123 kB` line.
pub(super) fn bytes(text: &str, key: &str) -> Option<u64> {
    let figure = text.lines().find_map(|line| line.strip_prefix(key))?;
    figure.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(resident: u64, kernel: u64) -> Memory {
        Memory { resident: Some(resident), page_tables: None, address: Some(0), kernel: Some(kernel) }
    }

    #[test]
    fn growth_is_shared_out_and_what_shrank_or_is_unknown_is_left_out() {
        let mut figures = Figures::default();
        memory(9_000_000, 5).growth(&memory(1_000_000, 7), 1000, &mut figures);
        assert_eq!(figures.get("resident_bytes"), Some(8000.0));
        assert_eq!(figures.get("page_table_bytes"), None);
        assert_eq!(figures.get("kernel_bytes"), None);
    }

    #[test]
    fn the_kernel_is_asked_only_about_many() {
        let mut figures = Figures::default();
        memory(1, 9).growth(&memory(1, 0), 1, &mut figures);
        assert_eq!((figures.get("resident_bytes"), figures.get("kernel_bytes")), (Some(0.0), None));
        memory(1, 2000).growth(&memory(1, 0), 1000, &mut figures);
        assert_eq!(figures.get("kernel_bytes"), Some(2.0));
    }

    #[test]
    fn a_line_is_read_in_bytes() {
        assert_eq!(bytes("A: 1 kB\nVmPTE:\t      44 kB\n", "VmPTE:"), Some(44 << 10));
        assert_eq!(bytes("VmPTE: lots", "VmPTE:"), None);
        assert!(threads().unwrap() >= 1.0);
    }
}
