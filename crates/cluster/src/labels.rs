//! Selectors over labels.
//!
//! Knows: `matchLabels` and `matchExpressions` as they stand in documents, and selectors as they stand in queries
//! (`app=web,tier notin (db)`).
//! Does not know: what is selected.

use crate::value::Value;

/// Whether labels match a `LabelSelector` document, or a plain map of labels as a Service's selector is. An empty selector
/// matches everything, a missing one (`null`) nothing.
#[must_use]
pub fn matches(selector: &Value, labels: &Value) -> bool {
    let Some(map) = selector.as_object() else { return false };
    if map.contains_key("matchLabels") || map.contains_key("matchExpressions") {
        return matches_map(selector.at(&["matchLabels"]), labels)
            && selector
                .at(&["matchExpressions"])
                .items()
                .iter()
                .all(|expression| expression_holds(expression, labels));
    }
    matches_map(selector, labels)
}

/// Whether labels hold every entry of a plain map.
#[must_use]
pub fn matches_map(wanted: &Value, labels: &Value) -> bool {
    wanted.entries().iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn expression_holds(expression: &Value, labels: &Value) -> bool {
    let have = labels.get(expression.at(&["key"]).str_or_empty());
    let among = || expression.at(&["values"]).items().iter().any(|value| Some(value) == have);
    match expression.at(&["operator"]).str_or_empty() {
        "In" => have.is_some() && among(),
        "NotIn" => have.is_none() || !among(),
        "Exists" => have.is_some(),
        "DoesNotExist" => have.is_none(),
        _ => false,
    }
}

/// A `LabelSelector` document, or a plain map of labels, as it would stand in a query.
#[must_use]
pub fn print(selector: &Value) -> String {
    let structured = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    let map = if structured { selector.at(&["matchLabels"]) } else { selector };
    let mut parts: Vec<String> =
        map.entries().iter().map(|(key, value)| format!("{key}={}", value.str_or_empty())).collect();
    for expression in selector.at(&["matchExpressions"]).items() {
        let key = expression.at(&["key"]).str_or_empty();
        let mut values: Vec<&str> = expression.at(&["values"]).items().iter().map(Value::str_or_empty).collect();
        values.sort_unstable();
        let values = values.join(",");
        parts.push(match expression.at(&["operator"]).str_or_empty() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort();
    parts.join(",")
}

/// A label selector. The empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted.
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl Selector {
    /// Reads a selector as it stands in a query: `app in (a,b),!x`.
    ///
    /// # Errors
    /// What is wrong with it, as the API server says it.
    pub fn parse(text: &str) -> Result<Self, String> {
        Parser { tokens: tokens(text), at: 0 }.selector().map(Self)
    }

    /// Whether labels (a map, or `null`) are selected.
    #[must_use]
    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels.get(&requirement.key).and_then(Value::as_str)))
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// As `scale` shows it and as it can be parsed again: `app=web,tier in (a,b)`.
impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, Requirement { key, operator, values }) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            let value = values.first().map(String::as_str).unwrap_or_default();
            match operator {
                Operator::In if values.len() == 1 => write!(f, "{key}={value}")?,
                Operator::In => write!(f, "{key} in ({})", values.join(","))?,
                Operator::NotIn => write!(f, "{key} notin ({})", values.join(","))?,
                Operator::Exists => f.write_str(key)?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
                Operator::GreaterThan => write!(f, "{key}>{value}")?,
                Operator::LessThan => write!(f, "{key}<{value}")?,
            }
        }
        Ok(())
    }
}

impl Requirement {
    fn matches(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|value| self.values.iter().any(|have| have == value));
        let ordered = |wanted: fn(i64, i64) -> bool| {
            let (Some(have), Some(bound)) = (value, self.values.first()) else { return false };
            have.parse().ok().zip(bound.parse().ok()).is_some_and(|(have, bound)| wanted(have, bound))
        };
        match self.operator {
            Operator::In => listed(),
            Operator::NotIn => !listed(),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => ordered(|have, bound| have > bound),
            Operator::LessThan => ordered(|have, bound| have < bound),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    End,
    Word(String),
    /// `,` `(` `)` `!` `=` `==` `!=` `<` `>`
    Sign(&'static str),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::End => "",
            Self::Word(word) => word,
            Self::Sign(sign) => sign,
        }
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self, Self::Sign(have) if *have == sign)
    }
}

