//! A document as it was sent: keys in their order, twice if they stand twice, numbers as they were written.
//!
//! Knows: JSON text, and [`Value`]s.
//! Does not know: what the document should say.
//!
//! A [`Value`] is what a document says. What is wrong with it is told in the order and the letters in which it was said,
//! so a document with faults is read a second time into this; one without faults, which is nearly every one, is not.

use crate::value::{Text, Value};

/// A piece of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sent {
    Null,
    Bool(bool),
    /// Its digits.
    Number(String),
    Text(Text),
    List(Vec<Self>),
    /// In the order in which the keys came.
    Map(Vec<(Text, Self)>),
}

impl Sent {
    /// Reads JSON text that was read before: whatever is no JSON is `null`.
    pub(crate) fn json(text: &[u8]) -> Self {
        let mut reader = Reader { text, at: 0 };
        reader.value().unwrap_or(Self::Null)
    }

    /// What Go calls this when it wanted something else.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "object",
        }
    }
}

impl From<&Value> for Sent {
    /// As Go writes it: keys in their order, each once.
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Int(_) | Value::Float(_) => Self::Number(value.to_json()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(list) => Self::List(list.iter().map(Self::from).collect()),
            Value::Object(map) => Self::Map(map.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect()),
        }
    }
}

impl From<&Sent> for Value {
    /// What it says.
    fn from(sent: &Sent) -> Self {
        match sent {
            Sent::Null => Self::Null,
            Sent::Bool(truth) => Self::Bool(*truth),
            Sent::Number(digits) => Self::from_json(digits.as_bytes()).unwrap_or_default(),
            Sent::Text(text) => Self::String(text.clone()),
            Sent::List(list) => list.iter().map(Self::from).collect(),
            Sent::Map(entries) => {
                Self::Object(entries.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
        }
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn while_of(&mut self, belongs: impl Fn(u8) -> bool) -> &str {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|byte| belongs(*byte)) {
            self.at += 1;
        }
        self.text.get(start..self.at).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or("")
    }

    fn value(&mut self) -> Option<Sent> {
        match self.peek()? {
            b'{' => self.map(),
            b'[' => self.list(),
            b'"' => self.string().map(Sent::Text),
            b'-' | b'0'..=b'9' => {
                let digits = self.while_of(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
                Some(Sent::Number(digits.to_owned()))
            }
            _ => match self.while_of(|byte| byte.is_ascii_alphabetic()) {
                "true" => Some(Sent::Bool(true)),
                "false" => Some(Sent::Bool(false)),
                "null" => Some(Sent::Null),
                _ => None,
            },
        }
    }

    fn string(&mut self) -> Option<Text> {
        let start = self.at;
        self.take(b'"').then_some(())?;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        let text: String = serde_json::from_slice(self.text.get(start..self.at)?).ok()?;
        Some(Text::from(text))
    }

    fn list(&mut self) -> Option<Sent> {
        self.take(b'[').then_some(())?;
        let mut list = Vec::new();
        while !self.take(b']') {
            list.push(self.value()?);
            self.take(b',');
        }
        Some(Sent::List(list))
    }

    fn map(&mut self) -> Option<Sent> {
        self.take(b'{').then_some(())?;
        let mut entries = Vec::new();
        while !self.take(b'}') {
            self.peek();
            let key = self.string()?;
            self.take(b':').then_some(())?;
            entries.push((key, self.value()?));
            self.take(b',');
        }
        Some(Sent::Map(entries))
    }
}
