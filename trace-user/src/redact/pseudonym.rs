//! Pseudonyms: the same for the same string, another for another one, and nothing that can be looked up without the
//! key.
//!
//! They come from HMAC-SHA-256 over the kind and the string. Without a key, whoever hashes all four thousand million
//! IPv4 addresses would have them back in minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// What a pseudonym stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Name,
    Path,
    Address,
}

/// Letters of a pseudonym: 26⁸ is 200,000 million.
const LETTERS: usize = 8;
/// Digits at the end of a name that are kept: the number of a worker.
const DIGITS: usize = 4;
/// Kept as they are: they stand for no machine.
const NOBODY: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
];

/// Makes pseudonyms and remembers them.
pub struct Pseudonyms {
    mac: Hmac<Sha256>,
    strings: BTreeMap<(Kind, String), String>,
    addresses: BTreeMap<IpAddr, IpAddr>,
    used: BTreeSet<IpAddr>,
}

impl Pseudonyms {
    /// With this key; `None` if it is empty.
    pub fn new(key: &[u8]) -> Option<Pseudonyms> {
        let mac = Hmac::new_from_slice(key).ok().filter(|_| !key.is_empty())?;
        let none = (BTreeMap::new(), BTreeMap::new());
        Some(Pseudonyms { mac, strings: none.0, addresses: none.1, used: NOBODY.into() })
    }

    /// For the name of a process or thread. The number at its end stays, so that alike threads are still alike.
    pub fn name(&mut self, name: &str) -> String {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        let numbered = stem.chars().any(char::is_alphabetic) && (1..=DIGITS).contains(&digits.len());
        if matches!(name, "" | "?") {
            // The tool's own word for a name that it could not read.
            name.to_owned()
        } else if numbered {
            format!("{}-{digits}", self.string(Kind::Name, stem))
        } else {
            self.string(Kind::Name, name)
        }
    }

    /// For a path.
    pub fn path(&mut self, path: &str) -> String {
        self.string(Kind::Path, path)
    }

    /// For an address as reports have it: with a port, without one, `unix`, `family N`, or anything else. Ports stay.
    pub fn address(&mut self, address: &str) -> String {
        if let Ok(socket) = address.parse::<SocketAddr>() {
            return SocketAddr::new(self.ip(socket.ip()), socket.port()).to_string();
        }
        if let Ok(ip) = address.parse() {
            return self.ip(ip).to_string();
        }
        let family = address.strip_prefix("family ").is_some_and(|n| n.parse::<u32>().is_ok());
        if family || matches!(address, "" | "unix") {
            return address.to_owned();
        }
        self.string(Kind::Address, address)
    }

