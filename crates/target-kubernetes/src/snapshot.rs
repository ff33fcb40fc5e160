//! Snapshots: files of objects.
//!
//! Knows: the forms a snapshot's files take: JSON, YAML, JSON Lines, folders of them, `.gz`, `.zst`.
//! Does not know: what a cluster makes of the objects.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cluster::snapshot::Loading;
use cluster::{Cluster, ObjectKey, Value, traffic};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use ruzstd::encoding::CompressionLevel;
use twin::Time;

/// A snapshot could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What stands in it is no object.
    #[error("{}: {why}", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// What files of a folder are taken for parts of a snapshot.
const ENDINGS: &[&str] = &["json", "yaml", "yml", "jsonl", "ndjson"];

/// The file beside a snapshot that says what load its services get; it holds no objects.
const TRAFFIC: &[&str] = &["traffic.yaml", "traffic.yml"];

/// A cluster of every object in these files and folders, with the load that a `traffic.yaml` in or beside them tells of. It is built while they are read, so a large snapshot is never in
/// memory twice, and what is equal in its objects only once. Where no time is given it is the newest that any object names.
///
/// # Errors
/// [`SnapshotError`] names the file and what is wrong with it.
pub fn load(paths: &[PathBuf], now: Option<Time>, seed: u64) -> Result<Cluster, SnapshotError> {
    let mut loading = Loading::new(now, seed);
    for path in paths.iter().filter(|path| !is_traffic(path)) {
        read_path(path, &mut loading)?;
    }
    let mut cluster = loading.finish();
    for file in traffic_files(paths) {
        annotate(&mut cluster, &file)?;
    }
    Ok(cluster)
}

fn is_traffic(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| TRAFFIC.contains(&name))
}

/// Those that are named, lie in a folder that is named, or beside a file that is; each once.
fn traffic_files(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let folder = |path: &PathBuf| if path.is_dir() { path.clone() } else { path.parent().unwrap_or(path).to_owned() };
    let beside = paths.iter().flat_map(|path| TRAFFIC.iter().map(move |name| folder(path).join(name)));
    beside.filter(|file| file.is_file()).collect()
}

/// Writes what a `traffic.yaml` says of a service's load to its Service, as the annotations that say the same.
fn annotate(cluster: &mut Cluster, path: &Path) -> Result<(), SnapshotError> {
    let wrong = |why: String| SnapshotError::Form { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|source| SnapshotError::Read { path: path.to_owned(), source })?;
    let document: Value = serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    if let Some(rate) = document.find(&["registry", "bytes-per-second"]) {
        let rate = rate.as_int().and_then(|rate| u64::try_from(rate).ok()).filter(|rate| *rate > 0);
        let rate = rate.ok_or_else(|| wrong("registry: bytes-per-second is no number".to_owned()))?;
        Arc::make_mut(&mut cluster.settings).registry_bytes_per_second = Some(rate);
    }
    for (name, says) in document.at(&["services"]).entries() {
        let (namespace, service) =
            name.split_once('/').ok_or_else(|| wrong(format!("services: {name:?} is no namespace/name")))?;
        let key = ObjectKey::new("services", namespace, service);
        // A name that is misspelt must not be a service of which nothing is known.
        let Some(mut object) = cluster.get(&key).cloned() else {
            return Err(wrong(format!("services: the snapshot has no Service {name}")));
        };
        for (what, value) in says.entries() {
            let annotation = format!("{}{what}", traffic::PREFIX);
            let text = value.as_str().map_or_else(|| value.to_json(), str::to_owned);
            // A list of hours is one text there.
            object.set(&["metadata", "annotations", &annotation], text.trim_matches(['[', ']']));
        }
        if traffic::profile(namespace, &object).is_none() {
            return Err(wrong(format!(
                "services: {name}: neither requests-per-second nor capacity-per-pod is a number"
            )));
        }
        cluster.load(key, object);
    }
    Ok(())
}

