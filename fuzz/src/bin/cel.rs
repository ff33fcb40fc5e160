//! Expressions: read, typed, evaluated. What comes out is of the type that was foretold, and comes soon.

use std::collections::BTreeMap;
use std::process::ExitCode;

use cel::{Env, Meter, Type, Value};

fn main() -> ExitCode {
    let metadata = Type::structure("Metadata", [("name".into(), Type::String)]);
    let env = Env::new()
        .with("object", Type::Dyn)
        .with("typed", Type::structure("Thing", [("metadata".into(), metadata)]))
        .with("names", Type::list(Type::String))
        .with_struct("Object", Type::open("Object"));
    let metadata = Value::fields([("name", Value::from("web"))]);
    let spec = Value::fields([("replicas", Value::Int(3)), ("big", Value::list((0..200).map(Value::Int)))]);
    let object = Value::fields([("metadata", metadata.clone()), ("spec", spec), ("none", Value::Null)]);
    let variables = BTreeMap::from([
        ("object".into(), object),
        ("typed".into(), Value::fields([("metadata", metadata)])),
        ("names".into(), Value::list(["b".into(), "a".into()])),
    ]);
    fuzz::fuzz("cel", |input| {
        let Ok(text) = std::str::from_utf8(input) else { return "no text".to_owned() };
        let program = match env.compile(text) {
            Ok(program) => program,
            Err(error) => return format!("{:.80}", error.to_string().split(": ").skip(1).collect::<String>()),
        };
        let _ = program.estimate(&|path| (path.len() > 2).then_some(1000));
        let mut meter = Meter::default();
        match program.eval(&variables, &mut meter) {
            Ok(value) => {
                let (foretold, found) = (program.ty().to_string(), value.type_name());
                let foretold = foretold.split('(').next().unwrap_or("");
                let free = matches!(foretold, "dyn") || matches!(program.ty(), Type::Struct(_));
                assert!(free || foretold == found || found == "null_type", "{text} is no {foretold} but a {found}");
                format!("a {found} of {foretold}")
            }
            Err(error) => format!("{error:.60}"),
        }
    })
}
