//! Bodies: the document that a call carries.
//!
//! Knows: JSON and YAML, what a document must say of itself to fit the path it was sent to.
//! Does not know: what it says beyond that.

use super::{lines, syntax};
use crate::apiserver::call::{Encoding, FieldValidation, PatchType, Subject, Verb};
use crate::apiserver::fields::{self, Read, Sent};
use crate::apiserver::names;
use crate::apiserver::protobuf::{self, NotReadable};
use crate::apiserver::status::Status;
use crate::json::{self, Parsed};
use crate::schema::{GroupVersionKind, Resource, Schema, Type, split_api_version};
use crate::value::Value;

/// What Go reads of a document first.
const HEADER: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

/// The largest body, in bytes.
const BYTES_MAX: usize = 3 * 1024 * 1024;

/// Versions that the API server serves no more, but whose kinds its code still knows. A body that claims one is told
/// that it does not fit the path; one that claims anything else is told that nobody knows it.
const NO_LONGER_SERVED: &[(&str, &str, &[&str])] = &[
    ("extensions", "v1beta1", &["Deployment", "DaemonSet", "ReplicaSet", "Ingress", "NetworkPolicy", "Scale"]),
    ("apps", "v1beta1", &["Deployment", "StatefulSet", "ControllerRevision", "Scale"]),
    ("apps", "v1beta2", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ControllerRevision", "Scale"]),
    ("autoscaling", "v2beta1", &["HorizontalPodAutoscaler"]),
    ("autoscaling", "v2beta2", &["HorizontalPodAutoscaler"]),
    ("batch", "v1beta1", &["CronJob", "JobTemplate"]),
    ("certificates.k8s.io", "v1beta1", &["CertificateSigningRequest"]),
    ("coordination.k8s.io", "v1beta1", &["Lease"]),
    ("discovery.k8s.io", "v1beta1", &["EndpointSlice"]),
    ("events.k8s.io", "v1beta1", &["Event"]),
    ("flowcontrol.apiserver.k8s.io", "v1beta2", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("flowcontrol.apiserver.k8s.io", "v1beta3", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("networking.k8s.io", "v1beta1", &["Ingress", "IngressClass"]),
    ("node.k8s.io", "v1beta1", &["RuntimeClass"]),
    ("policy", "v1beta1", &["Eviction", "PodDisruptionBudget"]),
    ("rbac.authorization.k8s.io", "v1alpha1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("rbac.authorization.k8s.io", "v1beta1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("scheduling.k8s.io", "v1alpha1", &["PriorityClass"]),
    ("scheduling.k8s.io", "v1beta1", &["PriorityClass"]),
    ("storage.k8s.io", "v1alpha1", &["VolumeAttachment", "CSIStorageCapacity"]),
    ("storage.k8s.io", "v1beta1", &["StorageClass", "VolumeAttachment", "CSIDriver", "CSINode", "CSIStorageCapacity"]),
];

/// Refuses a body that is too large for any reader.
///
/// # Errors
/// 413, as the API server says it.
pub(super) fn check_size(body: &[u8]) -> Result<(), Status> {
    if body.len() <= BYTES_MAX {
        return Ok(());
    }
    let message = format!("Request entity too large: limit is {BYTES_MAX}");
    Err(Status::new(413, "RequestEntityTooLarge", message))
}

fn parse(encoding: Encoding, body: &[u8]) -> Result<Parsed, String> {
    match encoding {
        // A line may be indented by spaces alone.
        Encoding::Yaml if body.starts_with(b"\t") => {
            Err("yaml: found character that cannot start any token".to_owned())
        }
        Encoding::Yaml => json::parse_yaml(body).map_err(|error| yaml_words(&error.0)),
        _ => json::parse(body).map_err(|error| syntax::error(body).unwrap_or(error.0)),
    }
}

/// What is wrong with YAML in the words of Go's parser, which names a line from the second on.
fn yaml_words(error: &str) -> String {
    let error = &match error.split_once("unexpected character: ") {
        Some((before, rest)) => {
            let place = rest.find(" at line ").and_then(|at| rest.get(at..)).unwrap_or_default();
            format!("{before}found character that cannot start any token{place}")
        }
        None => error.to_owned(),
    };
    let place = error.rsplit_once(" at line ");
    let line = place.and_then(|(_, place)| place.split(',').next()?.trim().parse::<u32>().ok());
    match (place, line) {
        (Some((what, _)), Some(line)) if line > 1 => format!("yaml: line {line}: {what}"),
        (Some((what, _)), Some(_)) => format!("yaml: {what}"),
        _ => format!("yaml: {error}"),
    }
}

/// Reads a whole object that was sent to be `kind`, and has it say what it is.
///
/// # Errors
/// 400, as the API server says it.
pub(super) fn object(
    schema: &Schema,
    resource: &Resource,
    kind: &GroupVersionKind,
    encoding: Encoding,
    body: &[u8],
    validation: FieldValidation,
) -> Result<Read, Status> {
    let unrecognized = |why: &str| {
        let summary = syntax::summary(body);
        let message = format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: \
             {why} ({summary})",
            kind.kind
        );
        Status::bad_request(message)
    };
    let mut parsed = match encoding {
        Encoding::Protobuf => protobuf::decode(schema, body).map(Parsed::from).map_err(|error| match error {
            // The client knows another encoding, and falls back on it.
            NotReadable::Unknown { .. } | NotReadable::More(_) => {
                Status::new(415, "UnsupportedMediaType", error.to_string())
            }
            NotReadable::Broken(_) if !body.starts_with(b"k8s\0") => {
                let (kind, summary) = (&kind.kind, syntax::summary(body));
                Status::bad_request(format!(
                    "the object provided is unrecognized (must be of type {kind}): provided data does not appear to be a \
                     protobuf message, expected prefix [107 56 115 0] ({summary})"
                ))
            }
            NotReadable::Broken(_) => Status::bad_request(error.to_string()),
        })?,
        Encoding::Yaml if !body.trim_ascii_start().starts_with(b"{") => parse(encoding, body).map_err(|why| {
            let (kind, summary) = (&kind.kind, syntax::summary(body));
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): {why} ({summary})"
            ))
        })?,
        _ => parse(encoding, body).map_err(|why| unrecognized(&why))?,
    };
    let unfit = |what: &str, into: &str| unrecognized(&format!("json: cannot unmarshal {what} into Go {into}"));
    match &parsed.value {
        Value::Object(_) => {}
        Value::Null => parsed.value = Value::Object(crate::value::Map::default()),
        other => return Err(unfit(go_kind(other), &format!("value of type {HEADER}"))),
    }
    let document = &mut parsed.value;
    for field in ["apiVersion", "kind"] {
        match document.get(field) {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => return Err(unfit(go_kind(other), &format!("struct field .{field} of type string"))),
        }
    }
    if document.api_version().matches('/').count() > 1 {
        let (kind, summary, version) = (&kind.kind, syntax::summary(body), document.api_version());
        return Err(Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): unexpected GroupVersion string: {version} ({summary})"
        )));
    }
    if document.kind().is_empty() {
        if resource.custom {
            let message = format!("Object 'Kind' is missing in '{}'", String::from_utf8_lossy(body));
            return Err(Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): {message} ({})",
                kind.kind,
                syntax::summary(body)
            )));
        }
        document.set(&["kind"], &kind.kind);
    }
    if document.api_version().is_empty() {
        document.set(&["apiVersion"], kind.api_version());
    }
    check_kind(schema, resource, kind, document)?;
    fitting(schema, resource, kind, encoding, body, parsed, validation)
}

