//! Records of connections, and the readiness event that covers one.

use trace_common::{
    conn::{Conn, Cover, Peer, PeerKey, Side, flag},
    inferred,
    loss::{Loss, Sink},
    ready::Width,
    thread::Thread,
    timeline::Note,
};

use crate::{
    file::{self, AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM},
    maps::{CONNS, EPOLLS, LISTEN_PORTS, NEW_CONN, PEERS, PerCpu},
    read::{Kernel, field, offset},
    signals,
    slots::calls_untraced,
};

/// `FASYNC`, `include/uapi/asm-generic/fcntl.h`.
const O_ASYNC: u32 = 0o20000;

/// The record of the connection behind `sk`, made at `now` if there is none.
#[inline(always)]
pub fn of_sock(sk: Kernel, now: u64) -> Option<*mut Conn> {
    of_sock_to(sk, field(sk, offset!(sk_dport)), now)
}

/// [`of_sock`] of a connection whose remote port is known, in network order: the kernel gives the memory of a connection to
/// the next one.
#[inline(always)]
pub fn of_sock_to(sk: Kernel, port: u16, now: u64) -> Option<*mut Conn> {
    if let Some(conn) = CONNS.get_ptr_mut(sk) {
        // SAFETY: a non-null pointer into the map. The record has one writer in all but lock-step pools, and what
        // two writers can spoil is a counter of one connection.
        if unsafe { (*conn).remote_port } == u16::from_be(port) {
            return Some(conn);
        }
    }
    conn_insert(sk, now, UNKNOWN_SIDE);
    CONNS.get_ptr_mut(sk)
}

/// No [`Side`]: nobody saw who opened it.
const UNKNOWN_SIDE: u32 = u32::MAX;

/// Makes the record of a connection that was just accepted (`Side::Server`) or connected (`Side::Client`).
/// `t` is who accepted or connected it.
#[inline(always)]
pub fn opened(sk: Kernel, now: u64, side: Side, t: Option<&Thread>) {
    if side as u8 == Side::Server as u8 {
        listens(sk);
    } else if is_connecting(sk) {
        return;
    }
    conn_insert(sk, now, side as u32);
    if let Some((conn, t)) = CONNS.get_ptr_mut(sk).zip(t) {
        // SAFETY: a non-null pointer into the map; see `of_sock`.
        let conn = unsafe { &mut *conn };
        conn.accepted_at = now;
        conn.accepted_by = t.tid;
        conn.accepted_in = t.tgid;
    }
}

/// Whether a connection that is being made has its record already: `connect` is called again to learn how it went.
#[inline(always)]
fn is_connecting(sk: Kernel) -> bool {
    let Some(conn) = CONNS.get_ptr(sk) else { return false };
    let port: u16 = field(sk, offset!(sk_dport));
    // SAFETY: a non-null pointer into the map.
    let conn = unsafe { &*conn };
    conn.receives == 0 && conn.sends == 0 && conn.remote_port == u16::from_be(port)
}

/// The target listens on `sk`.
#[inline(always)]
pub fn listens(sk: Kernel) {
    let family: u16 = field(sk, offset!(sk_family));
    if family != AF_UNIX {
        listen_on(field(sk, offset!(sk_num)));
    }
}

#[inline(always)]
fn listen_on(port: u16) {
    if let Some(word) = LISTEN_PORTS.get_ptr_mut(u32::from(port >> 6)) {
        // SAFETY: a non-null pointer into the map; setting a bit twice is harmless.
        unsafe { *word |= 1 << (port & 63) };
    }
}

