//! What kind of address something is at: of this machine, of a private network, of everybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// From how far an address is reached. Nobody's private network is asked on a stranger's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stores::registry) enum AddressScope {
    /// This machine alone.
    Loopback,
    /// A private network.
    Private,
    /// Everywhere.
    Public,
}

/// Metadata services of clouds that are not at an address of one link: of Alibaba Cloud, and of Amazon's over IPv6.
const METADATA: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))];

impl AddressScope {
    /// By the special-purpose registries of RFC 6890; `None` for what is not one host's address: that of one link, of
    /// many, of none, and of a metadata service.
    pub(in crate::stores::registry) fn of(ip: IpAddr) -> Option<Self> {
        let ip = ip.to_canonical();
        let (private, public) = match ip {
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                (v4.is_private() || a == 100 && (64..128).contains(&b), is_public_v4(v4))
            }
            IpAddr::V6(v6) => (v6.is_unique_local(), is_public_v6(v6)),
        };
        match ip {
            _ if METADATA.contains(&ip) => None,
            _ if ip.is_loopback() => Some(Self::Loopback),
            _ if private => Some(Self::Private),
            _ => public.then_some(Self::Public),
        }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let embedded = |high: u16, low: u16| {
        let ([w, x], [y, z]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(w, x, y, z))
    };
    match (a, b) {
        (0x64, 0xff9b) if [c, d, e, f] == [0; 4] => embedded(g, h),
        (0x2002, _) => embedded(b, c),
        (0x2001, 0x0db8 | 0) => false,
        _ => a & 0xe000 == 0x2000,
    }
}