    /// A sentence in which names, paths and addresses are replaced: those met before, and whatever looks like one.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        let known = self.strings.iter().filter(|((_, original), _)| original.contains(' '));
        for ((_, original), pseudonym) in known {
            text = text.replace(original.as_str(), pseudonym);
        }
        text.split(' ').map(|word| self.word(word)).collect::<Vec<_>>().join(" ")
    }

    /// A word, whose marks stay.
    fn word(&mut self, word: &str) -> String {
        let mark = |c: char| "()[]{}<>,;:.!?\"'`’“”".contains(c);
        // A mark may belong to it: `[::1]:80`, `2001:db8::`.
        for part in [word.trim_end_matches(mark), word.trim_matches(mark), word] {
            let pseudonym = if part.is_empty() { None } else { self.of_word(part) };
            if let (Some(pseudonym), Some(at)) = (pseudonym, word.find(part)) {
                return [&word[..at], &pseudonym, &word[at + part.len()..]].concat();
            }
        }
        word.to_owned()
    }

    fn of_word(&mut self, word: &str) -> Option<String> {
        if word.parse::<SocketAddr>().is_ok() || word.parse::<IpAddr>().is_ok() {
            return Some(self.address(word));
        }
        if word.starts_with('/') && word.len() > 1 {
            return Some(self.path(word));
        }
        let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let known = |name: &str| self.strings.contains_key(&(Kind::Name, name.to_owned()));
        if !word.is_empty() && (known(word) || (known(stem) && !stem.is_empty())) {
            return Some(self.name(word));
        }
        self.strings.get(&(Kind::Address, word.to_owned())).cloned()
    }

    fn string(&mut self, kind: Kind, original: &str) -> String {
        if let Some(known) = self.strings.get(&(kind, original.to_owned())) {
            return known.clone();
        }
        let prefix = match kind {
            Kind::Name => "name-",
            Kind::Path => "/redacted/",
            Kind::Address => "address-",
        };
        let bytes = self.digest(kind as u8, original.as_bytes(), 0);
        let letter = |byte: &u8| char::from(b'a' + byte % 26);
        let pseudonym: String = prefix.chars().chain(bytes.iter().take(LETTERS).map(letter)).collect();
        self.strings.insert((kind, original.to_owned()), pseudonym.clone());
        pseudonym
    }

    fn ip(&mut self, ip: IpAddr) -> IpAddr {
        if let IpAddr::V6(v6) = ip
            && let Some(v4) = v6.to_ipv4_mapped()
            && let IpAddr::V4(v4) = self.ip(IpAddr::V4(v4))
        {
            return v4.to_ipv6_mapped().into();
        }
        if NOBODY.contains(&ip) {
            return ip;
        }
        if let Some(known) = self.addresses.get(&ip) {
            return *known;
        }
        let mut attempt = 0;
        let pseudonym = loop {
            let candidate = self.candidate(ip, attempt);
            // 24 bits are few: of 5,000 private addresses some meet.
            if self.used.insert(candidate) {
                break candidate;
            }
            attempt += 1;
        };
        self.addresses.insert(ip, pseudonym);
        pseudonym
    }

    /// An address that is nobody's on the internet, of the same class.
    fn candidate(&self, ip: IpAddr, attempt: u32) -> IpAddr {
        match ip {
            IpAddr::V4(v4) => {
                let d = self.digest(4, &v4.octets(), attempt);
                let first = match v4 {
                    v4 if v4.is_loopback() => 127,
                    v4 if v4.is_private() || v4.is_link_local() => 10,
                    // Reserved and never given out (RFC 1112, 4).
                    _ => 240 | (d[3] & 15),
                };
                Ipv4Addr::new(first, d[0], d[1], d[2]).into()
            }
            IpAddr::V6(v6) => {
                let mut octets = [0; 16];
                octets.copy_from_slice(&self.digest(6, &v6.octets(), attempt)[..16]);
                if v6.is_unique_local() || v6.is_unicast_link_local() {
                    octets[0] = 0xfd;
                } else {
                    // For documentation only (RFC 3849).
                    octets[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
                }
                Ipv6Addr::from(octets).into()
            }
        }
    }

    fn digest(&self, kind: u8, original: &[u8], attempt: u32) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(&[kind]);
        mac.update(&attempt.to_le_bytes());
        mac.update(original);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(key: &str) -> Pseudonyms {
        Pseudonyms::new(key.as_bytes()).expect("a key")
    }

    #[test]
    fn the_same_string_has_the_same_pseudonym_and_another_kind_or_key_another() {
        let (mut a, mut b) = (with("a"), with("b"));
        assert_eq!(a.name("nginx"), a.name("nginx"));
        assert_eq!(a.name("nginx"), with("a").name("nginx"));
        assert_ne!(a.name("nginx"), a.name("redis"));
        assert_ne!(a.name("nginx"), b.name("nginx"));
        assert_ne!(a.name("/x").split_off(5), a.path("/x").split_off(10));
        assert!(Pseudonyms::new(b"").is_none());
    }

    #[test]
    fn names_keep_their_number_and_addresses_their_class_and_port() {
        let mut a = with("a");
        let (one, twelve) = (a.name("worker-1"), a.name("worker-12"));
        assert_eq!(one.strip_suffix("-1"), twelve.strip_suffix("-12"));
        assert!(!a.name("4711").contains("4711") && !a.name("job20260101").contains("2026"));
        assert!(
            a.address("10.1.2.3:5432").starts_with("10.") && a.address("10.1.2.3:5432").ends_with(":5432")
        );
        assert!(a.address("192.168.7.7").starts_with("10."));
        assert!(a.address("8.8.8.8").parse::<Ipv4Addr>().expect("an address").octets()[0] >= 240);
        assert!(a.address("[2a00::1]:443").starts_with("[2001:db8:"));
        assert!(a.address("fe80::1").starts_with("fd"));
        assert!(a.address("::ffff:8.8.8.8").ends_with(&a.address("8.8.8.8")));
        for kept in ["127.0.0.1:80", "::1", "0.0.0.0", "unix", "family 16", ""] {
            assert_eq!(a.address(kept), kept);
        }
        assert!(a.address("unix:/run/secret.sock").starts_with("address-"));
    }

    #[test]
    fn texts_lose_what_was_met_before_and_what_looks_like_an_address_or_a_path() {
        let mut a = with("a");
        let (name, both, ip) = (a.name("nginx"), a.name("my server"), a.address("10.0.0.1:80"));
        assert_eq!(
            a.text("(nginx) and my server wait for 10.0.0.1:80, of nginx."),
            format!("({name}) and {both} wait for {ip}, of {name}.")
        );
        let text = a.text("reads /etc/passwd; peers: 8.8.8.8, [2a00::1]:443. I/O and 1.5 s stay");
        assert!(!["passwd", "8.8.8.8", "2a00"].iter().any(|secret| text.contains(secret)), "{text}");
        assert!(text.ends_with(". I/O and 1.5 s stay"), "{text}");
    }

    proptest! {
        #[test]
        fn different_addresses_stay_different(ips in proptest::collection::btree_set(any::<u32>(), 0..300)) {
            let mut a = with("a");
            let pseudonyms: BTreeSet<_> = ips.iter().map(|ip| a.ip(Ipv4Addr::from(*ip).into())).collect();
            prop_assert_eq!(pseudonyms.len(), ips.len());
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), name in any::<String>()) {
            let mut a = with("a");
            a.name(&name);
            a.address(&text);
            a.text(&text);
        }
    }
}
