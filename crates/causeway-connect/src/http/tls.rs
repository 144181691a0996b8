//! TLS for all outgoing connections: rustls with `ring`, and the certificates that the system trusts.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};

/// One configuration for all clients. The system's certificates are read once; `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name others, for an organisation with an authority of its own. A container without any
/// certificates gets Mozilla's list.
pub(crate) fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(Arc::clone(config));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots())
        .with_no_client_auth();
    Ok(Arc::clone(CONFIG.get_or_init(|| Arc::new(config))))
}

/// The system's certificates that can be used, for a driver with its own configuration. Empty in a container
/// without any.
pub(crate) fn trusted() -> Vec<CertificateDer<'static>> {
    static TRUSTED: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    let trusted = TRUSTED.get_or_init(|| {
        let mut found = rustls_native_certs::load_native_certs().certs;
        // Single certificates that cannot be read do no harm; having none would.
        found.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
        found
    });
    trusted.clone()
}

pub(super) fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted());
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
