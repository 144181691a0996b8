//! How the connection is protected.

use std::sync::Mutex;

use causeway_testkit::rig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    KIND, Outcome, connect, create,
    database::{Database, Sort},
    many, table,
};

const CONTACTS: &str = "contacts = { table = 'contacts' }";
/// Every address of this machine. It is not a loopback address, so it stands for another machine.
const ELSEWHERE: &str = "0.0.0.0";

/// A server that says that it has no TLS, and keeps what it is sent after that.
async fn without_tls(listener: TcpListener, sent: &Mutex<Vec<u8>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(b"N").await.unwrap();
        let mut rest = [0; 200];
        let read = stream.read(&mut rest).await.unwrap_or(0);
        sent.lock().unwrap().extend(&rest[..read]);
    }
}

#[tokio::test]
async fn postgres_elsewhere_gets_no_word_without_tls() {
    for (tls, is_sent) in [("", false), ("tls = 'require'", false), ("tls = 'prefer'", true)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("postgres://robin:hunter2@{ELSEWHERE}:{port}/people");
        let sql = connect(&Database::new(Sort::Postgres, url), &format!("{tls}\n{CONTACTS}"));
        let (batch, sent) = (many(1), Mutex::default());
        let results = tokio::select! {
            results = sql.deliver(&batch) => results,
            () = without_tls(listener, &sent) => unreachable!(),
        };
        let sent = sent.into_inner().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&sent).contains("robin"),
            is_sent,
            "{tls} {sent:?}"
        );
        let halts =
            matches!(&results[0].outcome, Outcome::Halt { reason } if reason.contains("tls = \"off\""));
        assert_eq!(halts, !is_sent, "{tls} {results:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_elsewhere_is_written_to_with_tls_or_after_a_decision() {
    let near = Database::mariadb();
    create(&near, CONTACTS).await;
    super::all_delivered(&connect(&near, CONTACTS).deliver(&many(1)).await);
    let far = Database::new(Sort::MariaDb, near.url.replace("127.0.0.1", ELSEWHERE));
    let results = connect(&far, CONTACTS).deliver(&many(1)).await;
    assert!(
        matches!(&results[0].outcome, Outcome::Halt { reason } if reason.contains("offers no TLS")),
        "{results:?}"
    );
    let decided = connect(&far, &format!("tls = 'prefer'\n{CONTACTS}"));
    super::all_delivered(&decided.deliver(&many(1)).await);
    decided.check().await.unwrap();
    assert!(
        decided
            .remarks()
            .iter()
            .any(|remark| remark.contains("tls = \"verify\"")),
        "{:?}",
        decided.remarks()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_mariadb_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), readable).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certificate = file("server.crt", include_str!("tls/server.crt"));
    let key = file("server.key", include_str!("tls/server.key"));
    let server = rig::mariadb::start_with(&[format!("--ssl-cert={certificate}"), format!("--ssl-key={key}")]);
    let url = server.create_database();
    let database = Database::new(Sort::MariaDb, url.replace("127.0.0.1", "localhost"));
    let verified = format!("ca_file = '{certificate}'\n{CONTACTS}");
    create(&database, &verified).await;
    super::all_delivered(&connect(&database, &verified).deliver(&many(1)).await);
    let stranger = Database::new(Sort::MariaDb, url);
    for (database, config) in [
        // Made for another name; from an authority that the system does not trust.
        (&stranger, verified),
        (&database, format!("tls = 'verify'\n{CONTACTS}")),
    ] {
        let results = connect(database, &config).deliver(&many(1)).await;
        assert!(
            matches!(&results[0].outcome, Outcome::Halt { reason } if reason.contains("certificate is not valid")),
            "{results:?}"
        );
    }
}

#[test]
fn a_ca_file_that_cannot_be_used_is_refused_before_the_first_connection() {
    let database = Database::new(Sort::Postgres, String::new());
    let empty = database.context.dir.join("empty.pem");
    std::fs::write(empty, "no certificate").unwrap();
    for url in ["postgres://u@db.example.org/d", "mysql://u@db.example.org/d"] {
        for file in ["missing.pem", "empty.pem"] {
            let config = table(&format!("url = '{url}'\nca_file = '{file}'\n{CONTACTS}"));
            let Err(error) = (KIND.connect)(&database.context, &config) else {
                panic!("{url} {file}")
            };
            assert_eq!(error.key, "ca_file", "{error}");
        }
    }
    for (text, key) in [
        (
            "url = 'postgres://h/d'\ntls = 'require'\nca_file = 'ca.pem'",
            "ca_file",
        ),
        (
            "url = { env = 'DATABASE_URL' }\ntls = 'off'\nca_file = 'ca.pem'",
            "ca_file",
        ),
        ("url = 'sqlite:a.db'\nca_file = 'ca.pem'", "ca_file"),
        ("url = 'sqlite:a.db'\ntls = 'verify'", "tls"),
    ] {
        let config = table(&format!("{text}\n{CONTACTS}"));
        let tables = causeway_core::mapping::Tables::default();
        let refused = (KIND.parse)(&tables, &config)
            .map(drop)
            .map_err(|error| error.key);
        assert_eq!(refused, Err(key.to_owned()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_encrypted_if_possible_and_verified_on_request() {
    let server = rig::postgres::start();
    let url = server.create_database().replace("127.0.0.1", "localhost");
    let database = Database::new(Sort::Postgres, url.clone());
    create(&database, CONTACTS).await;
    let required = format!("tls = 'require'\n{CONTACTS}");
    let refused = connect(&database, &required)
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("offers no TLS"), "{refused}");

    let data = server.execute(&url, "SHOW data_directory");
    let (certificate, key) = (include_str!("tls/server.crt"), include_str!("tls/server.key"));
    let folder = std::path::Path::new(data.trim());
    std::fs::write(folder.join("server.crt"), certificate).unwrap();
    // The server opens its key only if nobody else can read it, so the server writes the file itself.
    server.execute(
        &url,
        &format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask 077; cat > server.key'",
            key.trim()
        ),
    );
    server.execute(&url, "ALTER SYSTEM SET ssl = on");
    server.execute(&url, "SELECT pg_reload_conf()");

    let ca = database.context.dir.join("ca.pem");
    std::fs::write(&ca, certificate).unwrap();
    let verified = format!("ca_file = 'ca.pem'\n{CONTACTS}");
    // The server reads its settings a moment after the command.
    while connect(&database, &required).check().await.is_err() {
        tokio::task::yield_now().await;
    }
    for config in [CONTACTS, &required, &verified] {
        let sql = connect(&database, config);
        super::all_delivered(&sql.deliver(&many(1)).await);
        let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                         WHERE application_name = 'causeway'";
        assert_eq!(server.execute(&url, encrypted).trim(), "t", "{config}");
    }
    // Not signed by a public authority, and not made for this name.
    let public = format!("tls = 'verify'\n{CONTACTS}");
    let refused = connect(&database, &public).check().await.unwrap_err().to_string();
    assert!(refused.contains("certificate is not valid"), "{refused}");
    let mut other = Database::new(Sort::Postgres, url.replace("localhost", "127.0.0.1"));
    other.context = database.context.clone();
    let results = connect(&other, &verified).deliver(&many(1)).await;
    assert!(matches!(results[0].outcome, Outcome::Halt { .. }), "{results:?}");
}
