//! Expressions and what comes of them.

use std::collections::BTreeMap;

use arcstr::ArcStr as Text;

use crate::{Env, Error, Key, Meter, Type, Value};

fn env() -> Env {
    let metadata = Type::structure("Metadata", [("name".into(), Type::String), ("count".into(), Type::Int)]);
    Env::new()
        .with("object", Type::Dyn)
        .with("typed", Type::structure("Thing", [("metadata".into(), metadata)]))
        .with("names", Type::list(Type::String))
        .with("limits", Type::map(Type::Int))
}

fn variables() -> BTreeMap<Text, Value> {
    let metadata = Value::fields([("name", Value::from("web")), ("count", Value::Int(3))]);
    let object = Value::fields([
        ("metadata", metadata.clone()),
        ("data", Value::fields([("a", Value::from("1"))])),
        ("gone", Value::Null),
    ]);
    BTreeMap::from([
        ("object".into(), object),
        ("typed".into(), Value::fields([("metadata", metadata)])),
        ("names".into(), Value::list(["b".into(), "a".into()])),
        ("limits".into(), Value::map([(Key::String("cpu".into()), Value::Int(2))])),
    ])
}

fn run(source: &str) -> Result<Value, Error> {
    let program = env().compile(source).unwrap_or_else(|error| panic!("{source}\n{error}"));
    program.eval(&variables(), &mut Meter::default())
}

/// Each line is an expression that is true.
fn all_true(lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let value = run(line);
        assert!(matches!(value, Ok(Value::Bool(true))), "{line}\n{value:?}");
    }
}

#[test]
fn the_language_means_what_it_says() {
    all_true(
        r#"
        1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 7 / 2 == 3 && -7 % 3 == -1 && 10 - 2 - 3 == 5
        1u + 2u == 3u && 1.5 + 1.5 == 3.0 && 0x10 == 16 && -0x10 == -16 && 1e3 == 1000.0
        'a' + "b" == 'ab' && r'\n' == '\\n' && '''a'b''' == "a'b" && '\u00e9' == 'é' && '\x41\101' == 'AA'
        b'ab' + b"c" == b'abc' && bytes('é') == b'\xc3\xa9' && string(b'\xc3\xa9') == 'é'
        [1, 2] + [3] == [1, 2, 3] && 2 in [1, 2] && !(3 in [1, 2]) && [1, 2][1] == 2
        {'a': 1}['a'] == 1 && {'a': 1}.a == 1 && 'a' in {'a': 1} && {1: 'x', 2: 'y'}.size() == 2
        true ? 1 < 2 : false
        1 < 1.5 && 1u < 2 && 2.5 > 2u && dyn(1) == dyn(1.0) && 9007199254740993 != 9007199254740992
        size('é') == 1 && 'abc'.size() == 3 && size([1]) == 1 && size({}) == 0 && size(b'é') == 2
        int('5') == 5 && int(5.9) == 5 && uint(5) == 5u && double('1.5') == 1.5 && string(5) == '5' && bool('true')
        type(1) == int && type('a') == string && type([]) == list && type(null) == null_type && type(int) == type
        null == null && object.gone == null && object.metadata != null
        !!true && !false && - -1 == 1
        "#,
    );
}

#[test]
fn macros_look_at_each_element() {
    all_true(
        r#"
        [1, 2, 3].all(x, x > 0) && [1, 2].exists(x, x == 2) && [1, 2].exists_one(x, x > 1) && ![1, 1].exists_one(x, x == 1)
        [1, 2].map(x, x * 2) == [2, 4] && [1, 2, 3].map(x, x > 1, x * 2) == [4, 6] && [1, 2].filter(x, x > 1) == [2]
        {'a': 1, 'b': 2}.all(k, k in ['a', 'b']) && {'a': 1}.map(k, k + 'x') == ['ax'] && {'a': 1}.filter(k, true) == ['a']
        [5, 6].all(i, v, v == i + 5) && {'a': 1}.exists(k, v, k == 'a' && v == 1) && [1, 2].existsOne(i, v, i == 0)
        [1, 2].transformList(i, v, i + v) == [1, 3] && [1, 2].transformList(i, v, i > 0, v) == [2]
        {'a': 1}.transformMap(k, v, v + 1) == {'a': 2} && [7].transformMapEntry(i, v, {v: i}) == {7: 0}
        cel.bind(x, 2, x * x) == 4 && cel.bind(x, 1, cel.bind(x, 2, x) + x) == 3
        has(object.metadata.name) && !has(object.metadata.labels) && has({'a': null}.a)
        [].all(x, false) && ![].exists(x, true)
        "#,
    );
}

