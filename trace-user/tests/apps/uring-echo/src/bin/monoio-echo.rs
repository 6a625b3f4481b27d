//! An echo server on monoio, by io_uring alone: `monoio-echo PORT`.

use std::io;

use monoio::buf::IoBuf;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    // Without the legacy driver there is nothing else it could fall back to.
    RuntimeBuilder::<IoUringDriver>::new().build()?.block_on(async {
        let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
        loop {
            let (stream, _) = listener.accept().await?;
            monoio::spawn(echo(stream));
        }
    })
}

/// Until the client leaves.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        let (result, filled) = stream.read(buffer).await;
        let n = result?;
        if n == 0 {
            return Ok(());
        }
        let (result, sent) = stream.write_all(filled.slice(..n)).await;
        result?;
        buffer = sent.into_inner();
    }
}
