//! A watch as the body of an answer: events as they come, until someone has had enough.
//!
//! Knows: when to look for new events, and when to end.
//! Does not know: which events there are; `cluster` does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster::apiserver::{Watch, encode_event};
use cluster::doc;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Live;
use crate::listen::stopped;
use crate::message::{Body, BoxError};

/// How long a watch lives that says nothing about it: kube-apiserver takes half an hour to an hour.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Events that are sent in one piece at most, so that a watcher that is far behind does not get them all in memory twice.
const PIECE_BYTES: usize = 256 * 1024;

/// How often a watcher that wants to know is told how far it is: kube-apiserver's minute.
const BOOKMARK: Duration = Duration::from_secs(60);

struct Follower {
    watch: Watch,
    live: Arc<Live>,
    versions: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    end: Instant,
    bookmark: Instant,
    /// Encoded events that are to be sent.
    waiting: VecDeque<Bytes>,
    ended: bool,
}

/// Follows a live cluster.
pub(super) fn follow(watch: Watch, live: Arc<Live>, stopping: watch::Receiver<bool>) -> Body {
    let lifetime = watch.timeout_seconds.filter(|seconds| *seconds > 0).map_or(LIFETIME, Duration::from_secs);
    let follower = Follower {
        versions: live.versions(),
        watch,
        live,
        stopping,
        end: Instant::now() + lifetime,
        bookmark: Instant::now() + BOOKMARK,
        waiting: VecDeque::new(),
        ended: false,
    };
    let frames = stream::unfold(follower, |mut follower| async move {
        let piece = follower.next().await?;
        Some((Ok::<_, BoxError>(Frame::data(piece)), follower))
    });
    StreamBody::new(frames).boxed_unsync()
}

impl Follower {
    /// The next events; none when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if !self.waiting.is_empty() {
                return Some(self.piece());
            }
            if self.ended {
                return None;
            }
            // Marked as seen before looking, so that what comes while we look wakes us.
            self.versions.borrow_and_update();
            let fork = self.live.fork();
            match self.watch.poll(&fork) {
                Ok(events) => self.waiting.extend(events.iter().map(|event| encode_event(event, &self.watch.output))),
                Err(status) => {
                    let event = doc!({"type": "ERROR", "object": (status.to_value())});
                    self.waiting.push_back(encode_event(&event, &self.watch.output));
                    self.ended = true;
                }
            }
            if !self.waiting.is_empty() {
                continue;
            }
            if self.watch.bookmarks && self.bookmark <= Instant::now() {
                self.bookmark = Instant::now() + BOOKMARK;
                self.waiting.extend(self.watch.bookmark(&fork).map(|event| encode_event(&event, &self.watch.output)));
                continue;
            }
            drop(fork);
            let next = if self.watch.bookmarks { self.end.min(self.bookmark) } else { self.end };
            tokio::select! {
                changed = self.versions.changed() => changed.ok()?,
                () = tokio::time::sleep_until(next) => {
                    if self.end <= Instant::now() {
                        return None;
                    }
                }
                () = stopped(&mut self.stopping) => return None,
            }
        }
    }

    fn piece(&mut self) -> Bytes {
        let mut piece = Vec::new();
        while piece.len() < PIECE_BYTES {
            let Some(event) = self.waiting.pop_front() else { break };
            piece.extend_from_slice(&event);
        }
        piece.into()
    }
}
