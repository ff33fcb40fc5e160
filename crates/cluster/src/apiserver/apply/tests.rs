//! What becomes of objects and their owners, as clients see it.

use crate::apiserver::{self, Content, Request, User};
use crate::cluster::Cluster;
use crate::testing;
use crate::value::Value;

/// Clients of one small cluster.
struct Clients(Cluster);

const MAP: &str = "/api/v1/namespaces/shop/configmaps/a";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const SERVICE: &str = "/api/v1/namespaces/shop/services/web";

impl Clients {
    fn new() -> Self {
        Self(testing::cluster(&[]))
    }

    /// Sends a request; a second passes first.
    fn send(&mut self, method: &str, target: &str, kind: &str, body: &str) -> Result<Value, String> {
        let later = self.0.now() + std::time::Duration::from_secs(1);
        self.0.advance(later);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = [("content-type".to_owned(), kind.to_owned()), ("user-agent".to_owned(), "test/1".to_owned())];
        let request = Request { method, path, query, headers: &headers, body: body.as_bytes() };
        let answer = apiserver::decode(&self.0.schema.clone(), &request)
            .and_then(|call| apiserver::handle(&mut self.0, &call, &User::admin()))
            .map_err(|status| format!("{} {}", status.code, status.message))?;
        let Content::Document(document) = answer.content else { panic!("no document") };
        Ok(document)
    }

