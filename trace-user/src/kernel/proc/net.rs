//! Sockets that wait for clients, in the tables of `/proc/net`.
//!
//! `/proc/net` shows one network namespace; a container's sockets are seen through `/proc/PID/net` of a process in it.

use std::collections::BTreeSet;

use super::Proc;

/// Tables of `/proc/net`, each with the state that a socket without a peer has there, and whether it is one of streams
/// (`include/net/tcp_states.h`: 10 is `TCP_LISTEN`, 7 is `TCP_CLOSE`, which unconnected datagram sockets are in).
const TABLES: [(&str, &str, bool); 4] =
    [("tcp", "0A", true), ("tcp6", "0A", true), ("udp", "07", false), ("udp6", "07", false)];

/// A listening TCP socket, or a UDP socket without a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Local port.
    pub port: u16,
    /// Inode, by which descriptors name it.
    pub inode: u64,
    /// Whether it is TCP.
    pub stream: bool,
}

impl Proc {
    /// The listeners in a network namespace: that of process `pid`, or of the reader of this `/proc`.
    pub fn listeners(&self, pid: Option<u32>) -> Vec<Listener> {
        let net = pid.map_or("net".to_owned(), |pid| format!("{pid}/net"));
        let mut listeners = Vec::new();
        for (table, state, stream) in TABLES {
            let text = self.read(format!("{net}/{table}")).unwrap_or_default();
            let found = text.lines().skip(1).filter_map(|line| parse(line, state));
            listeners.extend(found.map(|(port, inode)| Listener { port, inode, stream }));
        }
        listeners
    }

    /// Local TCP ports on which one of the sockets `inodes` listens, in the network namespace of `pid`.
    pub fn listen_ports(&self, pid: u32, inodes: &BTreeSet<u64>) -> BTreeSet<u16> {
        let listeners = self.listeners(Some(pid));
        listeners.iter().filter(|l| l.stream && inodes.contains(&l.inode)).map(|l| l.port).collect()
    }

    /// Network namespace of process `pid`, or of the reader of this `/proc`.
    pub fn network_namespace(&self, pid: Option<u32>) -> Option<String> {
        self.link(pid.map_or("self/ns/net".to_owned(), |pid| format!("{pid}/ns/net")))
    }
}

/// Port and inode in a line of a table, if the socket has that state and no peer.
fn parse(line: &str, wanted_state: &str) -> Option<(u16, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, remote, state) = (fields.get(1)?, fields.get(2)?, fields.get(3)?);
    let port_of = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    let inode = fields.get(9)?.parse().ok()?;
    let waits = *state == wanted_state && port_of(remote)? == 0 && inode != 0;
    waits.then_some((port_of(local)?, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_only() {
        let listen = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        assert_eq!(parse(listen, "0A"), Some((8080, 4711)));
        assert_eq!(parse(&listen.replace(" 0A ", " 01 "), "0A"), None);
        assert_eq!(parse(&listen.replace("00000000:0000", "0100007F:D431"), "0A"), None);
        assert_eq!(parse(&listen.replace(" 4711 ", " 0 "), "0A"), None);
    }
}
