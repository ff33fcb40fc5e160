//! Accepts connections and hands their requests on, one handler for all.
//!
//! Knows: TLS, HTTP/1.1, HTTP/2, and how to end them in peace.
//! Does not know: what a request asks for.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::message::Body;

/// How long a client may take for a handshake, or for the head of a request.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long answers that are under way may take to end once the listener is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// Larger heads than this are not read on: well above what any client sends.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one. Whatever goes wrong is an answer too.
    fn handle(self: Arc<Self>, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

/// A listener at work.
pub struct Listening {
    /// Where it listens.
    pub address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Becomes true when the listener is told to stop: whoever streams an answer ends it then.
    #[must_use]
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Takes no more connections, lets answers under way end, and comes back when all is quiet.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            warn!(%error, "listener ended badly");
        }
    }
}

/// Tells a listener's streams to end before the listener itself is there.
#[must_use]
pub fn stop_signal() -> watch::Sender<bool> {
    watch::Sender::new(false)
}

/// Comes back when a listener is told to stop, or is gone.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Listens at `address` until told to stop through the signal or [`Listening::stop`].
///
/// # Errors
/// If the address cannot be had.
pub async fn listen<H: Handler>(
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    stop: watch::Sender<bool>,
    handler: Arc<H>,
) -> io::Result<Listening> {
    let socket = TcpListener::bind(address).await?;
    let address = socket.local_addr()?;
    let task = tokio::spawn(accept(socket, TlsAcceptor::from(tls), stop.subscribe(), handler));
    Ok(Listening { address, stop, task })
}

async fn accept<H: Handler>(socket: TcpListener, tls: TlsAcceptor, mut stop: watch::Receiver<bool>, handler: Arc<H>) {
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Mostly out of file handles: connections that end will give some back.
                    warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stopped(&mut stop) => break,
        };
        let (tls, handler, watcher) = (tls.clone(), handler.clone(), graceful.watcher());
        tokio::spawn(async move {
            match tokio::time::timeout(PATIENCE, handshake(stream, tls)).await {
                Ok(Ok(stream)) => converse(stream, handler, watcher).await,
                Ok(Err(error)) => debug!(%error, "no handshake"),
                Err(_) => debug!("no handshake in time"),
            }
        });
    }
    drop(socket);
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        debug!("connections were still open at the end");
    }
}

async fn handshake(stream: TcpStream, tls: TlsAcceptor) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
    // Watch events are small and must not wait for more of their kind.
    stream.set_nodelay(true)?;
    tls.accept(stream).await
}

async fn converse<H: Handler>(
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    handler: Arc<H>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.handle(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(250)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .adaptive_window(true);
    let connection = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    if let Err(error) = connection.await {
        debug!(%error, "connection ended");
    }
}
