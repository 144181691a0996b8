//! Where the clients are installed.

use std::path::{Path, PathBuf};

const VARIABLE: &str = "CAUSEWAY_VENDOR_CLIENTS";

/// The folder of installed clients, which holds `node_modules` or `python`.
pub fn installed() -> PathBuf {
    let Some(folder) = std::env::var_os(VARIABLE) else {
        panic!(
            "{VARIABLE} is not set: run crates/causeway-testkit/clients/install DIR, and set the variable to DIR"
        );
    };
    folder.into()
}

/// A file of `clients/`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}