#[test]
fn a_value_may_be_absent() {
    all_true(
        r#"
        object.?data.a.orValue('none') == '1' && object.?nope.a.orValue('none') == 'none'
        object[?'nope'].hasValue() == false && object.?metadata.?name.value() == 'web'
        optional.of(1).or(optional.of(2)).value() == 1 && optional.none().or(optional.of(2)).value() == 2
        optional.ofNonZeroValue('').hasValue() == false && [1, 2][?5].orValue(0) == 0
        [?optional.of(1), ?optional.none(), 2] == [1, 2] && {?'a': optional.none(), 'b': 1} == {'b': 1}
        optional.of(2).optMap(x, x * 2).value() == 4 && !optional.none().optMap(x, x + 1).hasValue()
        optional.of(2).optFlatMap(x, optional.of(x)).value() == 2 && has(object.?metadata.name)
        "#,
    );
}

#[test]
fn the_truth_hides_errors_and_nothing_else_does() {
    all_true(
        r#"
        true || object.nope.deeper == 1
        object.nope.deeper == 1 || true
        !(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)
        [0, 1].exists(x, 1 / x == 1) && ![0, 2].all(x, 1 / x == 1)
        "#,
    );
    for (source, message) in [
        ("object.nope == 1", "no such key: nope"),
        ("object.gone.deeper == 1", "no such key: deeper"),
        ("[1, 2][2] == 1", "index out of bounds: 2"),
        ("1 / (1 - 1) == 1", "division by zero"),
        ("1 % (1 - 1) == 1", "modulus by zero"),
        ("9223372036854775807 + 1 == 0", "integer overflow"),
        ("0u - 1u == 0u", "unsigned integer overflow"),
        ("int(object.metadata.name) == 1", "type conversion error from 'string' to 'int'"),
        ("object.metadata.name < 3", "no such overload"),
        ("object.metadata.name || false", "no such overload"),
        ("quantity('1.5Gi').asInteger() == 0", "cannot convert value to integer"),
        ("[0].map(x, 1 / x) == []", "division by zero"),
        ("optional.none().value() == 1", "optional.none() dereference"),
        ("'abc'.substring(2, 1) == ''", "invalid substring range. start: 2, end: 1"),
    ] {
        assert_eq!(run(source).unwrap_err().to_string(), message, "{source}");
    }
}

