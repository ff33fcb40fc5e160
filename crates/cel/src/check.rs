//! What type an expression has, and whether it can have one.
//!
//! Knows: cel-go's rules of assignment and overload resolution, and its messages.
//! Does not know: values. What is `dyn` is left to the evaluation.

use arcstr::ArcStr as Text;

use crate::ast::{Access, BindKind, Expr, Fold, FoldKind, Kind};
use crate::env::Env;
use crate::error::Issue;
use crate::library::{self, Overload};
use crate::types::Type;
use crate::value::Value;

/// The type of an expression.
///
/// # Errors
/// What is wrong with it; never nothing.
pub(crate) fn check(env: &Env, expr: &Expr) -> Result<Type, Vec<Issue>> {
    let mut checker =
        Checker { env, scopes: Vec::new(), bindings: Vec::new(), issues: Vec::new(), late: Vec::new(), mixed: false };
    let ty = checker.expr(expr);
    let ty = checker.settled(&ty);
    if checker.issues.is_empty() {
        checker.issues = std::mem::take(&mut checker.late);
    }
    checker.issues.sort_by_key(|issue| issue.at);
    if checker.issues.is_empty() { Ok(ty) } else { Err(checker.issues) }
}

struct Checker<'a> {
    env: &'a Env,
    /// What macros name, the innermost last.
    scopes: Vec<(Text, Type)>,
    /// What is found out of each type parameter.
    bindings: Vec<Option<Type>>,
    issues: Vec<Issue>,
    /// What is only looked at if all types fit: literals, and lists of several types.
    late: Vec<Issue>,
    /// Whether literals may have elements of many types here: those that are to be formatted may.
    mixed: bool,
}

