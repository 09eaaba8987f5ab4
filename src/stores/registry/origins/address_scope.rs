//! The scope of an address: this machine, a private network, or the internet.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

/// The scope of an address. A registry must not direct us into a private network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AddressScope {
    /// This machine only.
    Loopback,
    /// A private network.
    Private,
    /// The internet.
    Public,
}

/// Metadata services of clouds outside the link-local ranges: of Alibaba Cloud, and of Amazon over IPv6.
const METADATA: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))];

impl AddressScope {
    /// By the special-purpose registries of RFC 6890; `None` for an address that is not of a single host: link-local,
    /// multicast, unspecified, or of a metadata service.
    fn of(ip: IpAddr) -> Option<Self> {
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

/// The widest scope of a registry's addresses seen so far: it may not send us to a narrower one. Once public it stays
/// so, since the owner of a name may change its addresses at any time.
#[derive(Debug, Clone, Default)]
pub(in crate::stores::registry) struct NearestScope(Arc<AtomicU8>);

impl NearestScope {
    /// Records an address of the registry.
    pub(in crate::stores::registry) fn saw(&self, ip: IpAddr) {
        let seen = match AddressScope::of(ip) {
            Some(AddressScope::Loopback) => 1,
            Some(AddressScope::Private) | None => 2,
            Some(AddressScope::Public) => 3,
        };
        self.0.fetch_max(seen, Ordering::Relaxed);
    }

    /// True if the registry may send us to this address. Before its own address is known, only public ones are
    /// permitted; link-local ones, which include the metadata services of clouds, never.
    pub(in crate::stores::registry) fn allows(&self, ip: IpAddr) -> bool {
        match (AddressScope::of(ip), self.0.load(Ordering::Relaxed)) {
            (Some(AddressScope::Public), _)
            | (Some(AddressScope::Private), 1 | 2)
            | (Some(AddressScope::Loopback), 1) => true,
            (Some(AddressScope::Private | AddressScope::Loopback) | None, _) => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(seen: &[&str]) -> NearestScope {
        let nearest = NearestScope::default();
        seen.iter().for_each(|ip| nearest.saw(ip.parse().unwrap()));
        nearest
    }

    #[test]
    fn a_registry_leads_no_nearer_than_it_is_itself() {
        let allowed = |seen: &[&str]| {
            let nearest = nearest(seen);
            ["8.8.8.8", "10.0.0.1", "127.0.0.1", "169.254.169.254"].map(|ip| nearest.allows(ip.parse().unwrap()))
        };
        assert_eq!(allowed(&[]), [true, false, false, false]);
        assert_eq!(allowed(&["1.1.1.1"]), [true, false, false, false]);
        assert_eq!(allowed(&["192.168.1.1"]), [true, true, false, false]);
        assert_eq!(allowed(&["127.0.0.1"]), [true, true, true, false]);
        assert_eq!(allowed(&["169.254.1.1"]), [true, true, false, false]);
        // One public address among them, now or ever, is enough.
        assert_eq!(allowed(&["10.0.0.1", "1.1.1.1", "127.0.0.1"]), [true, false, false, false]);
    }
}
