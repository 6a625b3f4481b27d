//! Sockets that wait for clients, in the tables of `/proc/net`.
//!
//! `/proc/net` shows one network namespace; a container's sockets are seen through `/proc/PID/net` of a process in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Serialize;

use super::Proc;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A listening stream socket.
    Tcp,
    /// A bound datagram socket without a peer.
    Udp,
}

/// Tables of `/proc/net`, each with the state that a socket without a peer has there (`include/net/tcp_states.h`: 10 is
/// `TCP_LISTEN`, 7 is `TCP_CLOSE`, which unconnected datagram sockets are in).
const TABLES: [(&str, &str, Protocol); 4] = [
    ("tcp", "0A", Protocol::Tcp),
    ("tcp6", "0A", Protocol::Tcp),
    ("udp", "07", Protocol::Udp),
    ("udp6", "07", Protocol::Udp),
];

/// A listening TCP socket, or a UDP socket without a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Stream or datagram.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// Inode, by which descriptors name it.
    pub inode: u64,
}

/// What a socket is to the process that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// It waits for connections, on a port if it is TCP's.
    Listener(Option<u16>),
    /// A TCP connection, by its local port.
    Stream(u16),
    /// A connected AF_UNIX socket that has the name of a listener: it was accepted.
    Named,
    /// A connected AF_UNIX socket without a name: it was connected, or is one of a pair.
    Unnamed,
    /// A datagram socket.
    Datagram,
}

/// `TCP_LISTEN`, `include/net/tcp_states.h`.
const TCP_LISTEN: &str = "0A";
/// `__SO_ACCEPTCON`, `include/linux/net.h`.
const ACCEPTS: u32 = 1 << 16;

impl Proc {
    /// The sockets in the network namespace of process `pid`, by inode.
    pub fn socket_table(&self, pid: u32) -> BTreeMap<u64, Socket> {
        let mut sockets = BTreeMap::new();
        for (table, _, protocol) in TABLES {
            let text = self.read(format!("{pid}/net/{table}")).unwrap_or_default();
            sockets.extend(text.lines().skip(1).filter_map(|line| internet(line, protocol)));
        }
        let text = self.read(format!("{pid}/net/unix")).unwrap_or_default();
        sockets.extend(text.lines().skip(1).filter_map(local));
        sockets
    }

    /// The listeners in a network namespace: that of process `pid`, or of the reader of this `/proc`.
    pub fn listeners(&self, pid: Option<u32>) -> Vec<Listener> {
        let net = pid.map_or("net".to_owned(), |pid| format!("{pid}/net"));
        let mut listeners = Vec::new();
        for (table, state, protocol) in TABLES {
            let text = self.read(format!("{net}/{table}")).unwrap_or_default();
            let found = text.lines().skip(1).filter_map(|line| parse(line, state));
            listeners.extend(found.map(|(address, inode)| Listener { protocol, address, inode }));
        }
        listeners
    }

    /// Those of the sockets `inodes` that are listening TCP sockets, in the network namespace of `pid`.
    pub fn listening(&self, pid: u32, inodes: &BTreeSet<u64>) -> Vec<Listener> {
        let theirs = |l: &Listener| l.protocol == Protocol::Tcp && inodes.contains(&l.inode);
        self.listeners(Some(pid)).into_iter().filter(theirs).collect()
    }

    /// Network namespace of process `pid`, or of the reader of this `/proc`.
    pub fn network_namespace(&self, pid: Option<u32>) -> Option<String> {
        self.link(pid.map_or("self/ns/net".to_owned(), |pid| format!("{pid}/ns/net")))
    }
}

/// A line of the tables of TCP or UDP.
fn internet(line: &str, protocol: Protocol) -> Option<(u64, Socket)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state) = (address(fields.get(1)?)?, *fields.get(3)?);
    let inode = fields.get(9)?.parse().ok().filter(|inode| *inode != 0)?;
    let socket = match protocol {
        Protocol::Udp => Socket::Datagram,
        Protocol::Tcp if state == TCP_LISTEN => Socket::Listener(Some(local.port())),
        Protocol::Tcp => Socket::Stream(local.port()),
    };
    Some((inode, socket))
}

