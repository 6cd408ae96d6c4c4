//! As c/split.c, in Rust, without any crate: `rustc -O split.rs`.

use std::ffi::{c_int, c_long};
use std::hint::black_box;

#[repr(C)]
struct Timespec {
    seconds: c_long,
    nanoseconds: c_long,
}

unsafe extern "C" {
    fn clock_gettime(clock: c_int, now: *mut Timespec) -> c_int;
}

/// CPU time of this thread, in seconds.
fn cpu_s() -> f64 {
    const THREAD_CPU_TIME: c_int = 3;
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: libc writes a whole `timespec`, which looks like `Timespec` on 64-bit Linux.
    unsafe { clock_gettime(THREAD_CPU_TIME, &mut now) };
    now.seconds as f64 + now.nanoseconds as f64 * 1e-9
}

#[inline(never)]
fn spin(rounds: u64) -> u64 {
    (0..rounds).fold(1, |state: u64, round| state.wrapping_mul(6_364_136_223_846_793_005) ^ round)
}

struct Split {
    left: Vec<u8>,
    right: Vec<u8>,
}

impl Split {
    #[inline(never)]
    fn three_quarters(&self, until_s: f64) {
        while cpu_s() < until_s {
            black_box(spin(black_box(20_000)));
            for _ in 0..40 {
                black_box(black_box(&self.left) == black_box(&self.right));
            }
        }
    }

    #[inline(never)]
    fn one_quarter(&self, until_s: f64) {
        while cpu_s() < until_s {
            black_box(spin(black_box(20_000)));
            for _ in 0..40 {
                black_box(black_box(&self.left) == black_box(&self.right));
            }
            black_box(0);
        }
    }
}

fn main() {
    let all_s = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(4.0);
    let split = Split { left: vec![0; 1 << 14], right: vec![0; 1 << 14] };
    let mut spent_s = [0.0; 2];
    let mut state = 1_u64;
    let (mut now_s, end_s) = (cpu_s(), cpu_s() + all_s);
    while now_s < end_s {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (begun_s, turn_s) = (now_s, 1e-3 * (0.5 + (state >> 40) as f64 / (1 << 24) as f64));
        let is_second = spent_s[0] > 3.0 * spent_s[1];
        if is_second {
            split.one_quarter(begun_s + turn_s);
        } else {
            split.three_quarters(begun_s + turn_s);
        }
        now_s = cpu_s();
        spent_s[usize::from(is_second)] += now_s - begun_s;
    }
    println!("{:.4}", spent_s[0] / (spent_s[0] + spent_s[1]));
}
