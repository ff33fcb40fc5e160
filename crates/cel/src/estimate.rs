//! What an expression may cost at most, before anything is known but how large things may be.
//!
//! Knows: the costs that cel-go's estimator and Kubernetes' library put on forms and functions.
//! Does not know: how large things may be; who asks says that.
//!
//! Estimates saturate: what costs more than can be counted costs as much as can.

use arcstr::ArcStr as Text;

use crate::ast::{Access, BindKind, Expr, Fold, FoldKind, Kind};

/// A step from a variable to something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The variable, or a field.
    Name(Text),
    /// Any element of a list, any value of a map.
    Item,
    /// Any key of a map.
    Key,
}

/// Says how many elements, entries or bytes there are at most at the end of a path; none if that is no such thing.
pub type Sizes<'a> = &'a dyn Fn(&[Step]) -> Option<u64>;

/// The most that an expression may cost.
pub(crate) fn estimate(expr: &Expr, sizes: Sizes<'_>) -> u64 {
    Estimator { sizes, scopes: Vec::new() }.expr(expr).cost
}

/// What is known of a part of an expression.
#[derive(Clone, Default)]
struct Part {
    cost: u64,
    /// Where it is, if it is in a variable.
    path: Option<Vec<Step>>,
    /// How large it is at most, if that is known otherwise.
    size: Option<u64>,
}

struct Estimator<'a> {
    sizes: Sizes<'a>,
    scopes: Vec<(Text, Part)>,
}

/// A tenth, rounded up.
fn tenth(size: u64) -> u64 {
    size.div_ceil(10)
}

