//! The attribute `#[preemptible]` of `corefit-runtime`, which re-exports it: use it from there.
//!
//! `item` decides what may be marked and finds the functions in it, `checks` puts the checks into one function.
#![forbid(unsafe_code)]

mod checks;
mod item;

use proc_macro::TokenStream;

/// Lets the scheduler take the processor from the marked code: a [`checkpoint`] at the entry of the function and at the
/// start of every iteration of its loops (`for`, `while`, `loop`), so that each way back, `continue` too, passes one.
///
/// It goes on a function or method, on an `impl` block or on an inline `mod`. On the latter two it means all functions in
/// them, also those within functions; on a function it means that function alone, with the loops of its closures, and
/// not the items within it. A check costs one load and one branch that is not taken, below 1 ns, and keeps the compiler
/// from vectorising a loop across it. Outside a goroutine it does nothing.
///
/// **Left alone** are: the entry of closures, because a closure is called by other people's code, which may hold a lock
/// or a thread-local then (a long chain of iterator adaptors needs a `for` loop, or a `checkpoint` of its own); `async`
/// blocks; what runs in the compiler (`const fn` in a marked `impl` or `mod`, `const` blocks, array lengths, initialisers
/// of constants and statics); and the arguments of macros, which cannot be looked into.
///
/// # Soundness
/// Every check is a place where the goroutine may go on on another thread, as at any wait. What must not be held there
/// is said in `go`, under Soundness: above all references into a `thread_local!` and guards of `std::sync` locks, so mark
/// no code that loops inside `LocalKey::with` or under such a guard.
///
/// # Errors
/// In the compiler: on an `async fn`, a `const fn`, a `mod x;`, and on anything else that has no body.
///
/// [`checkpoint`]: https://docs.rs/corefit-runtime/latest/corefit_runtime/fn.checkpoint.html
#[proc_macro_attribute]
pub fn preemptible(arguments: TokenStream, item: TokenStream) -> TokenStream {
    item::expand(&arguments.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}
