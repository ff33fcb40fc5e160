//! What an expression comes to.
//!
//! Knows: how each form is evaluated, which errors a truth hides, what each step costs by Kubernetes' count.
//! Does not know: types found out before, or what functions do.
//!
//! The forms are evaluated by functions of their own, so that the one that recurses stays small on the stack.

use std::collections::BTreeMap;
use std::sync::Arc;

use arcstr::ArcStr as Text;

use crate::ast::{Access, Bind, BindKind, Expr, Fold, FoldKind, Kind};
use crate::check::dotted;
use crate::env::Variables;
use crate::error::Error;
use crate::library::{self, Context};
use crate::meter::Meter;
use crate::value::{Key, Value};

/// What making a list, a map or a struct costs.
const LIST: u64 = 10;
const MAP: u64 = 30;
const STRUCT: u64 = 40;

pub(crate) fn eval(expr: &Expr, variables: &dyn Variables, meter: &mut Meter) -> Result<Value, Error> {
    Eval { variables, meter, scopes: Vec::new() }.expr(expr)
}

/// What goes wrong in an expression whatever the variables are: constants that cannot be of the type that they are made.
pub(crate) fn constants(expr: &Expr) -> Option<Error> {
    if let Some(error) = expr.parts().into_iter().find_map(constants) {
        return Some(error);
    }
    let Kind::Call { function, target: None, args } = &expr.kind else { return None };
    if !library::converts(function) || args.len() != 1 || !args.iter().all(is_constant) {
        return None;
    }
    let mut meter = Meter::new(crate::PER_CALL);
    match eval(expr, &Nothing, &mut meter) {
        Err(error @ Error::Failed(_)) => Some(error),
        _ => None,
    }
}

fn is_constant(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Literal(_) => true,
        Kind::List(items) => items.iter().all(|(item, optional)| !optional && is_constant(item)),
        Kind::Map(entries) => {
            entries.iter().all(|(key, value, optional)| !optional && is_constant(key) && is_constant(value))
        }
        Kind::Call { function, target: None, args } => library::converts(function) && args.iter().all(is_constant),
        _ => false,
    }
}

/// No variables at all.
struct Nothing;

impl Variables for Nothing {
    fn get(&self, _name: &str) -> Option<Value> {
        None
    }
}

struct Eval<'a> {
    variables: &'a dyn Variables,
    meter: &'a mut Meter,
    /// What macros name, the innermost last.
    scopes: Vec<(Text, Value)>,
}

