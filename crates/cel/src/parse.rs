//! Tokens to an expression.
//!
//! Knows: the grammar, what binds tighter than what, how deep an expression may be, and the words in which cel-go's parser
//! complains.
//! Does not know: names, types. Macros are `macros`'.

use arcstr::ArcStr as Text;

use crate::ast::{Access, Expr, Kind};
use crate::lexer::{Fault, Token, TokenKind, tokens};
use crate::macros;
use crate::value::Value;

/// An expression is no longer than this, in characters, as in cel-go.
const LENGTH_MAX: usize = 100_000;
/// So many expressions may stand in one another, as in cel-go: what walks over them may recurse.
const DEPTH_MAX: usize = 250;
/// So many brackets may, which is what the parser itself recurses over.
const NESTED_MAX: usize = 80;

/// What may begin an operand, as the real parser lists it.
const OPERANDS: &str =
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// Names that are kept for later.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Reads an expression.
///
/// # Errors
/// What is wrong with it; never nothing.
pub(crate) fn parse(source: &str) -> Result<Expr, Vec<Fault>> {
    let letters: Vec<char> = source.chars().take(LENGTH_MAX + 1).collect();
    if letters.len() > LENGTH_MAX {
        let length = source.chars().count();
        let message = format!("expression code point size exceeds limit: size: {length}, limit {LENGTH_MAX}");
        return Err(vec![Fault { at: 0, message }]);
    }
    let (tokens, faults) = tokens(&letters);
    let mut parser = Parser { tokens, at: 0, nested: 0, faults };
    let expr = parser.whole();
    parser.faults.sort_by_key(|fault| fault.at);
    match expr {
        Some(expr) if parser.faults.is_empty() => Ok(expr),
        _ => Err(parser.faults),
    }
}

/// What binds how tightly; the tighter the higher. `None` is no infix operator.
fn binding(kind: &TokenKind) -> Option<(u8, &'static str)> {
    Some(match kind {
        TokenKind::In => (4, "@in"),
        TokenKind::Sign(sign) => match *sign {
            "?" => (1, "_?_:_"),
            "||" => (2, "_||_"),
            "&&" => (3, "_&&_"),
            "<" => (4, "_<_"),
            "<=" => (4, "_<=_"),
            ">=" => (4, "_>=_"),
            ">" => (4, "_>_"),
            "==" => (4, "_==_"),
            "!=" => (4, "_!=_"),
            "+" => (5, "_+_"),
            "-" => (5, "_-_"),
            "*" => (6, "_*_"),
            "/" => (6, "_/_"),
            "%" => (6, "_%_"),
            _ => return None,
        },
        _ => return None,
    })
}

pub(crate) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    nested: usize,
    faults: Vec<Fault>,
}

static END: Token = Token { start: 0, kind: TokenKind::End, text: String::new() };

impl Parser {
    /// Notes what is wrong somewhere. Gives nothing, so that it can end a function.
    pub(crate) fn fault<T>(&mut self, at: usize, message: impl Into<String>) -> Option<T> {
        self.faults.push(Fault { at, message: message.into() });
        None
    }

    /// An expression of parts; none if it would be too deep.
    pub(crate) fn expr(&mut self, at: usize, kind: Kind) -> Option<Expr> {
        let depth = 1 + kind.parts().iter().map(|part| part.depth).max().unwrap_or(0);
        if depth > DEPTH_MAX {
            return self.too_deep();
        }
        Some(Expr { at, depth, kind })
    }

    fn too_deep<T>(&mut self) -> Option<T> {
        self.fault(0, format!("expression recursion limit exceeded: {DEPTH_MAX}"))
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or(&END)
    }