impl Checker<'_> {
    fn issue(&mut self, at: usize, message: String) -> Type {
        self.issues.push(Issue { at: Some(at), message });
        Type::Dyn
    }

    fn fresh(&mut self) -> Type {
        self.bindings.push(None);
        Type::Param(u32::try_from(self.bindings.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }

    fn binding(&self, param: u32) -> Option<&Type> {
        self.bindings.get(param as usize)?.as_ref()
    }

    /// A type with what is known by now in place of parameters, at its top.
    fn known(&self, ty: &Type) -> Type {
        let mut ty = ty;
        while let Type::Param(param) = ty {
            let Some(bound) = self.binding(*param) else { break };
            ty = bound;
        }
        ty.clone()
    }

    /// A type with what is known in place of all parameters.
    fn resolved(&self, ty: &Type) -> Type {
        match self.known(ty) {
            Type::List(of) => Type::list(self.resolved(&of)),
            Type::Map(keys, values) => Type::Map(self.resolved(&keys).into(), self.resolved(&values).into()),
            Type::Optional(of) => Type::optional(self.resolved(&of)),
            Type::Type(of) => Type::Type(self.resolved(&of).into()),
            other => other,
        }
    }

    /// The same, and what is not known is anything.
    fn settled(&self, ty: &Type) -> Type {
        match self.known(ty) {
            Type::Param(_) => Type::Dyn,
            Type::List(of) => Type::list(self.settled(&of)),
            Type::Map(keys, values) => Type::Map(self.settled(&keys).into(), self.settled(&values).into()),
            Type::Optional(of) => Type::optional(self.settled(&of)),
            Type::Type(of) => Type::Type(self.settled(&of).into()),
            other => other,
        }
    }

    fn occurs(&self, param: u32, ty: &Type) -> bool {
        match self.known(ty) {
            Type::Param(other) => other == param,
            Type::List(of) | Type::Optional(of) | Type::Type(of) => self.occurs(param, &of),
            Type::Map(keys, values) => self.occurs(param, &keys) || self.occurs(param, &values),
            _ => false,
        }
    }

    /// Whether something of type `from` can stand where `to` is wanted; finds out parameters on the way. What was found
    /// out stays if it cannot: who asks puts that back.
    fn assign(&mut self, to: &Type, from: &Type) -> bool {
        let (to, from) = (self.known(to), self.known(from));
        match (&to, &from) {
            (Type::Param(one), Type::Param(two)) if one == two => true,
            (Type::Param(param), other) | (other, Type::Param(param)) => {
                if self.occurs(*param, other) {
                    return false;
                }
                if let Some(place) = self.bindings.get_mut(*param as usize) {
                    *place = Some(other.clone());
                }
                true
            }
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::Null, other) | (other, Type::Null) => matches!(
                other,
                Type::Null | Type::Struct(_) | Type::Opaque(_) | Type::Optional(_) | Type::Timestamp | Type::Duration
            ),
            (Type::List(to), Type::List(from)) | (Type::Optional(to), Type::Optional(from)) => self.assign(to, from),
            (Type::Map(keys, values), Type::Map(from_keys, from_values)) => {
                self.assign(keys, from_keys) && self.assign(values, from_values)
            }
            (Type::Type(_), Type::Type(_)) => true,
            (to, from) => to.is(from),
        }
    }

    /// The same, and nothing is found out if it cannot.
    fn assigns(&mut self, to: &Type, from: &Type) -> bool {
        let before = self.bindings.clone();
        let fits = self.assign(to, from);
        if !fits {
            self.bindings = before;
        }
        fits
    }

    fn expr(&mut self, expr: &Expr) -> Type {
        match &expr.kind {
            Kind::Literal(value) => literal(value),
            Kind::Ident(name) => self.ident(expr.at, name),
            Kind::Select { operand, field, access } => self.select(expr.at, operand, field, *access),
            Kind::Index { operand, index, optional } => self.index(expr.at, operand, index, *optional),
            Kind::Call { function, target, args } => self.call(expr.at, function, target.as_deref(), args),
            Kind::And(parts) | Kind::Or(parts) => self.logic(parts),
            Kind::Conditional(parts) => {
                let types: Vec<Type> = parts.iter().map(|part| self.expr(part)).collect();
                self.resolve(expr.at, "_?_:_", false, &types)
            }
            Kind::List(items) => {
                let mut of = None;
                for (item, optional) in items {
                    let ty = self.element(item, *optional);
                    of = Some(self.join(item.at, of, ty));
                }
                Type::list(of.unwrap_or_else(|| self.fresh()))
            }
            Kind::Map(entries) => {
                let (mut keys, mut values) = (None, None);
                for (key, value, optional) in entries {
                    // Keys that are no keys are left to the evaluation: so a type stays as large as its expression.
                    let ty = match self.expr(key) {
                        simple @ (Type::Bool | Type::Int | Type::Uint | Type::String) => simple,
                        _ => Type::Dyn,
                    };
                    keys = Some(self.join(key.at, keys, ty));
                    let ty = self.element(value, *optional);
                    values = Some(self.join(value.at, values, ty));
                }
                let keys = keys.unwrap_or_else(|| self.fresh());
                Type::Map(keys.into(), values.unwrap_or_else(|| self.fresh()).into())
            }
            Kind::Struct { name, fields } => self.structure(expr.at, name, fields),
            Kind::Fold(fold) => self.fold(expr.at, fold),
            Kind::Bind(bind) => {
                let value = self.expr(&bind.value);
                let bound = match (bind.kind, self.known(&value)) {
                    (BindKind::Plain, value) => value,
                    (_, Type::Optional(of)) => (*of).clone(),
                    (_, Type::Dyn) => Type::Dyn,
                    (_, other) => {
                        let message = format!(
                            "found no matching overload for 'hasValue' applied to '{}.()'",
                            self.resolved(&other).short()
                        );
                        self.issue(expr.at, message)
                    }
                };
                let body = self.within(&[(bind.name.clone(), bound)], &bind.body);
                if bind.kind == BindKind::Optional { Type::optional(body) } else { body }
            }
        }
    }

    fn within(&mut self, names: &[(Text, Type)], body: &Expr) -> Type {
        let outer = self.scopes.len();
        self.scopes.extend_from_slice(names);
        let ty = self.expr(body);
        self.scopes.truncate(outer);
        ty
    }

    fn ident(&mut self, at: usize, name: &Text) -> Type {
        if let Some((_, ty)) = self.scopes.iter().rev().find(|(have, _)| have == name) {
            return ty.clone();
        }
        if let Some(ty) = self.env.variable(name) {
            return ty.clone();
        }
        if let Some(ty) = library::type_named(name) {
            return Type::Type(ty.into());
        }
        self.issue(at, format!("undeclared reference to '{name}' (in container '')"))
    }

    fn select(&mut self, at: usize, operand: &Expr, field: &Text, access: Access) -> Type {
        if access == Access::Plain
            && let Some(name) = dotted(operand)
            && let Some(ty) = library::type_named(&format!("{name}.{field}"))
            && self.env.variable(name.split('.').next().unwrap_or("")).is_none()
        {
            return Type::Type(ty.into());
        }
        // A variable's name may have dots in it: `authorizer.requestResource`.
        if let Kind::Ident(name) = &operand.kind
            && let Some(ty) = self.env.variable(&format!("{name}.{field}"))
        {
            return ty.clone();
        }
        let of = self.expr(operand);
        let of = self.known(&of);
        let (of, chained) = match of {
            Type::Optional(of) => (self.known(&of), true),
            other => (other, false),
        };
        let ty = match of {
            Type::Dyn => Type::Dyn,
            Type::Param(_) => {
                self.assign(&Type::Dyn, &of);
                Type::Dyn
            }
            Type::Map(_, values) => (*values).clone(),
            Type::Struct(of) => match of.field(field) {
                Some(ty) => ty,
                None => self.issue(at, format!("undefined field '{field}'")),
            },
            other => {
                let message = format!("type '{}' does not support field selection", self.resolved(&other).short());
                self.issue(at, message)
            }
        };
        match access {
            Access::Has => Type::Bool,
            Access::Plain if !chained => ty,
            Access::Plain | Access::Optional => Type::optional(ty),
        }
    }

    fn index(&mut self, at: usize, operand: &Expr, index: &Expr, optional: bool) -> Type {
        let of = self.expr(operand);
        let by = self.expr(index);
        let of = self.known(&of);
        let (inner, chained) = match &of {
            Type::Optional(of) => (self.known(of), true),
            other => (other.clone(), false),
        };
        let ty = match &inner {
            Type::Dyn | Type::Param(_) => Some(Type::Dyn),
            Type::List(items) => self.assigns(&Type::Int, &by).then(|| (**items).clone()),
            Type::Map(keys, values) => self.assigns(keys, &by).then(|| (**values).clone()),
            _ => None,
        };
        let Some(ty) = ty else {
            let function = if optional { "_[?_]" } else { "_[_]" };
            let message = format!(
                "found no matching overload for '{function}' applied to '({}, {})'",
                self.resolved(&of).short(),
                self.resolved(&by).short()
            );
            return self.issue(at, message);
        };
        if optional || chained { Type::optional(ty) } else { ty }
    }

    /// Operands of `&&` and `||` are truths, each by itself.
    fn logic(&mut self, parts: &[Expr]) -> Type {
        for part in parts {
            let ty = self.expr(part);
            self.truth(part.at, &ty);
        }
        Type::Bool
    }

    fn truth(&mut self, at: usize, ty: &Type) {
        if !self.assigns(&Type::Bool, ty) {
            let found = self.resolved(ty).short();
            self.issue(at, format!("expected type 'bool' but found '{found}'"));
        }
    }

    /// Literal formats of literal lists are looked at at once.
    fn check_format(&mut self, at: usize, function: &str, target: Option<&Expr>, args: &[Expr]) {
        let ("format", Some(target), [list]) = (function, target, args) else { return };
        let (Kind::Literal(Value::String(text)), Kind::List(items)) = (&target.kind, &list.kind) else { return };
        let (known, outside) = (self.issues.len(), self.mixed);
        self.mixed = true;
        let parts: Vec<Type> = items
            .iter()
            .map(|(item, optional)| {
                let ty = self.element(item, *optional);
                self.resolved(&ty)
            })
            .collect();
        self.mixed = outside;
        self.issues.truncate(known);
        if let Some((part, message)) = library::misformed(text, &parts) {
            let at = part.and_then(|part| items.get(part)).map_or(at, |(item, _)| item.at);
            self.late.push(Issue { at: Some(at), message });
        }
    }

    fn call(&mut self, at: usize, function: &Text, target: Option<&Expr>, args: &[Expr]) -> Type {
        let outside = self.mixed;
        self.mixed |= function == "format";
        let types: Vec<Type> = target.into_iter().chain(args).map(|part| self.expr(part)).collect();
        self.mixed = outside;
        if let Some(arg) = args.last()
            && let Kind::Literal(Value::String(text)) = &arg.kind
            && !library::takes_literal(function, text)
        {
            self.late.push(Issue { at: Some(arg.at), message: format!("invalid {function} argument") });
        }
        self.check_format(at, function, target, args);
        self.resolve(at, function, target.is_some(), &types)
    }

    /// The result of the overloads that take these arguments: of all of them, if some argument may be anything.
    fn resolve(&mut self, at: usize, function: &str, member: bool, args: &[Type]) -> Type {
        if !self.env.has_function(function) {
            // Functions of this library are seen only by whoever makes patches.
            let (space, name) = function.split_once('.').unwrap_or(("", function));
            let start = at.saturating_sub(function.chars().count());
            self.issue(start, format!("undeclared reference to '{space}' (in container '')"));
            return self.issue(at, format!("undeclared reference to '{name}' (in container '')"));
        }
        let seen = |overload: &&Overload| !overload.doubt || self.env.doubts();
        let overloads: Vec<&Overload> = library::overloads(function).unwrap_or_default().iter().filter(seen).collect();
        if overloads.is_empty() {
            return self.issue(at, format!("undeclared reference to '{function}' (in container '')"));
        }
        let mut result: Option<Type> = None;
        for overload in overloads {
            if overload.member != member || overload.args.len() != args.len() {
                continue;
            }
            let before = self.bindings.clone();
            let (wanted, gives) = self.instance(overload);
            let fits = wanted.iter().zip(args).all(|(wanted, arg)| self.assign(wanted, arg));
            if !fits {
                self.bindings = before;
                continue;
            }
            let gives = self.resolved(&gives);
            result = Some(match result {
                Some(one) if !one.is(&gives) => Type::Dyn,
                _ => gives,
            });
        }
        result.unwrap_or_else(|| {
            let shown: Vec<String> = args.iter().map(|arg| self.resolved(arg).short()).collect();
            let shown = match (member, shown.split_first()) {
                (true, Some((target, rest))) => format!("{target}.({})", rest.join(", ")),
                _ => format!("({})", shown.join(", ")),
            };
            self.issue(at, format!("found no matching overload for '{function}' applied to '{shown}'"))
        })
    }

    /// An overload with parameters of its own.
    fn instance(&mut self, overload: &Overload) -> (Vec<Type>, Type) {
        let fresh: Vec<Type> = (0..overload.params).map(|_| self.fresh()).collect();
        let args = overload.args.iter().map(|arg| renamed(arg, &fresh)).collect();
        (args, renamed(&overload.result, &fresh))
    }

    /// What stands in a list or map: if it may be absent, what the optional holds.
    fn element(&mut self, item: &Expr, optional: bool) -> Type {
        let ty = self.expr(item);
        if !optional {
            return ty;
        }
        match self.known(&ty) {
            Type::Optional(of) => (*of).clone(),
            Type::Dyn => Type::Dyn,
            other => {
                let (wanted, found) = (Type::optional(other.clone()), self.resolved(&other));
                self.issue(item.at, format!("expected type '{}' but found '{}'", wanted.short(), found.short()))
            }
        }
    }

    /// Elements of a literal are of one type.
    fn join(&mut self, at: usize, before: Option<Type>, ty: Type) -> Type {
        let Some(before) = before else { return ty };
        if self.assigns(&before, &ty) && (self.mixed || before.is_dyn() == ty.is_dyn()) {
            return if ty.is_dyn() { ty } else { before };
        }
        if self.mixed {
            return Type::Dyn;
        }
        let message =
            format!("expected type '{}' but found '{}'", self.resolved(&before).short(), self.resolved(&ty).short());
        self.late.push(Issue { at: Some(at), message });
        Type::Dyn
    }

    fn structure(&mut self, at: usize, name: &Text, fields: &[(Text, Expr, bool, usize)]) -> Type {
        let Some(ty) = self.env.structure(name) else {
            for (_, value, _, _) in fields {
                self.expr(value);
            }
            return self.issue(at, format!("undeclared reference to '{name}' (in container '')"));
        };
        for (field, value, optional, colon) in fields {
            let found = self.element(value, *optional);
            let wanted = match &ty {
                Type::Struct(of) => of.field(field),
                _ => Some(Type::Dyn),
            };
            match wanted {
                None => {
                    let given = self.resolved(&found).short();
                    let message = format!("expected type of field '{field}' is '' but provided type is '{given}'");
                    self.issue(*colon, message);
                }
                Some(wanted) if self.assigns(&wanted, &found) => {}
                Some(wanted) => {
                    let message = format!(
                        "expected type of field '{field}' is '{}' but provided type is '{}'",
                        wanted.short(),
                        self.resolved(&found).short()
                    );
                    self.issue(*colon, message);
                }
            }
        }
        ty
    }

    fn fold(&mut self, at: usize, fold: &Fold) -> Type {
        let range = self.expr(&fold.range);
        let (key, value) = match self.known(&range) {
            Type::List(items) => (Type::Int, (*items).clone()),
            Type::Map(keys, values) => ((*keys).clone(), (*values).clone()),
            Type::Dyn | Type::Param(_) => (Type::Dyn, Type::Dyn),
            other => {
                let message = format!(
                    "expression of type '{}' cannot be range of a comprehension (must be list, map, or dynamic)",
                    self.resolved(&other).short()
                );
                self.issue(fold.range.at, message);
                (Type::Dyn, Type::Dyn)
            }
        };
        let is_map = matches!(self.known(&range), Type::Map(..));
        let names = match &fold.second {
            Some(second) => vec![(fold.first.clone(), key.clone()), (second.clone(), value.clone())],
            None => vec![(fold.first.clone(), if is_map { key.clone() } else { value.clone() })],
        };
        let filter = fold.filter.as_ref().map(|filter| self.within(&names, filter));
        let body = self.within(&names, &fold.body);
        if let Some(ty) = filter {
            let made = match fold.kind {
                FoldKind::Map => Type::list(body.clone()),
                _ => Type::Map(key.clone().into(), body.clone().into()),
            };
            self.condition(at, &ty, &made);
        }
        match fold.kind {
            FoldKind::All | FoldKind::Exists => {
                self.truth(fold.body.at, &body);
                Type::Bool
            }
            FoldKind::ExistsOne => {
                self.condition(at, &body, &Type::Int);
                Type::Bool
            }
            FoldKind::Filter => {
                let kept = Type::list(if is_map { key } else { value });
                self.condition(at, &body, &kept);
                kept
            }
            FoldKind::Map => Type::list(body),
            FoldKind::TransformMap => {
                let keys = match self.known(&key) {
                    simple @ (Type::Bool | Type::Int | Type::Uint | Type::String) => simple,
                    _ => Type::Dyn,
                };
                Type::Map(keys.into(), body.into())
            }
            FoldKind::TransformMapEntry => body,
        }
    }

    /// What decides which of two things is had; what those are is for the message.
    fn condition(&mut self, at: usize, ty: &Type, things: &Type) {
        if !self.assigns(&Type::Bool, ty) {
            let (shown, things) = (self.resolved(ty).short(), self.resolved(things).short());
            self.issue(
                at,
                format!("found no matching overload for '_?_:_' applied to '({shown}, {things}, {things})'"),
            );
        }
    }
}

fn renamed(ty: &Type, fresh: &[Type]) -> Type {
    match ty {
        Type::Param(number) => fresh.get(*number as usize).cloned().unwrap_or(Type::Dyn),
        Type::List(of) => Type::list(renamed(of, fresh)),
        Type::Map(keys, values) => Type::Map(renamed(keys, fresh).into(), renamed(values, fresh).into()),
        Type::Optional(of) => Type::optional(renamed(of, fresh)),
        Type::Type(of) => Type::Type(renamed(of, fresh).into()),
        other => other.clone(),
    }
}

fn literal(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        _ => Type::Dyn,
    }
}

/// The name that a chain of names is.
pub(crate) fn dotted(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident(name) => Some(name.to_string()),
        Kind::Select { operand, field, access: Access::Plain } => Some(format!("{}.{field}", dotted(operand)?)),
        _ => None,
    }
}