/// A line of the table of AF_UNIX (`net/unix/af_unix.c`, `unix_seq_show`): `Num RefCount Protocol Flags Type St Inode Path`.
fn local(line: &str) -> Option<(u64, Socket)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
    let inode = fields.get(6)?.parse().ok()?;
    // SOCK_STREAM and SOCK_SEQPACKET.
    let stream = matches!(*fields.get(4)?, "0001" | "0005");
    let socket = match (stream, flags & ACCEPTS != 0, fields.len() > 7) {
        (_, true, _) => Socket::Listener(None),
        (false, ..) => Socket::Datagram,
        (true, _, true) => Socket::Named,
        (true, _, false) => Socket::Unnamed,
    };
    Some((inode, socket))
}

/// Address and inode in a line of a table, if the socket has that state and no peer.
fn parse(line: &str, wanted_state: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, remote, state) = (address(fields.get(1)?)?, address(fields.get(2)?)?, fields.get(3)?);
    let inode = fields.get(9)?.parse().ok()?;
    let waits = *state == wanted_state && remote.port() == 0 && inode != 0;
    waits.then_some((local, inode))
}

/// `0100007F:1F90`: words of the address as the processor reads them (`net/ipv4/tcp_ipv4.c`,
/// `get_tcp4_sock`), then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let words: Option<Vec<[u8; 4]>> = (0..host.len())
        .step_by(8)
        .map(|at| Some(u32::from_str_radix(host.get(at..at + 8)?, 16).ok()?.to_ne_bytes()))
        .collect();
    let ip = match words?[..] {
        [word] => IpAddr::V4(Ipv4Addr::from(word)),
        [a, b, c, d] => {
            let mut bytes = [0; 16];
            bytes.iter_mut().zip([a, b, c, d].as_flattened()).for_each(|(to, from)| *to = *from);
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_only() {
        let listen = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(parse(listen, "0A"), Some(("127.0.0.1:8080".parse().unwrap(), 4711)));
        assert_eq!(parse(&listen.replace(" 0A ", " 01 "), "0A"), None);
        assert_eq!(parse(&listen.replace("00000000:0000", "0100007F:D431"), "0A"), None);
        assert_eq!(parse(&listen.replace(" 4711 ", " 0 "), "0A"), None);
    }

    #[test]
    fn sockets_are_what_their_line_says() {
        let tcp = |state: &str| {
            let line =
                "0: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 4711 1 0";
            internet(&line.replace(" 01 ", state), Protocol::Tcp)
        };
        assert_eq!(tcp(" 01 "), Some((4711, Socket::Stream(8080))));
        assert_eq!(tcp(" 0A "), Some((4711, Socket::Listener(Some(8080)))));
        let unix = |line: &str| local(line).map(|(_, socket)| socket);
        assert_eq!(unix("0000: 00000002 00000000 00010000 0001 01 99 /run/x"), Some(Socket::Listener(None)));
        assert_eq!(unix("0000: 00000003 00000000 00000000 0001 03 99 /run/x"), Some(Socket::Named));
        assert_eq!(unix("0000: 00000003 00000000 00000000 0001 03 99"), Some(Socket::Unnamed));
        assert_eq!(unix("0000: 00000003 00000000 00000000 0002 03 99"), Some(Socket::Datagram));
        assert_eq!(unix("Num RefCount"), None);
    }

    #[test]
    fn addresses_are_read_word_by_word() {
        assert_eq!(address("0100007F:1F90"), Some("127.0.0.1:8080".parse().unwrap()));
        let v6 = "0000000000000000FFFF00000100007F:0050";
        assert_eq!(address(v6), Some("[::ffff:127.0.0.1]:80".parse().unwrap()));
        assert_eq!(address("00000000000000000000000001000000:0050"), Some("[::1]:80".parse().unwrap()));
        for bad in ["", ":", "0100007F", "0100007:1F90", "0100007F:x", "é100007F:1F90"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
