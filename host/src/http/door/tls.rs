//! TLS by two settings: a certificate chain and its key, read again when the files change.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::HURRY;
use crate::config::{self, TlsFiles};

/// From connecting to the end of the handshake; where it is crowded, [`HURRY`].
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A renewed certificate is in use after so long.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The certificate in use.
pub struct Tls {
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files, and again whenever they change. Must run on an actix system.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn start(files: TlsFiles) -> Result<Arc<Self>, String> {
        let changed = changed_at(&files);
        let current = ArcSwap::from_pointee(read(&files)?);
        let tls = Arc::new(Self { files, current });
        actix_web::rt::spawn(watch(Arc::downgrade(&tls), changed));
        Ok(tls)
    }

    /// Takes the handshake of a connection. `hurries`: others want its place.
    ///
    /// # Errors
    /// What the other end did, or that it took too long.
    pub async fn accept(
        &self,
        io: TcpStream,
        hurries: impl Fn() -> bool,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        let mut accepting = acceptor.accept(io);
        let until = Instant::now() + HANDSHAKE;
        loop {
            match tokio::time::timeout(HURRY, &mut accepting).await {
                Ok(accepted) => return accepted,
                Err(_) if hurries() || Instant::now() >= until => {
                    return Err(std::io::ErrorKind::TimedOut.into());
                }
                Err(_) => {}
            }
        }
    }
}

/// Whether certificate and key can be used.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn check(files: &TlsFiles) -> Result<(), String> {
    read(files).map(drop)
}

async fn watch(tls: Weak<Tls>, mut seen: [Option<Seen>; 2]) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(tls) = tls.upgrade() else { return };
        let now = changed_at(&tls.files);
        if now == seen {
            continue;
        }
        match read(&tls.files) {
            Ok(config) => {
                seen = now;
                tls.current.store(Arc::new(config));
                tracing::info!("the certificate was read anew");
            }
            // Perhaps one of the two isn't written yet: it is looked at again.
            Err(why) => tracing::warn!(
                why,
                "the certificate has changed and can't be used; the one before stays"
            ),
        }
    }
}

/// Which file it is, how long, and when it was changed: a copy may have the times of what it is one of.
type Seen = (u64, u64, i64, i64);

fn changed_at(files: &TlsFiles) -> [Option<Seen>; 2] {
    let of = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.ino(), file.len(), file.ctime(), file.ctime_nsec()))
    };
    [of(&files.certificate), of(&files.key)]
}

fn read(files: &TlsFiles) -> Result<ServerConfig, String> {
    let named = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let (certificate, key) = (&files.certificate, &files.key);
    let text = |path: &Path| config::read_whole(path).map_err(|why| named(path, &why));
    let (of_certificate, of_key) = (text(certificate)?, text(key)?);
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(of_certificate.as_bytes()).collect();
    let chain = chain.map_err(|error| named(certificate, &error))?;
    if chain.is_empty() {
        return Err(named(certificate, &"holds no certificate in PEM form"));
    }
    let private =
        PrivateKeyDer::from_pem_slice(of_key.as_bytes()).map_err(|error| named(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "the key {} doesn't belong to the certificate {}",
                key.display(),
                certificate.display()
            ),
            error => named(certificate, &error),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
