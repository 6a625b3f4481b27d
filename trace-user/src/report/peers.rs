//! Whom the target waited for: connections added up by address.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use trace_common::conn::Side;

use super::schema::Peer;
use crate::snapshot::{self, Snapshot};

/// Peers, those first that were waited for longest: in receives, or, on the client side, for replies, however that was
/// waited for.
pub fn peers(snapshot: &Snapshot) -> Vec<Peer> {
    let mut by_address: BTreeMap<(Side, String), Peer> = BTreeMap::new();
    let listed = snapshot.connections.iter().map(of_connection);
    for more in snapshot.peers.iter().map(of_folded).chain(listed) {
        match by_address.get_mut(&(more.side, more.address.clone())) {
            Some(peer) => add(peer, &more),
            None => _ = by_address.insert((more.side, more.address.clone()), more),
        }
    }
    let mut peers: Vec<Peer> = by_address.into_values().collect();
    peers.sort_by_key(|p| std::cmp::Reverse((p.wait_ns.max(p.reply_ns), p.receives)));
    peers
}

fn of_connection(c: &snapshot::Connection) -> Peer {
    Peer {
        side: c.side,
        address: address(c.side, &c.address),
        connections: 1,
        waits: c.waits,
        wait_ns: c.wait_ns,
        receives: c.receives,
        bytes: c.bytes,
        replies: c.replies,
        reply_ns: c.reply_ns,
    }
}

fn of_folded(p: &snapshot::Peer) -> Peer {
    Peer {
        side: p.side,
        address: address(p.side, &p.address),
        connections: p.connections,
        waits: p.waits,
        wait_ns: p.wait_ns,
        receives: p.receives,
        bytes: p.bytes,
        replies: p.replies,
        reply_ns: p.reply_ns,
    }
}

fn add(peer: &mut Peer, more: &Peer) {
    peer.connections += more.connections;
    peer.waits += more.waits;
    peer.wait_ns += more.wait_ns;
    peer.receives += more.receives;
    peer.bytes += more.bytes;
    peer.replies += more.replies;
    peer.reply_ns += more.reply_ns;
}

/// The port of a client says nothing, and there are as many as connections.
fn address(side: Side, address: &str) -> String {
    match (side, address.parse::<SocketAddr>()) {
        (Side::Server | Side::Local, Ok(address)) => address.ip().to_string(),
        _ => address.to_owned(),
    }
}
