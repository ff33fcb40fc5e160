//! The functions that expressions may call.
//!
//! Knows: how a function is declared, and which overload takes given arguments.
//! Does not know: what any of them does; each library is a file.
//!
//! A function is declared as the type checker writes it, `string.(string) -> bool` a method and `(string) -> bool` none,
//! with what it does beside it: so what is checked and what is evaluated cannot differ.
//!
//! | file | library |
//! |---|---|
//! | `standard` | operators, sizes, conversions |
//! | `time` | instants and lengths of time |
//! | `strings`, `text` | strings; `format` of strings, regular expressions |
//! | `lists` | lists, sets, optionals |
//! | `quantity`, `semver` | amounts; versions |
//! | `url`, `ip`, `cidr` | what is reached, and where |
//! | `format` | names as Kubernetes wants them |
//! | `authorizer` | who may do what |
//! | `doubt` | what is not known for sure; only where it is asked for |

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::error::Error;
use crate::meter::Meter;
use crate::types::Type;
use crate::value::Value;

pub mod authorizer;
pub mod cidr;
pub mod doubt;
pub mod format;
pub mod ip;
mod lists;
pub mod quantity;
pub mod semver;
mod standard;
mod strings;
mod text;
mod time;
pub mod url;

use authorizer::Authorizer;
pub(crate) use text::misformed;
pub(crate) use time::{read_duration, read_timestamp};

/// What a function may use besides its arguments.
pub(crate) struct Context<'a> {
    pub(crate) meter: &'a mut Meter,
    pub(crate) authorizer: Option<&'a dyn Authorizer>,
}

/// What a function does. A method's target is its first argument.
pub(crate) type Run = fn(&mut Context<'_>, &[Value]) -> Result<Value, Error>;

/// Name, declarations with `; ` between them, and what it does.
pub(crate) type Entry = (&'static str, &'static str, Run);

/// A function for arguments of some types.
pub(crate) struct Overload {
    pub(crate) member: bool,
    pub(crate) args: Vec<Type>,
    pub(crate) result: Type,
    /// How many type parameters there are.
    pub(crate) params: usize,
    /// Only where expressions may be about what is not known for sure.
    pub(crate) doubt: bool,
    run: Run,
}

static LIBRARY: LazyLock<BTreeMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let libraries: [&[Entry]; 12] = [
        standard::FUNCTIONS,
        time::FUNCTIONS,
        strings::FUNCTIONS,
        text::FUNCTIONS,
        lists::FUNCTIONS,
        quantity::FUNCTIONS,
        semver::FUNCTIONS,
        url::FUNCTIONS,
        ip::FUNCTIONS,
        cidr::FUNCTIONS,
        format::FUNCTIONS,
        authorizer::FUNCTIONS,
    ];
    let mut library: BTreeMap<&'static str, Vec<Overload>> = BTreeMap::new();
    for (name, declared, run) in libraries.into_iter().flatten() {
        library.entry(name).or_default().extend(declared.split("; ").map(|one| declaration(one, *run)));
    }
    for (name, declared, run) in doubt::FUNCTIONS {
        let declared = declared.split("; ").map(|one| {
            let whole = if one.contains("->") { one.to_owned() } else { format!("{one} -> {}", doubt::result(name)) };
            Overload { doubt: true, ..declaration(&whole, *run) }
        });
        // First, for equality takes things of any one type.
        library.entry(name).or_default().splice(0..0, declared);
    }
    library
});

/// The overloads of a function, if there is one of that name.
pub(crate) fn overloads(name: &str) -> Option<&'static [Overload]> {
    LIBRARY.get(name).map(Vec::as_slice)
}

/// Calls the first overload that takes these arguments.
pub(crate) fn call(context: &mut Context<'_>, name: &str, member: bool, args: &[Value]) -> Result<Value, Error> {
    let takes = |overload: &&Overload| {
        overload.member == member
            && overload.args.len() == args.len()
            && overload.args.iter().zip(args).all(|(ty, arg)| {
                arg.fits(ty) || (overload.doubt && matches!((ty, arg), (Type::List(_), Value::Partial(_))))
            })
    };
    match overloads(name).unwrap_or_default().iter().find(takes) {
        Some(overload) => (overload.run)(context, args),
        None => match (name, args) {
            ("@in", [one, Value::Partial(list)]) => doubt::contains(context, one, list),
            _ => Err(doubt::refused(name, args).unwrap_or_else(|| unfit(name, args))),
        },
    }
}

