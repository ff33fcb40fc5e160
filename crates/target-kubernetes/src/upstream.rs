//! The way to production's API server.
//!
//! Knows: kubeconfigs and what credentials they may hold, connections, and whether a request left this machine.
//! Does not know: what a request does.
//!
//! Nothing here is ever sent twice. kube would do it again on a 429, 503 or 504, and a 504 may have been done.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use cluster::apiserver::{self, Call};
use gate::CommitError;
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::client::Body as Stream;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How long it may take to be connected.
const CONNECT: Duration = Duration::from_secs(5);

/// How long production may take for the head of an answer. kube-apiserver gives up on a request after 60 s.
pub const PATIENCE: Duration = Duration::from_secs(70);

/// Production cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The kubeconfig cannot be read, or lacks something.
    #[error("the kubeconfig cannot be used")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    /// Its credentials or certificates cannot be used.
    #[error("the kubeconfig's credentials cannot be used")]
    Credentials(#[from] kube::Error),
    /// A file that it names cannot be read.
    #[error("the kubeconfig names {path}, which cannot be read")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It cannot be written as text.
    #[error("the kubeconfig cannot be written: {0}")]
    Text(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nothing was sent.
    #[error("{0}")]
    NotSent(String),
    /// It was sent, or may have been.
    #[error("{0}")]
    Lost(String),
}

impl<R> From<Unanswered> for CommitError<R> {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotSent(cause) => Self::NotSent { cause },
            Unanswered::Lost(cause) => Self::InDoubt { cause },
        }
    }
}

/// Production's API server.
#[derive(Clone)]
pub struct Upstream {
    client: Client,
    server: String,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Upstream").field(&self.server).finish()
    }
}

impl Upstream {
    /// From a kubeconfig's text: client certificates, tokens, token files, user and password, exec plugins. File names in
    /// it must be absolute.
    ///
    /// # Errors
    /// [`UpstreamError`] says what is missing or wrong.
    pub async fn from_text(kubeconfig: &str, context: Option<&str>) -> Result<Self, UpstreamError> {
        Self::new(Kubeconfig::from_yaml(kubeconfig)?, context).await
    }

    /// From a kubeconfig file.
    ///
    /// # Errors
    /// [`UpstreamError`] says what is missing or wrong.
    pub async fn from_file(kubeconfig: &Path, context: Option<&str>) -> Result<Self, UpstreamError> {
        Self::new(Kubeconfig::read_from(kubeconfig)?, context).await
    }

    /// A server that is no API server, at an address with or without a path: nothing is known of it but how to reach it.
    ///
    /// # Errors
    /// [`UpstreamError`] if the address is none.
    pub fn plain(url: &str, token: Option<&str>) -> Result<Self, UpstreamError> {
        let address = url.trim_end_matches('/').parse().map_err(|_| UpstreamError::Text(format!("{url} is no URL")))?;
        let mut config = Config::new(address);
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        config.auth_info.token = token.map(|token| token.to_owned().into());
        Ok(Self { client: Client::try_from(config)?, server: url.to_owned() })
    }

    async fn new(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Self, UpstreamError> {
        let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        // A watch may be silent for long; whoever follows one knows for how long.
        config.read_timeout = None;
        let server = config.cluster_url.to_string();
        Ok(Self { client: Client::try_from(config)?, server })
    }

    /// Where it is: `https://host:port/`.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends a request, once, and gives the answer as it comes.
    ///
    /// # Errors
    /// [`Unanswered`] says whether it may have been done.
    pub async fn send(&self, request: Request<Bytes>, patience: Duration) -> Result<Response<Stream>, Unanswered> {
        let sent = self.client.send(request.map(Stream::from));
        match tokio::time::timeout(patience, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if left(&error) => Err(Unanswered::Lost(chain(&error))),
            Ok(Err(error)) => Err(Unanswered::NotSent(chain(&error))),
            Err(_) => Err(Unanswered::Lost(format!("no answer within {} s", patience.as_secs()))),
        }
    }

    /// Sends a request and reads the answer to its end, at most `limit` bytes of it.
    ///
    /// # Errors
    /// [`Unanswered`] says whether it may have been done.
    pub async fn fetch(
        &self,
        request: Request<Bytes>,
        patience: Duration,
        limit: usize,
    ) -> Result<Response<Bytes>, Unanswered> {
        let (head, body) = self.send(request, patience).await?.into_parts();
        let whole = tokio::time::timeout(patience, Limited::new(body, limit).collect()).await;
        match whole {
            Ok(Ok(whole)) => Ok(Response::from_parts(head, whole.to_bytes())),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(Unanswered::Lost(format!("the answer is larger than {limit} bytes")))
            }
            Ok(Err(error)) => Err(Unanswered::Lost(format!("the answer broke off: {error}"))),
            Err(_) => Err(Unanswered::Lost("the answer did not end".to_owned())),
        }
    }
}

/// A kubeconfig file as text that needs no other files: certificates and keys that it names are put into it.
///
/// # Errors
/// [`UpstreamError`] if it, or a file that it names, cannot be read.
pub fn portable(file: &Path) -> Result<String, UpstreamError> {
    use base64::Engine as _;
    let mut config = Kubeconfig::read_from(file)?;
    let put = |path: &mut Option<String>| -> Result<Option<String>, UpstreamError> {
        let Some(path) = path.take() else { return Ok(None) };
        let bytes = std::fs::read(&path).map_err(|source| UpstreamError::File { path, source })?;
        Ok(Some(base64::engine::general_purpose::STANDARD.encode(bytes)))
    };
    for cluster in config.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        if let Some(data) = put(&mut cluster.certificate_authority)? {
            cluster.certificate_authority_data = Some(data);
        }
    }
    for user in config.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        if let Some(data) = put(&mut user.client_certificate)? {
            user.client_certificate_data = Some(data);
        }
        if let Some(data) = put(&mut user.client_key)? {
            user.client_key_data = Some(data.into());
        }
    }
    // JSON is YAML, and needs no quoting rules of its own.
    serde_json::to_string(&config).map_err(|error| UpstreamError::Text(error.to_string()))
}

/// A call as a request. This is all that production gets of what an agent sent.
///
/// # Errors
/// If the call holds what no request can.
pub fn request(call: &Call) -> Result<Request<Bytes>, Unanswered> {
    let encoded = apiserver::encode_call(call);
    let mut request = Request::builder().method(encoded.method).uri(encoded.target);
    for (name, value) in encoded.headers {
        request = request.header(name, value);
    }
    request.body(encoded.body).map_err(|error| Unanswered::NotSent(format!("the call cannot be sent: {error}")))
}

/// Whether a request may have left this machine before it failed: all but what is known not to have.
fn left(error: &kube::Error) -> bool {
    if matches!(error, kube::Error::Auth(_)) {
        return false; // no credential, no request
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect()) {
            return false;
        }
        cause = error.source();
    }
    true
}

/// What went wrong and why, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Many wrappers repeat what they wrap.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
