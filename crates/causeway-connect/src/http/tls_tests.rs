//! Certificates of an organisation's own authority, client certificates, and proxies, with real TLS.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
};

use causeway_core::destination::CheckError;
use causeway_testkit::fake_api::FakeApi;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::SecretRef;

fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl")
        .args(args.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl starts (Debian's package openssl)");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

/// An authority, and certificates of a server at 127.0.0.1 and of a client.
fn certificates(folder: &Path) {
    let new = "req -x509 -newkey rsa:2048 -nodes -days 2";
    openssl(
        folder,
        &format!("{new} -subj /CN=authority -keyout authority.key -out authority.pem"),
    );
    for name in ["server", "client"] {
        openssl(
            folder,
            &format!(
                "{new} -subj /CN={name} -keyout {name}.key -out {name}.pem -CA authority.pem -CAkey authority.key \
                 -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
            ),
        );
    }
}

/// Answers 200 to each request over TLS, and demands a certificate of the authority if it is strict.
async fn server(folder: &Path, is_strict: bool) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if is_strict {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(folder.join("authority.pem")).unwrap())
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut request = [0; 4_096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn client(folder: &Path, keys: NetworkKeys<'_>) -> Client {
    let options = Options {
        allow_private: true,
        ..Options::default()
    };
    Client::with_network(options, keys.read(folder).unwrap()).unwrap()
}

fn get(url: &str) -> HttpRequest {
    HttpRequest {
        method: Method::GET,
        url: Url::parse(url).unwrap(),
        url_is_secret: false,
        headers: HeaderMap::new(),
        body: Bytes::new(),
    }
}

#[tokio::test]
async fn only_the_named_authority_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let url = format!("https://127.0.0.1:{}/", server(folder.path(), false).await);
    let ca_file = Some(Path::new("authority.pem"));
    let trusting = client(
        folder.path(),
        NetworkKeys {
            ca_file,
            ..NetworkKeys::default()
        },
    );
    assert_eq!(trusting.send(&get(&url)).await.unwrap().status, 200);
    trusting.check(&get(&url).url).await.unwrap();
    let usual = client(folder.path(), NetworkKeys::default());
    let error = usual.send(&get(&url)).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(matches!(
        usual.check(&get(&url).url).await,
        Err(CheckError::Unavailable(_))
    ));
    // A file of another authority.
    let other = Some(Path::new("client.pem"));
    let other = client(
        folder.path(),
        NetworkKeys {
            ca_file: other,
            ..NetworkKeys::default()
        },
    );
    assert!(other.send(&get(&url)).await.is_err());
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_demands_it() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let url = format!("https://127.0.0.1:{}/", server(folder.path(), true).await);
    let ca_file = Some(Path::new("authority.pem"));
    let own = ClientCertificate {
        certificate: "client.pem".into(),
        key: SecretRef::Text(std::fs::read_to_string(folder.path().join("client.key")).unwrap()),
    };
    let keys = NetworkKeys {
        ca_file,
        client_certificate: Some(&own),
        proxy: None,
    };
    assert_eq!(
        client(folder.path(), keys).send(&get(&url)).await.unwrap().status,
        200
    );
    let without = NetworkKeys {
        ca_file,
        ..NetworkKeys::default()
    };
    let error = client(folder.path(), without).send(&get(&url)).await.unwrap_err();
    assert!(matches!(error, SendError::Unreachable(_)), "{error:?}");
}

#[test]
fn files_that_are_missing_or_wrong_are_refused_by_key() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    std::fs::write(folder.path().join("empty.pem"), "nothing").unwrap();
    let certificate = |certificate: &str, key: &str| ClientCertificate {
        certificate: certificate.into(),
        key: SecretRef::Text(std::fs::read_to_string(folder.path().join(key)).unwrap()),
    };
    let error = |keys: NetworkKeys<'_>| keys.read(folder.path()).unwrap_err();
    let with_ca = |file: &'static str| NetworkKeys {
        ca_file: Some(Path::new(file)),
        ..NetworkKeys::default()
    };
    assert!(error(with_ca("nothing.pem")).absent);
    assert_eq!(error(with_ca("empty.pem")).key, "ca_file");
    for (own, key) in [
        (
            certificate("empty.pem", "client.key"),
            "client_certificate.certificate",
        ),
        (certificate("client.pem", "empty.pem"), "client_certificate.key"),
        (certificate("client.pem", "server.key"), "client_certificate"),
    ] {
        let keys = NetworkKeys {
            client_certificate: Some(&own),
            ..NetworkKeys::default()
        };
        assert_eq!(error(keys).key, key);
    }
    for text in [
        "ftp://proxy.example.org",
        "socks5://proxy.example.org",
        "proxy",
        "http:///",
    ] {
        let proxy = SecretRef::Text(text.to_owned());
        let keys = NetworkKeys {
            proxy: Some(&proxy),
            ..NetworkKeys::default()
        };
        assert_eq!(keys.check().unwrap_err().key, "proxy", "{text}");
    }
}

