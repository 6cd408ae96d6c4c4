//! Goroutines that never let go of the processors for long, and those that must get in between.

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Duration;

use corefit_runtime::net::{TcpListener, TcpStream};
use corefit_runtime::{chan, go, time, yield_now};

use crate::crew::{Crew, timed};

const MANY: usize = 64;
const VERY_MANY: usize = 5000;
const SLEEPERS: usize = 8;
const NAP: Duration = Duration::from_millis(1);

fn add_yielders(crew: &mut Crew, count: usize) {
    for _ in 0..count {
        crew.add("yielders", || Some(timed(yield_now).1));
    }
}

/// What counts is how late they wake.
fn add_sleepers(crew: &mut Crew) {
    for _ in 0..SLEEPERS {
        crew.add("sleepers", || Some(timed(|| time::sleep(NAP)).1.saturating_sub(NAP)));
    }
}

/// Two that hand a message to and fro: each makes the other the next to run.
fn add_ping_pong(crew: &mut Crew) {
    let ((ping, pinged), (pong, ponged)) = (chan::<()>(0), chan::<()>(0));
    crew.add("ping_pong", move || {
        let (answer, waited) = timed(|| {
            ping.send(()).ok()?;
            ponged.recv().ok()
        });
        answer.map(|()| waited)
    });
    crew.add("echo", move || {
        let (answer, waited) = timed(|| {
            pinged.recv().ok()?;
            pong.send(()).ok()
        });
        answer.map(|()| waited)
    });
}

pub(crate) fn yielders() -> Crew {
    let mut crew = Crew::default();
    add_yielders(&mut crew, MANY);
    crew
}

/// More than any processor's own queue holds.
pub(crate) fn very_many_yielders() -> Crew {
    let mut crew = Crew::default();
    add_yielders(&mut crew, VERY_MANY);
    crew
}

pub(crate) fn ping_pong_among_yielders() -> Crew {
    let mut crew = yielders();
    add_ping_pong(&mut crew);
    crew
}

pub(crate) fn sleepers_among_yielders() -> Crew {
    let mut crew = yielders();
    add_sleepers(&mut crew);
    crew
}

pub(crate) fn sleepers_among_spawners() -> Crew {
    let mut crew = Crew::default();
    add_sleepers(&mut crew);
    for _ in 0..4 {
        crew.add("spawners", || {
            let (children, waited) = timed(|| {
                let children: Vec<_> = (0..100).map(|_| go(yield_now)).collect();
                children.into_iter().all(|child| child.join().is_ok())
            });
            children.then_some(waited)
        });
    }
    crew
}

pub(crate) fn sleepers_among_ping_pongs() -> Crew {
    let mut crew = Crew::default();
    add_sleepers(&mut crew);
    for _ in 0..4 {
        add_ping_pong(&mut crew);
    }
    crew
}

/// About a microsecond of work between two looks at whether the time slice is over.
fn add_hogs(crew: &mut Crew) {
    for _ in 0..4 {
        crew.add("hogs", || {
            let ((), took) = timed(|| {
                black_box((0..1000_u64).fold(1, |product: u64, n| black_box(product.wrapping_mul(n | 1))));
            });
            Some(took)
        });
    }
}

pub(crate) fn hogs_that_check() -> Crew {
    let mut crew = Crew::default();
    add_hogs(&mut crew);
    crew
}

pub(crate) fn sleepers_among_hogs() -> Crew {
    let mut crew = hogs_that_check();
    add_sleepers(&mut crew);
    crew
}

pub(crate) fn yielders_among_hogs() -> Crew {
    let mut crew = yielders();
    add_hogs(&mut crew);
    crew
}

/// A client that asks, and waits for the answer, over loopback.
pub(crate) fn echo_among_yielders() -> Crew {
    let mut crew = yielders();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    client.set_nodelay(true).expect("a socket option");
    let (mut server, _) = listener.accept().expect("the client");
    server.set_nodelay(true).expect("a socket option");
    crew.add("client", move || {
        let (answer, waited) = timed(|| {
            client.write_all(b"x").ok()?;
            client.read_exact(&mut [0]).ok()
        });
        answer.map(|()| waited)
    });
    crew.add("server", move || {
        let (answer, waited) = timed(|| {
            server.read_exact(&mut [0]).ok()?;
            server.write_all(b"x").ok()
        });
        answer.map(|()| waited)
    });
    crew
}
