//! A text of a given shape, for what a rule demands to look like something.

use regex::bytes::Regex;
use regex_syntax::{
    Parser,
    hir::{Class, ClassUnicodeRange, Hir, HirKind},
};

/// The simplest text that matches; nothing where that is none.
pub(super) fn least(shape: &Regex) -> Option<String> {
    let hir = Parser::new().parse(shape.as_str()).ok()?;
    let mut text = String::new();
    write(&hir, &mut text)?;
    shape.is_match(text.as_bytes()).then_some(text)
}

fn write(hir: &Hir, text: &mut String) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(Class::Unicode(class)) => {
            let ends = || class.ranges().iter().map(ClassUnicodeRange::end);
            text.push(ends().find(char::is_ascii_alphanumeric).or_else(|| ends().next())?);
        }
        HirKind::Class(Class::Bytes(class)) => text.push(char::from(class.ranges().first()?.start())),
        HirKind::Repetition(repetition) => (0..repetition.min).try_for_each(|_| write(&repetition.sub, text))?,
        HirKind::Capture(capture) => write(&capture.sub, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, text))?,
        HirKind::Alternation(parts) => write(parts.first()?, text)?,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_match() {
        for shape in [
            r"^(?:https://sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?/[^?#]*\.pem)$",
            r"^(?:https://api(\.sandbox)?\.paypal\.com/[^?#]*)$",
            r"^(?:v[0-9]+|x)$",
            r"^(?:.{3})$",
        ] {
            assert!(least(&Regex::new(shape).unwrap()).is_some(), "{shape}");
        }
        assert_eq!(least(&Regex::new(r"^(?:a{2}(b|c)\.[x-z])$").unwrap()).as_deref(), Some("aac.z"));
    }
}