impl Eval<'_> {
    fn expr(&mut self, expr: &Expr) -> Result<Value, Error> {
        self.meter.enter()?;
        let value = self.form(expr);
        self.meter.leave();
        value
    }

    fn form(&mut self, expr: &Expr) -> Result<Value, Error> {
        match &expr.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Ident(name) => self.ident(name),
            Kind::Select { operand, field, access } => self.select(operand, field, *access),
            Kind::Index { operand, index, optional } => self.index(operand, index, *optional),
            Kind::Call { function, target, args } => self.call(function, target.as_deref(), args),
            Kind::And(parts) => self.logic(parts, false),
            Kind::Or(parts) => self.logic(parts, true),
            Kind::Conditional(parts) => self.conditional(parts),
            Kind::List(items) => self.list(items),
            Kind::Map(entries) => self.map(entries),
            Kind::Struct { fields, .. } => self.structure(fields),
            Kind::Fold(fold) => self.fold(fold),
            Kind::Bind(bind) => self.bind(bind),
        }
    }

    fn ident(&mut self, name: &Text) -> Result<Value, Error> {
        self.meter.spend(1)?;
        if let Some((_, value)) = self.scopes.iter().rev().find(|(have, _)| have == name) {
            return Ok(value.clone());
        }
        if let Some(value) = self.variables.get(name) {
            return Ok(value);
        }
        match library::type_named(name) {
            Some(_) => Ok(Value::Type(name.clone())),
            None => Err(Error::new(format!("no such attribute(s): {name}"))),
        }
    }

    fn select(&mut self, operand: &Expr, field: &Text, access: Access) -> Result<Value, Error> {
        // Kubernetes keeps `has` free, as it was once.
        self.meter.spend(u64::from(access != Access::Has))?;
        if let Kind::Ident(name) = &operand.kind
            && !self.scopes.iter().any(|(have, _)| have == name)
            && let Some(value) = self.variables.field(name, field, self.meter)
        {
            return match access {
                Access::Plain => value,
                Access::Optional => value.map(Value::some),
                Access::Has => Ok(Value::Bool(true)),
            };
        }
        if access == Access::Plain
            && let Some(name) = dotted(operand).map(|space| format!("{space}.{field}"))
            && library::type_named(&name).is_some()
            && self.variables.get(name.split('.').next().unwrap_or("")).is_none()
        {
            return Ok(Value::Type(name.into()));
        }
        let of = self.expr(operand)?;
        step(&of, &Value::String(field.clone()), access)
    }

    fn index(&mut self, operand: &Expr, index: &Expr, optional: bool) -> Result<Value, Error> {
        let of = self.expr(operand)?;
        let by = self.expr(index)?;
        self.meter.spend(1)?;
        step(&of, &by, if optional { Access::Optional } else { Access::Plain })
    }

    fn call(&mut self, function: &Text, target: Option<&Expr>, args: &[Expr]) -> Result<Value, Error> {
        let mut values = Vec::with_capacity(args.len() + 1);
        // `or` and `orValue` look at the other side only if there is nothing on this one.
        if let (Some(target), "or" | "orValue", [other]) = (target, function.as_str(), args) {
            match self.expr(target)? {
                Value::Optional(Some(value)) if function == "orValue" => return Ok((*value).clone()),
                Value::Optional(Some(value)) => return Ok(Value::Optional(Some(value))),
                Value::Optional(None) => return self.expr(other),
                _ => return Err(Error::no_overload()),
            }
        }
        for part in target.into_iter().chain(args) {
            values.push(self.expr(part)?);
        }
        self.meter.spend(1)?;
        let mut context = Context { meter: self.meter, authorizer: self.variables.authorizer() };
        library::call(&mut context, function, target.is_some(), &values)
    }

    /// `&&` and `||`: the value that decides hides errors on either side of it.
    fn logic(&mut self, parts: &[Expr], decides: bool) -> Result<Value, Error> {
        let mut failed = None;
        for part in parts {
            match self.expr(part) {
                Ok(Value::Bool(truth)) if truth == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failed = failed.or(Some(Error::no_overload())),
                Err(Error::TooCostly) => return Err(Error::TooCostly),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn conditional(&mut self, parts: &[Expr; 3]) -> Result<Value, Error> {
        let [condition, yes, no] = parts;
        match self.expr(condition)? {
            Value::Bool(true) => self.expr(yes),
            Value::Bool(false) => self.expr(no),
            _ => Err(Error::no_overload()),
        }
    }

    /// What stands in a list or map, if it is there.
    fn element(&mut self, expr: &Expr, optional: bool) -> Result<Option<Value>, Error> {
        let value = self.expr(expr)?;
        match (optional, value) {
            (false, value) => Ok(Some(value)),
            (true, Value::Optional(value)) => Ok(value.map(|value| (*value).clone())),
            (true, other) => Err(Error::new(format!(
                "cannot initialize optional list element from non-optional value {}",
                other.shown()
            ))),
        }
    }

    fn list(&mut self, items: &[(Expr, bool)]) -> Result<Value, Error> {
        self.meter.spend(LIST)?;
        let mut list = Vec::with_capacity(items.len());
        for (item, optional) in items {
            list.extend(self.element(item, *optional)?);
        }
        Ok(Value::List(list.into()))
    }

    fn map(&mut self, entries: &[(Expr, Expr, bool)]) -> Result<Value, Error> {
        self.meter.spend(MAP)?;
        let mut map = BTreeMap::new();
        for (key, value, optional) in entries {
            let key = self.expr(key)?;
            let value = self.element(value, *optional)?;
            let Some(key) = key.to_key() else {
                return Err(Error::new(format!("unsupported key type: {}", key.type_name())));
            };
            if let Some(value) = value
                && map.insert(key.clone(), value).is_some()
            {
                return Err(Error::new(format!("map key conflict: {}", key.to_value().shown())));
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn structure(&mut self, fields: &[(Text, Expr, bool, usize)]) -> Result<Value, Error> {
        self.meter.spend(STRUCT)?;
        let mut map = BTreeMap::new();
        for (field, value, optional, _) in fields {
            if let Some(value) = self.element(value, *optional)? {
                map.insert(Key::String(field.clone()), value);
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn bind(&mut self, bind: &Bind) -> Result<Value, Error> {
        let value = self.expr(&bind.value)?;
        let value = match (bind.kind, value) {
            (BindKind::Plain, value) => value,
            (_, Value::Optional(Some(value))) => (*value).clone(),
            (_, Value::Optional(None)) => return Ok(Value::Optional(None)),
            _ => return Err(Error::no_overload()),
        };
        self.scopes.push((bind.name.clone(), value));
        let body = self.expr(&bind.body);
        self.scopes.pop();
        let body = body?;
        Ok(if bind.kind == BindKind::Optional { Value::some(body) } else { body })
    }

    fn fold(&mut self, fold: &Fold) -> Result<Value, Error> {
        let range = self.expr(&fold.range)?;
        let mut outcome = Outcome::new(fold.kind);
        match &range {
            Value::List(items) => {
                for (index, item) in (0_i64..).zip(items.iter()) {
                    let first = if fold.second.is_some() { Value::Int(index) } else { item.clone() };
                    let key = Value::Int(index);
                    if self.turn(fold, &key, first, item.clone(), &mut outcome)? {
                        break;
                    }
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries.iter() {
                    let key = key.to_value();
                    if self.turn(fold, &key, key.clone(), value.clone(), &mut outcome)? {
                        break;
                    }
                }
            }
            Value::Partial(list) => {
                let sure = list.sure.iter().map(|item| (item, true));
                let possible = list.possible.iter().map(|item| (item, false));
                for (index, (item, sure)) in (0_i64..).zip(sure.chain(possible)) {
                    let first = if fold.second.is_some() { Value::Int(index) } else { item.clone() };
                    outcome.sure = sure;
                    if self.turn(fold, &Value::Int(index), first, item.clone(), &mut outcome)? {
                        break;
                    }
                }
                outcome.unlisted = list.unlisted;
            }
            _ => return Err(Error::no_overload()),
        }
        outcome.end()
    }

    /// Looks at one element. Whether there is no need to look at another.
    fn turn(
        &mut self,
        fold: &Fold,
        key: &Value,
        first: Value,
        second: Value,
        outcome: &mut Outcome,
    ) -> Result<bool, Error> {
        self.meter.spend(1)?;
        let kept = first.clone();
        let outer = self.scopes.len();
        self.scopes.push((fold.first.clone(), first));
        if let Some(name) = &fold.second {
            self.scopes.push((name.clone(), second));
        }
        let admitted = match &fold.filter {
            Some(filter) => self.expr(filter),
            None => Ok(Value::Bool(true)),
        };
        let body = match admitted {
            Ok(Value::Bool(true)) => Some(self.expr(&fold.body)),
            Ok(Value::Bool(false)) => None,
            Ok(_) => Some(Err(Error::no_overload())),
            Err(error) => Some(Err(error)),
        };
        self.scopes.truncate(outer);
        match body {
            None => Ok(false),
            Some(Err(Error::TooCostly)) => Err(Error::TooCostly),
            Some(body) => outcome.take(key, kept, body),
        }
    }
}

/// What a macro over elements has come to so far.
struct Outcome {
    kind: FoldKind,
    failed: Option<Error>,
    decided: bool,
    /// Whether what is looked at is in the list for sure.
    sure: bool,
    /// Whether the list may hold what nobody can name.
    unlisted: bool,
    count: usize,
    list: Vec<Value>,
    map: BTreeMap<Key, Value>,
}

impl Outcome {
    fn new(kind: FoldKind) -> Self {
        Self {
            kind,
            failed: None,
            decided: false,
            sure: true,
            unlisted: false,
            count: 0,
            list: Vec::new(),
            map: BTreeMap::new(),
        }
    }

    fn take(&mut self, key: &Value, element: Value, body: Result<Value, Error>) -> Result<bool, Error> {
        match self.kind {
            FoldKind::All | FoldKind::Exists => {
                let decides = self.kind == FoldKind::Exists;
                match body {
                    Ok(Value::Bool(truth)) if truth == decides && self.sure => self.decided = true,
                    Ok(Value::Bool(truth)) if truth == decides => {
                        self.failed = self.failed.take().or_else(|| Some(unknown("is in the list")));
                    }
                    Ok(Value::Bool(_)) => {}
                    Ok(_) => self.failed = self.failed.take().or(Some(Error::no_overload())),
                    Err(error) => self.failed = self.failed.take().or(Some(error)),
                }
                return Ok(self.decided);
            }
            _ if !self.sure => return Err(unknown("is in the list")),
            FoldKind::ExistsOne => self.count += usize::from(truth(&body?)?),
            FoldKind::Filter => {
                if truth(&body?)? {
                    self.list.push(element);
                }
            }
            FoldKind::Map => self.list.push(body?),
            FoldKind::TransformMap => {
                let key = key.to_key().ok_or_else(Error::no_overload)?;
                self.map.insert(key, body?);
            }
            FoldKind::TransformMapEntry => {
                let Value::Map(entries) = body? else { return Err(Error::no_overload()) };
                for (key, value) in entries.iter() {
                    if self.map.insert(key.clone(), value.clone()).is_some() {
                        return Err(Error::new(format!(
                            "insert failed: key {} already exists",
                            key.to_value().shown()
                        )));
                    }
                }
            }
        }
        Ok(false)
    }

    fn end(self) -> Result<Value, Error> {
        Ok(match self.kind {
            FoldKind::All | FoldKind::Exists => match (self.decided, self.failed) {
                (true, _) => Value::Bool(self.kind == FoldKind::Exists),
                (false, Some(error)) => return Err(error),
                (false, None) if self.unlisted => return Err(unknown("else is in the list")),
                (false, None) => Value::Bool(self.kind == FoldKind::All),
            },
            _ if self.unlisted => return Err(unknown("else is in the list")),
            FoldKind::ExistsOne => Value::Bool(self.count == 1),
            FoldKind::Filter | FoldKind::Map => Value::List(self.list.into()),
            FoldKind::TransformMap | FoldKind::TransformMapEntry => Value::Map(Arc::new(self.map)),
        })
    }
}

fn unknown(what: &str) -> Error {
    Error::Unknown(format!("it is not known what {what}"))
}

fn truth(value: &Value) -> Result<bool, Error> {
    value.as_bool().ok_or_else(Error::no_overload)
}

/// From a value to a field, entry or element of it.
fn step(of: &Value, by: &Value, access: Access) -> Result<Value, Error> {
    if let Value::Optional(inner) = of {
        let found = match inner {
            Some(inner) => find(inner, by)?,
            None => None,
        };
        return Ok(match access {
            Access::Has => Value::Bool(found.is_some()),
            Access::Plain | Access::Optional => Value::Optional(found.map(Arc::new)),
        });
    }
    let found = find(of, by)?;
    match (access, found) {
        (Access::Has, found) => Ok(Value::Bool(found.is_some())),
        (Access::Optional, found) => Ok(Value::Optional(found.map(Arc::new))),
        (Access::Plain, Some(found)) => Ok(found),
        (Access::Plain, None) => Err(Error::new(match of {
            Value::List(_) => format!("index out of bounds: {}", by.shown()),
            _ => format!("no such key: {}", by.shown()),
        })),
    }
}

fn find(of: &Value, by: &Value) -> Result<Option<Value>, Error> {
    Ok(match of {
        Value::Map(entries) => by.to_key().and_then(|key| entries.get(&key)).cloned(),
        Value::List(items) => {
            let index = match by.to_key() {
                Some(Key::Int(index)) => index,
                _ => return Err(Error::new(format!("unsupported index type '{}' in list", by.type_name()))),
            };
            usize::try_from(index).ok().and_then(|index| items.get(index)).cloned()
        }
        Value::Partial(_) => return Err(unknown("stands where in the list")),
        _ => None,
    })
}
