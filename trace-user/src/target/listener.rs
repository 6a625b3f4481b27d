//! Sockets without a peer, as `/proc/net` shows them: TCP listeners and bound UDP sockets.
//!
//! `/proc/net` shows one network namespace; a container's listeners are seen through `/proc/PID/net` of a
//! process in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Serialize;

use super::proc::Proc;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A listening stream socket.
    Tcp,
    /// A bound datagram socket without a peer.
    Udp,
}

/// Tables of `/proc/net`, each with the state that a socket without a peer has there
/// (`include/net/tcp_states.h`: 10 is `TCP_LISTEN`, 7 is `TCP_CLOSE`, which unconnected datagram sockets are
/// in).
const TABLES: [(&str, Protocol, &str); 4] = [
    ("tcp", Protocol::Tcp, "0A"),
    ("tcp6", Protocol::Tcp, "0A"),
    ("udp", Protocol::Udp, "07"),
    ("udp6", Protocol::Udp, "07"),
];

/// A socket without a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Stream or datagram.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its inode, which tells who holds it.
    pub inode: u64,
}

/// All of them, in all network namespaces that can be seen through the processes `pids`.
pub fn all(proc: &Proc, pids: &BTreeSet<u32>) -> Vec<Listener> {
    let own = proc.link("self/ns/net");
    let mut by_namespace: BTreeMap<String, u32> = BTreeMap::new();
    for &pid in pids {
        if let Some(namespace) = proc.link(&format!("{pid}/ns/net")).filter(|n| Some(n) != own.as_ref()) {
            by_namespace.entry(namespace).or_insert(pid);
        }
    }
    let others = by_namespace.values().map(|pid| format!("{pid}/net"));
    std::iter::once("net".to_owned()).chain(others).flat_map(|root| in_namespace(proc, &root)).collect()
}

fn in_namespace(proc: &Proc, root: &str) -> Vec<Listener> {
    let mut found = Vec::new();
    for (table, protocol, state) in TABLES {
        let text = proc.read(&format!("{root}/{table}")).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(|line| parse(line, protocol, state)));
    }
    found
}

/// The socket in a line of a table, if it has no peer.
fn parse(line: &str, protocol: Protocol, wanted_state: &str) -> Option<Listener> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, remote, state) = (address(fields.get(1)?)?, address(fields.get(2)?)?, fields.get(3)?);
    let inode: u64 = fields.get(9)?.parse().ok()?;
    let matches = *state == wanted_state && remote.port() == 0 && inode != 0;
    matches.then_some(Listener { protocol, address: local, inode })
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
    fn addresses_are_read_word_by_word() {
        assert_eq!(address("0100007F:1F90"), Some("127.0.0.1:8080".parse().unwrap()));
        let v6 = "0000000000000000FFFF00000100007F:0050";
        assert_eq!(address(v6), Some("[::ffff:127.0.0.1]:80".parse().unwrap()));
        assert_eq!(address("00000000000000000000000001000000:0050"), Some("[::1]:80".parse().unwrap()));
        for bad in ["", ":", "0100007F", "0100007:1F90", "0100007F:x", "é100007F:1F90"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_connected_datagram_socket_is_no_listener() {
        let line = "  1: 00000000:0035 00000000:0000 07 0:0 00:0 0  0  0 42 2 0 0";
        let listener = parse(line, Protocol::Udp, "07").expect("bound");
        assert_eq!((listener.inode, listener.address.port()), (42, 53));
        assert_eq!(parse(&line.replace(":0000 07", ":0035 07"), Protocol::Udp, "07"), None);
        assert_eq!(parse(&line.replace(" 07 ", " 01 "), Protocol::Udp, "07"), None);
    }
}
