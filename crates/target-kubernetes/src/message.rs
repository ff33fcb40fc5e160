//! Bodies and headers of HTTP messages.
//!
//! Knows: sizes, gzip, and what of a message could be read two ways.
//! Does not know: what a request asks for.

use std::fmt;
use std::io::{Read, Write};
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cluster::apiserver::Status;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, VARY};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::Frame;

/// Why a body broke off.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer: whole, or as it comes.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// Answers below this size go out as they are: kube-apiserver's `defaultGzipThresholdBytes`.
const GZIP_FROM_BYTES: usize = 128 * 1024;

/// So much of an answer is zipped at a time, so that others are served in between.
const GZIP_PIECE_BYTES: usize = 64 * 1024;

/// So much of a body that is too large is still read, so that whoever sends it gets to hear of it.
const DISCARD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// And for so long.
const DISCARD_PATIENCE: Duration = Duration::from_secs(2);

/// What a request body may hold: kube-apiserver's `MaxRequestBodyBytes`.
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

/// A request whose body was read to its end.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method, path, query and headers.
    pub head: http::request::Parts,
    /// The body, unzipped; empty if there was none.
    pub body: Bytes,
}

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is larger than this many bytes, as sent or unzipped.
    TooLarge(usize),
    /// It is compressed in a way that is not understood here.
    Encoding(String),
    /// It does not unzip.
    Corrupt(String),
    /// The connection broke off.
    Broken(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => write!(f, "Request entity too large: limit is {limit}"),
            Self::Encoding(said) => write!(f, "the content encoding {said:?} is not supported: use gzip, or none"),
            Self::Corrupt(why) => write!(f, "the body is no valid gzip: {why}"),
            Self::Broken(why) => write!(f, "the body broke off: {why}"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Unreadable {
    /// As the API server would say it.
    #[must_use]
    pub fn to_status(&self) -> Status {
        let (code, reason) = match self {
            Self::TooLarge(_) => (413, "RequestEntityTooLarge"),
            Self::Encoding(_) => (415, "UnsupportedMediaType"),
            Self::Corrupt(_) | Self::Broken(_) => (400, "BadRequest"),
        };
        Status::new(code, reason, self.to_string())
    }
}

/// Reads a request to its end, and unzips it; no more than `limit` bytes, zipped or not.
///
/// # Errors
/// [`Unreadable`] says why not.
pub async fn receive<B>(request: Request<B>, limit: usize) -> Result<Received, Unreadable>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (mut head, body) = request.into_parts();
    let mut body = pin!(body);
    let whole = collect(body.as_mut(), limit).await;
    if let Err(Unreadable::TooLarge(_)) = whole {
        // Over HTTP/2 an answer that comes before the end of the request resets its stream, and many a client shows
        // that and not the answer.
        let rest = Limited::new(body.as_mut(), DISCARD_BYTES_MAX);
        let _ = tokio::time::timeout(DISCARD_PATIENCE, discard(rest)).await;
    }
    let body = whole?;
    let mut encodings = head.headers.get_all(CONTENT_ENCODING).into_iter();
    let body = match (encodings.next().map(HeaderValue::as_bytes), encodings.next()) {
        (None | Some(b"" | b"identity"), None) => body,
        (Some(b"gzip"), None) => unzip(&body, limit)?,
        (first, _) => {
            return Err(Unreadable::Encoding(String::from_utf8_lossy(first.unwrap_or_default()).into_owned()));
        }
    };
    // What stands in `head` describes the body as it is now.
    head.headers.remove(CONTENT_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    Ok(Received { head, body })
}

/// Reads a body to its end; no more than `limit` bytes.
///
/// # Errors
/// [`Unreadable`] says why not.
pub async fn collect<B>(body: B, limit: usize) -> Result<Bytes, Unreadable>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unreadable::TooLarge(limit)),
        Err(error) => Err(Unreadable::Broken(error.to_string())),
    }
}

async fn discard<B: hyper::body::Body>(body: B) {
    let mut body = pin!(body);
    while let Some(Ok(_)) = body.as_mut().frame().await {}
}

fn unzip(zipped: &[u8], limit: usize) -> Result<Bytes, Unreadable> {
    let mut plain = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(zipped)
        .take(bound)
        .read_to_end(&mut plain)
        .map_err(|error| Unreadable::Corrupt(error.to_string()))?;
    if plain.len() > limit { Err(Unreadable::TooLarge(limit)) } else { Ok(plain.into()) }
}

