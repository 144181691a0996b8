//! Free ports on loopback.

use std::fs::File;
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range that Linux gives to outgoing connections, so that no client takes the port in between.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Gives a TCP port that nothing listens on. No other caller of this function, in any process, gets the same one
/// while this process lives: a locked file per port says that it is taken.
pub fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("causeway-ports");
    // Another user may own the folder already; then the locks below fail with a message.
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("making {}: {error}", folder.display()));
    for _ in 0..COUNT {
        // Processes start at different places, so that they seldom try the same port.
        let step = std::process::id().wrapping_mul(31) + NEXT.fetch_add(1, Ordering::Relaxed);
        let Ok(port) = u16::try_from(FIRST + step % COUNT) else { continue };
        let path = folder.join(port.to_string());
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap_or_else(|error| panic!("opening {}: {error}", path.display()));
        if file.try_lock().is_err() || TcpListener::bind(("127.0.0.1", port)).is_err() {
            continue;
        }
        TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(file);
        return port;
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_given_once_and_can_be_bound() {
        let ports: Vec<u16> = (0..20).map(|_| free()).collect();
        let listeners: Vec<_> =
            ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)).expect("the port is free")).collect();
        assert_eq!(listeners.len(), 20);
        assert!(!ports.contains(&free()));
    }
}