/// Writes objects as a List in JSON, one a line; zipped if the file's name ends in `.gz` or `.zst`.
///
/// # Errors
/// [`SnapshotError`] if the file cannot be written.
pub fn write<'a>(path: &Path, objects: impl Iterator<Item = &'a Value>) -> Result<(), SnapshotError> {
    let failed = |source| SnapshotError::Write { path: path.to_owned(), source };
    let file = BufWriter::new(File::create(path).map_err(failed)?);
    match extension(path) {
        "gz" => {
            let mut encoder = GzEncoder::new(file, Compression::fast());
            write_list(&mut encoder, objects).and_then(|()| encoder.finish()?.flush()).map_err(failed)
        }
        "zst" => {
            let mut list = Vec::new();
            write_list(&mut list, objects).map_err(failed)?;
            ruzstd::encoding::compress(list.as_slice(), file, CompressionLevel::Fastest);
            Ok(())
        }
        _ => {
            let mut file = file;
            write_list(&mut file, objects).and_then(|()| file.flush()).map_err(failed)
        }
    }
}

fn write_list<'a>(out: &mut impl Write, objects: impl Iterator<Item = &'a Value>) -> io::Result<()> {
    out.write_all(b"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[")?;
    for (number, object) in objects.enumerate() {
        out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
        out.write_all(&object.to_json_bytes())?;
    }
    out.write_all(b"\n]}\n")
}

fn read_path(path: &Path, loading: &mut Loading) -> Result<(), SnapshotError> {
    let failed = |source| SnapshotError::Read { path: path.to_owned(), source };
    if path.is_dir() {
        let mut files = std::fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>())
            .map_err(failed)?;
        // Sorted, so that a folder means the same on every file system.
        files.sort();
        for file in files.iter().filter(|file| file.is_dir() || is_part(file)) {
            read_path(file, loading)?;
        }
        return Ok(());
    }
    let file = File::open(path).map_err(failed)?;
    match extension(path) {
        "gz" => read_file(path, &path.with_extension(""), MultiGzDecoder::new(file), loading),
        "zst" => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(BufReader::new(file))
                .map_err(|error| SnapshotError::Form { path: path.to_owned(), why: error.to_string() })?;
            read_file(path, &path.with_extension(""), decoder, loading)
        }
        _ => read_file(path, path, file, loading),
    }
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

fn is_part(path: &Path) -> bool {
    let plain = if matches!(extension(path), "gz" | "zst") { path.with_extension("") } else { path.to_owned() };
    ENDINGS.contains(&extension(&plain)) && !is_traffic(&plain)
}

/// Reads one file's unzipped contents; `name` is what it would be called unzipped.
fn read_file(path: &Path, name: &Path, contents: impl Read, loading: &mut Loading) -> Result<(), SnapshotError> {
    let failed = |source| SnapshotError::Read { path: path.to_owned(), source };
    let wrong = |why: String| SnapshotError::Form { path: path.to_owned(), why };
    let mut contents = BufReader::with_capacity(1 << 20, contents);
    match extension(name) {
        "yaml" | "yml" => {
            let mut text = String::new();
            contents.read_to_string(&mut text).map_err(failed)?;
            let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| wrong(error.to_string()))?;
            for document in documents.into_iter().filter(|document| !document.is_null()) {
                take(loading, &document).map_err(wrong)?;
            }
        }
        "jsonl" | "ndjson" => {
            let mut line = Vec::new();
            for number in 1_usize.. {
                line.clear();
                if contents.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                    break;
                }
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let object =
                    loading.interner().read(&line).map_err(|error| wrong(format!("line {number}: {error}")))?;
                take(loading, &object).map_err(|why| wrong(format!("line {number}: {why}")))?;
            }
        }
        // Lists and lines alike: some write JSON Lines into a `.json`.
        _ => {
            let mut text = Vec::new();
            contents.read_to_end(&mut text).map_err(failed)?;
            let mut documents = Vec::new();
            match loading.interner().read(&text) {
                Ok(document) => documents.push(document),
                // Several, or what is no JSON.
                Err(_) => loading
                    .interner()
                    .parse_all(&text, |_, document| documents.push(document))
                    .map_err(|error| wrong(error.to_string()))?,
            }
            for document in &documents {
                take(loading, document).map_err(wrong)?;
            }
        }
    }
    Ok(())
}

/// Takes in an object, or a list of objects.
fn take(loading: &mut Loading, document: &Value) -> Result<(), String> {
    let kindless = |document: &Value| format!("this is no Kubernetes object, it has no kind: {}", head(document));
    let kind = document.at(&["kind"]).str_or_empty();
    if kind.is_empty() {
        return Err(kindless(document));
    }
    // The items of a typed list have the kind that its own says.
    if kind == "List"
        && let Some(item) = document.at(&["items"]).items().iter().find(|item| item.at(&["kind"]).is_empty())
    {
        return Err(kindless(item));
    }
    loading.take(document);
    Ok(())
}

