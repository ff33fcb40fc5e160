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
    /// Such as `application/json`.
    name: String,
    parameters: Vec<(&'a str, &'a str)>,
    /// How much it is wanted, in thousandths.
    quality: u32,
}

impl<'a> MediaType<'a> {
    /// As a body's type is read.
    fn of_body(text: &'a str) -> Self {
        let media = Self::parse(text);
        Self { name: media.name.to_ascii_lowercase(), ..media }
    }

    /// As an answer's types are read: in the letters in which they are offered.
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_owned();
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
            "*/*" => offered.first().copied(),
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

/// In which form a document that is no object is wanted: a page of discovery, a refusal. Where nothing is wanted that is
/// spoken, it is JSON; who knows better says so.
#[must_use]
pub fn plain_output(accept: &str) -> Output {
    let mut wanted: Vec<MediaType<'_>> = accept.trim().split(',').map(MediaType::parse).collect();
    wanted.sort_by_key(|media| std::cmp::Reverse(media.quality));
    let encoding = wanted.iter().filter(|media| media.parameter("as").is_empty()).find_map(|media| media.encoding(ALL));
    let encoding = encoding.unwrap_or_default();
    Output { encoding, accept: accept.trim().to_owned(), ..Output::default() }
}

/// Refuses a page in a form in which it is not written. `first` is the first part of its path.
///
/// # Errors
/// 406, as the API server says it.
pub(super) fn page(first: &str, accept: &str) -> Result<(), Status> {
    let offered: &[Encoding] = match first {
        "version" => &[Encoding::Json],
        "api" | "apis" => ALL,
        _ => return Ok(()),
    };
    let spoken =
        accept.is_empty() || accept.split(',').any(|media| MediaType::parse(media).encoding(offered).is_some());
    if spoken { Ok(()) } else { Err(not_acceptable(Verb::Get, offered)) }
}

/// In which form an answer is wanted.
///
/// # Errors
/// 406, as the API server says it.
pub(super) fn output(accept: &str, verb: Verb, resource: &Resource) -> Result<Output, Status> {
    let accept = accept.trim();
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
        if verb == Verb::Watch && encoding == Encoding::Yaml {
            // Nobody knows where one document of a stream of them ends.
            return Err(not_accepted(&streams(offered).join(", ")));
        }
        if form == Form::Metadata {
            fits(kind, verb, resource)?;
        }
        let beta = form != Form::Object && version == "v1beta1";
        return Ok(Output { form, encoding, beta, accept: accept.to_owned() });
    }
    Err(not_accepted(&content_types(offered)))
}

fn not_accepted(accepted: &str) -> Status {
    Status::new(406, "NotAcceptable", format!("only the following media types are accepted: {accepted}"))
}

/// The types in which changes are told as they come.
fn streams(offered: &[Encoding]) -> Vec<String> {
    let framed = offered.iter().filter(|encoding| **encoding != Encoding::Yaml);
    framed.map(|encoding| format!("{};stream=watch", encoding.content_type())).collect()
}

/// All encodings.
const ALL: &[Encoding] = &[Encoding::Json, Encoding::Yaml, Encoding::Protobuf];

/// In which encodings documents of a resource are written and read.
fn offered(resource: &Resource) -> &'static [Encoding] {
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
        for stream in streams(offered) {
            available += &format!(", {stream}");
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
    let media = MediaType::of_body(content_type);
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
    let media = MediaType::of_body(content_type);
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
