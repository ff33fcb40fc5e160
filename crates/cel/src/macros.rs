//! Calls that are no calls: their arguments are not evaluated first.
//!
//! Knows: which calls these are, and what forms they become.
//! Does not know: what the forms mean.

use arcstr::ArcStr as Text;

use crate::ast::{Access, Bind, BindKind, Expr, Fold, FoldKind, Kind};
use crate::check::dotted;
use crate::library;
use crate::parse::Parser;

/// A function call: a macro, or just that.
pub(crate) fn function(parser: &mut Parser, at: usize, name: &str, args: Vec<Expr>) -> Option<Expr> {
    if name == "has" && args.len() == 1 {
        let arg = args.into_iter().next()?;
        let Kind::Select { operand, field, access: Access::Plain } = arg.kind else {
            return parser.fault(arg.at, "invalid argument to has() macro");
        };
        return parser.expr(at, Kind::Select { operand, field, access: Access::Has });
    }
    parser.expr(at, Kind::Call { function: name.into(), target: None, args })
}

/// A method call: a macro, or just that.
pub(crate) fn method(parser: &mut Parser, at: usize, target: Expr, name: &str, args: Vec<Expr>) -> Option<Expr> {
    let is_cel = matches!(&target.kind, Kind::Ident(name) if name == "cel");
    match (name, args.len()) {
        ("bind", 3) if is_cel => {
            let mut args = args.into_iter();
            let name = simple(parser, &args.next()?)?;
            bind(parser, at, BindKind::Plain, name, args.next()?, args.next()?)
        }
        ("sortBy", 2) => {
            // Sorted by what the expression makes of each.
            let by = Shape { kind: FoldKind::Map, names: 1, filter: false };
            let keys = fold(parser, at, target.clone(), &by, args)?;
            let function = "@sortByAssociatedKeys".into();
            parser.expr(at, Kind::Call { function, target: Some(Box::new(target)), args: vec![keys] })
        }
        ("optMap" | "optFlatMap", 2) => {
            let kind = if name == "optMap" { BindKind::Optional } else { BindKind::OptionalFlat };
            let mut args = args.into_iter();
            let variable = args.next()?;
            let Kind::Ident(variable) = variable.kind else {
                return parser.fault(variable.at, format!("{name}() variable name must be a simple identifier"));
            };
            bind(parser, at, kind, variable, target, args.next()?)
        }
        _ => match shape(name, args.len()) {
            // `sets.contains(…)`: a function of a library that looks like a method of a name.
            None if dotted(&target).is_some_and(|space| library::overloads(&format!("{space}.{name}")).is_some()) => {
                let function = format!("{}.{name}", dotted(&target).unwrap_or_default());
                parser.expr(at, Kind::Call { function: function.into(), target: None, args })
            }
            Some(shape) => fold(parser, at, target, &shape, args),
            None => parser.expr(at, Kind::Call { function: name.into(), target: Some(Box::new(target)), args }),
        },
    }
}

/// How the arguments of a macro over elements are meant.
struct Shape {
    kind: FoldKind,
    /// One or two.
    names: usize,
    filter: bool,
}

fn shape(name: &str, args: usize) -> Option<Shape> {
    let shape = |kind, names, filter| Some(Shape { kind, names, filter });
    match (name, args) {
        ("all", 2 | 3) => shape(FoldKind::All, args - 1, false),
        ("exists", 2 | 3) => shape(FoldKind::Exists, args - 1, false),
        ("exists_one", 2) => shape(FoldKind::ExistsOne, 1, false),
        ("existsOne", 2 | 3) => shape(FoldKind::ExistsOne, args - 1, false),
        ("filter", 2) => shape(FoldKind::Filter, 1, false),
        ("map", 2 | 3) => shape(FoldKind::Map, 1, args == 3),
        ("transformList", 3 | 4) => shape(FoldKind::Map, 2, args == 4),
        ("transformMap", 3 | 4) => shape(FoldKind::TransformMap, 2, args == 4),
        ("transformMapEntry", 3 | 4) => shape(FoldKind::TransformMapEntry, 2, args == 4),
        _ => None,
    }
}

fn fold(parser: &mut Parser, at: usize, range: Expr, shape: &Shape, args: Vec<Expr>) -> Option<Expr> {
    let mut args = args.into_iter();
    let first = simple(parser, &args.next()?)?;
    let second = if shape.names == 2 { Some(simple(parser, &args.next()?)?) } else { None };
    let filter = if shape.filter { Some(args.next()?) } else { None };
    let body = args.next()?;
    let fold = Fold { kind: shape.kind, range, first, second, filter, body };
    parser.expr(at, Kind::Fold(Box::new(fold)))
}

fn bind(parser: &mut Parser, at: usize, kind: BindKind, name: Text, value: Expr, body: Expr) -> Option<Expr> {
    parser.expr(at, Kind::Bind(Box::new(Bind { kind, name, value, body })))
}

fn simple(parser: &mut Parser, name: &Expr) -> Option<Text> {
    match &name.kind {
        Kind::Ident(name) => Some(name.clone()),
        _ => parser.fault(name.at, "argument must be a simple name"),
    }
}