/// That no overload of a function takes these arguments. Operators do not say what they are.
fn unfit(name: &str, args: &[Value]) -> Error {
    let types: Vec<String> = args.iter().map(|arg| arg.type_name().to_string()).collect();
    match name {
        "size" => Error::new("no such overload: size"),
        _ if !name.starts_with(|first: char| first.is_ascii_alphabetic()) => Error::no_overload(),
        _ => Error::new(format!("no such overload: {name}({})", types.join(", "))),
    }
}

/// Functions that make one type of another: what they make of a constant is worked out before anything else is.
pub(crate) fn converts(function: &str) -> bool {
    matches!(function, "bool" | "bytes" | "double" | "duration" | "dyn" | "int" | "string" | "timestamp" | "uint")
}

/// The type that a name in an expression stands for.
pub(crate) fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "null_type" => Type::Null,
        "list" => Type::list(Type::Dyn),
        "map" => Type::Map(Type::Dyn.into(), Type::Dyn.into()),
        "type" => Type::Type(Type::Dyn.into()),
        "optional_type" => Type::optional(Type::Dyn),
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        "kubernetes.Quantity" => Type::Opaque("kubernetes.Quantity"),
        "kubernetes.URL" => Type::Opaque("kubernetes.URL"),
        "kubernetes.Semver" => Type::Opaque("kubernetes.Semver"),
        "net.IP" => Type::Opaque("net.IP"),
        "net.CIDR" => Type::Opaque("net.CIDR"),
        _ => return None,
    })
}

/// Whether a function can make something of this text, as far as that is looked at before anything is evaluated.
pub(crate) fn takes_literal(function: &str, text: &str) -> bool {
    match function {
        "duration" => time::read_duration(text).is_some(),
        "timestamp" => time::read_timestamp(text).is_some(),
        "matches" => crate::pattern::read(text).is_ok(),
        _ => true,
    }
}

/// Reads a declaration. They are ours and constant; what cannot be read of one is `dyn`.
fn declaration(text: &str, run: Run) -> Overload {
    let (left, result) = text.split_once(" -> ").unwrap_or((text, "dyn"));
    let (target, args) = match left.find(".(") {
        Some(at) => (left.get(..at), left.get(at + 2..)),
        None => (None, left.get(1..)),
    };
    let args = args.unwrap_or_default().strip_suffix(')').unwrap_or_default();
    let mut params = 0;
    let mut read = |text: &str| {
        let ty = named(text);
        params = params.max(highest(&ty));
        ty
    };
    let args: Vec<Type> = target.into_iter().chain(split(args)).map(&mut read).collect();
    Overload { member: target.is_some(), args, result: read(result), params, doubt: false, run }
}

/// The parts between commas that stand in no parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..).filter(|rest| !rest.trim().is_empty()));
    parts.into_iter().map(str::trim).collect()
}

fn highest(ty: &Type) -> usize {
    match ty {
        Type::Param(number) => *number as usize + 1,
        Type::List(of) | Type::Optional(of) | Type::Type(of) => highest(of),
        Type::Map(keys, values) => highest(keys).max(highest(values)),
        _ => 0,
    }
}

fn named(text: &str) -> Type {
    if let Some((name, inner)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let mut inner = split(inner).into_iter().map(named);
        let mut next = || inner.next().unwrap_or(Type::Dyn);
        return match name {
            "list" => Type::list(next()),
            "map" => Type::Map(next().into(), next().into()),
            "optional" => Type::optional(next()),
            _ => Type::Type(next().into()),
        };
    }
    match text {
        "T" | "K" => Type::Param(0),
        "V" => Type::Param(1),
        "null" => Type::Null,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "quantity" => Type::Opaque("kubernetes.Quantity"),
        "semver" => Type::Opaque("kubernetes.Semver"),
        "url" => Type::Opaque("kubernetes.URL"),
        "ip" => Type::Opaque("net.IP"),
        "cidr" => Type::Opaque("net.CIDR"),
        "format" => Type::Opaque("kubernetes.NamedFormat"),
        "range" => Type::Opaque("range"),
        "authorizer" => Type::Opaque("kubernetes.authorization.Authorizer"),
        "path" => Type::Opaque("kubernetes.authorization.PathCheck"),
        "group" => Type::Opaque("kubernetes.authorization.GroupCheck"),
        "resource" => Type::Opaque("kubernetes.authorization.ResourceCheck"),
        "decision" => Type::Opaque("kubernetes.authorization.Decision"),
        _ => type_named(text).unwrap_or(Type::Dyn),
    }
}

/// What a function says that was called with what its declaration rules out: it cannot be.
pub(crate) fn mismatch() -> Result<Value, Error> {
    Err(Error::no_overload())
}

/// A tenth of a length, rounded up: what looking through text costs by Kubernetes' count.
pub(crate) fn tenth(length: usize) -> u64 {
    (length as u64).div_ceil(10)
}