/// A proxy that connects to the API whatever it is asked for. Keeps the first bytes of each connection.
async fn proxy(api: &FakeApi, is_socks: bool) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, target) = (Arc::new(Mutex::new(Vec::new())), api.address());
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut api = TcpStream::connect(target).await.unwrap();
            let mut bytes = [0; 512];
            if is_socks {
                // RFC 1928: a greeting, then the name and the port.
                let greeting = stream.read(&mut bytes).await.unwrap();
                if greeting == 0 {
                    continue;
                }
                assert_eq!(&bytes[..greeting.min(1)], [5]);
                stream.write_all(&[5, 0]).await.unwrap();
                let read = stream.read(&mut bytes).await.unwrap();
                // `check` only connects.
                if read == 0 {
                    continue;
                }
                seen.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&bytes[..read]).into_owned());
                stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            } else {
                let read = stream.read(&mut bytes).await.unwrap();
                // `check` only connects.
                if read == 0 {
                    continue;
                }
                seen.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&bytes[..read]).into_owned());
                api.write_all(&bytes[..read]).await.unwrap();
            }
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut api).await.ok() });
        }
    });
    (port, asked)
}

#[tokio::test]
async fn requests_go_through_the_proxy_and_private_targets_stay_forbidden() {
    let api = FakeApi::start().await;
    for (scheme, is_socks) in [("http", false), ("socks5h", true)] {
        let (port, asked) = proxy(&api, is_socks).await;
        // The proxy itself is private, and may be.
        let address = if is_socks {
            format!("{scheme}://127.0.0.1:{port}")
        } else {
            format!("{scheme}://ada:sesame@localhost:{port}")
        };
        let secret = SecretRef::Text(address);
        let keys = NetworkKeys {
            proxy: Some(&secret),
            ..NetworkKeys::default()
        };
        let client = Client::with_network(Options::default(), keys.read(Path::new("")).unwrap()).unwrap();
        let target = "http://hooks.invalid/in";
        assert_eq!(client.send(&get(target)).await.unwrap().status, 200, "{scheme}");
        let first = asked.lock().unwrap().remove(0);
        assert!(first.contains("hooks.invalid"), "{first:?}");
        if !is_socks {
            assert!(
                first.to_lowercase().contains("proxy-authorization: basic"),
                "{first:?}"
            );
        }
        client.check(&get(target).url).await.unwrap();
        asked.lock().unwrap().clear();
        for private in [
            "http://127.0.0.1/",
            "http://localhost/",
            "http://169.254.169.254/latest",
        ] {
            let error = client.send(&get(private)).await.unwrap_err();
            assert!(matches!(error, SendError::Forbidden(_)), "{private}: {error:?}");
        }
        assert!(asked.lock().unwrap().is_empty(), "the proxy was asked");
        assert!(!format!("{keys:?}", keys = client.network).contains("sesame"));
    }
}