const SIGNS: &[&str] = &["==", "!=", "=", "!", ",", "(", ")", "<", ">"];

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', '\r', '\n']);
    while !rest.is_empty() {
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            rest = rest.get(sign.len()..).unwrap_or_default();
        } else {
            let end = rest.find(|c: char| " \t\r\n=!(),<>".contains(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            tokens.push(Token::Word(word.to_owned()));
            rest = after;
        }
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Token {
        self.tokens.get(self.at).cloned().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::Word(_) => {}
                Token::Sign("!") => {}
                Token::End => break,
                other => return Err(format!("found '{}', expected: !, identifier, or 'end of string'", other.text())),
            }
            requirements.push(self.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?);
            match self.next() {
                Token::End => break,
                Token::Sign(",") => match self.peek() {
                    Token::Word(_) => {}
                    Token::Sign("!") => {}
                    other => return Err(format!("found '{}', expected: identifier after ','", other.text())),
                },
                other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
            }
        }
        requirements.sort_by(|one, two| one.key.cmp(&two.key));
        Ok(requirements)
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = self.peek().is("!");
        if negated {
            self.at += 1;
        }
        let Token::Word(key) = self.next() else {
            self.at -= 1;
            return Err(format!("found '{}', expected: identifier", self.peek().text()));
        };
        if let Some(why) = label_key_error(&key) {
            return Err(format!("<nil>: Invalid value: {key:?}: {why}"));
        }
        if negated || self.peek() == Token::End || self.peek().is(",") {
            let operator = if negated { Operator::DoesNotExist } else { Operator::Exists };
            return Ok(Requirement { key, operator, values: Vec::new() });
        }
        let (operator, values) = match self.next() {
            Token::Sign("=" | "==") => (Operator::In, vec![self.exact_value()?]),
            Token::Sign("!=") => (Operator::NotIn, vec![self.exact_value()?]),
            Token::Sign(">") => (Operator::GreaterThan, vec![self.exact_value()?]),
            Token::Sign("<") => (Operator::LessThan, vec![self.exact_value()?]),
            Token::Word(word) if word == "in" => (Operator::In, self.values()?),
            Token::Word(word) if word == "notin" => (Operator::NotIn, self.values()?),
            other => return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.text())),
        };
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for value in &values {
                if value.parse::<i64>().is_err() {
                    let why = "for 'Gt', 'Lt' operators, the value must be an integer";
                    return Err(format!("values[0]: Invalid value: {value:?}: {why}"));
                }
            }
        }
        for (at, value) in values.iter().enumerate() {
            if let Some(why) = label_value_error(value) {
                return Err(format!("values[{at}][{key}]: Invalid value: {value:?}: {why}"));
            }
        }
        Ok(Requirement { key, operator, values })
    }

    fn exact_value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End => Ok(String::new()),
            Token::Sign(",") => Ok(String::new()),
            Token::Word(word) => {
                self.at += 1;
                Ok(word)
            }
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if !open.is("(") {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        let mut values = Vec::new();
        match self.peek() {
            Token::Word(_) => {}
            Token::Sign(",") => {}
            Token::Sign(")") => {
                self.at += 1;
                return Ok(vec![String::new()]);
            }
            other => return Err(format!("found '{}', expected: ',', ')' or identifier", other.text())),
        }
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.push(word);
                    match self.peek() {
                        Token::Sign(",") => {}
                        Token::Sign(")") => {}
                        other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
                    }
                }
                Token::Sign(",") => {
                    let first = values.is_empty();
                    if first {
                        values.push(String::new());
                    }
                    match self.peek() {
                        Token::Sign(")") => values.push(String::new()),
                        Token::Sign(",") => {
                            self.at += 1;
                            values.push(String::new());
                        }
                        _ => {}
                    }
                }
                Token::Sign(")") => {
                    values.sort();
                    values.dedup();
                    return Ok(values);
                }
                other => return Err(format!("found '{}', expected: ',', or identifier", other.text())),
            }
        }
    }
}

