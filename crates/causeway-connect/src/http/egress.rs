//! Which addresses a destination may have. Without `allow_private = true` only public addresses are allowed.
//! Otherwise a person who may configure a URL could make the hub send requests to internal machines.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// An address that the hub does not connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at {address}, a {range} address; set allow_private = true if that is intended")]
pub struct Forbidden {
    pub host: String,
    pub address: IpAddr,
    pub range: &'static str,
}

/// The name has no address, or could not be resolved. The text holds only the name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name {host} {why}")]
pub struct Unresolved {
    pub host: String,
    pub why: &'static str,
}

/// Resolves names and rejects a name if any of its addresses is forbidden, because a mixed answer is a way to
/// fool a check. It passes on exactly the addresses that were checked.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    pub allow_private: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
}

impl Guard {
    /// Checks the host of a URL if it is an address, because the client connects to addresses without a
    /// resolver. The URL parser has normalised all spellings (`0x7f.1`, `2130706433`, `0177.0.0.1`).
    pub fn check_literal(self, url: &Url) -> Result<(), Forbidden> {
        let address = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.check(url.host_str().unwrap_or_default(), address)
    }

    pub async fn resolve(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let unresolved = || Unresolved {
            host: host.to_owned(),
            why: "could not be resolved",
        };
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port))
            .await
            .map_err(|_| unresolved())?
            .collect();
        if addresses.is_empty() {
            return Err(unresolved().into());
        }
        // Filters and broken resolvers answer so. It is no address of a server, and passes.
        if addresses.iter().any(|address| address.ip().is_unspecified()) {
            return Err(Unresolved {
                host: host.to_owned(),
                why: "resolves to 0.0.0.0, as a blocked name does",
            }
            .into());
        }
        for address in &addresses {
            self.check(host, address.ip())?;
        }
        Ok(addresses)
    }

    fn check(self, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        match forbidden_range(address) {
            Some(range) if !self.allow_private => Err(Forbidden {
                host: host.to_owned(),
                address,
                range,
            }),
            _ => Ok(()),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            // Port 0 stands for the URL's port.
            let addresses = guard.resolve(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl Guard {
    /// `proxy` is the host of a proxy, which may be private: the operator chose it, and no URL of a destination
    /// leads to it without [`Guard::resolve`].
    pub fn into_resolver(self, proxy: Option<String>) -> Arc<dyn Resolve> {
        Arc::new(WithProxy { guard: self, proxy })
    }
}

struct WithProxy {
    guard: Guard,
    proxy: Option<String>,
}

impl Resolve for WithProxy {
    fn resolve(&self, name: Name) -> Resolving {
        let is_proxy = self.proxy.as_deref() == Some(name.as_str());
        let guard = Guard {
            allow_private: self.guard.allow_private || is_proxy,
        };
        Resolve::resolve(&guard, name)
    }
}

/// Whether the host of a URL is this machine, without asking for the address of a name.
pub(crate) fn is_loopback(host: &str) -> bool {
    if let Some(address) = address(host) {
        return address.to_canonical().is_loopback();
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether the address is on this machine or in a private network.
pub(crate) fn is_private_address(address: IpAddr) -> bool {
    matches!(
        forbidden_range(address),
        Some(
            "private"
                | "carrier-shared"
                | "loopback"
                | "loopback or IPv4-compatible"
                | "link-local"
                | "unique local"
                | "site-local"
        )
    )
}

/// Endings of names that no public resolver knows.
const PRIVATE_ENDINGS: [&str; 8] = [
    "local",
    "localdomain",
    "internal",
    "intranet",
    "private",
    "lan",
    "corp",
    "home.arpa",
];

/// Whether the host of a URL is in a private network, as far as its text shows: a private address, or a name
/// without a dot or with an ending for private networks.
pub(crate) fn is_private(host: &str) -> bool {
    if let Some(address) = address(host) {
        return is_private_address(address);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let has = |ending: &&str| name.strip_suffix(*ending).is_some_and(|rest| rest.ends_with('.'));
    is_loopback(host) || !name.contains('.') || PRIVATE_ENDINGS.iter().any(has)
}

/// The address that the text is; brackets of a URL do not matter.
fn address(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok()
}

/// The kind of range that an address is in; `None` for a public address.
pub fn forbidden_range(address: IpAddr) -> Option<&'static str> {
    // `::ffff:10.0.0.1` is another spelling of 10.0.0.1.
    match address.to_canonical() {
        IpAddr::V4(v4) => V4
            .iter()
            .find(|(net, _)| net.contains(&v4))
            .map(|(_, word)| *word),
        // A translator leads to the IPv4 address at the end (RFC 6052). Networks without IPv4 reach everything so.
        IpAddr::V6(v6) if NAT64.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            forbidden_range(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        IpAddr::V6(v6) => V6
            .iter()
            .find(|(net, _)| net.contains(&v6))
            .map(|(_, word)| *word)
            // All publicly routed addresses are in 2000::/3; the rest is local or unassigned.
            .or_else(|| (!v6net([0x2000, 0], 3).contains(&v6)).then_some("not publicly routed")),
    }
}

const V4: &[(Ipv4Net, &str)] = &[
    (v4net([0, 0, 0, 0], 8), "\"this network\""),
    (v4net([10, 0, 0, 0], 8), "private"),
    (v4net([100, 64, 0, 0], 10), "carrier-shared"),
    (v4net([127, 0, 0, 0], 8), "loopback"),
    (v4net([169, 254, 0, 0], 16), "link-local"),
    (v4net([172, 16, 0, 0], 12), "private"),
    (v4net([192, 0, 0, 0], 24), "protocol"),
    (v4net([192, 0, 2, 0], 24), "documentation"),
    (v4net([192, 88, 99, 0], 24), "6to4 relay"),
    (v4net([192, 168, 0, 0], 16), "private"),
    (v4net([198, 18, 0, 0], 15), "benchmarking"),
    (v4net([198, 51, 100, 0], 24), "documentation"),
    (v4net([203, 0, 113, 0], 24), "documentation"),
    (v4net([224, 0, 0, 0], 4), "multicast"),
    (v4net([240, 0, 0, 0], 4), "reserved"),
];

/// The well-known prefix for addresses that contain an IPv4 address.
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Other ranges that contain an IPv4 address (6to4, Teredo, IPv4-compatible, NAT64 with a prefix of a network's
/// own) are forbidden as a whole, because an unknown relay decides where they lead.
const V6: &[(Ipv6Net, &str)] = &[
    (v6net([0, 0], 96), "loopback or IPv4-compatible"),
    (v6net([0x64, 0xff9b], 32), "NAT64"),
    (v6net([0x100, 0], 64), "discard-only"),
    (v6net([0x2001, 0], 23), "protocol"),
    (v6net([0x2001, 0xdb8], 32), "documentation"),
    (v6net([0x2002, 0], 16), "6to4"),
    (v6net([0x3ffe, 0], 16), "returned"),
    (v6net([0x3fff, 0], 20), "documentation"),
    (v6net([0x5f00, 0], 16), "segment routing"),
    (v6net([0xfc00, 0], 7), "unique local"),
    (v6net([0xfe80, 0], 10), "link-local"),
    (v6net([0xfec0, 0], 10), "site-local"),
    (v6net([0xff00, 0], 8), "multicast"),
];

const fn v4net([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6net([a, b]: [u16; 2], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts as typed into a configuration, and the expected result.
    const HOSTS: &[(&str, Option<&str>)] = &[
        ("1.1.1.1", None),
        ("9.255.255.255", None),
        ("11.0.0.0", None),
        ("100.63.255.255", None),
        ("100.128.0.0", None),
        ("172.15.255.255", None),
        ("172.32.0.0", None),
        ("192.0.1.1", None),
        ("198.20.0.0", None),
        ("223.255.255.255", None),
        ("[2606:4700::1111]", None),
        ("[2a00:1450:4001:81b::200e]", None),
        ("[::ffff:1.1.1.1]", None),
        ("0.0.0.0", Some("\"this network\"")),
        ("0.1.2.3", Some("\"this network\"")),
        ("0", Some("\"this network\"")),
        ("10.0.0.1", Some("private")),
        ("10.255.255.255", Some("private")),
        ("012.0.0.1", Some("private")),
        ("100.64.0.1", Some("carrier-shared")),
        ("100.127.255.255", Some("carrier-shared")),
        ("127.0.0.1", Some("loopback")),
        ("127.0.0.1.", Some("loopback")),
        ("127.1", Some("loopback")),
        ("2130706433", Some("loopback")),
        ("0x7f000001", Some("loopback")),
        ("0x7F.1", Some("loopback")),
        ("0177.0.0.1", Some("loopback")),
        ("%31%32%37.0.0.1", Some("loopback")),
        ("127。0。0。1", Some("loopback")),
        ("①②⑦.0.0.1", Some("loopback")),
        ("169.254.169.254", Some("link-local")),
        ("0xa9fea9fe", Some("link-local")),
        ("172.16.0.1", Some("private")),
        ("172.31.255.255", Some("private")),
        ("192.0.0.8", Some("protocol")),
        ("192.0.2.1", Some("documentation")),
        ("192.88.99.1", Some("6to4 relay")),
        ("192.168.1.1", Some("private")),
        ("198.18.0.1", Some("benchmarking")),
        ("198.19.255.255", Some("benchmarking")),
        ("198.51.100.7", Some("documentation")),
        ("203.0.113.7", Some("documentation")),
        ("224.0.0.1", Some("multicast")),
        ("239.255.255.255", Some("multicast")),
        ("240.0.0.1", Some("reserved")),
        ("255.255.255.255", Some("reserved")),
        ("[::]", Some("loopback or IPv4-compatible")),
        ("[::1]", Some("loopback or IPv4-compatible")),
        ("[0:0:0:0:0:0:0:1]", Some("loopback or IPv4-compatible")),
        ("[::8.8.8.8]", Some("loopback or IPv4-compatible")),
        ("[::ffff:127.0.0.1]", Some("loopback")),
        ("[::ffff:a9fe:a9fe]", Some("link-local")),
        ("[::ffff:0:1.1.1.1]", Some("not publicly routed")),
        ("[64:ff9b::1.1.1.1]", None),
        ("[64:ff9b::10.0.0.1]", Some("private")),
        ("[64:ff9b::7f00:1]", Some("loopback")),
        ("[64:ff9b::a9fe:a9fe]", Some("link-local")),
        ("[64:ff9b:0:0:0:1:101:101]", Some("NAT64")),
        ("[64:ff9b:1::1]", Some("NAT64")),
        ("[100::1]", Some("discard-only")),
        ("[2001::1]", Some("protocol")),
        ("[2001:db8::1]", Some("documentation")),
        ("[2002:7f00:1::]", Some("6to4")),
        ("[3fff::1]", Some("documentation")),
        ("[4000::1]", Some("not publicly routed")),
        ("[5f00::1]", Some("segment routing")),
        ("[fc00::1]", Some("unique local")),
        ("[fd12:3456::1]", Some("unique local")),
        ("[fe80::1]", Some("link-local")),
        ("[febf::1]", Some("link-local")),
        ("[fec0::1]", Some("site-local")),
        ("[ff02::1]", Some("multicast")),
    ];

    #[test]
    fn only_public_addresses_are_allowed() {
        for (host, range) in HOSTS {
            let url = Url::parse(&format!("https://{host}/")).unwrap();
            assert!(
                !matches!(url.host(), Some(Host::Domain(_))),
                "{host} was taken for a name"
            );
            let guarded = Guard { allow_private: false }.check_literal(&url);
            assert_eq!(guarded.err().map(|refused| refused.range), *range, "{host}");
            assert_eq!(
                Guard { allow_private: true }.check_literal(&url),
                Ok(()),
                "{host}"
            );
        }
    }

    #[test]
    fn an_address_with_a_zone_is_no_url() {
        for host in [
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[::1%25lo]",
            "256.0.0.1",
            "1.2.3.4.5",
        ] {
            assert!(Url::parse(&format!("https://{host}/")).is_err(), "{host}");
        }
    }

    #[test]
    fn a_private_host_is_known_by_its_text() {
        for (host, loopback, private) in [
            ("localhost", true, true),
            ("LOCALHOST.", true, true),
            ("broker.localhost", true, true),
            ("127.0.0.1", true, true),
            ("[::1]", true, true),
            ("::1", true, true),
            ("::ffff:127.0.0.1", true, true),
            ("10.1.2.3", false, true),
            ("100.64.0.1", false, true),
            ("fd12::1", false, true),
            ("rabbit", false, true),
            ("rabbit.default.svc.cluster.local", false, true),
            ("ip-10-0-0-5.eu-central-1.compute.internal", false, true),
            ("broker.home.arpa", false, true),
            ("0.0.0.0", false, false),
            ("8.8.8.8", false, false),
            ("203.0.113.7", false, false),
            ("2606:4700::1111", false, false),
            ("broker.example.org", false, false),
            ("localhost.example.org", false, false),
            ("notlocal.example.internal.org", false, false),
        ] {
            assert_eq!(
                (is_loopback(host), is_private(host)),
                (loopback, private),
                "{host}"
            );
        }
    }

    #[tokio::test]
    async fn a_name_with_a_private_address_is_refused() {
        let refused = Guard { allow_private: false }.resolve("localhost", 80).await;
        assert!(matches!(refused, Err(ResolveError::Forbidden(_))), "{refused:?}");
        let allowed = Guard { allow_private: true }
            .resolve("localhost", 80)
            .await
            .unwrap();
        assert!(allowed.iter().all(|address| address.port() == 80));
    }
}
