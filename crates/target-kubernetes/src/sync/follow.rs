//! Follows one resource of production: lists it, then watches it, for ever.
//!
//! Knows: watch events, bookmarks, and that a watch may end, break, or have fallen too far behind.
//! Does not know: the other resources, or what is made of the objects.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use cluster::Value;
use cluster::schema::Resource;
use cluster::value::Text;
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::pages::{self, NoPage};
use crate::mask::Mask;
use crate::upstream::{PATIENCE, Upstream};

/// The largest line of a watch.
const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long a watch is asked to last.
const WATCH_SECONDS: u64 = 290;

/// A watch that says nothing for so long is taken up anew: bookmarks come once a minute, and a server that sends none
/// shows by its answer that it lives.
pub const SILENCE: Duration = Duration::from_secs(75);

/// Pauses after failures.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// What is heard of a resource.
#[derive(Debug)]
pub(super) enum Word {
    /// A list begins: what is not in it is gone.
    Listing,
    /// It is, or has become, this.
    Here(Vec<Value>),
    /// It is gone.
    Gone(Value),
    /// The list is whole, and is as of this version.
    Listed(u64),
    /// Everything until this version was told; the resource is up to date.
    Until(u64),
    /// It cannot be followed.
    Broken(String),
    /// It is not served after all.
    Absent,
}

/// Why following stopped for now.
enum Ended {
    /// In order: take it up where it ended.
    Quietly,
    /// The version is too old: list again.
    Behind,
    /// It broke.
    Broken(String),
    /// Nobody listens any more.
    Unheard,
}

pub(super) struct Follower {
    pub(super) upstream: Upstream,
    pub(super) resource: Arc<Resource>,
    pub(super) mask: Mask,
    pub(super) words: mpsc::Sender<(Text, Word)>,
}

impl Follower {
    /// Follows the resource until nobody listens.
    pub(super) async fn run(self) {
        let mut pause = PAUSE_MIN;
        loop {
            let ended = match self.list().await {
                Ok(Some(version)) => {
                    pause = PAUSE_MIN;
                    self.watch(version).await
                }
                Ok(None) => {
                    self.say(Word::Absent).await;
                    return;
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::Unheard => return,
                Ended::Quietly => {}
                // What has been missed is not known until it is listed again.
                Ended::Behind => {
                    let why = "its watch has fallen behind, and it is not listed again yet".to_owned();
                    if !self.say(Word::Broken(why)).await {
                        return;
                    }
                }
                Ended::Broken(why) => {
                    if !self.say(Word::Broken(why)).await {
                        return;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn say(&self, word: Word) -> bool {
        self.words.send((self.resource.id(), word)).await.is_ok()
    }

    /// Tells the whole list, page by page, and gives its version; none if there is no such resource.
    async fn list(&self) -> Result<Option<u64>, Ended> {
        let mut more = None;
        loop {
            let page = pages::page(&self.upstream, &self.resource, None, more.as_ref(), &self.mask).await;
            let page = match page {
                Ok(page) => page,
                Err(NoPage::Absent) => return Ok(None),
                Err(NoPage::Gone) => return Err(Ended::Behind),
                Err(NoPage::Forbidden(why)) => return Err(Ended::Broken(format!("it cannot be listed: {why}"))),
                Err(NoPage::Broken(why)) => return Err(Ended::Broken(why)),
            };
            if more.is_none() && !self.say(Word::Listing).await {
                return Err(Ended::Unheard);
            }
            if !self.say(Word::Here(page.objects)).await {
                return Err(Ended::Unheard);
            }
            if page.more.is_none() {
                let heard = self.say(Word::Listed(page.version)).await;
                return if heard { Ok(Some(page.version)) } else { Err(Ended::Unheard) };
            }
            more = page.more;
        }
    }

    /// Watches from a version on until that is no longer possible.
    async fn watch(&self, mut version: u64) -> Ended {
        let mut pause = PAUSE_MIN;
        loop {
            let since = tokio::time::Instant::now();
            match self.watch_once(&mut version).await {
                Ended::Quietly => {}
                Ended::Broken(why) => {
                    if !self.say(Word::Broken(why)).await {
                        return Ended::Unheard;
                    }
                }
                ended => return ended,
            }
            // A watch that ends now and then is no news. One that ends at once, however politely, is taken up again less
            // and less often.
            if since.elapsed() > pause {
                pause = PAUSE_MIN;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn watch_once(&self, version: &mut u64) -> Ended {
        let query =
            format!("watch=true&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}");
        let request = match pages::get(&pages::path(&self.resource, None), &query) {
            Ok(request) => request,
            Err(why) => return Ended::Broken(why),
        };
        let answer = match self.upstream.send(request, PATIENCE).await {
            Ok(answer) => answer,
            Err(error) => return Ended::Broken(format!("it cannot be watched: {error}")),
        };
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::GONE => return Ended::Behind,
            code => return Ended::Broken(format!("it cannot be watched: {code}")),
        }
        // The server took the version up: what it has told until now is all there is.
        if !self.say(Word::Until(*version)).await {
            return Ended::Unheard;
        }
        let mut body = answer.into_body();
        let mut buffer = BytesMut::new();
        loop {
            let frame = match tokio::time::timeout(SILENCE, body.frame()).await {
                Err(_) | Ok(None) => return Ended::Quietly,
                Ok(Some(Err(error))) => return Ended::Broken(format!("its watch broke off: {error}")),
                Ok(Some(Ok(frame))) => frame,
            };
            let Some(data) = frame.data_ref() else { continue };
            buffer.extend_from_slice(data);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1);
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                if let Err(ended) = self.event(&line, version).await {
                    return ended;
                }
            }
            if buffer.len() > LINE_BYTES_MAX {
                return Ended::Broken("an event of its watch is too large".to_owned());
            }
        }
    }

    async fn event(&self, line: &[u8], version: &mut u64) -> Result<(), Ended> {
        let event = Value::from_json(line)
            .map_err(|error| Ended::Broken(format!("an event of its watch cannot be read: {error}")))?;
        let object = event.at(&["object"]).clone();
        let at = object.resource_version().parse().unwrap_or(*version);
        let word = match event.at(&["type"]).str_or_empty() {
            "ADDED" | "MODIFIED" => Word::Here(vec![pages::take(&self.resource, &self.mask, object)]),
            "DELETED" => Word::Gone(object),
            "BOOKMARK" => Word::Until(at),
            "ERROR" if object.at(&["code"]).as_int() == Some(410) => return Err(Ended::Behind),
            other => {
                let why = object.at(&["message"]).str_or_empty();
                return Err(Ended::Broken(format!("its watch sent {other}: {why}")));
            }
        };
        *version = at;
        if self.say(word).await && self.say(Word::Until(at)).await { Ok(()) } else { Err(Ended::Unheard) }
    }
}
