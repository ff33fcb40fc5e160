//! Regular expressions as Go reads them.
//!
//! Knows: where Go's syntax means something else than that of the `regex` crate.
//! Does not know: who asks. Matching takes time in proportion to the text, in both; a pattern that would be large when it
//! is compiled is refused, so that reading one takes no long time either.

pub use regex::Regex;
use regex::RegexBuilder;

/// How large a pattern may be when it is compiled, in bytes.
const SIZE_MAX: usize = 1 << 18;

/// Patterns are no longer than this.
const LENGTH_MAX: usize = 8 * 1024;

/// Reads a pattern.
///
/// # Errors
/// A sentence about what is wrong with it.
pub fn read(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > LENGTH_MAX {
        return Err(format!("error parsing regexp: expression too large: `{pattern}`"));
    }
    let translated = translate(pattern);
    RegexBuilder::new(&translated)
        .size_limit(SIZE_MAX)
        .dfa_size_limit(SIZE_MAX)
        .nest_limit(60)
        .build()
        .map_err(|error| explain(pattern, &error))
}

/// In Go's words where they can be told.
fn explain(pattern: &str, error: &regex::Error) -> String {
    let text = error.to_string();
    let why = [
        ("unclosed group", "missing closing )"),
        ("unopened group", "unexpected )"),
        ("unclosed character class", "missing closing ]"),
        ("repetition operator missing expression", "missing argument to repetition operator"),
        ("look-around", "invalid or unsupported Perl syntax"),
        ("backreferences", "invalid escape sequence"),
        ("unrecognized escape sequence", "invalid escape sequence"),
        ("invalid character class range", "invalid character class range"),
        ("size limit", "expression too large"),
    ];
    let why = why.iter().find(|(ours, _)| text.contains(ours)).map_or("invalid syntax", |(_, go)| go);
    // Go shows the part that is wrong; for the most usual faults that is the whole.
    let part = match why {
        "missing closing ]" => pattern.rfind('[').and_then(|at| pattern.get(at..)).unwrap_or(pattern),
        _ => pattern,
    };
    format!("error parsing regexp: {why}: `{part}`")
}

/// `\d`, `\w`, `\s` and `\b` are about ASCII in Go, and in a class `[`, `&&`, `--` and `~~` are nothing special.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let (mut letters, mut class, mut first) = (pattern.chars().peekable(), false, false);
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let Some(escaped) = letters.next() else {
                    out.push('\\');
                    break;
                };
                match escaped {
                    'd' => out.push_str("[0-9]"),
                    'D' => out.push_str("[^0-9]"),
                    'w' => out.push_str("[0-9A-Za-z_]"),
                    'W' => out.push_str("[^0-9A-Za-z_]"),
                    's' => out.push_str(r"[\t\n\x0C\r ]"),
                    'S' => out.push_str(r"[^\t\n\x0C\r ]"),
                    'b' if !class => out.push_str(r"(?-u:\b)"),
                    'C' if !class => out.push_str("(?s:.)"),
                    'Q' => {
                        let mut rest = String::new();
                        while let Some(letter) = letters.next() {
                            if letter == '\\' && letters.peek() == Some(&'E') {
                                letters.next();
                                break;
                            }
                            rest.push(letter);
                        }
                        out.push_str(&regex::escape(&rest));
                    }
                    'E' => {}
                    // Elsewhere these say where a word begins and ends.
                    '<' | '>' => out.push(escaped),
                    other => out.extend(['\\', other]),
                }
                first = false;
            }
            '[' if !class => {
                out.push('[');
                class = true;
                if letters.peek() == Some(&'^') {
                    letters.next();
                    out.push('^');
                }
                first = true;
            }
            ']' if class && !first => {
                out.push(']');
                class = false;
            }
            ']' if class => {
                out.push_str("\\]");
                first = false;
            }
            '[' => {
                // `[:alpha:]` is a class in both, a lone bracket is itself.
                out.push_str(if letters.peek() == Some(&':') { "[" } else { "\\[" });
                if letters.peek() == Some(&':') {
                    for letter in letters.by_ref() {
                        out.push(letter);
                        if letter == ']' {
                            break;
                        }
                    }
                }
                first = false;
            }
            '&' | '~' if class => {
                out.extend(['\\', letter]);
                first = false;
            }
            '-' if class && letters.peek() == Some(&'-') => {
                // At the beginning a dash is itself; elsewhere it says up to what, here up to a dash.
                out.push_str(if first { "\\-" } else { "-\\-" });
                if !first {
                    letters.next();
                }
                first = false;
            }
            other => {
                out.push(other);
                first = false;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_means_in_go() {
        for (pattern, text, matches) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "٣", false),
            (r"^\w$", "é", false),
            (r"^[[]$", "[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a&&b]+$", "&", true),
            (r"^[+--]$", ",", true),
            (r"^[[:alpha:]]$", "x", true),
            (r"^\Qa.b\E$", "axb", false),
            (r"^\<\_\/\>$", "<_/>", true),
            (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "a-b", true),
        ] {
            assert_eq!(read(pattern).unwrap().is_match(text), matches, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_pattern_that_would_be_large_is_refused() {
        assert!(read("(((a{99}){99}){99}){99}").is_err());
        assert!(read(&"(".repeat(5000)).is_err());
    }
}
