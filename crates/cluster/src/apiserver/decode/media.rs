//! Media types: in which form an answer is wanted, and in which a body came.
//!
//! Knows: `Accept` and `Content-Type`, as go-restful and `k8s.io/apiserver` negotiate them.
//! Does not know: how any form is read or written.

use crate::apiserver::call::{Encoding, Form, Output, PatchType, Verb};
use crate::apiserver::names;
use crate::apiserver::status::Status;
use crate::schema::Resource;

/// One entry of an `Accept` header, or a `Content-Type`.
struct MediaType<'a> {
    /// Such as `application/json`, in lower case.
    name: String,
    parameters: Vec<(&'a str, &'a str)>,
    /// How much it is wanted, in thousandths.
    quality: u32,
}

impl<'a> MediaType<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let quality = parameters.iter().find(|(key, _)| *key == "q").and_then(|(_, value)| thousandths(value));
        Self { name, parameters, quality: quality.unwrap_or(1000) }
    }

    fn parameter(&self, name: &str) -> &'a str {
        self.parameters.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| *value)
    }

    /// The first encoding, of those in which documents can be written, that it allows.
    fn encoding(&self, offered: &[Encoding]) -> Option<Encoding> {
        match self.name.as_str() {
            "*/*" | "application/*" => offered.first().copied(),
            name => offered.iter().copied().find(|encoding| encoding.content_type() == name),
        }
    }
}

/// `0.5` as 500.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<u32>().ok()?.checked_mul(1000)?.checked_add(digits.parse().ok()?)?.min(1000))
}

/// In which form an answer is wanted. Paths that are no resources negotiate for themselves, so nothing is refused there.
///
/// # Errors
/// 406, as the API server says it.
pub(super) fn output(accept: &str, verb: Verb, resource: Option<&Resource>) -> Result<Output, Status> {
    let accept = accept.trim();
    let Some(resource) = resource else {
        return Ok(Output { accept: accept.to_owned(), ..Output::default() });
    };
    if accept.is_empty() || verb == Verb::Connect {
        return Ok(Output { accept: accept.to_owned(), ..Output::default() });
    }
    let offered = offered(resource);
    let mut wanted: Vec<MediaType<'_>> = accept.split(',').map(MediaType::parse).collect();
    wanted.sort_by_key(|media| std::cmp::Reverse(media.quality));
    if !wanted.iter().any(|media| media.encoding(offered).is_some()) {
        return Err(not_acceptable(verb, offered));
    }
    for media in &wanted {
        let Some(encoding) = media.encoding(offered) else { continue };
        let (group, version) = (media.parameter("g"), media.parameter("v"));
        let of_meta = group == "meta.k8s.io" && matches!(version, "v1" | "v1beta1");
        let kind = media.parameter("as");
        let form = match kind {
            "" => Form::Object,
            "Table" if of_meta && encoding != Encoding::Protobuf => Form::Table,
            "PartialObjectMetadata" | "PartialObjectMetadataList" if of_meta => Form::Metadata,
            _ => continue,
        };
        if form == Form::Metadata {
            fits(kind, verb, resource)?;
        }
        return Ok(Output { form, encoding, accept: accept.to_owned() });
    }
    Err(Status::new(
        406,
        "NotAcceptable",
        format!("only the following media types are accepted: {}", content_types(offered)),
    ))
}

/// In which encodings documents of a resource are written and read.
fn offered(resource: &Resource) -> &'static [Encoding] {
    const ALL: &[Encoding] = &[Encoding::Json, Encoding::Yaml, Encoding::Protobuf];
    // Nobody knows the protobuf form of a custom resource.
    const CUSTOM: &[Encoding] = &[Encoding::Json, Encoding::Yaml];
    if resource.custom { CUSTOM } else { ALL }
}

fn content_types(offered: &[Encoding]) -> String {
    offered.iter().map(|encoding| encoding.content_type()).collect::<Vec<_>>().join(", ")
}

/// What the router says where no form is one that is spoken.
fn not_acceptable(verb: Verb, offered: &[Encoding]) -> Status {
    let mut available = content_types(offered);
    if matches!(verb, Verb::List | Verb::Watch) {
        for encoding in offered.iter().filter(|encoding| **encoding != Encoding::Yaml) {
            available += &format!(", {};stream=watch", encoding.content_type());
        }
    }
    Status::generic(406, "NotAcceptable", format!("406: Not Acceptable\n\nAvailable representations: {available}"))
}

/// Whether the metadata of a list is wanted of a list, and of one object of one.
fn fits(kind: &str, verb: Verb, resource: &Resource) -> Result<(), Status> {
    let wants_list = kind == "PartialObjectMetadataList";
    let is_list = matches!(verb, Verb::List | Verb::DeleteCollection);
    if wants_list == is_list {
        return Ok(());
    }
    let what = names::go_type(resource, is_list);
    let which = if is_list { "is" } else { "is not" };
    let message = format!("you requested {kind}, but the requested object {which} a list ({what})");
    Err(Status::new(406, "NotAcceptable", message))
}

/// In which encoding a body came. Without a type it is taken for JSON.
///
/// # Errors
/// 415, as the API server says it.
pub(super) fn input(content_type: &str, resource: &Resource) -> Result<Encoding, Status> {
    let media = MediaType::parse(content_type);
    let offered = offered(resource);
    // Only what says nothing is taken for JSON; a `;` says something, and nobody knows what.
    if content_type.is_empty() {
        return Ok(Encoding::Json);
    }
    let found = offered.iter().copied().find(|encoding| encoding.content_type() == media.name);
    found.ok_or_else(|| unknown_format(&content_types(offered)))
}

/// Which kind of patch came.
///
/// # Errors
/// 415, as the API server says it.
pub(super) fn patch(content_type: &str, resource: &Resource) -> Result<PatchType, Status> {
    const ALL: &[PatchType] = &[PatchType::Json, PatchType::Merge, PatchType::Strategic, PatchType::Apply];
    let media = MediaType::parse(content_type);
    let found = ALL.iter().copied().find(|patch| patch.content_type() == media.name);
    match found {
        None if !resource.custom => Err(Status::generic(415, "UnsupportedMediaType", "415: Unsupported Media Type")),
        Some(patch) if patch != PatchType::Strategic || !resource.custom => Ok(patch),
        _ => {
            let taken = ALL.iter().filter(|patch| **patch != PatchType::Strategic);
            Err(unknown_format(&taken.map(|patch| patch.content_type()).collect::<Vec<_>>().join(", ")))
        }
    }
}

fn unknown_format(accepted: &str) -> Status {
    let message =
        format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
    Status::new(415, "UnsupportedMediaType", message)
}
