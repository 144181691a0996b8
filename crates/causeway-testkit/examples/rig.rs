//! Starts private servers and keeps them until standard input ends:
//! `cargo run -p causeway-testkit --example rig -- rabbit postgres mariadb`.
//!
//! Prints one `NAME=value` line per environment variable that the tests read, then an empty line. `./test`
//! uses it, and you can, too: the servers end when this program ends, in whatever way.

use std::io::{Read, Write};
use std::process::ExitCode;

use causeway_testkit::rig::{mariadb, postgres, rabbit};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| !["rabbit", "postgres", "mariadb"].contains(&name.as_str()))
    {
        let _ignored = writeln!(std::io::stderr(), "error: no server is called {unknown}");
        return ExitCode::from(2);
    }
    let asked = |name: &str| names.iter().any(|asked| asked == name);
    // In parallel, because each spends most of its start waiting.
    let (rabbit, postgres, mariadb) = std::thread::scope(|scope| {
        let rabbit = asked("rabbit").then(|| scope.spawn(rabbit::start));
        let postgres = asked("postgres").then(|| scope.spawn(postgres::start));
        let mariadb = asked("mariadb").then(|| scope.spawn(mariadb::start));
        (
            rabbit.and_then(|thread| thread.join().ok()),
            postgres.and_then(|thread| thread.join().ok()),
            mariadb.and_then(|thread| thread.join().ok()),
        )
    });
    let mut variables = Vec::new();
    variables.extend(rabbit.iter().flat_map(rabbit::Rabbit::environment));
    variables.extend(postgres.iter().flat_map(postgres::Postgres::environment));
    variables.extend(mariadb.iter().flat_map(mariadb::MariaDb::environment));
    let started = [rabbit.is_some(), postgres.is_some(), mariadb.is_some()]
        .iter()
        .filter(|is| **is)
        .count();
    if started < names.len() {
        // The thread's panic has printed which server failed and why.
        return ExitCode::FAILURE;
    }
    if print(&variables).is_err() {
        return ExitCode::FAILURE;
    }
    // The end of the input is the request to stop; so is a failure to read.
    let _ended = std::io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}

fn print(variables: &[(&str, String)]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, value) in variables {
        writeln!(out, "{name}={value}")?;
    }
    writeln!(out)?;
    out.flush()
}
