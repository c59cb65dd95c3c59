//! One pass over the bytes, from a body to its tape.

use std::borrow::Cow;

use super::{Fault, Kind, Limits, Malformed, Node, Siblings};

/// Objects up to this size have every key compared with every other, which is faster than sorting them.
const FEW_KEYS: usize = 16;

/// A float of 64 bits holds every integer of at most this many digits.
const SURELY_FINITE_DIGITS: usize = 308;

/// Reads a body and lists its values, outermost first.
pub(super) fn scan(body: &[u8], limits: &Limits) -> Result<Vec<Node>, Malformed> {
    if u32::try_from(body.len()).is_err() {
        return Err(Malformed { fault: Fault::TooManyNodes, offset: 0 });
    }
    check_encoding(body)?;
    let nodes = Vec::with_capacity((body.len() / 8).clamp(4, 1024));
    let mut scanner = Scanner { body, at: 0, limits, nodes, open: Vec::with_capacity(8), values: 0 };
    scanner.document()?;
    Ok(scanner.nodes)
}

fn check_encoding(body: &[u8]) -> Result<(), Malformed> {
    // UTF-16 and UTF-32 without a mark: JSON starts with an ASCII character, so the zeros alternate.
    let is_wide = matches!(body, [0, _, 0, _, ..] | [_, 0, _, 0, ..]);
    if body.starts_with(b"\xEF\xBB\xBF") || is_wide {
        return Err(Malformed { fault: Fault::Encoding, offset: 0 });
    }
    match std::str::from_utf8(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(Malformed { fault: Fault::Encoding, offset: error.valid_up_to() }),
    }
}

