//! What Go says of text that is no JSON.
//!
//! Knows: the sentences of Go's `encoding/json`, which clients and recorded cases quote.
//! Does not know: what the text was meant to be. Text is parsed elsewhere; this is asked only when that failed.

use std::fmt::Write as _;

/// Why the text is not one JSON value, as Go's scanner says it; none if it is one.
#[must_use]
pub(crate) fn error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0, depth: 0 };
    scanner.document().err().map(|error| match error {
        Error::Depth => "exceeded max depth".to_owned(),
        Error::End => "unexpected end of JSON input".to_owned(),
        Error::Character(character, place) => format!("invalid character {} {place}", quoted(character)),
    })
}

/// Deeper nesting is not read. Go takes more, but no object is so deep.
const DEPTH_MAX: usize = 128;

enum Error {
    End,
    Depth,
    Character(u8, String),
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Error> {
        self.value("looking for beginning of value")?;
        self.space();
        self.peek().map_or(Ok(()), |extra| Err(Error::Character(extra, "after top-level value".to_owned())))
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, Error> {
        let byte = self.peek().ok_or(Error::End)?;
        self.at += 1;
        Ok(byte)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// What is no number is no error in itself: what follows it decides. `place` says what was expected here.
    fn value(&mut self, place: &str) -> Result<(), Error> {
        self.space();
        match self.next()? {
            b'{' => self.deeper(Self::object),
            b'[' => self.deeper(Self::list),
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            b'-' => match self.next()? {
                digit @ b'0'..=b'9' => self.number(digit),
                other => Err(Error::Character(other, "in numeric literal".to_owned())),
            },
            digit @ b'0'..=b'9' => self.number(digit),
            other => Err(Error::Character(other, place.to_owned())),
        }
    }

    fn deeper(&mut self, read: fn(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if self.depth == DEPTH_MAX {
            return Err(Error::Depth);
        }
        self.depth += 1;
        read(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Error> {
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            match self.next()? {
                b'"' => self.string()?,
                other => return Err(Error::Character(other, "looking for beginning of object key string".to_owned())),
            }
            self.space();
            match self.next()? {
                b':' => self.value("looking for beginning of value")?,
                other => return Err(Error::Character(other, "after object key".to_owned())),
            }
            self.space();
            match self.next()? {
                b',' => {}
                b'}' => return Ok(()),
                other => return Err(Error::Character(other, "after object key:value pair".to_owned())),
            }
        }
    }

    fn list(&mut self) -> Result<(), Error> {
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value("looking for beginning of value")?;
            self.space();
            match self.next()? {
                b',' => {}
                b']' => return Ok(()),
                other => return Err(Error::Character(other, "after array element".to_owned())),
            }
        }
    }

    fn string(&mut self) -> Result<(), Error> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let digit = self.next()?;
                            if !digit.is_ascii_hexdigit() {
                                let place = "in \\u hexadecimal character escape";
                                return Err(Error::Character(digit, place.to_owned()));
                            }
                        }
                    }
                    other => return Err(Error::Character(other, "in string escape code".to_owned())),
                },
                control @ 0..=0x1f => return Err(Error::Character(control, "in string literal".to_owned())),
                _ => {}
            }
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Error> {
        for want in word.bytes().skip(1) {
            let found = self.next()?;
            if found != want {
                let place = format!("in literal {word} (expecting {})", quoted(want));
                return Err(Error::Character(found, place));
            }
        }
        Ok(())
    }

    fn number(&mut self, first: u8) -> Result<(), Error> {
        if first != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digit("after decimal point in numeric literal")?;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digit("in exponent of numeric literal")?;
            self.digits();
        }
        Ok(())
    }

    fn digit(&mut self, place: &str) -> Result<(), Error> {
        match self.next()? {
            b'0'..=b'9' => Ok(()),
            other => Err(Error::Character(other, place.to_owned())),
        }
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }
}

/// A byte as Go quotes it in an error.
#[must_use]
pub(crate) fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0x20..=0x7e => format!("'{}'", char::from(byte)),
        0x80..=0x9f | 0..=0x1f | 0x7f | 0xad => format!("'\\x{byte:02x}'"),
        // Go takes the byte for a code point.
        _ => format!("'{}'", char::from(byte)),
    }
}

/// The first bytes of a body as errors show them: text if it begins like an object, else in hexadecimal.
#[must_use]
pub(super) fn summary(body: &[u8]) -> String {
    const SHOWN: usize = 30;
    let head = body.get(..SHOWN).unwrap_or(body);
    let more = if body.len() > SHOWN { " ..." } else { "" };
    match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(head)),
        Some(_) => {
            let mut hex = String::new();
            for byte in head {
                let _ = write!(hex, "{byte:02x}");
            }
            hex + more
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_told_in_gos_words() {
        let cases: &[(&str, Option<&str>)] = &[
            (r#"{"a": [1, -2.5e+3, "x\u00e9"], "b": null} "#, None),
            ("", Some("unexpected end of JSON input")),
            (r#"{"a""#, Some("unexpected end of JSON input")),
            ("{} x", Some("invalid character 'x' after top-level value")),
            ("a: 1", Some("invalid character 'a' looking for beginning of value")),
            ("{a:1}", Some("invalid character 'a' looking for beginning of object key string")),
            (r#"{"a" 1}"#, Some("invalid character '1' after object key")),
            (r#"{"a":1 "b"}"#, Some("invalid character '\"' after object key:value pair")),
            (r#"{"a":1,}"#, Some("invalid character '}' looking for beginning of object key string")),
            ("[1 2]", Some("invalid character '2' after array element")),
            ("[1,]", Some("invalid character ']' looking for beginning of value")),
            ("nul1", Some("invalid character '1' in literal null (expecting 'l')")),
            ("-x", Some("invalid character 'x' in numeric literal")),
            ("01", Some("invalid character '1' after top-level value")),
            ("1.x", Some("invalid character 'x' after decimal point in numeric literal")),
            ("\"a\nb\"", Some("invalid character '\\n' in string literal")),
            (r#""\x""#, Some("invalid character 'x' in string escape code")),
        ];
        for (text, want) in cases {
            assert_eq!(error(text.as_bytes()).as_deref(), *want, "{text}");
        }
    }
}
