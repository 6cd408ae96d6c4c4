//! The syntax of `select!`.

/// Waits for the first of several channel operations that can go on, and runs its arm.
///
/// ```
/// use corefit_runtime::{chan, select};
/// use std::time::Duration;
///
/// let (orders, kitchen) = chan(1);
/// let (_quit, quitting) = chan::<()>(0);
/// let said = select! {
///     recv(quitting) -> _ => "bye",
///     send(orders, "soup") -> result => match result {
///         Ok(()) => "ordered",
///         Err(error) => error.into_inner(),
///     },
///     timeout(Duration::from_secs(1)) => "too slow",
/// };
/// assert_eq!((said, kitchen.recv()), ("ordered", Ok("soup")));
/// ```
///
/// - `recv(rx) -> msg => body`: `msg` is a `Result<T, RecvError>`.
/// - `send(tx, value) -> res => body`: `res` is a `Result<(), SendError<T>>`.
/// - `timeout(duration) => body`: no other arm could go on for this long.
/// - `default => body`: no other arm can go on now, so nothing waits. At most one of `timeout` and `default`.
///
/// If several arms can go on, one is chosen at random, each with the same chance. An operation on a closed channel can go
/// on: it gives an error. All arms may use the same channel, also one to send and one to receive; a select never meets
/// itself.
///
/// `rx`, `tx` and `value` of all arms are evaluated once, in the order they are written, before anything is tried;
/// `duration` after them. The value of a send that is not chosen is dropped, before the body of the chosen arm runs.
///
/// The result is that of the chosen body. A body is part of the function around it: it may `break`, `return` and use `?`.
/// It is a block, or an expression followed by a comma.
#[macro_export]
macro_rules! select {
    // The head of the next arm.
    (@arms $arms:tt $last:tt) => {
        $crate::select!(@run $arms $last)
    };
    (@arms $arms:tt $last:tt recv($rx:expr $(,)?) -> $msg:pat => $($rest:tt)+) => {
        $crate::select!(@body $arms $last { RecvArm ($rx) [] ($msg) } $($rest)+)
    };
    (@arms $arms:tt $last:tt send($tx:expr, $value:expr $(,)?) -> $res:pat => $($rest:tt)+) => {
        $crate::select!(@body $arms $last { SendArm ($tx) [$value] ($res) } $($rest)+)
    };
    (@arms $arms:tt [] timeout($duration:expr $(,)?) => $($rest:tt)+) => {
        $crate::select!(@body $arms [] { last ($crate::chan::select::Patience::For($duration)) } $($rest)+)
    };
    (@arms $arms:tt [] default => $($rest:tt)+) => {
        $crate::select!(@body $arms [] { last ($crate::chan::select::Patience::Never) } $($rest)+)
    };
    (@arms $arms:tt [$($last:tt)+] timeout($($duration:tt)*) => $($rest:tt)+) => {
        ::core::compile_error!("`select!` takes at most one of `timeout` and `default`")
    };
    (@arms $arms:tt [$($last:tt)+] default => $($rest:tt)+) => {
        ::core::compile_error!("`select!` takes at most one of `timeout` and `default`")
    };
    (@arms $($other:tt)*) => {
        ::core::compile_error!(
            "an arm of `select!` is `recv(rx) -> msg => body`, `send(tx, value) -> res => body`, \
             `timeout(duration) => body` or `default => body`"
        )
    };

    // Its body.
    (@body $arms:tt $last:tt $head:tt $body:block, $($rest:tt)*) => {
        $crate::select!(@push $arms $last $head ($body) $($rest)*)
    };
    (@body $arms:tt $last:tt $head:tt $body:block $($rest:tt)*) => {
        $crate::select!(@push $arms $last $head ($body) $($rest)*)
    };
    (@body $arms:tt $last:tt $head:tt $body:expr, $($rest:tt)*) => {
        $crate::select!(@push $arms $last $head ($body) $($rest)*)
    };
    (@body $arms:tt $last:tt $head:tt $body:expr) => {
        $crate::select!(@push $arms $last $head ($body))
    };

    // Onto the list. `half` and `arm` are new names in each step, so every arm has its own.
    (@push $arms:tt [] { last ($patience:expr) } ($body:expr) $($rest:tt)*) => {
        $crate::select!(@arms $arms [($patience) ($body)] $($rest)*)
    };
    (@push [$($arms:tt)*] $last:tt { $kind:ident ($half:expr) [$($value:expr)?] ($outcome:pat) } ($body:expr) $($rest:tt)*) => {
        $crate::select!(
            @arms
            [$($arms)* { half arm $kind ($half) [$($value)?] ($outcome) ($body) }]
            $last
            $($rest)*
        )
    };

    // All of it.
    (@run $arms:tt []) => {
        $crate::select!(
            @run
            $arms
            [($crate::chan::select::Patience::Forever)
             (::core::unreachable!("without a timeout a select ends with an arm"))]
        )
    };
    (@run [] [($patience:expr) ($last:expr)]) => {{
        $crate::chan::select::select(&mut [], $patience);
        $last
    }};
    (
        @run
        [$({ $half:ident $arm:ident $kind:ident ($channel:expr) [$($value:expr)?] ($outcome:pat) ($body:expr) })+]
        [($patience:expr) ($last:expr)]
    ) => {{
        let ($($arm,)+) = {
            $(
                let $half = &$channel;
                let mut $arm = $crate::chan::select::$kind::new($half $(, $value)?);
            )+
            $crate::chan::select::select(&mut [$(&mut $arm),+], $patience);
            ($($arm.into_outcome(),)+)
        };
        $(
            if let ::core::option::Option::Some(outcome) = $arm {
                match outcome {
                    $outcome => $body,
                }
            } else
        )+
        {
            $last
        }
    }};

    () => {
        ::core::compile_error!("`select!` needs an arm")
    };
    ($($arms:tt)+) => {
        $crate::select!(@arms [] [] $($arms)+)
    };
}