/// Reads a document into the type of its kind, and does about its faults what the client wants done.
fn fitting(
    schema: &Schema,
    resource: &Resource,
    kind: &GroupVersionKind,
    encoding: Encoding,
    body: &[u8],
    parsed: Parsed,
    validation: FieldValidation,
) -> Result<Read, Status> {
    let cannot = |why: String| {
        let (version, kind) = (&kind.version, &kind.kind);
        Status::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
    };
    let ty = if *kind == resource.gvk() {
        resource.ty()
    } else {
        schema.type_of(&kind.group, &kind.version, &kind.kind).unwrap_or(Type::unknown())
    };
    let Parsed { value, duplicates } = parsed;
    // What was YAML came to Go as JSON in which each key stands once: who looks for repetitions looks before.
    let is_json = encoding == Encoding::Json || body.trim_ascii_start().starts_with(b"{");
    let (twice, lines) = if is_json { (!duplicates.is_empty(), None) } else { (false, repeated(body, &duplicates)) };
    let again = || if is_json { Sent::json(body) } else { Sent::from(&value) };
    let mut read = fields::read(ty, &value, twice, again).map_err(cannot)?;
    read.faults.splice(0..0, lines);
    read.faults = fields::judge(validation, read.faults).map_err(cannot)?;
    // What every object says of itself is not for its type to keep.
    for field in ["apiVersion", "kind"] {
        if let Some(said) = value.get(field).filter(|said| read.value.get(field) != Some(said)) {
            read.value.set(&[field], said.clone());
        }
    }
    Ok(read)
}

/// What the reader of YAML says of keys that stand twice; nothing if none do.
fn repeated(body: &[u8], paths: &[String]) -> Option<String> {
    if paths.is_empty() {
        return None;
    }
    let lines = lines::repeated(body);
    let lines: Vec<String> =
        lines.iter().map(|(line, key)| format!("line {line}: key {key} already set in map")).collect();
    Some(format!("yaml: unmarshal errors:\n  {}", lines.join("\n  ")))
}

