//! The process group of a program: the program, and whatever it started.

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

/// Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Group {
    id: u32,
    /// The group was killed after its leader ended, so its number may belong to others by now.
    is_gone: AtomicBool,
}

impl Group {
    pub fn new(id: u32) -> Self {
        Self {
            id,
            is_gone: AtomicBool::new(false),
        }
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    /// Kills all members at once. The system's shell does it, because Rust's library has no call for it.
    pub fn kill(&self) {
        if self.is_gone.load(Ordering::SeqCst) {
            return;
        }
        // An error means that no member is left, or that there is no shell. Then the program itself is killed
        // elsewhere.
        let _gone = Command::new("/bin/sh")
            .args(["-c", r#"kill -s KILL -- "-$1""#, "sh", &self.id.to_string()])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }

    /// Kills the members that outlived the program, and nobody later.
    pub fn finish(&self) {
        self.kill();
        self.is_gone.store(true, Ordering::SeqCst);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
