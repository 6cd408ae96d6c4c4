//! Starting goroutines and waiting for their result.

use crate::body::Body;
use crate::current;
use crate::fiber::catch;
use crate::goroutine::{Birth, GoroutineRef, Runnable};
use crate::packet::{Receipt, packet};
use crate::processor::Core;
use crate::runtime::Runtime;
use crate::scheduler::yield_now;
use crate::stack::{self, Class, StackError};
use crate::trace::{self, Op, Site};
use std::any::Any;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::thread;

/// Why a goroutine could not be started.
///
/// ```
/// let error = corefit_runtime::Builder::new().spawn(|| ()).unwrap_err();
/// assert!(error.to_string().contains("outside a runtime"));
/// ```
#[derive(Debug)]
pub struct SpawnError(Reason);

#[derive(Debug)]
enum Reason {
    NoRuntime,
    Stack(StackError),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::NoRuntime => write!(f, "cannot start a goroutine outside a runtime: call `run` first"),
            Reason::Stack(error) => write!(f, "cannot start a goroutine: {error}"),
        }
    }
}

impl std::error::Error for SpawnError {}

/// A goroutine's result to come. Dropping it lets the goroutine run on by itself.
///
/// ```
/// corefit_runtime::run(|| {
///     let fine = corefit_runtime::go(|| "done");
///     assert_eq!(fine.join().unwrap(), "done");
///
///     let panicking = corefit_runtime::go(|| panic!("no luck"));
///     let payload = panicking.join().unwrap_err();
///     assert_eq!(payload.downcast_ref::<&str>(), Some(&"no luck"));
/// });
/// ```
pub struct JoinHandle<T>(Receipt<T>, GoroutineRef);

// What a panic leaves behind in the goroutine's own values is told by `join`, as an error.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// Waits for the goroutine to end. Works from goroutines and from threads.
    ///
    /// # Errors
    /// The payload of its panic.
    #[track_caller]
    pub fn join(self) -> Result<T, Box<dyn Any + Send + 'static>> {
        if trace::is_on() { self.join_traced(Location::caller()) } else { self.join_now(|| ()) }
    }

    #[cold]
    #[inline(never)]
    fn join_traced(self, site: Site) -> thread::Result<T> {
        let object = self.0.object();
        let result = self.join_now(|| trace::note_call(object, site));
        trace::note_op(Op::Join, object, 0, Some(site));
        result
    }

    /// Calls `before` right before it may wait for the result.
    #[inline(always)]
    fn join_now(self, before: impl FnOnce()) -> thread::Result<T> {
        // The goroutine runs next if it was the last to be queued: so a task that forks and joins goes through its tree in
        // depth, with few goroutines alive at a time. Else others that wait for this processor would run before it does,
        // and each that ends then finds no one waiting.
        if !self.0.is_done() && current::is_behind_others(self.1) {
            yield_now();
        }
        before();
        self.0.wait()
    }

    /// Whether it has ended, so that `join` would not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_done()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("is_finished", &self.is_finished()).finish()
    }
}

/// Starts `f` as a goroutine of the current runtime.
///
/// # Soundness
/// A goroutine moves between threads whenever it waits (channel, lock, sleep, network, join, `yield_now`, `checkpoint`).
/// The compiler checks what `f` captures, not what it holds on its stack at that moment. There it must not hold
/// - values that are not `Send` (`Rc`, `RefCell` borrows shared with others, raw handles of a thread),
/// - references into thread-locals (no waiting inside `LocalKey::with`); nor may one function use a thread-local both
///   before and after it waits, since compilers keep its *address* meanwhile and the function goes on with the variable of
///   the thread it has left: access it in a function of its own that is `#[inline(never)]`,
/// - guards of `std::sync` locks: the lock would be released on another thread, and a worker that waits for it blocks
///   all goroutines behind it. Use this crate's `sync`.
///
/// Code that cannot keep to this runs in [`spawn_pinned`].
///
/// # Panics
/// Outside a runtime, and where no stack can be had (see [`Builder::spawn`]).
///
/// # Example
/// ```
/// use corefit_runtime::{chan, go, run};
///
/// let received: Vec<i32> = run(|| {
///     let (sender, receiver) = chan(0);
///     // Nobody waits for it: it goes on by itself, and ends the channel with it.
///     go(move || (1..=3).try_for_each(|n| sender.send(n)));
///     receiver.iter().collect()
/// });
/// assert_eq!(received, [1, 2, 3]);
/// ```
#[track_caller]
pub fn go<T, F>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).unwrap_or_else(|error| panic!("{error}"))
}