const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric));
    ends && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn is_dns_subdomain(text: &str) -> bool {
    text.split('.').all(|label| {
        let bytes = label.as_bytes();
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(inner))
            && bytes.iter().all(|byte| inner(byte) || *byte == b'-')
    })
}

/// Why a text is no label key.
fn label_key_error(key: &str) -> Option<String> {
    let mut errors = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>().as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else if prefix.len() > 253 {
                errors.push("prefix part must be no more than 253 characters".to_owned());
            } else if !is_dns_subdomain(prefix) {
                errors.push(
                    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
                     '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
                     used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                        .to_owned(),
                );
            }
            *name
        }
        _ => {
            return Some(format!(
                "a qualified name {NAME_PART} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_name_part(name) {
        errors.push(format!("name part {NAME_PART}"));
    }
    (!errors.is_empty()).then(|| errors.join("; "))
}

/// Why a text is no label value.
fn label_value_error(value: &str) -> Option<String> {
    let mut errors = Vec::new();
    if value.len() > 63 {
        errors.push("must be no more than 63 bytes".to_owned());
    }
    if !value.is_empty() && !is_name_part(value) {
        errors.push(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must \
             start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
             for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                .to_owned(),
        );
    }
    (!errors.is_empty()).then(|| errors.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc;

    #[test]
    fn label_selectors_select_as_they_say() {
        let labels = [
            doc!({"app": "web", "tier": "1"}),
            doc!({"app": "web", "tier": "20"}),
            doc!({"app": "db"}),
            doc!({"x": "y"}),
            Value::Null,
        ];
        for (selector, want) in [
            ("", "01234"),
            ("app=web", "01"),
            ("app==db", "2"),
            ("app!=web,app", "2"),
            ("app=web,tier=20", "1"),
            ("app in (web,db),tier", "01"),
            ("app notin (web),app", "2"),
            ("!app,x", "3"),
            ("tier>5", "1"),
            ("tier<5", "0"),
            ("app=", ""),
            (" app  in ( db , x ) ", "2"),
        ] {
            let parsed = Selector::parse(selector).unwrap();
            let chosen: String = labels
                .iter()
                .enumerate()
                .filter(|(_, labels)| parsed.matches(labels))
                .map(|(at, _)| at.to_string())
                .collect();
            assert_eq!(chosen, want, "{selector}");
            assert_eq!(Selector::parse(&parsed.to_string()).unwrap(), parsed, "{selector}");
        }
    }

    #[test]
    fn a_label_selector_that_does_not_parse_is_refused_in_the_servers_words() {
        for (selector, want) in [
            ("app in web", "unable to parse requirement: found 'web' expected: '('"),
            ("app=a=b", "found '=', expected: ',' or 'end of string'"),
            ("=x", "found '=', expected: !, identifier, or 'end of string'"),
            ("app in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("app=bad value", "found 'value', expected: ',' or 'end of string'"),
            ("x,,y", "found ',', expected: identifier after ','"),
        ] {
            assert_eq!(Selector::parse(selector).unwrap_err(), want, "{selector}");
        }
        assert!(
            Selector::parse("-x=1")
                .unwrap_err()
                .starts_with("unable to parse requirement: <nil>: Invalid value: \"-x\": name part must consist")
        );
    }

    #[test]
    fn a_missing_selector_selects_nothing_and_an_empty_one_everything() {
        let labels = doc!({"app": "web"});
        assert!(!matches(&Value::Null, &labels));
        assert!(matches(&doc!({}), &labels));
        assert!(matches(&doc!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}), &labels));
        assert!(!matches(
            &doc!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}),
            &labels
        ));
        assert!(matches(&doc!({"app": "web"}), &labels));
    }
}
