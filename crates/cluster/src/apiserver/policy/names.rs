//! What a policy's expressions may speak of.
//!
//! Knows: the names, their types, and a policy's variables, which are expressions themselves.
//! Does not know: what the names stand for in a request.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use cel::{CompileError, Env, Program, Type};

use crate::value::{Text, Value};

/// A policy's variables, each compiled with those before it in sight.
pub(in crate::apiserver) struct Variables {
    /// What expressions that may use them may speak of.
    pub(in crate::apiserver) env: Env,
    /// By name, in the order in which the policy has them.
    pub(in crate::apiserver) programs: Vec<(Text, Result<Program, CompileError>)>,
}

/// What compiling an expression came to.
type Compilation = Result<Program, CompileError>;

/// A policy whose expressions have been compiled, each when it was first asked.
pub(super) struct Compiled {
    spec: Value,
    pub(super) variables: Variables,
    for_messages: Env,
    /// By expression, and whether it makes a message.
    programs: RefCell<BTreeMap<(bool, Text), Rc<Compilation>>>,
}

/// So many compiled policies are kept at most.
const KEPT_MAX: usize = 256;

thread_local! {
    /// Compiled policies by their uids. What a policy means follows from its spec alone, so whoever remembers it answers
    /// as who compiles it anew, and forks need not know of each other.
    static KEPT: RefCell<BTreeMap<String, Rc<Compiled>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Compiled {
    /// The policy as it is now. `with` gives names besides those that every policy has.
    pub(super) fn of(policy: &Value, with: fn(Env) -> Env) -> Rc<Self> {
        let spec = policy.at(&["spec"]);
        let kept = KEPT.with_borrow(|kept| kept.get(policy.uid()).cloned());
        if let Some(kept) = kept.filter(|kept| kept.spec == *spec) {
            return kept;
        }
        let base = with(env(policy, Type::Dyn, true));
        let compiled = Rc::new(Self {
            spec: spec.clone(),
            variables: with_variables(policy, &base),
            for_messages: with_variables(policy, &env(policy, Type::Dyn, false)).env,
            programs: RefCell::default(),
        });
        if !policy.uid().is_empty() {
            KEPT.with_borrow_mut(|kept| {
                if kept.len() >= KEPT_MAX {
                    kept.clear();
                }
                kept.insert(policy.uid().to_owned(), compiled.clone());
            });
        }
        compiled
    }

    /// One of its expressions.
    pub(super) fn program(&self, expression: &str) -> Rc<Compilation> {
        self.kept(false, expression, &self.variables.env)
    }

    /// One of its expressions, as that of a message.
    pub(super) fn message(&self, expression: &str) -> Rc<Compilation> {
        self.kept(true, expression, &self.for_messages)
    }

    fn kept(&self, message: bool, expression: &str, env: &Env) -> Rc<Compilation> {
        let mut programs = self.programs.borrow_mut();
        programs.entry((message, Text::from(expression))).or_insert_with(|| Rc::new(env.compile(expression))).clone()
    }
}

/// The names that a policy's expressions may use: all but its variables.
pub(in crate::apiserver) fn env(policy: &Value, object: Type, authorizer: bool) -> Env {
    env_of(policy, object, Type::Dyn, authorizer)
}

/// The same where the type of the parameters is known.
pub(super) fn env_of(policy: &Value, object: Type, params: Type, authorizer: bool) -> Env {
    let mut env = Env::new()
        .with("object", object.clone())
        .with("oldObject", object)
        .with("request", request())
        .with("namespaceObject", namespace());
    if !policy.at(&["spec", "paramKind"]).is_null() {
        env = env.with("params", params);
    }
    if authorizer {
        env = env
            .with("authorizer", Type::Opaque("kubernetes.authorization.Authorizer"))
            .with("authorizer.requestResource", Type::Opaque("kubernetes.authorization.ResourceCheck"));
    }
    env
}

/// The same with its variables.
pub(in crate::apiserver) fn with_variables(policy: &Value, env: &Env) -> Variables {
    let (mut fields, mut programs) = (BTreeMap::new(), Vec::new());
    let with = |fields: &BTreeMap<Text, Type>| {
        let fields = fields.iter().map(|(name, ty)| (name.clone(), ty.clone()));
        env.clone().with("variables", Type::structure("kubernetes.variables", fields))
    };
    for variable in policy.at(&["spec", "variables"]).items() {
        let name = variable.at(&["name"]).as_text().cloned().unwrap_or_default();
        let program = with(&fields).compile(variable.at(&["expression"]).str_or_empty());
        fields.insert(name.clone(), program.as_ref().map_or(Type::Dyn, |program| program.ty().clone()));
        programs.push((name, program));
    }
    // What only validates has no name for variables if it has none.
    let validates = policy.kind() == "ValidatingAdmissionPolicy";
    let env = if programs.is_empty() && validates { env.clone() } else { with(&fields) };
    Variables { env, programs }
}

fn structure(name: &'static str, fields: &[(&'static str, Type)]) -> Type {
    Type::structure(name, fields.iter().map(|(name, ty)| (Text::from(*name), ty.clone())))
}

/// `request`: what is asked for, by whom.
fn request() -> Type {
    let kind = structure(
        "kubernetes.GroupVersionKind",
        &[("group", Type::String), ("version", Type::String), ("kind", Type::String)],
    );
    let resource = structure(
        "kubernetes.GroupVersionResource",
        &[("group", Type::String), ("version", Type::String), ("resource", Type::String)],
    );
    let user = structure(
        "kubernetes.UserInfo",
        &[
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", Type::list(Type::String)),
            ("extra", Type::map(Type::list(Type::String))),
        ],
    );
    structure(
        "kubernetes.AdmissionRequest",
        &[
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            ("subResource", Type::String),
            ("requestKind", kind),
            ("requestResource", resource),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

/// `namespaceObject`: of a namespace, what may be known.
fn namespace() -> Type {
    let metadata = structure(
        "kubernetes.NamespaceMetadata",
        &[
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", Type::map(Type::String)),
            ("annotations", Type::map(Type::String)),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", Type::list(Type::String)),
        ],
    );
    let spec = structure("kubernetes.NamespaceSpec", &[("finalizers", Type::list(Type::String))]);
    let status = structure("kubernetes.NamespaceStatus", &[("phase", Type::String)]);
    structure("kubernetes.Namespace", &[("metadata", metadata), ("spec", spec), ("status", status)])
}
