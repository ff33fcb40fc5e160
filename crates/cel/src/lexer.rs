//! Text to tokens.
//!
//! Knows: CEL's numbers, strings, bytes, names and signs.
//! Does not know: which token may follow which.

use arcstr::ArcStr as Text;

/// A token and where it stands, in characters from the beginning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) start: usize,
    pub(crate) kind: TokenKind,
    /// As it was written, for messages.
    pub(crate) text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    End,
    Int,
    Uint,
    Double,
    String(Text),
    Bytes(Vec<u8>),
    /// A name; a quoted one (`` `a-b` ``) only as a field.
    Name,
    Quoted(Text),
    True,
    False,
    Null,
    In,
    /// Anything else, as it is written.
    Sign(&'static str),
}

/// What is wrong with the text itself, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) message: String,
}

/// Signs, longer ones first.
const SIGNS: [&str; 25] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*",
    "/", "%", "\u{0}",
];

/// Reads everything, past what cannot be read.
pub(crate) fn tokens(source: &[char]) -> (Vec<Token>, Vec<Fault>) {
    let mut lexer = Lexer { source, at: 0, faults: Vec::new() };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next();
        let done = token.kind == TokenKind::End;
        tokens.push(token);
        if done {
            return (tokens, lexer.faults);
        }
    }
}

