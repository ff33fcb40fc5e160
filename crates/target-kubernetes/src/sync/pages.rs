//! A resource's list, page by page.
//!
//! Knows: how pages are asked for, and what an answer that is no page means.
//! Does not know: what is made of the objects.

use bytes::Bytes;
use cluster::Value;
use cluster::schema::Resource;
use cluster::value::Text;
use http::header::ACCEPT;
use http::{Request, StatusCode};

use crate::mask::Mask;
use crate::upstream::{PATIENCE, Upstream};

/// Objects on one page of a list, as client-go asks for.
const PAGE: usize = 500;

/// The largest page: 500 objects of 1.5 MB, etcd's limit, would be more, but were never seen.
const PAGE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// One page.
pub(super) struct Page {
    /// The version that the whole list is as of.
    pub(super) version: u64,
    /// What is on it, as it is kept.
    pub(super) objects: Vec<Value>,
    /// What to ask for the next one with; none on the last.
    pub(super) more: Option<Text>,
}

/// Why there is no page.
pub(super) enum NoPage {
    /// There is no such resource, or it cannot be listed.
    Absent,
    /// Who asks may not see it.
    Forbidden(String),
    /// The next page is no longer kept.
    Gone,
    /// It broke.
    Broken(String),
}

/// The path of a resource's list: of one namespace, or (`None`) of the whole cluster.
pub(super) fn path(resource: &Resource, namespace: Option<&str>) -> String {
    let root = if resource.group.is_empty() { "/api" } else { "/apis" };
    let within = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
    format!("{root}/{}/{within}{}", resource.api_version(), resource.plural)
}

/// A GET that asks for JSON.
pub(super) fn get(path: &str, query: &str) -> Result<Request<Bytes>, String> {
    let request = Request::get(format!("{path}?{query}")).header(ACCEPT, "application/json").body(Bytes::new());
    request.map_err(|error| error.to_string())
}

/// Fetches one page: the first, or the one that the page before named.
pub(super) async fn page(
    upstream: &Upstream,
    resource: &Resource,
    namespace: Option<&str>,
    more: Option<&Text>,
    mask: &Mask,
) -> Result<Page, NoPage> {
    let more_of = more.map(|token| format!("&continue={}", escape(token))).unwrap_or_default();
    let request = get(&path(resource, namespace), &format!("limit={PAGE}{more_of}")).map_err(NoPage::Broken)?;
    let answer = upstream.fetch(request, PATIENCE, PAGE_BYTES_MAX).await;
    let answer = answer.map_err(|error| NoPage::Broken(format!("it cannot be listed: {error}")))?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if more.is_none() => return Err(NoPage::Absent),
        StatusCode::GONE => return Err(NoPage::Gone),
        code @ StatusCode::FORBIDDEN => return Err(NoPage::Forbidden(said(code, answer.body()))),
        code => return Err(NoPage::Broken(format!("it cannot be listed: {}", said(code, answer.body())))),
    }
    let body = answer.into_body();
    let page = tokio::task::spawn_blocking(move || Value::from_json(&body)).await;
    let page = page
        .map_err(|error| NoPage::Broken(error.to_string()))?
        .map_err(|error| NoPage::Broken(format!("its list cannot be read: {error}")))?;
    let metadata = page.at(&["metadata"]);
    let token = metadata.at(&["continue"]).str_or_empty();
    Ok(Page {
        version: metadata.at(&["resourceVersion"]).str_or_empty().parse().unwrap_or(0),
        objects: page.at(&["items"]).items().iter().cloned().map(|object| take(resource, mask, object)).collect(),
        more: (!token.is_empty()).then(|| token.into()),
    })
}

/// An object as it is kept: with the kind that lists leave out, and without secret values.
pub(super) fn take(resource: &Resource, mask: &Mask, mut object: Value) -> Value {
    object.set(&["apiVersion"], resource.api_version());
    object.set(&["kind"], &resource.kind);
    if resource.group.is_empty() && resource.plural == "secrets" {
        mask.secret(&mut object);
    }
    object
}

/// What a refusal says: its message if it is a Status.
fn said(code: StatusCode, body: &[u8]) -> String {
    let message = Value::from_json(body).ok().map(|status| status.at(&["message"]).str_or_empty().to_owned());
    message.filter(|message| !message.is_empty()).unwrap_or_else(|| code.to_string())
}

/// A continue token as it may stand in a query.
fn escape(token: &str) -> String {
    token.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}
