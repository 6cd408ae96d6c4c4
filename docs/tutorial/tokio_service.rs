//! A small HTTP service on tokio: each answer costs some CPU time, and a wait for a backend that is not there.
//!
//! It has as many workers as `TOKIO_WORKER_THREADS` says, and listens at the address that its argument names.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
/// How long the backend takes.
const BACKEND: Duration = Duration::from_millis(1);

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    loop {
        let (connection, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that goes away in the middle is its own affair.
            let _ = serve(connection).await;
        });
    }
}

/// Answers one request after the other until the client leaves.
async fn serve(mut connection: TcpStream) -> io::Result<()> {
    let mut request = [0; 4096];
    while connection.read(&mut request).await? > 0 {
        tokio::time::sleep(BACKEND).await;
        render();
        connection.write_all(ANSWER).await?;
    }
    Ok(())
}

/// What a page costs: about 0.1 ms.
fn render() {
    let mut number = 1_u64;
    for _ in 0..100_000 {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}