/// As [`go`], but says why if it cannot be done; `f` is dropped then.
///
/// # Errors
/// As [`Builder::spawn`].
///
/// ```
/// let started = corefit_runtime::run(|| corefit_runtime::try_go(|| 7).map(|handle| handle.join().unwrap()));
/// assert_eq!(started.unwrap(), 7);
/// assert!(corefit_runtime::try_go(|| 7).is_err(), "outside a runtime");
/// ```
#[track_caller]
pub fn try_go<T, F>(f: F) -> Result<JoinHandle<T>, SpawnError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f)
}

/// Starts `f` as a goroutine that never changes its thread, so that the rules in [`go`] do not concern it. It takes a
/// thread of its own while it lives, and each switch to and from it is a switch of threads.
///
/// # Panics
/// As [`go`].
///
/// ```
/// use corefit_runtime::{run, spawn_pinned, yield_now};
/// use std::rc::Rc;
///
/// let count = run(|| {
///     let pinned = spawn_pinned(|| {
///         // Made, kept over a wait and dropped on the same thread.
///         let shared = Rc::new(7);
///         yield_now();
///         Rc::strong_count(&shared)
///     });
///     pinned.join().unwrap()
/// });
/// assert_eq!(count, 1);
/// ```
#[track_caller]
pub fn spawn_pinned<T, F>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().pinned().spawn(f).unwrap_or_else(|error| panic!("{error}"))
}

/// How to start a goroutine.
///
/// ```
/// use corefit_runtime::{Builder, run};
///
/// fn depth(left: usize) -> usize {
///     let room = std::hint::black_box([0_u8; 1024]);
///     if left == 0 { room.len() } else { depth(left - 1) }
/// }
///
/// // A thousand frames of a kibibyte are more than the default stack of 64 KiB.
/// let roomy = run(|| Builder::new().stack_size(8 << 20).spawn(|| depth(1000)).unwrap().join());
/// assert_eq!(roomy.unwrap(), 1024);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    stack_size: Option<usize>,
    pinned: bool,
}

impl Builder {
    /// The defaults: 64 KiB of stack.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of address space for its stack, rounded up to a size class: 64 KiB, 256 KiB, 1 MiB, 8 MiB or 64 MiB. One
    /// page of it is a guard; only touched pages cost memory.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Lets it stay on one thread, see [`spawn_pinned`].
    #[must_use]
    pub fn pinned(mut self) -> Self {
        self.pinned = true;
        self
    }

    /// Starts `f` as a goroutine of the current runtime; the rules in [`go`] hold.
    ///
    /// # Errors
    /// Outside a runtime, and if no stack can be had: too large, out of address space, or out of mappings.
    #[track_caller]
    pub fn spawn<T, F>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let birthplace = self.birthplace(Location::caller())?;
        let (promise, receipt) = packet();
        let mut body = Some(Body::new(f, promise));
        let started = current::with(|context| {
            context.with_core(|core| start(&context.runtime, core, birthplace, &mut body))
        });
        match started {
            Some(Ok(goroutine)) => Ok(JoinHandle(receipt, goroutine)),
            Some(Err(error)) => Err(SpawnError(Reason::Stack(error))),
            None => Err(SpawnError(Reason::NoRuntime)),
        }
    }

    /// Starts `f` as the first goroutine of `runtime`; `after` is called at its end, before its result can be had.
    #[track_caller]
    pub(crate) fn spawn_on<T, F>(
        self,
        runtime: &Runtime,
        f: F,
        after: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let birthplace = self.birthplace(Location::caller())?;
        let (promise, receipt) = packet();
        let body = move || {
            let result = catch(f);
            after();
            promise.complete(result);
        };
        let runnable = on_stack(runtime, None, birthplace, || body);
        let runnable = runnable.map_err(|error| SpawnError(Reason::Stack(error)))?;
        Ok(JoinHandle(receipt, queue(runtime, None, birthplace, runnable)))
    }

    fn birthplace(self, site: &'static Location<'static>) -> Result<Birthplace, SpawnError> {
        let class = self.stack_size.map_or(Ok(Class::DEFAULT), Class::holding);
        let class = class.map_err(|error| SpawnError(Reason::Stack(error)))?;
        Ok(Birthplace { class, site, pinned: self.pinned })
    }
}

