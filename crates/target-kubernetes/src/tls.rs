//! A certificate authority of our own, and the certificate that a listener shows.
//!
//! Knows: which names a client may call a listener by.
//! Does not know: whose requests come in over it.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What a listener is called by everyone who runs on the same machine, or in the cluster it plays.
const NAMES: &[&str] = &[
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// The key or the certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Making or signing it failed.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// What was kept of it is no certificate.
    #[error("the certificate that was kept cannot be read")]
    Unreadable,
    /// The TLS library does not take it.
    #[error("cannot use the certificate: {0}")]
    Use(#[from] rustls::Error),
}

/// A certificate authority of our own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    /// A new authority with a key of its own.
    ///
    /// # Errors
    /// If there is no randomness for a key.
    pub fn new(name: &str) -> Result<Self, TlsError> {
        let (params, key) = (Self::params(name), KeyPair::generate()?);
        let made = params.self_signed(&key)?;
        Ok(Self { certificate: made.der().clone(), pem: made.pem(), issuer: Issuer::new(params, key) })
    }

    /// An authority that was made before, from its certificate and its key.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn from_pem(name: &str, certificate: &str, key: &str) -> Result<Self, TlsError> {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| TlsError::Unreadable)?;
        let issuer = Issuer::new(Self::params(name), KeyPair::from_pem(key)?);
        Ok(Self { certificate: der, pem: certificate.to_owned(), issuer })
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params
    }

    /// Its certificate, which clients must trust.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its key, to be kept where only the listener's own user can read it.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// What a listener at these addresses needs, besides those every listener has: loopback, and the names a cluster's
    /// own API server is known by. Offers HTTP/2 before HTTP/1.1.
    ///
    /// # Errors
    /// [`TlsError`] says why not.
    pub fn server(&self, addresses: &[IpAddr], names: &[String]) -> Result<Arc<ServerConfig>, TlsError> {
        let all = NAMES.iter().map(|&name| name.to_owned()).chain(names.iter().cloned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(all)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        for address in loopback.iter().chain(addresses).filter(|address| !address.is_unspecified()) {
            params.subject_alt_names.push(SanType::IpAddress(*address));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, private)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Makes *ring* the TLS provider of this process. Call it first in `main`; a second time does nothing.
pub fn install_default() {
    // The error says that there is a provider already; whoever installed it meant it.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