fn head(document: &Value) -> String {
    document.to_json().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}"#;

    fn names(files: &[(&str, Vec<u8>)]) -> Result<Vec<String>, SnapshotError> {
        let folder = std::env::temp_dir().join(format!("lazaret-{}", crate::message::random_word().unwrap()));
        std::fs::create_dir(&folder).unwrap();
        for (name, contents) in files {
            std::fs::write(folder.join(name), contents).unwrap();
        }
        let read = load(std::slice::from_ref(&folder), None, 0);
        std::fs::remove_dir_all(&folder).unwrap();
        Ok(shown(&read?))
    }

    fn shown(cluster: &Cluster) -> Vec<String> {
        cluster.objects().map(|(_, object)| format!("{}/{}", object.kind(), object.name())).collect()
    }

    fn gzip(plain: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_snapshot_is_read_in_every_form_it_may_take() {
        let list = format!(r#"{{"kind":"List","items":[{POD}]}}"#);
        let typed = r#"{"apiVersion":"v1","kind":"NodeList","items":[{"metadata":{"name":"n"}}]}"#;
        let zst = ruzstd::encoding::compress_to_vec(POD.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
        for (name, contents, expected) in [
            ("a.json", POD.into(), "Pod/a"),
            ("a.json", list.clone().into(), "Pod/a"),
            ("a.json", typed.into(), "Node/n"),
            ("a.yaml", "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n".into(), "Pod/a"),
            ("a.jsonl", format!("{POD}\n\n").into(), "Pod/a"),
            ("a.json.gz", gzip(&list), "Pod/a"),
            ("a.jsonl.zst", zst, "Pod/a"),
        ] {
            assert_eq!(names(&[(name, contents)]).unwrap(), [expected], "{name}");
        }
        let others = [("traffic.yaml", b"services: {}".to_vec()), ("notes.txt", b"x".to_vec())];
        assert_eq!(names(&others).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn the_load_that_is_told_beside_a_snapshot_stands_on_its_services() {
        let service = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"}}"#;
        let with = |traffic: &str| {
            let folder = std::env::temp_dir().join(crate::message::random_word().unwrap());
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("a.json"), service).unwrap();
            std::fs::write(folder.join("traffic.yaml"), traffic).unwrap();
            let read = load(&[folder.join("a.json")], None, 0);
            std::fs::remove_dir_all(&folder).unwrap();
            read.map_err(|error| error.to_string())
        };
        let cluster = with("services: {shop/web: {requests-per-second: 900, calls: stock=2}}").unwrap();
        let profile = &traffic::around(&cluster, ["shop/web".to_owned()]).services["shop/web"];
        assert_eq!((profile.arrivals.at(0.0), profile.calls[0].each), (900.0, 2.0));
        let hours = format!("services: {{shop/web: {{requests-by-hour: {:?}}}}}", [7.0; 168]);
        assert_eq!(
            traffic::around(&with(&hours).unwrap(), ["shop/web".to_owned()]).services["shop/web"].arrivals.at(5.0),
            7.0
        );
        for (wrong, says) in [
            ("services: {shop/wbe: {requests-per-second: 900}}", "no Service shop/wbe"),
            ("services: {web: {requests-per-second: 900}}", "no namespace/name"),
            ("services: {shop/web: {requests: 900}}", "neither requests-per-second"),
        ] {
            assert!(with(wrong).err().unwrap().contains(says), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let pod = Value::from_json(POD.as_bytes()).unwrap();
        let mut other = pod.clone();
        other.set(&["metadata", "name"], "b");
        for name in ["a.json", "a.json.gz", "a.json.zst"] {
            let path = std::env::temp_dir().join(format!("{}-{name}", crate::message::random_word().unwrap()));
            write(&path, [&pod, &other].into_iter()).unwrap();
            let read = load(std::slice::from_ref(&path), None, 0);
            std::fs::remove_file(&path).unwrap();
            assert_eq!(shown(&read.unwrap()), ["Pod/a", "Pod/b"], "{name}");
        }
    }

    #[test]
    fn what_is_no_object_is_named_with_its_file() {
        for (name, contents) in [("a.json", "{"), ("a.json", "[]"), ("a.jsonl", "{}\nx"), ("a.json.gz", "plain")] {
            let error = names(&[(name, contents.into())]).unwrap_err();
            let shown = error.to_string();
            assert!(shown.contains(name), "{shown}");
        }
    }
}