/// A body that is all here.
#[must_use]
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Adds headers that were made as text; one that cannot be a header is left out.
pub fn append_headers<N: AsRef<str>>(headers: &mut HeaderMap, more: impl IntoIterator<Item = (N, String)>) {
    for (name, value) in more {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_ref()), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
}

/// Whether a client takes gzip.
#[must_use]
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.split(';').next().is_some_and(|name| name.trim() == "gzip"))
}

/// Zips what is worth it, if the client takes it: as the real server, at the fastest level.
pub fn zip(bytes: Bytes, headers: &mut HeaderMap, client_takes_gzip: bool) -> Bytes {
    if !client_takes_gzip || bytes.len() < GZIP_FROM_BYTES {
        return bytes;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    let zipped = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    let Ok(zipped) = zipped else { return bytes };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    zipped.into()
}

/// Zips an answer as it comes, if it is worth it: what ends below the threshold goes out as it is. For answers that end;
/// a watch must not wait until there is enough to be zipped.
pub async fn zip_as_it_comes(response: Response<Body>) -> Response<Body> {
    let (mut head, mut body) = response.into_parts();
    head.headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    let (mut first, mut broken) = (BytesMut::new(), None);
    while first.len() < GZIP_FROM_BYTES && broken.is_none() {
        match body.frame().await {
            None => return Response::from_parts(head, whole(first)),
            Some(Ok(frame)) => first.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Some(Err(error)) => broken = Some(error),
        }
    }
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zipping = Zipping { waiting: first.freeze(), broken, body, encoder: Some(encoder) };
    let frames = stream::unfold(zipping, |mut zipping| async {
        let piece = zipping.next().await.transpose()?;
        Some((piece.map(Frame::data), zipping))
    });
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, StreamBody::new(frames).boxed_unsync())
}

/// A body on its way through gzip.
struct Zipping {
    waiting: Bytes,
    /// What comes after that instead of the rest.
    broken: Option<BoxError>,
    body: Body,
    /// Gone with the end of the body, or with an error.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Zipping {
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        let Some(mut encoder) = self.encoder.take() else { return Ok(None) };
        while encoder.get_ref().is_empty() {
            if self.waiting.is_empty() {
                if let Some(error) = self.broken.take() {
                    return Err(error);
                }
                let Some(frame) = self.body.frame().await.transpose()? else {
                    return Ok(Some(encoder.finish()?.into()));
                };
                self.waiting = frame.into_data().unwrap_or_default();
            }
            let piece = self.waiting.split_to(self.waiting.len().min(GZIP_PIECE_BYTES));
            encoder.write_all(&piece)?;
        }
        let zipped = std::mem::take(encoder.get_mut());
        self.encoder = Some(encoder);
        Ok(Some(zipped.into()))
    }
}

/// A random 128-bit word in lower-case hexadecimal.
///
/// # Errors
/// If the operating system gives no randomness.
pub fn random_word() -> std::io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn read(encodings: &[&str], body: Vec<u8>) -> Result<Bytes, Unreadable> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        for encoding in encodings {
            request.headers_mut().append(CONTENT_ENCODING, encoding.parse().unwrap());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(receive(request, 1000)).map(|received| received.body)
    }

    #[test]
    fn a_body_is_read_whole_zipped_or_not_up_to_the_limit() {
        assert_eq!(read(&[], vec![b'x'; 1000]).unwrap().len(), 1000);
        assert_eq!(read(&[], vec![b'x'; 1001]), Err(Unreadable::TooLarge(1000)));
        assert_eq!(read(&["gzip"], gzip(&[b'x'; 1000])).unwrap().len(), 1000);
        assert_eq!(read(&["gzip"], gzip(&[b'x'; 1001])), Err(Unreadable::TooLarge(1000)));
    }

    #[test]
    fn an_encoding_that_is_not_understood_is_refused_and_not_guessed_at() {
        for said in [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"], &["GZIP"]] {
            assert!(matches!(read(said, gzip(b"{}")), Err(Unreadable::Encoding(_))), "{said:?}");
        }
        assert!(matches!(read(&["gzip"], b"{}".to_vec()), Err(Unreadable::Corrupt(_))));
    }
}
