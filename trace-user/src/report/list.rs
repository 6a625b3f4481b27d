//! `trace list` as a table of at most 80 columns.

use std::net::SocketAddr;

use tabled::builder::Builder;
use tabled::grid::util::string::get_line_width;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Modify, Padding, Style};

use super::text::{COLUMNS, Page, cut, wrap};
use super::unit;
use crate::kernel::proc::Protocol;
use crate::target::list::{Address, Listing, Server};

const HEAD: [&str; 6] = ["PID", "PROCS", "THREADS", "NAME", "CONTAINER", "LISTENS ON"];
/// Columns of a name, which the kernel limits to 15 bytes but the sanitiser may lengthen.
const NAME: usize = 16;
/// Columns of a container.
const CONTAINER: usize = 17;
/// Between two columns.
const GAP: usize = 2;
/// Addresses of sockets without a visible owner that are named.
const NAMED: usize = 6;

/// The servers, then what could not be seen.
pub fn render(listing: &Listing) -> String {
    let mut page = Page::default();
    if listing.servers.is_empty() {
        page.paragraph(2, "no process that listens can be seen");
    } else {
        page.table(&table(&listing.servers));
    }
    if let Some(note) = unseen(listing) {
        page.heading(&note);
    }
    page.finish()
}

fn table(servers: &[Server]) -> String {
    let rows: Vec<[String; 5]> = servers.iter().map(cells).collect();
    let widest = |i: usize| rows.iter().map(|row| get_line_width(&row[i])).chain([HEAD[i].len()]).max();
    let used: usize = (0..5).filter_map(widest).map(|width| width + GAP).sum();
    let mut table = Builder::default();
    table.push_record(HEAD);
    for (row, server) in rows.into_iter().zip(servers) {
        table.push_record(row.into_iter().chain([listens(&server.listens, COLUMNS - used)]));
    }
    let mut table = table.build();
    table.with(Style::empty()).with(Padding::new(0, GAP, 0, 0));
    table.with(Modify::new(Columns::new(..3)).with(Alignment::right()));
    table.with(Modify::new(Columns::last()).with(Padding::zero()));
    table.to_string()
}

fn cells(server: &Server) -> [String; 5] {
    [
        server.pid.to_string(),
        server.processes.len().to_string(),
        unit::count(server.threads.into()),
        cut(&server.comm, NAME),
        server.container.as_ref().map_or_else(|| "-".to_owned(), |c| cut(&c.to_string(), CONTAINER)),
    ]
}

fn listens(addresses: &[Address], width: usize) -> String {
    wrap(&join(addresses.iter()), width).join("\n")
}

fn join<'a>(addresses: impl Iterator<Item = &'a Address>) -> String {
    addresses.map(show).collect::<Vec<_>>().join(", ")
}

/// `127.0.0.1:80`, `[::1]:80`, `0.0.0.0:53/udp`.
pub fn show(address: &Address) -> String {
    let protocol = match address.protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "/udp",
    };
    format!("{}{protocol}", SocketAddr::new(address.address, address.port))
}

fn unseen(listing: &Listing) -> Option<String> {
    let unseen = &listing.unseen;
    let mut texts = Vec::new();
    if unseen.sockets > 0 {
        let more = unseen.listens.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let sockets = unit::plural(unseen.sockets as u64, "socket", "sockets");
        texts.push(format!(
            "{sockets} without a visible owner: {}{more}.",
            join(unseen.listens.iter().take(NAMED))
        ));
    }
    if unseen.processes > 0 {
        let processes = unit::plural(unseen.processes as u64, "process", "processes");
        texts.push(format!(
            "The descriptors of {processes} may not be read, nor what listens in network namespaces \
             of their own; to see all: sudo trace list"
        ));
    } else if unseen.sockets > 0 {
        texts.push("Every process here was looked at: it is the kernel that holds them, or a process in another PID namespace.".into());
    }
    (!texts.is_empty()).then(|| format!("Not seen: {}", texts.join(" ")))
}

/// A command for the first server of the table, in each way that `attach` takes for it.
pub fn hint(listing: &Listing) -> Option<String> {
    let attach = &listing.servers.first()?.attach;
    let port = attach.port.map(|port| format!(", or --port {port}"));
    // What a shell would take apart is not worth quoting in a hint.
    let plain = |name: &&String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
    let name = attach.name.as_ref().filter(plain).filter(|n| !n.starts_with('-'));
    let name = name.map(|name| format!(", or --name {name}"));
    Some(format!(
        "sudo trace attach --pid {}{}{}",
        attach.pid,
        port.unwrap_or_default(),
        name.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::container::{Container, Runtime};
    use crate::target::list::{Attach, Unseen};

    fn server(comm: &str, listens: &[(&str, Protocol)]) -> Server {
        let address = |(text, protocol): &(&str, Protocol)| {
            let socket: SocketAddr = text.parse().expect("an address");
            Address { port: socket.port(), protocol: *protocol, address: socket.ip() }
        };
        Server {
            pid: 4_194_303,
            comm: comm.into(),
            exe: None,
            processes: vec![4_194_303, 4_194_304],
            threads: 1_234,
            listens: listens.iter().map(address).collect(),
            container: None,
            attach: Attach { pid: 4_194_303, port: Some(80), name: Some(comm.into()) },
        }
    }

    #[test]
    fn the_table_fits_80_columns_and_shows_nothing_raw() {
        let long = "[ffff:1234:5678:9abc:def0:1234:5678:9abc]:65535";
        let mut hostile = server("\x1b[31m漢字漢字", &[(long, Protocol::Tcp), ("1.2.3.4:53", Protocol::Udp)]);
        hostile.container = Some(Container { runtime: Runtime::Lxc, id: "\u{202e}".repeat(40) });
        let unseen = Unseen { processes: 3, sockets: 9, listens: hostile.listens.repeat(8) };
        let listing =
            Listing { servers: vec![server("nginx", &[("0.0.0.0:80", Protocol::Tcp)]), hostile], unseen };
        let text = render(&listing);
        for line in text.lines() {
            assert!(get_line_width(line) <= COLUMNS, "{line}");
            assert!(!line.contains(['\x1b', '\u{202e}']), "{line}");
        }
        assert!(
            text.contains("0.0.0.0:80") && text.contains("9 sockets") && text.contains("sudo trace list"),
            "{text}"
        );
    }

    #[test]
    fn the_hint_is_a_command_that_a_shell_takes() {
        let listing = |comm| Listing { servers: vec![server(comm, &[])], unseen: Unseen::default() };
        let wanted = "sudo trace attach --pid 4194303, or --port 80, or --name redis-server";
        assert_eq!(hint(&listing("redis-server")).as_deref(), Some(wanted));
        for comm in ["$(reboot)", "a b", "-x", "\x1b"] {
            assert!(!hint(&listing(comm)).expect("by pid").contains("--name"), "{comm}");
        }
    }
}
