use proptest::prelude::*;

use super::*;

/// Answers by a function of event and scope instead of asking the kernel.
struct Script<F>(F);

#[derive(Debug)]
struct Fixed(Reading);

impl Counter for Fixed {
    fn read(&mut self) -> io::Result<Reading> {
        Ok(self.0)
    }
}

impl<F: Fn(Event, Scope) -> Result<Reading, i32>> CounterBackend for Script<F> {
    fn open(&self, event: Event, scope: Scope, _pid: u32) -> io::Result<Box<dyn Counter>> {
        match self.0(event, scope) {
            Ok(reading) => Ok(Box::new(Fixed(reading))),
            Err(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn paranoid(&self) -> Option<i32> {
        Some(2)
    }
}

const USAGE: Usage = Usage {
    user_us: 0,
    system_us: 0,
    voluntary_switches: 3,
    involuntary_switches: 4,
    minor_faults: 50,
    major_faults: 1,
    max_rss_bytes: 0,
};

fn read(script: impl Fn(Event, Scope) -> Result<Reading, i32>) -> (Counts, Availability) {
    let mut counters = Counters::open(&Script(script), 1);
    (counters.read(Some(USAGE)), counters.availability())
}

fn full(count: u64) -> Result<Reading, i32> {
    Ok(Reading { count, enabled_ns: 1000, running_ns: 1000 })
}

#[test]
fn every_counter_that_opens_fills_its_column() {
    let (counts, availability) =
        read(|event, _| full(if event == Event::TaskClock { 1_500_000_000 } else { 7 }));
    let all = Counts {
        task_clock_s: Some(1.5),
        context_switches: Some(7.0),
        cpu_migrations: Some(7.0),
        page_faults: Some(7.0),
        cycles: Some(7.0),
        instructions: Some(7.0),
        cache_references: Some(7.0),
        cache_misses: Some(7.0),
        branches: Some(7.0),
        branch_misses: Some(7.0),
    };
    assert_eq!(counts, all);
    assert!(availability.has_pmu());
    assert!(availability.remarks().is_empty());
}

#[test]
fn without_a_pmu_the_hardware_columns_are_empty_and_the_rest_is_there() {
    let (counts, availability) =
        read(|event, _| if event.is_hardware() { Err(libc::ENOENT) } else { full(0) });
    assert_eq!((counts.cycles, counts.instructions, counts.branch_misses), (None, None, None));
    // A software counter can read 0 and mean it.
    assert_eq!((counts.context_switches, counts.cpu_migrations), (Some(0.0), Some(0.0)));
    assert!(!availability.has_pmu());
    assert_eq!(availability.of(Event::Cycles), Some(Access::NoPmu));
    let remarks = availability.remarks();
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].starts_with("cycles, instructions, cache_references, "), "{remarks:?}");
}

#[test]
fn where_the_kernel_is_forbidden_switches_come_from_rusage_and_migrations_stay_empty() {
    let (counts, availability) =
        read(|_, scope| if scope == Scope::WithKernel { Err(libc::EACCES) } else { full(9) });
    assert_eq!(counts.context_switches, Some(7.0));
    assert_eq!(counts.page_faults, Some(51.0));
    assert_eq!(counts.cpu_migrations, None);
    assert_eq!(counts.cycles, Some(9.0));
    assert_eq!(availability.of(Event::Cycles), Some(Access::UserOnly));
}

#[test]
fn where_everything_is_forbidden_only_rusage_speaks() {
    for errno in [libc::EACCES, libc::EPERM, libc::ENOSYS] {
        let (counts, availability) = read(|_, _| Err(errno));
        let expected = Counts { context_switches: Some(7.0), page_faults: Some(51.0), ..Counts::default() };
        assert_eq!(counts, expected);
        assert_eq!(availability.of(Event::TaskClock), Some(Access::Forbidden { paranoid: Some(2) }));
        assert!(availability.remarks()[0].contains("perf_event_paranoid is 2"));
    }
}

#[test]
fn a_counter_that_never_ran_is_not_zero() {
    let never = |_, _| Ok(Reading { count: 0, enabled_ns: 1000, running_ns: 0 });
    assert_eq!(read(never).0, Counts::default());
}

#[test]
fn a_hardware_counter_that_reads_zero_is_a_pretence() {
    assert_eq!(read(|_, _| full(0)).0.instructions, None);
}

#[test]
fn a_multiplexed_counter_is_scaled() {
    let half = Reading { count: 10, enabled_ns: 1000, running_ns: 500 };
    assert_eq!(half.scaled(), Some(20.0));
}

#[test]
fn another_error_is_told_as_the_system_tells_it() {
    let (_, availability) = read(|_, _| Err(libc::EMFILE));
    assert_eq!(availability.of(Event::Cycles), Some(Access::Failed { errno: libc::EMFILE }));
    assert!(availability.remarks()[0].contains("Too many open files"));
}

#[test]
fn this_machine_says_something_about_every_counter() {
    let availability = availability();
    assert_eq!(availability.counters.iter().map(|(event, _)| *event).collect::<Vec<_>>(), Event::ALL);
}

#[test]
fn every_hardware_counter_has_a_column_of_its_own() {
    let mut counts = Counts::default();
    for (value, event) in (1_u32..).zip(Event::ALL) {
        *column(&mut counts, event) = Some(f64::from(value));
    }
    let (cycles, misses) = (counts.cycles, counts.branch_misses);
    assert_eq!((counts.task_clock_s, cycles, misses), (Some(1.0), Some(5.0), Some(10.0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_scaled_count_is_finite_and_not_less_than_what_was_counted(
        count in any::<u64>(), enabled_ns in any::<u64>(), running_ns in any::<u64>(),
    ) {
        match (Reading { count, enabled_ns, running_ns }).scaled() {
            Some(scaled) => prop_assert!(scaled.is_finite() && scaled >= count as f64),
            None => prop_assert_eq!(running_ns, 0),
        }
    }
}