#[inline(always)]
fn is_listening(port: u16) -> bool {
    LISTEN_PORTS.get(u32::from(port >> 6)).is_some_and(|word| word & (1 << (port & 63)) != 0)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn conn_insert(sk: Kernel, now: u64, side: u32) -> u32 {
    let Some(conn) = NEW_CONN.get_ptr_mut(0) else { return 0 };
    // SAFETY: a non-null pointer into this CPU's copy; tracing programs run with preemption off.
    let conn = unsafe { &mut *conn };
    if let Some(old) = CONNS.get_ptr_mut(sk) {
        // SAFETY: a non-null pointer into the map.
        fold(unsafe { &mut *old });
    }
    describe(conn, sk, now);
    if side != UNKNOWN_SIDE {
        if conn.side != Side::Local as u8 && conn.side != Side::Datagram as u8 {
            conn.side = side as u8;
        }
        if side == Side::Server as u32 {
            conn.flags |= flag::ACCEPTED;
        }
    }
    PerCpu.lose(Loss::ConnectionsSeen);
    PerCpu.mark_conn(conn, Note::Opened, 0);
    let made: &Conn = conn;
    if CONNS.insert(sk, made, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
    }
    0
}

/// The kernel has given the memory of a connection to another one: what the first came to is added to its peer's.
#[inline(always)]
fn fold(old: &mut Conn) {
    old.closed(&mut PerCpu);
    PerCpu.lose(Loss::ConnectionsFolded);
    let key = PeerKey::of(old);
    if let Some(peer) = PEERS.get_ptr_mut(key) {
        // SAFETY: a non-null pointer into the map; what two writers can spoil is a counter.
        unsafe { (*peer).add(old) };
        return;
    }
    let mut peer = Peer::default();
    peer.add(old);
    if PEERS.insert(key, peer, 0).is_err() {
        PerCpu.lose(Loss::MapFull);
    }
}

#[inline(always)]
fn describe(conn: &mut Conn, sk: Kernel, now: u64) {
    let family: u16 = field(sk, offset!(sk_family));
    let sock_type: u16 = field(sk, offset!(sk_type));
    let dport: u16 = field(sk, offset!(sk_dport));
    // SAFETY: all zeroes is a valid record.
    unsafe { core::ptr::write_bytes(conn, 0, 1) };
    conn.sk = sk;
    conn.last_data_at = now;
    conn.family = family as u8;
    conn.sock_type = sock_type as u8;
    conn.remote_port = u16::from_be(dport);
    if family != AF_UNIX {
        conn.local_port = field(sk, offset!(sk_num));
    }
    if family == AF_INET {
        let address: [u8; 4] = field(sk, offset!(sk_daddr));
        conn.remote[..4].copy_from_slice(&address);
    } else if family == AF_INET6 {
        conn.remote = field(sk, offset!(sk_v6_daddr));
    }
    conn.side = side_of(sk, family, sock_type, conn.local_port) as u8;
}

#[inline(always)]
fn side_of(sk: Kernel, family: u16, sock_type: u16, local_port: u16) -> Side {
    if sock_type == SOCK_DGRAM {
        return Side::Datagram;
    }
    match family {
        AF_INET | AF_INET6 if is_listening(local_port) => Side::Server,
        AF_INET | AF_INET6 => Side::Client,
        AF_UNIX if file::peer_is_target(sk) => Side::Local,
        // An accepted unix socket shares the address of its listener; who connects is mostly not bound at all.
        AF_UNIX if field::<u64>(sk, offset!(unix_addr)) != 0 => Side::Server,
        AF_UNIX => Side::Client,
        _ => Side::Other,
    }
}

/// The last readiness event that covers the connection `conn` behind `sk`.
#[inline(always)]
pub fn cover(t: &Thread, conn: &mut Conn, sk: Kernel) -> Cover {
    let mut cover = conn.ready;
    if t.ready.cut_at > cover.at {
        cover = Cover { at: t.ready.cut_at, width: Width::Many as u8, ..Cover::NONE };
    }
    let listens = matches!(Width::from_u8(t.ready.width), Width::Listeners | Width::None);
    if calls_untraced() && t.ready.polled_at > cover.at && !listens {
        cover = Cover { at: t.ready.polled_at, width: t.ready.width, ..Cover::NONE };
    }
    if conn.is_set_known() {
        return cover.later(event_of(t, conn, conn.ep));
    }
    let open = file::of_sock(sk);
    let file_flags: u32 = field(open, offset!(file_flags));
    if file_flags & O_ASYNC != 0 {
        conn.flags |= flag::O_ASYNC;
        cover = cover.later(signals::cover(t.tgid));
    }
    let head: Kernel = field(open, offset!(file_ep));
    let mut link: Kernel = field(head, 0);
    // A file is rarely in more than one set.
    let mut sets = 0;
    for _ in 0..2 {
        if link == 0 {
            break;
        }
        let item = link - u64::from(offset!(epitem_fllink));
        let ep: Kernel = field(item, offset!(epitem_ep));
        conn.ep = ep;
        conn.flags |= flag::IN_EPOLL;
        cover = cover.later(event_of(t, conn, ep));
        link = field(link, 0);
        sets += 1;
    }
    // Whoever is in none any more, or in several, has to be looked for each time.
    conn.set_known = u8::from(sets == 1 && conn.flags & flag::O_ASYNC == 0);
    cover
}

/// The last event of epoll set `ep`: that which the receiving thread itself was told of, if it tells of new data.
#[inline(always)]
fn event_of(t: &Thread, conn: &Conn, ep: Kernel) -> Cover {
    if !calls_untraced() && t.ready.ep == ep && t.ready.told.at > conn.last_data_at {
        return t.ready.told;
    }
    // SAFETY: a plain read of a map's value; a torn event is at most one of two neighbours.
    let event = unsafe { EPOLLS.get(ep) }.map_or(Cover::NONE, |epoll| epoll.ready);
    if calls_untraced() { inferred::in_a_set(event, t.clock) } else { event }
}
