//! A bundled workload samples itself, where the kernel refuses perf events: `pprof`, driven by `ITIMER_PROF` and signals.
//!
//! The tool starts the workload with [`VARIABLE`] naming a file; the workload runs under [`run_if_asked`] and writes its
//! stacks there, folded, below a line that says how they were taken; the tool reads them with [`record_self`].
//!
//! It sees less than sampling from outside: at most one stack a tick of the kernel, nothing of the kernel, and each function
//! together with what the compiler has inlined into it.

mod leaf;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Error, Event, Folded, Profile, Source, outside, write_folded};
use crate::measure::Child;

/// The variable that asks a workload to sample itself, and names the file for its stacks.
pub const VARIABLE: &str = "COREFIT_SELF_PROFILE";

/// Signals per second of CPU time: the timer is bound to the kernel's tick, which is 250 Hz in most distributions' kernels.
pub const FREQUENCY_HZ: u32 = 250;

/// What the first line of the file begins with.
const HEADER: &str = "# corefit self-profile:";

/// A running self-profile; dropping it stops the sampling.
pub struct Guard {
    profiler: pprof::ProfilerGuard<'static>,
    frequency_hz: u32,
    started: Instant,
}

/// Starts to sample this process, at most [`FREQUENCY_HZ`] times per second of its CPU time. One at a time.
///
/// # Errors
/// A profile is running already, or the kernel refuses the signal handler or a temporary file.
pub fn start(frequency_hz: u32) -> io::Result<Guard> {
    let frequency_hz = frequency_hz.clamp(1, FREQUENCY_HZ);
    let timer_hz = i32::try_from(frequency_hz).expect("at most 250");
    let profiler = pprof::ProfilerGuard::new(timer_hz).map_err(io::Error::other)?;
    leaf::install()?;
    Ok(Guard { profiler, frequency_hz, started: Instant::now() })
}

impl Guard {
    /// The stacks seen so far, named; may be empty.
    ///
    /// # Errors
    /// The profiler could not read back what it has put aside.
    pub fn folded(&self) -> io::Result<Folded> {
        outside::own_stacks(&self.profiler)
    }
}

/// The workload's side: runs `work`, and samples it if [`VARIABLE`] asks for it. A profile that fails says so on standard error
/// and changes nothing else.
pub fn run_if_asked<T>(work: impl FnOnce() -> T) -> T {
    let Some(path) = std::env::var_os(VARIABLE) else {
        return work();
    };
    let guard = match start(FREQUENCY_HZ) {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("corefit: could not sample this process: {error}");
            return work();
        }
    };
    let result = work();
    if let Err(error) = guard.write(Path::new(&path)) {
        eprintln!("corefit: could not write the profile to `{}`: {error}", Path::new(&path).display());
    }
    result
}

impl Guard {
    fn write(&self, path: &Path) -> io::Result<()> {
        let duration_s = self.started.elapsed().as_secs_f64();
        let folded = self.folded()?;
        let mut file = BufWriter::new(File::create(path)?);
        writeln!(file, "{HEADER} frequency_hz={} duration_s={duration_s}", self.frequency_hz)?;
        write_folded(&folded, file)
    }
}

/// The tool's side: starts a child that was launched with [`VARIABLE`] set to `path`, waits up to `patience` for its end, and
/// reads what it has written.
///
/// # Errors
/// The child could not be started, did not end in time, or wrote nothing; or its profile is empty.
pub fn record_self(child: &mut Child, path: &Path, patience: Duration) -> Result<Profile, Error> {
    child.start()?;
    if !child.wait_up_to(patience) {
        let source =
            io::Error::new(io::ErrorKind::TimedOut, format!("it has not ended after {patience:.0?}"));
        return Err(Error::SelfSample { path: path.to_path_buf(), source });
    }
    read(path)
}

/// Reads the file that a workload has written.
///
/// # Errors
/// It is not there or not of this form; or there is no stack in it.
pub fn read(path: &Path) -> Result<Profile, Error> {
    let failed = |source| Error::SelfSample { path: path.to_path_buf(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let (frequency_hz, duration) =
        header(&text).ok_or_else(|| failed(io::Error::other("it does not begin as a self-profile does")))?;
    let folded = Folded::parse(&text)?;
    if folded.is_empty() {
        return Err(Error::NoSamples { duration });
    }
    let warnings = vec![
        format!(
            "sampled by the program itself, as the kernel refuses perf events: at most one stack a tick of the kernel \
             (about {frequency_hz} Hz), nothing of the kernel, inlined functions within their callers"
        ),
        outside::way_out(),
    ];
    let profile = Profile::of_folded(&folded, Source::InProcess, Event::ProfTimer);
    Ok(Profile { frequency_hz, duration, warnings, ..profile })
}

/// Frequency and duration by the first line.
fn header(text: &str) -> Option<(u32, Duration)> {
    let fields = text.lines().next()?.strip_prefix(HEADER)?;
    let value =
        |name: &str| fields.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let duration = Duration::try_from_secs_f64(value("duration_s")?.parse().ok()?).ok()?;
    Some((value("frequency_hz")?.parse().ok()?, duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_profile_reads_back_with_its_limits() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, format!("{HEADER} frequency_hz=250 duration_s=0.5\nmain;work 12\nmain 1\n"))
            .unwrap();
        let profile = read(file.path()).unwrap();
        assert_eq!((profile.samples, profile.frequency_hz, profile.source), (13, 250, Source::InProcess));
        assert_eq!(profile.duration, Duration::from_millis(500));
        assert!(profile.warnings[0].contains("250 Hz"));
    }

    #[test]
    fn no_file_another_file_and_an_empty_profile_are_errors() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let missing = file.path().with_extension("missing");
        assert!(matches!(read(&missing), Err(Error::SelfSample { .. })));
        std::fs::write(&file, "main;work 12\n").unwrap();
        assert!(matches!(read(file.path()), Err(Error::SelfSample { .. })));
        std::fs::write(&file, format!("{HEADER} frequency_hz=250 duration_s=0.5\n")).unwrap();
        assert!(matches!(read(file.path()), Err(Error::NoSamples { .. })));
    }

    #[test]
    fn a_broken_header_is_refused() {
        for fields in ["", "frequency_hz=250", "frequency_hz=x duration_s=1", "frequency_hz=1 duration_s=-1"]
        {
            assert_eq!(header(&format!("{HEADER} {fields}\n")), None, "{fields}");
        }
    }
}
