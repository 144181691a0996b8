//! The switch of the mutants: all are compiled, and `CAUSEWAY_MUTANT` chooses the one that is active.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
};

const UNREAD: u32 = u32::MAX;
/// No mutant is active; the ones that are reached are recorded.
const RECORD: u32 = u32::MAX - 1;

static ACTIVE: AtomicU32 = AtomicU32::new(UNREAD);
static REACHED: [AtomicBool; 1 << 15] = [const { AtomicBool::new(false) }; 1 << 15];
static FILE: Mutex<Option<File>> = Mutex::new(None);

/// Whether the mutant is active.
#[inline]
pub fn on(id: u32) -> bool {
    let active = ACTIVE.load(Relaxed);
    active == id || (active >= RECORD && slow(id))
}

#[cold]
fn slow(id: u32) -> bool {
    if ACTIVE.load(Relaxed) == UNREAD {
        let active = if std::env::var_os("CAUSEWAY_MUTANT_REACH").is_some() {
            RECORD
        } else {
            std::env::var("CAUSEWAY_MUTANT").ok().and_then(|id| id.parse().ok()).unwrap_or(0)
        };
        ACTIVE.store(active, Relaxed);
        return on(id);
    }
    if !REACHED[id as usize].swap(true, Relaxed) {
        let path = std::env::var_os("CAUSEWAY_MUTANT_REACH").unwrap();
        let mut file = FILE.lock().unwrap();
        let file = file.get_or_insert_with(|| OpenOptions::new().append(true).create(true).open(path).unwrap());
        file.write_all(format!("{id}\n").as_bytes()).unwrap();
    }
    false
}