/// What Go calls a JSON value that it cannot read into a field.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) | Value::Float(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_kind(
    schema: &Schema,
    resource: &Resource,
    expected: &GroupVersionKind,
    document: &Value,
) -> Result<(), Status> {
    let (api_version, kind) = (document.api_version(), document.kind());
    let (_, version) = split_api_version(api_version);
    if kind == expected.kind && api_version == expected.api_version() {
        return Ok(());
    }
    let mismatch = || {
        let message = format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version()
        );
        Status::bad_request(message)
    };
    if resource.custom {
        // What is no typed object is told apart by its version alone; its kind is a matter of validation.
        if api_version != expected.api_version() {
            return Err(mismatch());
        }
        let cause = crate::apiserver::Cause::invalid("kind", kind, &format!("must be {}", expected.kind));
        return Err(Status::invalid(&resource.group, kind, document.name(), &[cause]));
    }
    let why = match misfit(schema, expected, document) {
        Some(why) => why,
        // An eviction may be said in the words of either version of its group.
        None if kind == expected.kind && kind != "Eviction" => return Err(mismatch()),
        None => return Ok(()),
    };
    let message = format!("{kind} in version {version:?} cannot be handled as a {}: {why}", expected.kind);
    Err(Status::bad_request(message))
}

/// Why a document of one kind cannot be read as one of another; none if it can, which is so for other versions of the
/// kind.
pub(in crate::apiserver) fn misfit(schema: &Schema, expected: &GroupVersionKind, document: &Value) -> Option<String> {
    let (api_version, kind) = (document.api_version(), document.kind());
    let (group, version) = split_api_version(api_version);
    let known = schema.type_of(group, version, kind).is_some()
        || NO_LONGER_SERVED.iter().any(|(g, v, kinds)| *g == group && *v == version && kinds.contains(&kind));
    if !known {
        let scheme = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30";
        return Some(format!("no kind {kind:?} is registered for version {api_version:?} in scheme {scheme:?}"));
    }
    let package = names::internal_package(&expected.group);
    (kind != expected.kind)
        .then(|| format!("converting ({version}.{kind}) to ({package}.{}): unknown conversion", expected.kind))
}

/// Refuses an object that says of itself that it is another than the path says.
///
/// # Errors
/// 400, as the API server says it.
pub(super) fn check_path(on: &Subject, verb: Verb, document: &Value) -> Result<(), Status> {
    let (namespace, name) = (document.namespace(), document.name());
    if !on.namespace.is_empty() && !namespace.is_empty() && namespace != on.namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(message));
    }
    if verb == Verb::Update && name != on.name {
        return Err(another_name(name, &on.name));
    }
    Ok(())
}

/// What an object is told whose name is not that of the path.
pub(in crate::apiserver) fn another_name(name: &str, on_path: &str) -> Status {
    Status::bad_request(if name.is_empty() {
        format!("the name of the object ({on_path} based on URL) was undeterminable: name must be provided")
    } else {
        format!("the name of the object ({name}) does not match the name on the URL ({on_path})")
    })
}

const NO_PATCH: &str = "Invalid JSON Patch";

/// Reads a patch.
///
/// # Errors
/// 400, as the API server says it.
pub(super) fn patch(patch: PatchType, body: &[u8], validation: FieldValidation) -> Result<Read, Status> {
    let decoding = |why: String| Status::bad_request(format!("error decoding patch: {why}"));
    let parsed = match patch {
        PatchType::Apply => json::parse_yaml(body).map_err(|error| {
            let why = yaml_words(&error.0);
            Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {why}"))
        })?,
        PatchType::Json => parse(Encoding::Json, body).map_err(decoding)?,
        // Only who looks for faults reads a merge patch before the library does.
        PatchType::Merge if validation != FieldValidation::Ignore => parse(Encoding::Json, body).map_err(decoding)?,
        PatchType::Merge => parse(Encoding::Json, body).map_err(|_| Status::bad_request(NO_PATCH))?,
        PatchType::Strategic => parse(Encoding::Json, body).map_err(Status::bad_request)?,
    };
    let fits = match (patch, &parsed.value) {
        (PatchType::Json, Value::Array(_) | Value::Null) => true,
        (PatchType::Merge | PatchType::Strategic | PatchType::Apply, Value::Object(_)) => true,
        (PatchType::Merge, Value::Null) => return Err(Status::bad_request(NO_PATCH)),
        // Nothing is wanted, and nothing changes; what is applied has to say of what it is.
        (PatchType::Strategic | PatchType::Apply, Value::Null) => {
            return Ok(Read { value: crate::doc!({}), faults: Vec::new() });
        }
        _ => false,
    };
    if fits {
        let Parsed { value, duplicates } = parsed;
        let faults = match patch {
            _ if validation == FieldValidation::Ignore => Vec::new(),
            PatchType::Apply => Vec::from_iter(
                repeated(body, &duplicates).map(|lines| format!("error converting YAML to JSON: {lines}")),
            ),
            PatchType::Merge | PatchType::Strategic => {
                let again = || Sent::json(body);
                fields::read(Type::unknown(), &value, !duplicates.is_empty(), again).unwrap_or_default().faults
            }
            PatchType::Json => operation_faults(body, &value, duplicates.is_empty())?,
        };
        return Ok(Read { value, faults });
    }
    let into = match patch {
        PatchType::Json => "[]handlers.jsonPatchOp",
        _ => "map[string]interface {}",
    };
    let why = format!("json: cannot unmarshal {} into Go value of type {into}", go_kind(&parsed.value));
    Err(match patch {
        PatchType::Json | PatchType::Merge => decoding(why),
        PatchType::Apply => {
            Status::bad_request(format!("error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}"))
        }
        PatchType::Strategic => Status::bad_request(why),
    })
}

