//! CPU time that a hypervisor took from this machine.

use std::fs;

/// Seconds taken since boot, summed over the CPUs; `None` if the kernel does not count them.
pub(crate) fn steal_s() -> Option<f64> {
    let ticks = parse(&fs::read_to_string("/proc/stat").ok()?)?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The eighth number of the first line of `/proc/stat`, in clock ticks.
fn parse(text: &str) -> Option<u64> {
    text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_number_of_the_sum_over_cpus() {
        assert_eq!(parse("cpu  1 2 3 4 5 6 7 88 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n"), Some(88));
        assert_eq!(parse("cpu  1 2 3 4\n"), None);
        assert_eq!(parse(""), None);
    }
}
