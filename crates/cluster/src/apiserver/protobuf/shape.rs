//! What `Debug` tells of a message, read back.
//!
//! Knows: how derived `Debug` writes structs, options, lists, maps and scalars.
//! Does not know: what any of it means.

/// A value as `Debug` told it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// `None`
    Absent,
    Text(String),
    Truth(bool),
    Whole(i64),
    Double(f64),
    List(Vec<Shape>),
    Map(Vec<(String, Shape)>),
    Struct(String, Vec<(String, Shape)>),
}

/// Deeper than any message is nested.
const DEPTH_MAX: usize = 64;

/// Reads a whole tale.
pub(super) fn read(told: &str) -> Option<Shape> {
    let mut reader = Reader { rest: told };
    let shape = reader.value(0)?;
    reader.rest.is_empty().then_some(shape)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn while_of(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|letter| !belongs(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn value(&mut self, depth: usize) -> Option<Shape> {
        if depth > DEPTH_MAX {
            return None;
        }
        if self.take("None") {
            return Some(Shape::Absent);
        }
        if self.take("Some(") {
            let value = self.value(depth + 1)?;
            return self.take(")").then_some(value);
        }
        match self.rest.chars().next()? {
            '"' => self.text().map(Shape::Text),
            '[' => self.list(depth),
            '{' => self.map(depth),
            letter if letter == '-' || letter.is_ascii_digit() => self.number(),
            _ => self.word(depth),
        }
    }

    fn text(&mut self) -> Option<String> {
        self.take("\"").then_some(())?;
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = self.rest.get(at + 1..)?;
                    return Some(text);
                }
                '\\' => match letters.next()?.1 {
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    '0' => text.push('\0'),
                    'u' => {
                        (letters.next()?.1 == '{').then_some(())?;
                        let mut code = 0_u32;
                        loop {
                            match letters.next()?.1 {
                                '}' => break,
                                digit => code = code.checked_mul(16)?.checked_add(digit.to_digit(16)?)?,
                            }
                        }
                        text.push(char::from_u32(code)?);
                    }
                    same => text.push(same),
                },
                letter => text.push(letter),
            }
        }
        None
    }

    fn list(&mut self, depth: usize) -> Option<Shape> {
        self.take("[").then_some(())?;
        let mut items = Vec::new();
        while !self.take("]") {
            if !items.is_empty() {
                self.take(", ").then_some(())?;
            }
            items.push(self.value(depth + 1)?);
        }
        Some(Shape::List(items))
    }

    fn map(&mut self, depth: usize) -> Option<Shape> {
        self.take("{").then_some(())?;
        let mut entries = Vec::new();
        while !self.take("}") {
            if !entries.is_empty() {
                self.take(", ").then_some(())?;
            }
            let key = self.text()?;
            self.take(": ").then_some(())?;
            entries.push((key, self.value(depth + 1)?));
        }
        Some(Shape::Map(entries))
    }

    fn number(&mut self) -> Option<Shape> {
        let word = self.while_of(|letter| letter.is_ascii_digit() || matches!(letter, '-' | '+' | '.' | 'e' | 'E'));
        word.parse().map(Shape::Whole).or_else(|_| word.parse().map(Shape::Double)).ok()
    }

    fn word(&mut self, depth: usize) -> Option<Shape> {
        let name = self.while_of(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '#'));
        match name {
            "" => return None,
            "true" => return Some(Shape::Truth(true)),
            "false" => return Some(Shape::Truth(false)),
            _ => {}
        }
        let mut fields = Vec::new();
        if self.take(" { ") {
            loop {
                let field = self.while_of(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '#'));
                self.take(": ").then_some(())?;
                fields.push((field.to_owned(), self.value(depth + 1)?));
                if !self.take(", ") {
                    break;
                }
            }
            self.take(" }").then_some(())?;
        }
        Some(Shape::Struct(name.to_owned(), fields))
    }
}