/// What is wrong with the operations of a JSON patch: members that operations do not have, or have twice.
fn operation_faults(body: &[u8], operations: &Value, once: bool) -> Result<Vec<String>, Status> {
    const MEMBERS: &[&str] = &["op", "path", "from", "value"];
    let is_text = |member: &str, value: &Value| member == "value" || matches!(value, Value::Null | Value::String(_));
    let sound = operations.items().iter().all(|operation| {
        let members = operation.entries();
        operation.as_object().is_some()
            && members.iter().all(|(key, value)| MEMBERS.contains(&key.as_str()) && is_text(key, value))
    });
    if once && sound {
        return Ok(Vec::new());
    }
    let mut faults = Vec::new();
    let wrong = |what: &str, place: &str| {
        let why = format!("error decoding patch: json: cannot unmarshal {what} into Go {place}");
        Err(Status::bad_request(why))
    };
    let Sent::List(operations) = Sent::json(body) else { return Ok(faults) };
    for (at, operation) in operations.iter().enumerate() {
        let members = match operation {
            Sent::Map(members) => members.as_slice(),
            Sent::Null => &[],
            other => return wrong(other.noun(), "value of type handlers.jsonPatchOp"),
        };
        for (place, (key, value)) in members.iter().enumerate() {
            if !MEMBERS.contains(&key.as_str()) {
                faults.push(format!("json patch unknown field \"[{at}].{key}\""));
                continue;
            }
            if members.iter().take(place).any(|(earlier, _)| earlier == key) {
                faults.push(format!("json patch duplicate field \"[{at}].{key}\""));
            }
            if key != "value" && !matches!(value, Sent::Null | Sent::Text(_)) {
                return wrong(value.noun(), &format!("struct field jsonPatchOp.{key} of type string"));
            }
        }
    }
    Ok(faults)
}

/// Reads the options in the body of a delete; `null` if there are none.
///
/// # Errors
/// 400, as the API server says it.
pub(super) fn delete_options(schema: &Schema, encoding: Encoding, body: &[u8]) -> Result<Value, Status> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let parsed = match encoding {
        Encoding::Protobuf => {
            let read = protobuf::decode(schema, body);
            Parsed::from(read.map_err(|error| Status::bad_request(error.to_string()))?)
        }
        _ => parse(encoding, body)
            .map_err(|why| Status::bad_request(format!("couldn't get version/kind; json parse error: {why}")))?,
    };
    if !parsed.duplicates.is_empty() {
        // The real server takes the last. Nothing but options can stand here, so nobody loses by saying it once.
        return Err(Status::bad_request(format!("the delete options say {:?} twice", parsed.duplicates)));
    }
    let kind = parsed.value.kind();
    if parsed.value.is_null() {
        return Ok(Value::Object(crate::value::Map::default()));
    }
    if !matches!(parsed.value, Value::Object(_)) {
        let into = format!("json: cannot unmarshal {} into Go value of type {HEADER}", go_kind(&parsed.value));
        return Err(Status::bad_request(format!("couldn't get version/kind; json parse error: {into}")));
    }
    if !(kind.is_empty() || kind == "DeleteOptions") {
        let scheme = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";
        let version = parsed.value.api_version();
        return Err(Status::bad_request(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme {scheme:?}"
        )));
    }
    let ty = schema.named("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions").unwrap_or(Type::unknown());
    let again = || if encoding == Encoding::Json { Sent::json(body) } else { Sent::from(&parsed.value) };
    Ok(fields::read(ty, &parsed.value, false, again).map_err(Status::bad_request)?.value)
}
