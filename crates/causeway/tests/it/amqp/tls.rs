//! Encrypted connections, with a certificate authority made for the test.

use std::{path::Path, process::Command};

use causeway_core::destination::CheckError;
use causeway_testkit::rig::{port, rabbit, topology};

use super::{blocking, source};

fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(args.split(' '))
        .output()
        .expect("openssl starts (Debian's package openssl)");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn an_encrypted_connection_trusts_the_authority_it_is_given_and_no_stranger() {
    let folder = tempfile::tempdir().expect("a folder");
    let new = "req -x509 -newkey rsa:2048 -nodes -days 2";
    openssl(
        folder.path(),
        &format!("{new} -subj /CN=authority -keyout authority.key -out authority.pem"),
    );
    openssl(
        folder.path(),
        &format!(
            "{new} -subj /CN=broker -keyout broker.key -out broker.pem -CA authority.pem -CAkey authority.key \
             -addext subjectAltName=IP:127.0.0.1,DNS:queue.example.org -addext basicConstraints=critical,CA:FALSE"
        ),
    );
    let (tls_port, path) = (port::free(), folder.path().display().to_string());
    let settings = format!(
        "listeners.ssl.1 = 127.0.0.1:{tls_port}\nssl_options.cacertfile = {path}/authority.pem\n\
         ssl_options.certfile = {path}/broker.pem\nssl_options.keyfile = {path}/broker.key\n\
         ssl_options.verify = verify_none"
    );
    let broker = blocking(move || rabbit::start_with(&settings)).await;
    let topology = topology::declare(&broker.url(), 12).await;
    let queue = topology.queue("deliver");
    let url = format!("amqps://proca:proca@127.0.0.1:{tls_port}/proca");

    let trusting = source(&url, &queue, &format!("ca_file = '{path}/authority.pem'"));
    trusting.check().await.expect("it connects");
    // As through a tunnel: the host of the URL is not the name in the certificate.
    let trusted = format!("ca_file = '{path}/authority.pem'\nserver_name = ");
    let tunnelled = source(&url, &queue, &format!("{trusted}'queue.example.org'"));
    tunnelled.check().await.expect("it connects by the other name");
    match source(&url, &queue, &format!("{trusted}'other.example.org'"))
        .check()
        .await
    {
        Err(CheckError::Unavailable(reason)) => assert!(reason.contains("certificate"), "{reason}"),
        other => panic!("another one's certificate: {other:?}"),
    }
    match source(&url, &queue, "").check().await {
        Err(CheckError::Unavailable(reason)) => assert!(reason.contains("certificate"), "{reason}"),
        other => panic!("a stranger's certificate: {other:?}"),
    }
    blocking(move || drop(broker)).await;
}