#[test]
fn kubernetes_functions_are_there() {
    all_true(
        r#"
        quantity('1Gi').compareTo(quantity('1024Mi')) == 0 && quantity('500m').isLessThan(quantity('1')) && !isQuantity('5x')
        quantity('1k').asInteger() == 1000 && quantity('1.5').add(1).asApproximateFloat() == 2.5
        quantity('1e3') == quantity('1k') && quantity('1Ki').sub(quantity('24')).asInteger() == 1000 && quantity('1500m').isInteger() == false
        url('https://example.com:8443/a?b=c').getHostname() == 'example.com' && url('https://example.com:8443/a').getPort() == '8443'
        url('https://e.com:80/a b?x=1&x=2').getHost() == 'e.com:80' && url('/a').getScheme() == '' && url('http://[::1]:80/').getHostname() == '::1'
        url('https://e.com/p?x=1&x=2&y').getQuery() == {'x': ['1', '2'], 'y': ['']} && url('/a b').getEscapedPath() == '/a%20b' && !isURL('::') && !isURL('a')
        ip('192.168.0.1').family() == 4 && ip('::1').isLoopback() && !isIP('1.2.3') && !isIP('01.2.3.4') && !isIP('::ffff:1.2.3.4') && string(ip('::1')) == '::1'
        ip('10.0.0.1').isGlobalUnicast() && ip('169.254.0.1').isLinkLocalUnicast() && ip('0.0.0.0').isUnspecified() && !ip.isCanonical('::0:1')
        cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').prefixLength() == 8 && !cidr('10.0.0.0/8').containsCIDR('11.0.0.0/16')
        cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('::/0').containsIP(ip('::1')) && cidr('10.0.0.0/8').ip() == ip('10.0.0.0')
        'a1b22'.find('[0-9]+') == '1' && 'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'a1b22'.findAll('[0-9]+', 1) == ['1'] && 'abc'.matches('^a.c$')
        [1, 2, 3].sum() == 6 && [3, 1].min() == 1 && ['a', 'b'].isSorted() && [1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [2, 9].max() == 9
        sets.contains([1, 2, 3], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1], [1]) && !sets.contains([1], [2])
        '%s has %d of %.1f'.format(['a', 3, 2.5]) == 'a has 3 of 2.5' && '%x %b %o %X'.format([255, 5, 8, 'az']) == 'ff 101 10 617A'
        '%s'.format([['a', 1, null]]) == '["a", 1, null]' && '%s%%'.format([{'a': 1}]) == '{"a":1}%' && '%e'.format([1052.5]) == '1.052500×10⁰³'
        'A-B'.lowerAscii().split('-') == ['a', 'b'] && 'ab'.charAt(1) == 'b' && 'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3
        ' a '.trim() == 'a' && 'aXbX'.replace('X', '-') == 'a-b-' && 'aXbX'.replace('X', '', 1) == 'abX' && 'abc'.substring(1) == 'bc' && 'abc'.substring(1, 2) == 'b'
        ['a', 'b'].join('-') == 'a-b' && 'abc'.split('') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && [1, 2, 3].reverse() == [3, 2, 1]
        semver('1.2.3').isLessThan(semver('1.10.0')) && !isSemver('v1.0') && semver('1.2.3').major() == 1 && isSemver('v1.0', true) && semver('1.0.0-alpha.1').compareTo(semver('1.0.0')) == -1
        format.dns1123Label().validate('Bad_Name').hasValue() && !format.dns1123Label().validate('good').hasValue() && format.named('uri').hasValue() && !format.named('x').hasValue()
        duration('1h30m') == duration('90m') && duration('1h').getMinutes() == 60 && timestamp('2024-01-02T03:04:05Z').getFullYear() == 2024
        timestamp('2024-01-02T03:04:05Z') + duration('1h') > timestamp('2024-01-02T03:04:05Z') && timestamp('2024-01-01T00:00:00Z').getHours('+02:00') == 2
        lists.range(3) == [0, 1, 2] && [[1], [2, 3]].flatten() == [1, 2, 3] && [3, 1].sort() == [1, 3] && [1, 1].distinct() == [1] && [1, 2, 3].slice(1, 2) == [2]
        [{'n': 2}, {'n': 1}].sortBy(x, x.n)[0].n == 1 && [1, 2].first().value() == 1 && [1, 2].last().value() == 2 && !dyn([]).first().hasValue()
        strings.quote('a"b') == '"a\\"b"' && string(1e20) == '1e+20' && string(0.5) == '0.5' && sign(quantity('-1')) == -1
        string(duration('90m')) == '5400s' && timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('24h')
        "#,
    );
}

