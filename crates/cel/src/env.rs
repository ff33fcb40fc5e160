//! Which names an expression may use, and an expression that uses only them.
//!
//! Knows: variables and their types.
//! Does not know: their values, before it is evaluated.

use std::collections::BTreeMap;

use arcstr::ArcStr as Text;

use crate::ast::{Expr, Kind};
use crate::check;
use crate::error::{CompileError, Error, Issue};
use crate::estimate::{self, Sizes};
use crate::eval;
use crate::library::authorizer::Authorizer;
use crate::meter::Meter;
use crate::parse;
use crate::types::Type;
use crate::value::Value;

/// The names that an expression may use. Cheap to build; Kubernetes' library is in every one.
#[derive(Debug, Clone, Default)]
pub struct Env {
    variables: BTreeMap<Text, Type>,
    structs: BTreeMap<Text, Type>,
    doubt: bool,
}

impl Env {
    /// Only the library.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more variable.
    #[must_use]
    pub fn with(mut self, name: impl Into<Text>, ty: Type) -> Self {
        self.variables.insert(name.into(), ty);
        self
    }

    /// With a type that expressions can make values of, as in `JSONPatch{op: 'add'}`. If it is open, so are those whose
    /// names begin with its name and a dot.
    #[must_use]
    pub fn with_struct(mut self, name: impl Into<Text>, ty: Type) -> Self {
        self.structs.insert(name.into(), ty);
        self
    }

    /// With numbers and lists that are not known for sure, and what may be asked of them.
    #[must_use]
    pub fn with_doubt(mut self) -> Self {
        self.doubt = true;
        self
    }

    pub(crate) fn doubts(&self) -> bool {
        self.doubt
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&Type> {
        self.variables.get(name)
    }

    /// Whether there is a function, as far as that depends on what there is besides.
    pub(crate) fn has_function(&self, name: &str) -> bool {
        !name.starts_with("jsonpatch.") || self.structs.contains_key("JSONPatch")
    }

    pub(crate) fn structure(&self, name: &str) -> Option<Type> {
        let root = name.split('.').next().unwrap_or(name);
        let open = |ty: &&Type| matches!(ty, Type::Struct(of) if of.open);
        let below = || self.structs.get(root).filter(open).map(|_| Type::open(name));
        self.structs.get(name).cloned().or_else(below)
    }

    /// Reads an expression, and finds out its type.
    ///
    /// # Errors
    /// What is wrong with it, as cel-go would say it.
    pub fn compile(&self, source: &str) -> Result<Program, CompileError> {
        let failed = |issues| CompileError { source: source.to_owned(), issues };
        let issue = |fault: crate::lexer::Fault| Issue { at: Some(fault.at), message: fault.message };
        let expr = parse::parse(source).map_err(|faults| failed(faults.into_iter().map(issue).collect()))?;
        let ty = check::check(self, &expr).map_err(failed)?;
        if let Some(error) = eval::constants(&expr) {
            let message = format!("program instantiation failed: {error}");
            return Err(failed(vec![Issue { at: None, message }]));
        }
        Ok(Program { expr, ty })
    }
}

/// An expression that can be evaluated.
#[derive(Debug, Clone)]
pub struct Program {
    expr: Expr,
    ty: Type,
}

impl Program {
    /// What it will be; `dyn` if only the evaluation tells.
    #[must_use]
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// Whether it speaks of a variable.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        self.expr.any(&mut |part| matches!(&part.kind, Kind::Ident(name) if name == variable))
    }

    /// The most that it may cost, where things are as large as they may be.
    #[must_use]
    pub fn estimate(&self, sizes: Sizes<'_>) -> u64 {
        estimate::estimate(&self.expr, sizes)
    }

    /// Works out what it comes to.
    ///
    /// # Errors
    /// What went wrong, as cel-go would say it; or that it costs more than the meter allows.
    pub fn eval(&self, variables: &dyn Variables, meter: &mut Meter) -> Result<Value, Error> {
        eval::eval(&self.expr, variables, meter)
    }
}

/// What the names of an expression stand for when it is evaluated.
pub trait Variables {
    /// The value of a variable; none if there is no such one.
    fn get(&self, name: &str) -> Option<Value>;

    /// The value of a variable's field, if that is worked out only when it is asked for. What that costs is charged.
    fn field(&self, _variable: &str, _field: &str, _meter: &mut Meter) -> Option<Result<Value, Error>> {
        None
    }

    /// Who answers what `authorizer` asks.
    fn authorizer(&self) -> Option<&dyn Authorizer> {
        None
    }
}

impl Variables for BTreeMap<Text, Value> {
    fn get(&self, name: &str) -> Option<Value> {
        self.get(name).cloned()
    }
}
