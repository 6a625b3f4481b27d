//! An echo server on tokio-uring, whose thread sleeps in epoll_wait, on the ring: `tokio-uring-echo PORT`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("a port");
    tokio_uring::start(async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio_uring::spawn(echo(stream));
        }
    })
}

/// Until the client leaves.
async fn echo(stream: TcpStream) -> io::Result<()> {
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