impl Estimator<'_> {
    /// How large something is at most; what is not known to be large is one.
    fn size(&self, part: &Part) -> u64 {
        part.size.or_else(|| (self.sizes)(part.path.as_deref()?)).unwrap_or(1)
    }

    fn expr(&mut self, expr: &Expr) -> Part {
        match &expr.kind {
            Kind::Literal(value) => Part { size: Some(value.size()), ..Part::default() },
            Kind::Ident(name) => {
                let known = self.scopes.iter().rev().find(|(have, _)| have == name).map(|(_, part)| part.clone());
                let part =
                    known.unwrap_or_else(|| Part { path: Some(vec![Step::Name(name.clone())]), ..Part::default() });
                Part { cost: 1, ..part }
            }
            Kind::Select { operand, field, access } => {
                let of = self.expr(operand);
                let cost = of.cost.saturating_add(u64::from(*access != Access::Has));
                Part { cost, path: below(&of, Step::Name(field.clone())), size: None }
            }
            Kind::Index { operand, index, .. } => {
                let (of, by) = (self.expr(operand), self.expr(index));
                let cost = of.cost.saturating_add(by.cost).saturating_add(1);
                Part { cost, path: below(&of, Step::Item), size: None }
            }
            Kind::Call { function, target, args } => {
                let parts: Vec<Part> = target.as_deref().into_iter().chain(args).map(|part| self.expr(part)).collect();
                self.call(function, &parts)
            }
            Kind::And(parts) | Kind::Or(parts) => self.all(parts.iter(), 0),
            Kind::Conditional(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let (condition, yes, no) = (self.expr(condition), self.expr(yes), self.expr(no));
                let size = self.size(&yes).max(self.size(&no));
                Part { cost: condition.cost.saturating_add(yes.cost.max(no.cost)), path: None, size: Some(size) }
            }
            Kind::List(items) => {
                let size = Some(items.len() as u64);
                Part { size, ..self.all(items.iter().map(|(item, _)| item), 10) }
            }
            Kind::Map(entries) => {
                let size = Some(entries.len() as u64);
                Part { size, ..self.all(entries.iter().flat_map(|(key, value, _)| [key, value]), 30) }
            }
            Kind::Struct { fields, .. } => self.all(fields.iter().map(|(_, value, _, _)| value), 40),
            Kind::Fold(fold) => self.fold(fold),
            Kind::Bind(bind) => {
                let value = self.expr(&bind.value);
                let cost = value.cost;
                self.scopes.push((bind.name.clone(), Part { cost: 1, ..value }));
                let body = self.expr(&bind.body);
                self.scopes.pop();
                let more = if bind.kind == BindKind::Plain { 0 } else { 3 };
                Part { cost: cost.saturating_add(body.cost).saturating_add(more), ..body }
            }
        }
    }

    fn all<'a>(&mut self, parts: impl Iterator<Item = &'a Expr>, more: u64) -> Part {
        let cost = parts.fold(more, |cost, part| cost.saturating_add(self.expr(part).cost));
        Part { cost, ..Part::default() }
    }

    fn fold(&mut self, fold: &Fold) -> Part {
        let range = self.expr(&fold.range);
        let times = self.size(&range);
        // Elements of what is made on the way are as large as that is: nothing more is known of them.
        let item = Part { path: below(&range, Step::Item), ..Part::default() };
        let key = Part { path: below(&range, Step::Key), ..Part::default() };
        let outer = self.scopes.len();
        match &fold.second {
            Some(second) => {
                self.scopes.push((fold.first.clone(), key));
                self.scopes.push((second.clone(), item));
            }
            None => self.scopes.push((fold.first.clone(), item)),
        }
        let filter = fold.filter.as_ref().map_or(0, |filter| self.expr(filter).cost);
        let body = self.expr(&fold.body);
        self.scopes.truncate(outer);
        // What each turn costs besides the body: asking whether to go on, and putting the outcome together.
        let (turn, begin, size) = match fold.kind {
            FoldKind::All => (3, 1, Some(1)),
            FoldKind::Exists => (4, 1, Some(1)),
            FoldKind::ExistsOne => (3, 2, Some(1)),
            FoldKind::Map | FoldKind::Filter => (12, 11, Some(times)),
            FoldKind::TransformMap | FoldKind::TransformMapEntry => (32, 31, Some(times)),
        };
        let each = body.cost.saturating_add(filter).saturating_add(turn);
        let cost = range.cost.saturating_add(begin).saturating_add(times.saturating_mul(each));
        let path = if fold.kind == FoldKind::Filter { range.path } else { None };
        Part { cost, path, size }
    }

    fn call(&self, function: &str, parts: &[Part]) -> Part {
        let args = parts.iter().fold(0_u64, |cost, part| cost.saturating_add(part.cost));
        let size = |at: usize| parts.get(at).map_or(1, |part| self.size(part));
        let (one, two) = (size(0), size(1));
        let traversal = |text: u64| tenth(text);
        let pattern = || traversal(one.saturating_add(1)).saturating_mul(two.div_ceil(4));
        let (own, result) = match function {
            "_==_" | "_!=_" | "_<_" | "_<=_" | "_>_" | "_>=_" => (traversal(one.min(two)).max(1), None),
            "_+_" => (traversal(one.saturating_add(two)).max(1), Some(one.saturating_add(two))),
            "@in" => (two.max(1), None),
            "contains" | "indexOf" | "lastIndexOf" => (traversal(one).saturating_mul(traversal(two)).max(1), None),
            "startsWith" | "endsWith" => (traversal(two).max(1), None),
            "matches" | "find" => (pattern().max(1), Some(one)),
            "findAll" => (pattern().max(1), Some(one)),
            "isSorted" | "sum" | "min" | "max" => (one.max(1), None),
            "sets.contains" | "sets.intersects" | "sets.equivalent" => (one.saturating_mul(two).max(1), None),
            "lowerAscii" | "upperAscii" | "trim" | "reverse" | "substring" | "charAt" | "url" | "isURL"
            | "quantity" | "isQuantity" | "ip" | "isIP" | "cidr" | "isCIDR" | "semver" | "isSemver" | "string"
            | "bytes" => (traversal(one).max(1), Some(one)),
            "replace" => (traversal(one).max(1), Some(one.saturating_mul(size(2).max(1)))),
            "split" => (traversal(one).max(1), Some(one)),
            "join" => (traversal(one).max(1), Some(one)),
            "format" => (traversal(one.saturating_add(two)).max(1), Some(one.saturating_add(two))),
            "check" => (350_000, None),
            _ => (1, None),
        };
        Part { cost: args.saturating_add(own), path: None, size: result }
    }
}

fn below(part: &Part, step: Step) -> Option<Vec<Step>> {
    let mut path = part.path.clone()?;
    path.push(step);
    Some(path)
}