/// What is known about a goroutine before it has a stack and an id.
#[derive(Clone, Copy)]
struct Birthplace {
    class: Class,
    site: &'static Location<'static>,
    pinned: bool,
}

/// Makes the goroutine of `body`, takes that out, and queues it. On an error `body` is left: its destructor is the
/// user's, and must not run in here, where the processor is borrowed.
fn start<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
    runtime: &Runtime,
    mut core: Option<&mut Core>,
    place: Birthplace,
    body: &mut Option<Body<T, F>>,
) -> Result<GoroutineRef, StackError> {
    let runnable = match sow(runtime, core.as_deref_mut(), place, body) {
        Some(seed) => seed,
        None => on_stack(runtime, core.as_deref_mut(), place, || {
            let body = taken(body);
            move || body.run()
        })?,
    };
    Ok(queue(runtime, core, place, runnable))
}

/// The goroutine of `body` as a seed, if it can be one.
#[inline(always)]
fn sow<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
    runtime: &Runtime,
    core: Option<&mut Core>,
    place: Birthplace,
    body: &mut Option<Body<T, F>>,
) -> Option<Runnable> {
    if place.pinned || place.class != Class::DEFAULT {
        return None;
    }
    let core = core?;
    if !core.reserve_for_seed() {
        return None;
    }
    let birth = place.birth(runtime, Some(core));
    Some(core.seeds.sow(birth, runtime, taken(body)))
}

/// A goroutine on a stack, which will do what `body` gives.
fn on_stack<F: FnOnce() + Send + 'static>(
    runtime: &Runtime,
    mut core: Option<&mut Core>,
    place: Birthplace,
    body: impl FnOnce() -> F,
) -> Result<Runnable, StackError> {
    let stack = match core.as_deref_mut() {
        Some(core) => core.take_stack(place.class)?,
        None => stack::acquire(place.class)?,
    };
    let birth = place.birth(runtime, core);
    Ok(Runnable::new(birth, runtime, stack, body()))
}

/// Queues one that was just started.
fn queue(runtime: &Runtime, core: Option<&mut Core>, place: Birthplace, runnable: Runnable) -> GoroutineRef {
    let goroutine = runnable.goroutine();
    runtime.trace.note(|stream| stream.spawn(runnable.id(), place.site));
    runtime.ready(core, runnable);
    goroutine
}

fn taken<F>(body: &mut Option<F>) -> F {
    body.take().expect("it is started once")
}

impl Birthplace {
    /// A fresh id, and the rest. Counts the goroutine as started.
    fn birth(self, runtime: &Runtime, core: Option<&mut Core>) -> Birth {
        let id = match core {
            Some(core) => {
                core.stats().started.bump();
                core.next_id(|| runtime.new_ids())
            }
            None => {
                runtime.stats.started.bump_shared();
                runtime.new_ids()
            }
        };
        Birth { id, site: self.site, pinned: self.pinned }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goroutine_outside_a_runtime_is_an_error() {
        let error = Builder::new().spawn(|| ()).unwrap_err();
        assert!(error.to_string().contains("call `run` first"), "{error}");
    }
}
