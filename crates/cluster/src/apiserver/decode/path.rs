//! Paths: which object, collection or page of the server is meant.
//!
//! Knows: the forms of `/api/…` and `/apis/…`, as `k8s.io/apiserver/pkg/endpoints/request` reads them.
//! Does not know: which resources there are.
//!
//! A path that two readers could read in two ways is refused: an escaped slash, an empty or dotted segment, bytes
//! that are no text.

use crate::apiserver::call::Subject;
use crate::apiserver::status::Status;
use crate::value::Text;

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To no resource: `/version`, `/openapi/v2`, `/apis/apps/v1`.
    Page(Subject),
    /// To a resource or something below one.
    Resource {
        /// What is meant.
        subject: Subject,
        /// Whether the path is of the old form that watches without saying so in the query.
        watch: bool,
    },
}

/// What a namespace has below it that is no resource of its own.
const OF_NAMESPACES: &[&str] = &["status", "finalize"];

/// Reads a path.
///
/// # Errors
/// 400 if the path is ambiguous.
pub(super) fn parse(path: &str) -> Result<Target, Status> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(ambiguous(path, "does not begin with a slash"));
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let segments: Vec<String> = if rest.is_empty() {
        Vec::new()
    } else {
        rest.split('/').map(|segment| decode_segment(path, segment)).collect::<Result<_, _>>()?
    };
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => {
            // Spelled anew from its parts, so that it has one form.
            let slash = if path.len() > 1 && path.ends_with('/') { "/" } else { "" };
            let path = format!("/{}{slash}", segments.join("/"));
            return Ok(Target::Page(Subject { path: path.into(), ..Subject::default() }));
        }
    };
    let (watch, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        rest => (false, rest),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, below, ..] if !OF_NAMESPACES.contains(below) => {
            (*namespace, rest.get(2..).unwrap_or_default())
        }
        // Without the first `watch` it would be a watch again, of something else.
        ["watch", _, ..] => return Err(ambiguous(path, "watches what is called watch")),
        rest => ("", rest),
    };
    let part = |at: usize| rest.get(at).copied().map(Text::from).unwrap_or_default();
    let subject = Subject {
        group: group.into(),
        version: version.into(),
        resource: part(0),
        namespace: namespace.into(),
        name: part(1),
        subresource: part(2),
        path: beyond(rest, path.ends_with('/')),
    };
    Ok(Target::Resource { subject, watch })
}

/// What follows a subresource, with its slash.
fn beyond(rest: &[&str], slash: bool) -> Text {
    match rest.get(3..) {
        Some(tail) if !tail.is_empty() => arcstr::format!("/{}{}", tail.join("/"), if slash { "/" } else { "" }),
        _ => Text::new(),
    }
}

fn ambiguous(path: &str, why: &str) -> Status {
    Status::bad_request(format!("the path {path:?} {why}"))
}

fn decode_segment(path: &str, segment: &str) -> Result<String, Status> {
    let text = decode_percent(segment, false).ok_or_else(|| ambiguous(path, "is badly escaped"))?;
    if text.is_empty() {
        return Err(ambiguous(path, "has an empty segment"));
    }
    if text == "." || text == ".." {
        return Err(ambiguous(path, "has a segment of dots"));
    }
    if text.contains(['/', '\\']) {
        return Err(ambiguous(path, "has an escaped slash"));
    }
    if text.chars().any(char::is_control) {
        return Err(ambiguous(path, "has a control character"));
    }
    Ok(text)
}

/// Undoes percent-encoding; in queries a plus is a space. None if an escape is broken or the bytes are no UTF-8.
pub(super) fn decode_percent(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit =
                    |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                high * 16 + low
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_thing() {
        let cases = [
            ("/api/v1/pods", "v1 pods"),
            ("/api/v1/pods/", "v1 pods"),
            ("/api/v1/watch/namespaces/a/pods", "watch v1 pods in a"),
            ("/api/v1/namespaces", "v1 namespaces"),
            ("/api/v1/namespaces/a", "v1 namespaces/a"),
            ("/api/v1/namespaces/a/status", "v1 namespaces/a/status"),
            ("/api/v1/namespaces/a/finalize", "v1 namespaces/a/finalize"),
            ("/api/v1/namespaces/a/pods/p", "v1 pods/p in a"),
            ("/api/v1/namespaces/a/pods/p/exec", "v1 pods/p/exec in a"),
            ("/api/v1/namespaces/a/pods/p:80/proxy/x/y/", "v1 pods/p:80/proxy+/x/y/ in a"),
            ("/apis/apps/v1/namespaces/a/deployments/w/scale", "apps/v1 deployments/w/scale in a"),
            ("/apis/g/v1/namespaces/n%c3%a4/roles/system:x%25", "g/v1 roles/system:x% in nä"),
            ("/apis/apps/v1", "page /apis/apps/v1"),
            ("/", "page /"),
            ("/healthz/ping", "page /healthz/ping"),
        ];
        for (path, want) in cases {
            assert_eq!(parse(path).map(|target| show(&target)), Ok(want.to_owned()), "{path}");
        }
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_refused() {
        for path in [
            "",
            "api/v1/pods",
            "//api/v1/pods",
            "/api/v1//pods",
            "/api/v1/pods//",
            "/api/v1/namespaces/a/../secrets",
            "/api/v1/namespaces/a%2Fsecrets",
            "/api/v1/namespaces/%2e%2e/secrets",
            "/api/v1/pods/%zz",
            "/api/v1/pods/%f",
            "/api/v1/pods/%ff",
            "/api/v1/pods/a%00",
            "/api/v1/pods/a%5cb",
            "/api/v1/pods/.",
            "/api/v1/watch/watch/pods",
        ] {
            assert_eq!(parse(path).map_err(|status| status.code), Err(400), "{path}");
        }
    }

    fn show(target: &Target) -> String {
        match target {
            Target::Page(subject) => format!("page {}", subject.path),
            Target::Resource { subject: on, watch } => {
                let mut text = if *watch { "watch ".to_owned() } else { String::new() };
                if !on.group.is_empty() {
                    text += &format!("{}/", on.group);
                }
                text += &format!("{} {}", on.version, on.resource);
                for part in [&on.name, &on.subresource] {
                    if !part.is_empty() {
                        text += &format!("/{part}");
                    }
                }
                if !on.path.is_empty() {
                    text += &format!("+{}", on.path);
                }
                if !on.namespace.is_empty() {
                    text += &format!(" in {}", on.namespace);
                }
                text
            }
        }
    }
}