struct Lexer<'a> {
    source: &'a [char],
    at: usize,
    faults: Vec<Fault>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.source.get(self.at.saturating_add(ahead)).copied().unwrap_or('\0')
    }

    fn text(&self, from: usize) -> String {
        self.source.get(from..self.at).unwrap_or_default().iter().collect()
    }

    fn eat(&mut self, accepts: impl Fn(char) -> bool) {
        while self.at < self.source.len() && accepts(self.peek(0)) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Token {
        loop {
            self.eat(|c| matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{c}'));
            if self.peek(0) == '/' && self.peek(1) == '/' {
                self.eat(|c| c != '\n');
                continue;
            }
            let start = self.at;
            if start >= self.source.len() {
                return Token { start, kind: TokenKind::End, text: "<EOF>".to_owned() };
            }
            if let Some(kind) = self.token() {
                return Token { start, kind, text: self.text(start) };
            }
            // What is no token ends with the character that made it none.
            self.at = (start + 1).max(self.at).min(self.source.len());
            let end = if self.at < self.source.len() && self.at == start + 1 && self.ends_a_fault(start) {
                self.at + 1
            } else {
                self.at
            };
            let shown: String = self.source.get(start..end).unwrap_or_default().iter().collect();
            let message = format!("Syntax error: token recognition error at: '{}'", escaped(&shown));
            self.faults.push(Fault { at: start, message });
        }
    }

    /// `=`, `&` and `|` might have gone on; what comes instead is part of the fault.
    fn ends_a_fault(&self, start: usize) -> bool {
        self.source.get(start).is_some_and(|c| matches!(c, '=' | '&' | '|'))
    }

    fn token(&mut self) -> Option<TokenKind> {
        let (first, second) = (self.peek(0), self.peek(1));
        if first.is_ascii_digit() || (first == '.' && second.is_ascii_digit()) {
            return Some(self.number());
        }
        if let Some(string) = self.string() {
            return string;
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let start = self.at;
            self.eat(|c| c.is_ascii_alphanumeric() || c == '_');
            return Some(match self.text(start).as_str() {
                "true" => TokenKind::True,
                "false" => TokenKind::False,
                "null" => TokenKind::Null,
                "in" => TokenKind::In,
                _ => TokenKind::Name,
            });
        }
        if first == '`' {
            let start = self.at;
            self.at += 1;
            self.eat(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ' '));
            if self.peek(0) != '`' {
                self.at = start + 1;
                return None;
            }
            self.at += 1;
            let name = self.text(start);
            return Some(TokenKind::Quoted(Text::from(name.trim_matches('`'))));
        }
        let sign = SIGNS.iter().find(|sign| {
            let mut letters = sign.chars().zip(0..);
            letters.all(|(letter, ahead)| letter != '\0' && self.peek(ahead) == letter)
        })?;
        self.at += sign.len();
        Some(TokenKind::Sign(sign))
    }

    fn number(&mut self) -> TokenKind {
        if self.peek(0) == '0' && matches!(self.peek(1), 'x' | 'X') && self.peek(2).is_ascii_hexdigit() {
            self.at += 2;
            self.eat(|c| c.is_ascii_hexdigit());
        } else {
            self.eat(|c| c.is_ascii_digit());
            let fraction = self.peek(0) == '.' && self.peek(1).is_ascii_digit();
            if fraction {
                self.at += 1;
                self.eat(|c| c.is_ascii_digit());
            }
            let sign = usize::from(matches!(self.peek(1), '+' | '-'));
            let exponent = matches!(self.peek(0), 'e' | 'E') && self.peek(1 + sign).is_ascii_digit();
            if exponent {
                self.at += 1 + sign;
                self.eat(|c| c.is_ascii_digit());
            }
            if fraction || exponent {
                return TokenKind::Double;
            }
        }
        if matches!(self.peek(0), 'u' | 'U') {
            self.at += 1;
            return TokenKind::Uint;
        }
        TokenKind::Int
    }

    /// A string or bytes, if one begins here. The inner none means that it is broken.
    fn string(&mut self) -> Option<Option<TokenKind>> {
        let (mut ahead, mut raw, mut bytes) = (0, false, false);
        loop {
            match self.peek(ahead) {
                'r' | 'R' if !raw => raw = true,
                'b' | 'B' if !bytes && !raw => bytes = true,
                '"' | '\'' => break,
                _ => return None,
            }
            ahead += 1;
        }
        let quote = self.peek(ahead);
        self.at += ahead;
        let triple = self.peek(1) == quote && self.peek(2) == quote;
        let width = if triple { 3 } else { 1 };
        self.at += width;
        let mut content = Content { bytes, text: String::new(), raw: Vec::new() };
        loop {
            let here = self.peek(0);
            if self.at >= self.source.len() || (!triple && matches!(here, '\n' | '\r')) {
                // The fault shows what was read of it.
                if self.at < self.source.len() {
                    self.at += 1;
                }
                return Some(None);
            }
            if (0..width).all(|ahead| self.peek(ahead) == quote) {
                self.at += width;
                break;
            }
            if here == '\\' && !raw {
                let place = self.at;
                if !self.escape(&mut content) {
                    self.at = (place + 2).min(self.source.len());
                    self.eat(|c| c != quote && c != '\n');
                    self.at = (self.at + 1).min(self.source.len());
                    return Some(None);
                }
            } else {
                content.push(here);
                self.at += 1;
            }
        }
        Some(Some(if bytes { TokenKind::Bytes(content.raw) } else { TokenKind::String(content.text.into()) }))
    }

    /// Reads what follows a backslash; whether it means anything.
    fn escape(&mut self, content: &mut Content) -> bool {
        let letter = self.peek(1);
        self.at += 2;
        let simple = match letter {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '\'' | '"' | '`' | '?' => letter,
            'x' | 'X' => return self.code(content, 2, 16, true),
            'u' if !content.bytes => return self.code(content, 4, 16, false),
            'U' if !content.bytes => return self.code(content, 8, 16, false),
            '0'..='3' => {
                self.at -= 1;
                return self.code(content, 3, 8, true);
            }
            _ => return false,
        };
        content.push(simple);
        true
    }

    fn code(&mut self, content: &mut Content, digits: usize, radix: u32, byte: bool) -> bool {
        let from = self.at;
        self.at = (self.at + digits).min(self.source.len());
        let text = self.text(from);
        let valid = text.len() == digits && text.chars().all(|c| c.is_digit(radix));
        let Some(number) = u32::from_str_radix(&text, radix).ok().filter(|_| valid) else { return false };
        if content.bytes && byte {
            let Ok(byte) = u8::try_from(number) else { return false };
            content.raw.push(byte);
            return true;
        }
        let Some(letter) = char::from_u32(number) else { return false };
        content.push(letter);
        true
    }
}

struct Content {
    bytes: bool,
    text: String,
    raw: Vec<u8>,
}

impl Content {
    fn push(&mut self, letter: char) {
        if self.bytes {
            self.raw.extend(letter.encode_utf8(&mut [0; 4]).bytes());
        } else {
            self.text.push(letter);
        }
    }
}

/// Line breaks and tabs as the real parser shows them.
fn escaped(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}