fn refused(source: &str) -> String {
    match env().compile(source) {
        Ok(program) => panic!("{source} is taken, as {}", program.ty()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_no_expression_is_refused_as_cel_go_does() {
    let operands = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, \
                    BYTES, IDENTIFIER}";
    assert_eq!(
        refused("object.spec.replicas <"),
        format!(
            "ERROR: <input>:1:23: Syntax error: mismatched input '<EOF>' expecting {operands}\n | object.spec.replicas <\n \
             | ......................^"
        )
    );
    for (source, message) in [
        ("object.x = 1", "1:10: Syntax error: token recognition error at: '= '"),
        ("object.x = 1", "1:12: Syntax error: extraneous input '1' expecting <EOF>"),
        ("(1 + 2", "1:7: Syntax error: missing ')' at '<EOF>'"),
        ("for + 1", "1:1: reserved identifier: for"),
        ("99999999999999999999", "1:1: invalid int literal"),
        ("[1].map(1, 2)", "1:9: argument must be a simple name"),
        ("has(object)", "1:5: invalid argument to has() macro"),
        ("1 +\n + 2", "2:2: Syntax error: extraneous input '+' expecting {"),
    ] {
        assert!(refused(source).contains(message), "{source}\n{}", refused(source));
    }
}

#[test]
fn what_has_no_type_is_refused_as_cel_go_does() {
    assert_eq!(
        refused("object.x > 0 && params.data.x == '1' && unknown"),
        "ERROR: <input>:1:17: undeclared reference to 'params' (in container '')\n | object.x > 0 && params.data.x == '1' && \
         unknown\n | ................^\nERROR: <input>:1:41: undeclared reference to 'unknown' (in container '')\n | object.x \
         > 0 && params.data.x == '1' && unknown\n | ........................................^"
    );
    for (source, message) in [
        ("typed.later", "1:6: undefined field 'later'"),
        ("1u + 2", "1:4: found no matching overload for '_+_' applied to '(uint, int)'"),
        ("'a'.size(1)", "1:9: found no matching overload for 'size' applied to 'string.(int)'"),
        ("nothing(1)", "1:8: undeclared reference to 'nothing' (in container '')"),
        ("typed.metadata.name > 3", "1:21: found no matching overload for '_>_' applied to '(string, int)'"),
        ("typed.metadata.name == null", "found no matching overload for '_==_' applied to '(string, null)'"),
        ("typed.metadata.name.x", "1:20: type 'string' does not support field selection"),
        ("duration('x')", "1:10: invalid duration argument"),
        ("'a'.matches('(')", "1:13: invalid matches argument"),
        ("[object.a, 'x']", "1:12: expected type 'dyn' but found 'string'"),
        ("[1, 'a']", "1:5: expected type 'int' but found 'string'"),
        ("names.all(n, n)", "1:14: expected type 'bool' but found 'string'"),
        (
            "names.filter(n, n)",
            "1:13: found no matching overload for '_?_:_' applied to '(string, list(string), list(string))'",
        ),
        ("names.exists_one(n, n)", "found no matching overload for '_?_:_' applied to '(string, int, int)'"),
        ("int('x') == 1", "program instantiation failed: type conversion error from 'string' to 'int'"),
        (
            "'%d'.format(['a'])",
            "1:14: error during formatting: decimal clause can only be used on integers, was given string",
        ),
        ("'%s %s'.format(['a'])", "1:15: index 1 out of range"),
        ("[1, 2,", "1:7: Syntax error: missing ']' at '<EOF>'"),
        ("limits.cpu == 'a'", "found no matching overload for '_==_' applied to '(int, string)'"),
        (
            "1.all(x, true)",
            "expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("1 && true", "1:1: expected type 'bool' but found 'int'"),
    ] {
        assert!(refused(source).contains(message), "{source}\n{}", refused(source));
    }
}

#[test]
fn a_type_is_found_out_before_anything_is_evaluated() {
    for (source, ty) in [
        ("object.spec.replicas", "dyn"),
        ("1 + 1", "int"),
        ("names.map(n, size(n))", "list(int)"),
        ("typed.?metadata.name", "optional_type(string)"),
        ("object.x ? 1 : 2", "int"),
        ("names.filter(n, true)[0]", "string"),
        ("{'a': 1}", "map(string, int)"),
        ("[]", "list(dyn)"),
        ("quantity('1')", "kubernetes.Quantity"),
        ("object.a + 1", "int"),
        ("object.a + object.b", "dyn"),
        ("timestamp('2024-01-01T00:00:00Z')", "google.protobuf.Timestamp"),
        ("names.transformMap(i, n, n)", "map(int, string)"),
        ("null", "null_type"),
    ] {
        assert_eq!(env().compile(source).unwrap().ty().to_string(), ty, "{source}");
    }
}

#[test]
fn what_would_cost_too_much_is_stopped() {
    let doubled = |value: &str, join: &str, times: usize| {
        let begin: String =
            (0..times).map(|n| format!("cel.bind(x{}, {}, ", n + 1, join.replace('x', &format!("x{n}")))).collect();
        format!("cel.bind(x0, {value}, {begin} x{times} == x{times}{}", ")".repeat(times + 1))
    };
    let many = format!("[{}]", "1,".repeat(200));
    for source in [
        format!("cel.bind(l, {many}, l.all(a, l.all(b, l.all(c, a + b + c == 3))))"),
        doubled("'abcdefgh'", "x + x", 40),
        doubled("[1]", "x + x", 40),
        doubled("[1]", "[x, x]", 40).replace("x40 == x40", "'%s'.format([x40]) == ''"),
        format!("cel.bind(s, '{}', s.replace('', s).replace('', s) == '')", "a".repeat(10_000)),
    ] {
        let program = env().compile(&source).unwrap_or_else(|error| panic!("{error}"));
        let outcome = program.eval(&variables(), &mut Meter::default());
        assert!(matches!(outcome, Err(Error::TooCostly)), "{source:.80}");
    }
}

#[test]
fn what_is_too_deep_or_too_long_is_refused() {
    for source in [
        "(".repeat(10_000),
        "[".repeat(10_000),
        "-".repeat(50_001) + "x",
        "!".repeat(50_001),
        "1".to_owned() + &"+1".repeat(10_000),
        "object".to_owned() + &".a".repeat(10_000),
        "a?".repeat(10_000),
        "x".repeat(200_000),
        "f(".repeat(10_000),
        "[[1]]".repeat(10_000),
    ] {
        assert!(env().compile(&source).is_err(), "{source:.20}");
    }
    // But a long chain of conditions is not deep.
    assert!(env().compile(&format!("true{}", " && true".repeat(5000))).is_ok());
}