struct Scanner<'a> {
    body: &'a [u8],
    at: usize,
    limits: &'a Limits,
    nodes: Vec<Node>,
    /// The arrays and objects around the current byte, as places on the tape.
    open: Vec<u32>,
    values: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        loop {
            if self.value()? {
                continue;
            }
            if !self.after_value()? {
                return if self.at == self.body.len() { Ok(()) } else { self.refuse(Fault::NotJson) };
            }
        }
    }

    /// Reads one value. Of an array or object that is not empty only the beginning, up to its first value: then the
    /// answer is true, and that value is due.
    fn value(&mut self) -> Result<bool, Malformed> {
        if self.values == self.limits.nodes {
            return self.refuse(Fault::TooManyNodes);
        }
        self.values += 1;
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'{') => return self.open(Kind::Object),
            Some(b'[') => return self.open(Kind::Array),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true", Kind::Bool)?,
            Some(b'f') => self.literal(b"false", Kind::Bool)?,
            Some(b'n') => self.literal(b"null", Kind::Null)?,
            _ => return self.refuse(Fault::NotJson),
        }
        Ok(false)
    }

    /// Closes what ends here. True if another value is due, false if the outermost one is complete.
    fn after_value(&mut self) -> Result<bool, Malformed> {
        loop {
            self.skip_space();
            let Some(&container) = self.open.last() else { return Ok(false) };
            let is_object = self.nodes[container as usize].kind == Kind::Object;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                    self.nodes[container as usize].len += 1;
                    if is_object {
                        self.key()?;
                    }
                    return Ok(true);
                }
                Some(b'}') if is_object => self.close()?,
                Some(b']') if !is_object => self.close()?,
                _ => return self.refuse(Fault::NotJson),
            }
        }
    }

    fn open(&mut self, kind: Kind) -> Result<bool, Malformed> {
        if self.open.len() == self.limits.depth {
            return self.refuse(Fault::Depth);
        }
        self.open.push(narrow(self.nodes.len()));
        self.push(kind, self.at, false);
        self.at += 1;
        self.skip_space();
        let end = if kind == Kind::Object { b'}' } else { b']' };
        if self.peek() == Some(end) {
            self.close()?;
            return Ok(false);
        }
        let container = self.nodes.len() - 1;
        self.nodes[container].len = 1;
        if kind == Kind::Object {
            self.key()?;
        }
        Ok(true)
    }

    fn close(&mut self) -> Result<(), Malformed> {
        let container = self.open.pop().expect("called for an open container");
        self.at += 1;
        let next = narrow(self.nodes.len());
        let node = &mut self.nodes[container as usize];
        node.end = narrow(self.at);
        node.next = next;
        if node.kind == Kind::Object && node.len > 1 {
            let (body, nodes) = (self.body, &self.nodes[..]);
            if let Some(offset) = duplicate_key(body, nodes, container) {
                return Err(Malformed { fault: Fault::DuplicateKey, offset });
            }
        }
        Ok(())
    }

    /// Reads a key and the colon after it.
    fn key(&mut self) -> Result<(), Malformed> {
        if self.peek() != Some(b'"') {
            return self.refuse(Fault::NotJson);
        }
        self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.refuse(Fault::NotJson);
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at += plain(&self.body[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return self.refuse(Fault::NotJson),
            }
            escaped = true;
        }
        self.at += 1;
        self.push(Kind::String, start, escaped);
        Ok(())
    }

    /// Reads one escape; the two halves of a surrogate pair count as one (RFC 8259, section 7).
    fn escape(&mut self) -> Result<(), Malformed> {
        let length = match self.body.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => match (self.code_unit(self.at), self.code_unit(self.at + 6)) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
                (None | Some(0xD800..=0xDFFF), _) => return self.refuse(Fault::NotJson),
                (Some(_), _) => 6,
            },
            _ => return self.refuse(Fault::NotJson),
        };
        self.at += length;
        Ok(())
    }

    /// The number of the `\uXXXX` that starts at `at`, if one does.
    fn code_unit(&self, at: usize) -> Option<u32> {
        let digits = self.body.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
    }

    fn number(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        self.skip(b"-");
        let whole = if self.skip(b"0") { 1 } else { self.digits()? };
        if self.skip(b".") {
            self.digits()?;
        }
        let has_exponent = self.skip(b"eE");
        if has_exponent {
            self.skip(b"+-");
            self.digits()?;
        }
        if (has_exponent || whole > SURELY_FINITE_DIGITS) && !is_finite(&self.body[start..self.at]) {
            return Err(Malformed { fault: Fault::NotJson, offset: start });
        }
        self.push(Kind::Number, start, false);
        Ok(())
    }

    /// Steps over digits, of which there must be one at least, and counts them.
    fn digits(&mut self) -> Result<usize, Malformed> {
        let count = self.body[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { self.refuse(Fault::NotJson) } else { Ok(count) }
    }

    fn literal(&mut self, text: &[u8], kind: Kind) -> Result<(), Malformed> {
        if !self.body[self.at..].starts_with(text) {
            return self.refuse(Fault::NotJson);
        }
        let start = self.at;
        self.at += text.len();
        self.push(kind, start, false);
        Ok(())
    }

    /// Enters a value that began at `start` and ends before the current byte. A container's end is set when it closes.
    fn push(&mut self, kind: Kind, start: usize, escaped: bool) {
        let next = narrow(self.nodes.len() + 1);
        self.nodes.push(Node { kind, escaped, start: narrow(start), end: narrow(self.at), len: 0, next });
    }

    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    /// Steps over the current byte if it is one of `wanted`.
    fn skip(&mut self, wanted: &[u8]) -> bool {
        let found = self.peek().is_some_and(|byte| wanted.contains(&byte));
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn refuse<T>(&self, fault: Fault) -> Result<T, Malformed> {
        Err(Malformed { fault, offset: self.at })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "bodies over 4 GiB are refused, and each node has a byte at least")]
const fn narrow(offset: usize) -> u32 {
    offset as u32
}

/// How many bytes come before the first quotation mark, backslash or control character; eight are looked at in a step.
fn plain(text: &[u8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const TOP: u64 = EACH << 7;
    let (words, rest) = text.as_chunks::<8>();
    for (index, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let quote = word ^ (EACH * u64::from(b'"'));
        let backslash = word ^ (EACH * u64::from(b'\\'));
        // Subtracting borrows into the top bit of a byte that is too small. A borrow can also reach the byte above a
        // hit, but never one below it, and only the lowest hit counts.
        let hits = (word.wrapping_sub(EACH * 0x20) & !word)
            | (quote.wrapping_sub(EACH) & !quote)
            | (backslash.wrapping_sub(EACH) & !backslash);
        if hits & TOP != 0 {
            return index * 8 + (hits & TOP).trailing_zeros() as usize / 8;
        }
    }
    let tail = rest.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count();
    words.len() * 8 + tail
}

/// Whether a number that obeys the grammar fits a 64-bit float. Takes linear time, however many digits there are.
fn is_finite(number: &[u8]) -> bool {
    let text = std::str::from_utf8(number).expect("the whole body is UTF-8");
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Where the second of two equal keys of this object starts.
fn duplicate_key(body: &[u8], nodes: &[Node], object: u32) -> Option<usize> {
    let keys = || Siblings::inside(nodes, object).step_by(2).map(|index| &nodes[index as usize]);
    let count = nodes[object as usize].len as usize;
    if count <= FEW_KEYS && keys().all(|key| !key.escaped) {
        let mut seen: [&[u8]; FEW_KEYS] = [b""; FEW_KEYS];
        for (index, key) in keys().enumerate() {
            let name = key.quoted(body);
            if seen[..index].contains(&name) {
                return Some(key.start as usize);
            }
            seen[index] = name;
        }
        return None;
    }
    // Sorting needs no secret to be safe from keys that were chosen to collide.
    let mut sorted: Vec<(Cow<'_, str>, u32)> = keys().map(|key| (decode(key, body), key.start)).collect();
    sorted.sort_unstable();
    let twins = sorted.array_windows().filter(|[one, other]| one.0 == other.0);
    twins.map(|[_, second]| second.1 as usize).min()
}

/// The content of a string, borrowed unless it holds escapes.
pub(super) fn decode<'a>(string: &Node, body: &'a [u8]) -> Cow<'a, str> {
    if string.escaped {
        return Cow::Owned(serde_json::from_slice(string.text(body)).expect("the scanner has read this string"));
    }
    Cow::Borrowed(std::str::from_utf8(string.quoted(body)).expect("the whole body is UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a body, and where; `None` when it is read.
    fn fault(body: impl AsRef<[u8]>) -> Option<(Fault, usize)> {
        let limits = Limits { nodes: 1_000_000, ..Limits::default() };
        scan(body.as_ref(), &limits).err().map(|malformed| (malformed.fault, malformed.offset))
    }

    #[test]
    fn j_04_j_05_duplicate_keys() {
        let check = |body: &str, at: usize| assert_eq!(fault(body), Some((Fault::DuplicateKey, at)), "{body}");
        check(r#"{"type":"paid","type":"refunded"}"#, 15);
        check(r#"{"data":{"id":1,"b":2,"id":3}}"#, 22);
        check(r#"[{"a":1},{"a":1,"a":1}]"#, 16);
        check(r#"{"a":1,"\u0061":2}"#, 7);
        check(r#"{"\u0061":1,"\u0061":2}"#, 12);
        check(r#"{"":1,"":2}"#, 6);
        check(r#"{"\/":1,"/":2}"#, 8);
        check(r#"{"\ud83d\ude00":1,"😀":2}"#, 18);
        assert_eq!(fault(r#"{"a":{"a":1},"b":{"a":1},"A":1}"#), None);
        assert_eq!(fault("{\"\u{e9}\":1,\"e\u{301}\":2}"), None, "equal after normalisation only");
    }

    #[test]
    fn j_04_many_keys_are_compared_in_almost_linear_time() {
        // Long common beginnings and equal lengths are the worst that can be done to a comparison.
        let keys = (0..100_000).map(|number| format!("\"{number:0>32}\":0"));
        let mut members: Vec<String> = keys.collect();
        assert_eq!(fault(format!("{{{}}}", members.join(","))), None);
        members.push(members[5].clone());
        let body = format!("{{{}}}", members.join(","));
        assert_eq!(fault(&body), Some((Fault::DuplicateKey, body.rfind("\"00").unwrap())));
        for count in [FEW_KEYS - 1, FEW_KEYS, FEW_KEYS + 1] {
            let mut members: Vec<String> = (0..count).map(|number| format!("\"k{number}\":0")).collect();
            assert_eq!(fault(format!("{{{}}}", members.join(","))), None);
            members[count - 1] = "\"k0\":1".into();
            let body = format!("{{{}}}", members.join(","));
            assert_eq!(fault(&body), Some((Fault::DuplicateKey, body.rfind("\"k0").unwrap())));
        }
    }

    #[test]
    fn j_06_depth() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert_eq!(fault(nested(64)), None);
            for levels in [65, 128, 10_000, 100_000] {
                assert_eq!(fault(nested(levels)), Some((Fault::Depth, 64 * open.len())), "{levels} levels of {open}");
            }
        }
        let flat = format!("[{}]", ["[[]]"; 100].join(","));
        assert_eq!(fault(flat), None, "what is closed no longer counts");
    }

    #[test]
    fn l_08_nodes_are_counted() {
        let limits = Limits { nodes: 4, ..Limits::default() };
        let check = |body: &str, expected: Option<Fault>| {
            assert_eq!(scan(body.as_bytes(), &limits).err().map(|malformed| malformed.fault), expected, "{body}");
        };
        check("[0,0,0]", None);
        check("[0,0,0,0]", Some(Fault::TooManyNodes));
        check(r#"{"a":1,"b":2,"c":3}"#, None);
        check(r#"{"a":1,"b":[2,3]}"#, Some(Fault::TooManyNodes));
        let zeros = format!("[{}0]", "0,".repeat(Limits::NODES));
        let refused = scan(zeros.as_bytes(), &Limits::default()).err().map(|malformed| malformed.fault);
        assert_eq!(refused, Some(Fault::TooManyNodes));
    }

    #[test]
    fn j_08_numbers_beyond_a_float() {
        for number in ["1e400", "-1e400", "1E+309", "2e308", &"9".repeat(1 << 20), &format!("{}e-10", "9".repeat(400))]
        {
            assert_eq!(fault(number), Some((Fault::NotJson, 0)), "{}", &number[..number.len().min(20)]);
            assert_eq!(fault(format!("[{number}]")), Some((Fault::NotJson, 1)));
        }
        assert_eq!(fault("9".repeat(SURELY_FINITE_DIGITS + 1)), Some((Fault::NotJson, 0)));
        assert_eq!(fault(format!("1{}", "0".repeat(SURELY_FINITE_DIGITS))), None, "1e308");
        let long_way_back = format!("1{}e-60000", "0".repeat(60_000));
        for number in ["1e308", "1e-400", "0e999999999999", "-0", "0.1e1", &"9".repeat(308), &long_way_back] {
            assert_eq!(fault(number), None, "{}", &number[..number.len().min(20)]);
        }
    }

    #[test]
    fn j_09_lone_surrogates() {
        let check = |body: &str, at: usize| assert_eq!(fault(body), Some((Fault::NotJson, at)), "{body}");
        check(r#""\ud800""#, 1);
        check(r#""\udc00\ud800""#, 1);
        check(r#"{"\ud800":1}"#, 2);
        check(r#""\ud800\ud800""#, 1);
        check(r#""\ud800x\udc00""#, 1);
        check(r#""\ud800\u00e9""#, 1);
        check(r#""ab\ud8"#, 3);
        assert_eq!(fault(r#""\ud83d\uDE00\uffff\u0000""#), None);
    }

    #[test]
    fn j_10_encodings() {
        let check = |body: &[u8], at: usize| assert_eq!(fault(body), Some((Fault::Encoding, at)), "{body:?}");
        check(b"\xEF\xBB\xBF{}", 0);
        check(b"{\0}\0", 0);
        check(b"\0{\0}", 0);
        check(b"\xFF\xFE{\0}\0", 0);
        check(b"\xFE\xFF\0{\0}", 0);
        check(b"{\0\0\0}\0\0\0", 0);
        check(b"\"\xC0\xAF\"", 1);
        check(b"\"a\xE2\x82\"", 2);
        check(b"\"\xED\xA0\x80\"", 1);
        check(b"\"\xF4\x90\x80\x80\"", 1);
        check(b"[\xE9]", 1);
        check(b"\0[\0\"\0\xE9\0\"\0]", 0);
        check(b"[\0\"\0\xE9\0\"\0]\0", 0);
        check(b"\"\xFC\x83\xBF\xBF\xBF\xBF\"", 1);
        check(b"\"\xFC\x80\x80\x80\x80\x80\"", 1);
        check(b"\"\xE0\xFF\"", 1);
        check(b"\"\x81\"", 1);
    }

    #[test]
    fn j_11_j_12_j_16_what_is_not_json() {
        let check = |body: &str, at: usize| assert_eq!(fault(body), Some((Fault::NotJson, at)), "{body:?}");
        for body in ["", "NaN", "Infinity", "+1", ".5", "nul", "True", "'a'", "\u{a0}1", "}", "/**/1"] {
            check(body, 0);
        }
        check("-Infinity", 1);
        check("[1,]", 3);
        check("[,1]", 1);
        check("[1 2]", 3);
        check("[1}", 2);
        check("{\"a\":1,}", 7);
        check("{\"a\" 1}", 5);
        check("{a:1}", 1);
        check("{1:1}", 1);
        check("[1]//x", 3);
        check("01", 1);
        check("-", 1);
        check("1.", 2);
        check("1.e1", 2);
        check("1e", 2);
        check("1e+", 3);
        check("0x10", 1);
        check("\"a\nb\"", 2);
        check("\"\\x\"", 1);
        check("\"\\u12g4\"", 1);
        check("\"\\u+123\"", 1);
        check("\"open", 5);
        check("[", 1);
        check("{}{}", 2);
        check("{} x", 3);
        check("{}\n{}", 3);
        check("{}\0", 2);
        for body in ["1", "\"x\"", "null", " [ ] ", "\t{\r\n}", "true"] {
            assert_eq!(fault(body), None, "{body:?}");
        }
    }

    #[test]
    fn plain_bytes_are_counted_as_one_by_one() {
        for hit in [b'"', b'\\', 0, 0x1F, b'\n'] {
            for at in 0..40 {
                for filler in [b' ', b'!', b'[', b'a', 0x7F, 0x80, 0xFF] {
                    let mut text = [filler; 40];
                    assert_eq!(plain(&text), 40);
                    text[at] = hit;
                    text[(at + 1).min(39)] = hit;
                    assert_eq!(plain(&text), at, "{hit} among {filler}");
                }
            }
        }
    }
}
