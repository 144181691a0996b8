//! Free ports on loopback.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// Below Linux's range for outgoing connections, so that no client takes the port in between.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Returns a TCP port that nothing listens on. No other caller of this function, in any process, gets the
/// same port while this process lives.
pub fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // A name in Linux's abstract socket namespace marks a port as taken. It leaves no file behind, and the
    // kernel frees it when the process ends, however it ends.
    static TAKEN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    for _ in 0..COUNT {
        // Processes start at different ports, so that they seldom try the same one.
        let step = std::process::id()
            .wrapping_mul(31)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let Ok(port) = u16::try_from(FIRST + step % COUNT) else {
            continue;
        };
        let name = SocketAddr::from_abstract_name(format!("causeway-port-{port}"));
        let Ok(claim) = name.and_then(|name| UnixListener::bind_addr(&name)) else {
            continue;
        };
        if TcpListener::bind(("127.0.0.1", port)).is_err() {
            continue;
        }
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
        return port;
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_given_once_and_can_be_bound() {
        let ports: std::collections::BTreeSet<u16> = (0..20).map(|_| free()).collect();
        assert_eq!(ports.len(), 20);
        for port in ports {
            TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        }
    }
}