    fn apply(&mut self, manager: &str, path: &str, fields: &str) -> Result<Value, String> {
        let (head, name) = match path {
            MAP => (r#""apiVersion":"v1","kind":"ConfigMap""#, "a"),
            SERVICE => (r#""apiVersion":"v1","kind":"Service""#, "web"),
            _ => (r#""apiVersion":"apps/v1","kind":"Deployment""#, "web"),
        };
        let metadata = if fields.starts_with("\"metadata\"") {
            String::new()
        } else {
            format!(r#","metadata":{{"name":"{name}"}}"#)
        };
        let comma = if fields.is_empty() { "" } else { "," };
        let body = format!("{{{head}{metadata}{comma}{fields}}}");
        self.send("PATCH", &format!("{path}?fieldManager={manager}"), "application/apply-patch+yaml", &body)
    }

    fn post(&mut self, target: &str, body: &str) -> Value {
        self.send("POST", target, "application/json", body).unwrap()
    }

    fn merge(&mut self, target: &str, body: &str) -> Value {
        self.send("PATCH", target, "application/merge-patch+json", body).unwrap()
    }
}

/// One line for each owner: who, how, after how many seconds, what.
fn owners(object: &Value) -> Vec<String> {
    let entries = object.at(&["metadata", "managedFields"]).items().iter();
    entries
        .map(|entry| {
            let text = |field: &str| entry.at(&[field]).str_or_empty().to_owned();
            let time =
                text("time").strip_prefix("2026-01-01T00:00:").map_or("-".to_owned(), |time| time.replace('Z', ""));
            let below = [text("subresource")].into_iter().filter(|it| !it.is_empty()).map(|it| format!("/{it}"));
            let fields = entry.at(&["fieldsV1"]).to_json().replace(['"', '\\'], "");
            format!("{}{} {} {time} {fields}", text("manager"), below.collect::<String>(), text("operation"))
        })
        .collect()
}

const WEB: &str = r#""spec":{"replicas":1,"paused":true,"selector":{"matchLabels":{"app":"web"}},"template":{
    "metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"web","image":"nginx:1"}]}}}"#;

#[test]
fn who_makes_an_object_owns_what_it_says_and_what_is_defaulted_then() {
    let mut clients = Clients::new();
    let body = format!(r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"web"}},{WEB}}}"#);
    let made = clients.post("/apis/apps/v1/namespaces/shop/deployments?fieldManager=me", &body);
    assert_eq!(
        owners(&made),
        ["me Update 01 {f:spec:{f:paused:{},f:progressDeadlineSeconds:{},f:replicas:{},f:revisionHistoryLimit:{},\
          f:selector:{},f:strategy:{f:rollingUpdate:{.:{},f:maxSurge:{},f:maxUnavailable:{}},f:type:{}},\
          f:template:{f:metadata:{f:labels:{.:{},f:app:{}}},f:spec:{f:containers:{k:{name:web}:{.:{},f:image:{},\
          f:imagePullPolicy:{},f:name:{},f:resources:{},f:terminationMessagePath:{},f:terminationMessagePolicy:{}}},\
          f:dnsPolicy:{},f:restartPolicy:{},f:schedulerName:{},f:securityContext:{},f:terminationGracePeriodSeconds:{}}}}}"]
    );
}

#[test]
fn who_updates_takes_over_what_it_changes_and_a_manager_without_fields_goes() {
    let mut clients = Clients::new();
    clients
        .post("/api/v1/namespaces/shop/configmaps?fieldManager=helm", r#"{"metadata":{"name":"a"},"data":{"x":"1"}}"#);
    let object = clients.merge(&format!("{MAP}?fieldManager=edit"), r#"{"data":{"y":"2"}}"#);
    assert_eq!(owners(&object), ["helm Update 01 {f:data:{.:{},f:x:{}}}", "edit Update 02 {f:data:{f:y:{}}}"]);
    let object = clients.merge(&format!("{MAP}?fieldManager=edit"), r#"{"data":{"x":"9"}}"#);
    assert_eq!(owners(&object), ["helm Update 01 {f:data:{}}", "edit Update 03 {f:data:{f:x:{},f:y:{}}}"]);
    let object = clients.merge(&format!("{MAP}?fieldManager=edit"), r#"{"data":null}"#);
    assert_eq!(owners(&object), Vec::<String>::new());
}

#[test]
fn applying_the_same_again_changes_nothing_not_even_the_version() {
    let mut clients = Clients::new();
    let first = clients.apply("one", MAP, r#""data":{"x":"1"}"#).unwrap();
    assert_eq!(owners(&first), ["one Apply 01 {f:data:{f:x:{}}}"]);
    assert_eq!(clients.apply("one", MAP, r#""data":{"x":"1"}"#).unwrap(), first);
}

#[test]
fn who_applies_what_is_there_shares_it_and_what_nobody_applies_any_more_goes() {
    let mut clients = Clients::new();
    clients.apply("one", MAP, r#""data":{"x":"1","y":"2"}"#).unwrap();
    let shared = clients.apply("two", MAP, r#""data":{"y":"2"}"#).unwrap();
    assert_eq!(owners(&shared), ["two Apply - {f:data:{f:y:{}}}", "one Apply 01 {f:data:{f:x:{},f:y:{}}}"]);
    let object = clients.apply("one", MAP, r#""data":{"q":"9"}"#).unwrap();
    assert_eq!(object.at(&["data"]).to_json(), r#"{"q":"9","y":"2"}"#);
    let object = clients.apply("two", MAP, "").unwrap();
    assert_eq!(object.at(&["data"]).to_json(), r#"{"q":"9"}"#);
    assert_eq!(owners(&object), ["one Apply 03 {f:data:{f:q:{}}}"]);
}

#[test]
fn what_another_owns_is_a_conflict_until_it_is_forced() {
    let mut clients = Clients::new();
    clients.apply("one", MAP, r#""data":{"x":"1"}"#).unwrap();
    assert_eq!(
        clients.apply("two", MAP, r#""data":{"x":"2"}"#).unwrap_err(),
        r#"409 Apply failed with 1 conflict: conflict with "one": .data.x"#
    );
    let taken = clients.apply("two&force=true", MAP, r#""data":{"x":"2"}"#).unwrap();
    assert_eq!(owners(&taken), ["two Apply 03 {f:data:{f:x:{}}}"]);
    clients.merge(&format!("{MAP}?fieldManager=edit"), r#"{"data":{"x":"3","y":"3"}}"#);
    assert_eq!(
        clients.apply("two", MAP, r#""data":{"x":"2","y":"2"}"#).unwrap_err(),
        "409 Apply failed with 2 conflicts: conflicts with \"edit\" using v1:\n- .data.x\n- .data.y"
    );
}

#[test]
fn elements_of_a_list_are_owned_by_their_keys_and_stand_in_the_order_of_who_applied() {
    let mut clients = Clients::new();
    clients.apply("one", DEPLOYMENT, WEB).unwrap();
    let side = r#""spec":{"template":{"spec":{"containers":[{"name":"side","image":"s"},{"name":"web"}]}}}"#;
    let object = clients.apply("two", DEPLOYMENT, side).unwrap();
    let names = |object: &Value| -> Vec<String> {
        let containers = object.at(&["spec", "template", "spec", "containers"]).items().iter();
        containers.map(|one| one.name_field()).collect()
    };
    assert_eq!(names(&object), ["side", "web"]);
    let other = r#""spec":{"template":{"spec":{"containers":[{"name":"web","image":"other"}]}}}"#;
    assert_eq!(
        clients.apply("three", DEPLOYMENT, other).unwrap_err(),
        r#"409 Apply failed with 1 conflict: conflict with "one": .spec.template.spec.containers[name="web"].image"#
    );
    assert_eq!(names(&clients.apply("two", DEPLOYMENT, "").unwrap()), ["web"]);
}

impl Value {
    fn name_field(&self) -> String {
        self.at(&["name"]).str_or_empty().to_owned()
    }
}

#[test]
fn what_is_atomic_is_owned_whole() {
    let mut clients = Clients::new();
    let object = clients.apply("one", SERVICE, r#""spec":{"selector":{"app":"web"},"ports":[{"port":80}]}"#).unwrap();
    assert_eq!(
        owners(&object),
        ["one Apply 01 {f:spec:{f:ports:{k:{port:80,protocol:TCP}:{.:{},f:port:{}}},f:selector:{}}}"]
    );
    assert_eq!(
        clients.apply("two", SERVICE, r#""spec":{"selector":{"v":"2"}}"#).unwrap_err(),
        r#"409 Apply failed with 1 conflict: conflict with "one": .spec.selector"#
    );
    let object = clients.apply("two&force=true", SERVICE, r#""spec":{"selector":{"v":"2"}}"#).unwrap();
    assert_eq!(object.at(&["spec", "selector"]).to_json(), r#"{"v":"2"}"#);
}

#[test]
fn a_document_that_does_not_fit_its_type_is_not_applied() {
    let mut clients = Clients::new();
    let typed = "500 failed to create typed patch object";
    for (path, fields, want) in [
        (MAP, r#""bogus":1"#, "(/a; /v1, Kind=ConfigMap): .bogus: field not declared in schema"),
        (
            MAP,
            r#""data":{"x":1}"#,
            "(/a; /v1, Kind=ConfigMap): .data.x: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            DEPLOYMENT,
            r#""spec":{"replicas":"two"}"#,
            "(/web; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string",
        ),
        (
            DEPLOYMENT,
            r#""spec":{"template":{"spec":{"containers":[{"name":"a"},{"name":"a"}]}}}"#,
            "(/web; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (
            SERVICE,
            r#""spec":{"ports":[{"port":80},{"port":80}]}"#,
            "(/web; /v1, Kind=Service): .spec.ports: duplicate entries for key [port=80,protocol=\"TCP\"]",
        ),
    ] {
        assert_eq!(clients.apply("a", path, fields).unwrap_err(), format!("{typed} {want}"));
    }
    assert_eq!(
        clients.apply("a", MAP, r#""metadata":{"name":"a","managedFields":[{}]}"#).unwrap_err(),
        "400 metadata.managedFields must be nil"
    );
}

#[test]
fn kubectl_takes_over_what_its_client_side_apply_wrote_and_keeps_its_note() {
    let mut clients = Clients::new();
    let last = "kubectl.kubernetes.io/last-applied-configuration";
    let note =
        r#"{\"apiVersion\":\"v1\",\"data\":{\"x\":\"1\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}\n"#;
    let body = format!(r#"{{"metadata":{{"name":"a","annotations":{{"{last}":"{note}"}}}},"data":{{"x":"1"}}}}"#);
    clients.post("/api/v1/namespaces/shop/configmaps?fieldManager=kubectl-client-side-apply", &body);
    let refused = clients.apply("other", MAP, r#""data":{"x":"2"}"#).unwrap_err();
    assert!(refused.ends_with(r#"conflict with "kubectl-client-side-apply" using v1: .data.x"#), "{refused}");
    let object = clients.apply("kubectl", MAP, r#""data":{"x":"2"}"#).unwrap();
    assert_eq!(
        owners(&object),
        [
            "kubectl Apply 03 {f:data:{f:x:{}}}".to_owned(),
            format!(
                "kubectl-client-side-apply Update 01 {{f:data:{{}},f:metadata:{{f:annotations:{{.:{{}},f:{last}:{{}}}}}}}}"
            ),
        ]
    );
    assert!(object.annotation(last).unwrap().contains(r#""data":{"x":"2"}"#));
}

#[test]
fn scaling_takes_the_replicas_and_nothing_else() {
    let mut clients = Clients::new();
    clients.apply("gitops", DEPLOYMENT, WEB).unwrap();
    clients.merge(&format!("{DEPLOYMENT}/scale?fieldManager=scaler"), r#"{"spec":{"replicas":3}}"#);
    let refused = clients.apply("gitops", DEPLOYMENT, WEB).unwrap_err();
    let want = r#"conflict with "scaler" with subresource "scale" using apps/v1: .spec.replicas"#;
    assert!(refused.ends_with(want), "{refused}");
    let without = WEB.replace(r#""replicas":1,"#, "");
    let object = clients.apply("gitops", DEPLOYMENT, &without).unwrap();
    assert_eq!(object.at(&["spec", "replicas"]).as_int(), Some(3));
    assert!(owners(&object).contains(&"scaler/scale Update - {f:spec:{f:replicas:{}}}".to_owned()), "{object}");
}

#[test]
fn managed_fields_can_be_forgotten_and_are_kept_again_from_the_next_apply() {
    let mut clients = Clients::new();
    clients.apply("one", MAP, r#""data":{"x":"1"}"#).unwrap();
    let forgotten = clients.merge(MAP, r#"{"metadata":{"managedFields":[{}]}}"#);
    assert_eq!(owners(&forgotten), Vec::<String>::new());
    let object = clients.merge(MAP, r#"{"data":{"y":"2"}}"#);
    assert_eq!(owners(&object), Vec::<String>::new());
    let object = clients.apply("one", MAP, r#""data":{"z":"3"}"#).unwrap();
    assert_eq!(
        owners(&object),
        ["one Apply 04 {f:data:{f:z:{}}}", "before-first-apply Update 04 {f:data:{.:{},f:x:{},f:y:{}}}"]
    );
}

#[test]
fn the_oldest_of_many_updates_become_one() {
    let mut clients = Clients::new();
    clients
        .post("/api/v1/namespaces/shop/configmaps?fieldManager=m00", r#"{"metadata":{"name":"a"},"data":{"k00":""}}"#);
    for at in 1..12 {
        clients.merge(&format!("{MAP}?fieldManager=m{at:02}"), &format!(r#"{{"data":{{"k{at:02}":""}}}}"#));
    }
    let object = clients.send("GET", MAP, "", "").unwrap();
    let owners = owners(&object);
    assert_eq!(owners.len(), 10, "{owners:?}");
    assert_eq!(owners[0], "ancient-changes Update 03 {f:data:{.:{},f:k00:{},f:k01:{},f:k02:{}}}");
}

#[test]
fn what_a_status_says_is_not_owned_through_the_object_itself() {
    let mut clients = Clients::new();
    let fields = format!(r#"{WEB},"status":{{"replicas":9}}"#);
    let object = clients.apply("one", DEPLOYMENT, &fields).unwrap();
    assert!(!owners(&object)[0].contains("f:status"), "{object}");
    let object = clients.merge(&format!("{DEPLOYMENT}/status?fieldManager=two"), r#"{"status":{"replicas":2}}"#);
    assert!(owners(&object).contains(&"two/status Update 02 {f:status:{f:replicas:{}}}".to_owned()), "{object}");
}
