//! Which IP addresses a plugin's request may go to. A name says nothing of where it leads: every address that it resolves to is
//! looked at, and the connection is made to the one that was looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere in the internet.
    Public,
    /// This machine or this network: only where the operator says `private = true` for the origin.
    Private,
    /// Never: what no server can have, and link-local addresses, behind which clouds keep their credentials.
    Never,
}

/// Of an address, and of the IPv4 address that an IPv6 address carries.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127 | 10, ..] | [192, 168, ..] => Reach::Private,
        [172, second, ..] if second & 0xf0 == 16 => Reach::Private,
        // Between a provider and its customers.
        [100, second, ..] if second & 0xc0 == 64 => Reach::Private,
        // "This network"; link-local; protocol assignments and documentation; 6to4 relays; measurements; multicast and above.
        [0, ..] | [169, 254, ..] | [192, 0, 0 | 2, _] | [192, 88, 99, _] => Reach::Never,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [224..=255, ..] => Reach::Never,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
        [0, 0, 0, 0, 0, 0xffff, high, low] => embedded(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [first, ..] if first & 0xfe00 == 0xfc00 => Reach::Private,
        // Teredo, ORCHID, measurements and other protocol assignments (2001::/23); documentation; 6to4.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => Reach::Never,
        [0x2002, ..] => Reach::Never,
        [0x3fff, second, ..] if second < 0x1000 => Reach::Never,
        // The one part of the space that is given out.
        [first, ..] if first & 0xe000 == 0x2000 => Reach::Public,
        _ => Reach::Never,
    }
}