    fn ahead(&self, tokens: usize) -> &Token {
        self.tokens.get(self.at + tokens).or(self.tokens.last()).unwrap_or(&END)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len());
        token
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek().kind, TokenKind::Sign(have) if have == sign)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let is = self.is(sign);
        if is {
            self.at += 1;
        }
        is
    }

    /// What cannot be here is passed over if the sign that should be here follows it; a sign that is missing at the end
    /// is only missing.
    fn expect(&mut self, sign: &str) -> Option<()> {
        if self.eat(sign) {
            return Some(());
        }
        let (at, text) = (self.peek().start, self.peek().text.clone());
        if matches!(self.ahead(1).kind, TokenKind::Sign(have) if have == sign) {
            self.at += 2;
            self.fault::<()>(at, format!("Syntax error: extraneous input '{text}' expecting '{sign}'"));
            return Some(());
        }
        if self.peek().kind == TokenKind::End && matches!(sign, ")" | "]") {
            return self.fault(at, format!("Syntax error: missing '{sign}' at '{text}'"));
        }
        self.fault(at, format!("Syntax error: mismatched input '{text}' expecting '{sign}'"))
    }

    fn whole(&mut self) -> Option<Expr> {
        let expr = self.infix(0)?;
        if self.peek().kind != TokenKind::End {
            let (at, text) = (self.peek().start, self.peek().text.clone());
            let what = if self.ahead(1).kind == TokenKind::End { "extraneous" } else { "mismatched" };
            return self.fault(at, format!("Syntax error: {what} input '{text}' expecting <EOF>"));
        }
        Some(expr)
    }

    /// Operands with operators between them that bind at least so tightly.
    fn infix(&mut self, tightness: u8) -> Option<Expr> {
        self.nested += 1;
        if self.nested > NESTED_MAX {
            return self.too_deep();
        }
        let mut left = self.unary()?;
        while let Some((binds, function)) = binding(&self.peek().kind)
            && binds >= tightness
        {
            let at = self.next().start;
            if function == "_?_:_" {
                let yes = self.infix(2)?;
                self.expect(":")?;
                let no = self.infix(1)?;
                left = self.expr(at, Kind::Conditional(Box::new([left, yes, no])))?;
                continue;
            }
            let right = self.infix(binds + 1)?;
            left = self.joined(at, function, left, right)?;
        }
        self.nested -= 1;
        Some(left)
    }

    fn joined(&mut self, at: usize, function: &'static str, left: Expr, right: Expr) -> Option<Expr> {
        let kind = match (function, left) {
            // One more of the same. What stands in parentheses is joined too: it means the same.
            ("_&&_", Expr { kind: Kind::And(mut parts), .. }) => {
                parts.push(right);
                Kind::And(parts)
            }
            ("_||_", Expr { kind: Kind::Or(mut parts), .. }) => {
                parts.push(right);
                Kind::Or(parts)
            }
            ("_&&_", left) => Kind::And(vec![left, right]),
            ("_||_", left) => Kind::Or(vec![left, right]),
            (function, left) => Kind::Call { function: Text::from(function), target: None, args: vec![left, right] },
        };
        self.expr(at, kind)
    }

    fn unary(&mut self) -> Option<Expr> {
        for (sign, function) in [("!", "!_"), ("-", "-_")] {
            if !self.is(sign) {
                continue;
            }
            let at = self.peek().start;
            let mut times = 0_usize;
            while self.eat(sign) {
                times += 1;
            }
            let number = matches!(self.peek().kind, TokenKind::Int | TokenKind::Double);
            if sign == "-" && times == 1 && number {
                let text = format!("-{}", self.peek().text);
                let literal = self.number(at, &text)?;
                return self.member(literal);
            }
            let operand = self.primary()?;
            let operand = self.member(operand)?;
            // Twice is as good as not at all.
            if times.is_multiple_of(2) {
                return Some(operand);
            }
            return self.expr(at, Kind::Call { function: function.into(), target: None, args: vec![operand] });
        }
        let operand = self.primary()?;
        self.member(operand)
    }

    /// What follows an operand: fields, methods, indexes.
    fn member(&mut self, mut operand: Expr) -> Option<Expr> {
        loop {
            if self.is(".") {
                let at = self.next().start;
                let optional = self.eat("?");
                let name = self.field_name()?;
                if !optional && self.is("(") {
                    let at = self.next().start;
                    let args = self.list(")", &mut |parser| parser.infix(0))?;
                    operand = macros::method(self, at, operand, &name, args)?;
                    continue;
                }
                let access = if optional { Access::Optional } else { Access::Plain };
                operand = self.expr(at, Kind::Select { operand: Box::new(operand), field: name, access })?;
            } else if self.is("[") {
                let at = self.next().start;
                let optional = self.eat("?");
                let index = self.infix(0)?;
                self.expect("]")?;
                operand =
                    self.expr(at, Kind::Index { operand: Box::new(operand), index: Box::new(index), optional })?;
            } else if self.is("{") && type_name(&operand).is_some() {
                let name = type_name(&operand).unwrap_or_default();
                let at = self.next().start;
                let fields = self.list("}", &mut |parser| {
                    let optional = parser.eat("?");
                    let field = parser.struct_field()?;
                    let colon = parser.peek().start;
                    parser.expect(":")?;
                    Some((field, parser.infix(0)?, optional, colon))
                })?;
                operand = self.expr(at, Kind::Struct { name: name.into(), fields })?;
            } else {
                return Some(operand);
            }
        }
    }

    fn field_name(&mut self) -> Option<Text> {
        let token = self.next();
        match token.kind {
            TokenKind::Name => Some(token.text.into()),
            TokenKind::Quoted(name) => Some(name),
            _ => self.fault(
                token.start,
                format!("Syntax error: no viable alternative at input '.{}'", token.text.replace("<EOF>", "")),
            ),
        }
    }

    /// The name of a field that is set.
    fn struct_field(&mut self) -> Option<Text> {
        if self.peek().kind == TokenKind::End {
            let at = self.peek().start;
            let expected = "{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}";
            return self.fault(at, format!("Syntax error: mismatched input '<EOF>' expecting {expected}"));
        }
        self.field_name()
    }

    /// What stands between brackets, with commas between; one more comma may stand at the end.
    fn list<T>(&mut self, end: &str, item: &mut dyn FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        while !self.is(end) {
            if self.peek().kind == TokenKind::End && end == ")" && items.is_empty() {
                let (at, operands) = (self.peek().start, OPERANDS.replacen("'(', ", "'(', ')', ", 1));
                return self.fault(at, format!("Syntax error: mismatched input '<EOF>' expecting {operands}"));
            }
            if self.peek().kind == TokenKind::End && end == "]" && !items.is_empty() {
                break;
            }
            items.push(item(self)?);
            if !self.eat(",") || (end == ")" && self.is(end)) {
                break;
            }
        }
        self.expect(end)?;
        Some(items)
    }

    fn primary(&mut self) -> Option<Expr> {
        let token = self.next();
        let at = token.start;
        match token.kind {
            TokenKind::Int | TokenKind::Uint | TokenKind::Double => {
                self.at -= 1;
                let text = token.text;
                self.number(at, &text)
            }
            TokenKind::String(text) => self.expr(at, Kind::Literal(Value::String(text))),
            TokenKind::Bytes(bytes) => self.expr(at, Kind::Literal(Value::Bytes(bytes.into()))),
            TokenKind::True => self.expr(at, Kind::Literal(Value::Bool(true))),
            TokenKind::False => self.expr(at, Kind::Literal(Value::Bool(false))),
            TokenKind::Null => self.expr(at, Kind::Literal(Value::Null)),
            TokenKind::Name => self.name(at, token.text),
            TokenKind::Sign(".") if self.peek().kind == TokenKind::Name => {
                let name = self.next();
                self.name(name.start, name.text)
            }
            TokenKind::Sign("(") => {
                let expr = self.infix(0)?;
                self.expect(")")?;
                Some(expr)
            }
            TokenKind::Sign("[") => {
                let items = self.list("]", &mut |parser| {
                    let optional = parser.eat("?");
                    Some((parser.infix(0)?, optional))
                })?;
                self.expr(at, Kind::List(items))
            }
            TokenKind::Sign("{") => {
                let entries = self.list("}", &mut |parser| {
                    let optional = parser.eat("?");
                    let key = parser.infix(0)?;
                    parser.expect(":")?;
                    Some((key, parser.infix(0)?, optional))
                })?;
                self.expr(at, Kind::Map(entries))
            }
            _ => {
                // A token too many is passed over if an operand follows it.
                if token.kind != TokenKind::End && begins_operand(&self.peek().kind) {
                    self.fault::<()>(
                        at,
                        format!("Syntax error: extraneous input '{}' expecting {OPERANDS}", token.text),
                    );
                    self.nested += 1;
                    return if self.nested > NESTED_MAX { self.too_deep() } else { self.primary() };
                }
                self.fault(at, format!("Syntax error: mismatched input '{}' expecting {OPERANDS}", token.text))
            }
        }
    }

    fn name(&mut self, at: usize, name: String) -> Option<Expr> {
        if self.is("(") {
            let at = self.next().start;
            let args = self.list(")", &mut |parser| parser.infix(0))?;
            return macros::function(self, at, &name, args);
        }
        if RESERVED.contains(&name.as_str()) {
            return self.fault(at, format!("reserved identifier: {name}"));
        }
        self.expr(at, Kind::Ident(name.into()))
    }

    fn number(&mut self, at: usize, text: &str) -> Option<Expr> {
        let kind = self.next().kind;
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let whole = |digits: &str| -> Option<u64> {
            match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => digits.parse().ok(),
            }
        };
        let value = match kind {
            TokenKind::Double => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Double),
            TokenKind::Uint => whole(digits.trim_end_matches(['u', 'U'])).map(Value::Uint),
            _ => whole(digits).and_then(|size| {
                let signed = if negative { -i128::from(size) } else { i128::from(size) };
                i64::try_from(signed).ok().map(Value::Int)
            }),
        };
        match (value, kind) {
            (Some(value), _) => self.expr(at, Kind::Literal(value)),
            (None, TokenKind::Double) => self.fault(at, "invalid double literal"),
            (None, TokenKind::Uint) => self.fault(at, "invalid uint literal"),
            (None, _) => self.fault(at, "invalid int literal"),
        }
    }
}

fn begins_operand(kind: &TokenKind) -> bool {
    match kind {
        TokenKind::Sign(sign) => matches!(*sign, "[" | "{" | "(" | "." | "-" | "!"),
        TokenKind::End | TokenKind::In | TokenKind::Quoted(_) => false,
        _ => true,
    }
}

/// The name of a type that is to be made: a chain of names.
fn type_name(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident(name) => Some(name.to_string()),
        Kind::Select { operand, field, access: Access::Plain } => Some(format!("{}.{field}", type_name(operand)?)),
        _ => None,
    }
}
