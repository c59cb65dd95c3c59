//! JSON pointers in which `*` stands for any key or index: the way to several values at once.

use super::{Kind, Pointer, PointerFault, Value};
use crate::stages::pattern::Pattern;

/// The way to values inside another: a [`Pointer`] whose keys may hold `*` for any run of characters. A `*` alone is
/// every element of an array, or every member of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    One(Pointer),
    Many(Pattern),
}

impl Path {
    /// Reads the written form.
    pub fn parse(text: &str) -> Result<Self, PointerFault> {
        let mut steps = Vec::new();
        let mut plain = String::new();
        Pointer::parse(text)?;
        for key in text.split('/').skip(1) {
            if !key.contains('*') {
                plain.extend(["/", key]);
                continue;
            }
            if !plain.is_empty() {
                steps.push(Step::One(Pointer::parse(&std::mem::take(&mut plain))?));
            }
            steps.push(Step::Many(Pattern::new(key.replace("~1", "/").replace("~0", "~"))));
        }
        if !plain.is_empty() {
            steps.push(Step::One(Pointer::parse(&plain)?));
        }
        Ok(Self(steps))
    }

    /// A pointer that it could stand for: to a place in objects, with an `x` for each `*`.
    pub fn example(&self) -> Pointer {
        let step = |step: &Step| match step {
            Step::One(pointer) => pointer.as_str().to_owned(),
            Step::Many(pattern) => {
                format!("/{}", pattern.as_str().replace('*', "x").replace('~', "~0").replace('/', "~1"))
            }
        };
        let text: String = self.0.iter().map(step).collect();
        Pointer::parse(&text).expect("its parts are pointers, or escaped as such")
    }

    /// Whether this is `""`, the whole value.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The one value that it leads to; nothing where there is none, or more than one.
    pub fn only<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        let mut found = None;
        let mut is_only = true;
        walk(value, &self.0, &mut |value| is_only &= found.replace(value).is_none());
        found.filter(|_| is_only)
    }
}

fn walk<'a>(value: Value<'a>, steps: &[Step], take: &mut impl FnMut(Value<'a>)) {
    match steps.split_first() {
        None => take(value),
        Some((Step::One(pointer), rest)) => {
            if let Some(value) = value.at(pointer) {
                walk(value, rest, take);
            }
        }
        Some((Step::Many(pattern), rest)) => {
            value.elements().filter(|_| pattern.is_any()).for_each(|element| walk(element, rest, take));
            let members = value.members().filter(|(key, _)| pattern.matches(key));
            members.for_each(|(_, member)| walk(member, rest, take));
        }
    }
}

/// The elements of all arrays that one of the paths leads to, in the order of the body and then of the paths. Where `*`
/// stands for the elements of an array and none of the paths finds anything in one of them, that element is taken
/// itself: it was not foreseen, and must not get lost. `false` when nothing was found at all.
pub fn elements<'a>(value: Value<'a>, paths: &[Path], take: &mut impl FnMut(Value<'a>)) -> bool {
    let steps: Vec<&[Step]> = paths.iter().map(|path| path.0.as_slice()).collect();
    gather(value, &steps, take)
}

fn gather<'a>(value: Value<'a>, ways: &[&[Step]], take: &mut impl FnMut(Value<'a>)) -> bool {
    let mut found = false;
    for (index, way) in ways.iter().enumerate() {
        let Some((step, _)) = way.split_first() else {
            if value.kind() == Kind::Array {
                value.elements().for_each(&mut *take);
                found = true;
            }
            continue;
        };
        let begins_so = |way: &&[Step]| way.first() == Some(step);
        if ways[..index].iter().any(begins_so) {
            continue;
        }
        let rest: Vec<&[Step]> = ways.iter().copied().filter(|way| begins_so(way)).map(|way| &way[1..]).collect();
        found |= match step {
            Step::One(pointer) => value.at(pointer).is_some_and(|value| gather(value, &rest, take)),
            Step::Many(pattern) if pattern.is_any() && value.kind() == Kind::Array => {
                for element in value.elements() {
                    if !gather(element, &rest, take) {
                        take(element);
                    }
                }
                true
            }
            Step::Many(pattern) => {
                let members = value.members().filter(|(key, _)| pattern.matches(key));
                members.fold(false, |found, (_, member)| gather(member, &rest, take) || found)
            }
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::json::{Document, Limits};

    fn check(body: &str, paths: &[&str], expected: Option<&[&str]>) {
        let document = Document::parse(body.to_owned().into(), &Limits::default()).unwrap();
        let parsed: Vec<_> = paths.iter().map(|path| Path::parse(path).unwrap()).collect();
        let mut taken = Vec::new();
        let found = elements(document.root(), &parsed, &mut |value| taken.push(value.raw()));
        let taken: Vec<_> = taken.into_iter().map(|raw| std::str::from_utf8(raw).unwrap()).collect();
        assert_eq!(found.then_some(taken.as_slice()), expected, "{paths:?} in {body}");
    }

    #[test]
    fn elements_of_arrays_within_arrays() {
        let body = r#"{"entry":[{"changes":[1,2]},{"messaging":[3]},{"id":4},{"changes":[]},5]}"#;
        check(body, &["/entry/*/changes"], Some(&["1", "2", r#"{"messaging":[3]}"#, r#"{"id":4}"#, "5"]));
        check(body, &["/entry/*/changes", "/entry/*/messaging"], Some(&["1", "2", "3", r#"{"id":4}"#, "5"]));
        check(body, &["/entry/0/changes"], Some(&["1", "2"]));
        check(body, &["/entries/*/changes"], None);
        check(r#"{"entry":[]}"#, &["/entry/*/changes"], Some(&[]));
        check(r#"{"entry":{"a":{"changes":[1]},"b":{}}}"#, &["/entry/*/changes"], Some(&["1"]));
        check(r#"{"a":[1],"b":[2],"c":3}"#, &["/b", "/a"], Some(&["2", "1"]));
        check(r#"{"tweet_events":[1],"for":2,"dm_events":[3]}"#, &["/*_events"], Some(&["1", "3"]));
        check(r#"{"for":2}"#, &["/*_events"], None);
        check("[[1],[2,3],4]", &["/*"], Some(&["1", "2", "3", "4"]));
        check("[1]", &[""], Some(&["1"]));
        check("{}", &[""], None);
    }

    #[test]
    fn the_only_value() {
        let only = |body: &str, path: &str| {
            let document = Document::parse(body.to_owned().into(), &Limits::default()).unwrap();
            let value = Path::parse(path).unwrap().only(document.root()).map(|value| value.raw().to_vec());
            value.map(|raw| String::from_utf8(raw).unwrap())
        };
        assert_eq!(only(r#"{"msys":{"event":{"a":1}}}"#, "/msys/*").as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(only(r#"{"msys":{}}"#, "/msys/*"), None);
        assert_eq!(only(r#"{"msys":{"a":1,"b":2}}"#, "/msys/*"), None, "which one is not certain");
        assert_eq!(only(r#"{"a":1}"#, "").as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(only(r#"{"a":[7]}"#, "/a/*").as_deref(), Some("7"));
        assert_eq!(only(r#"{"~*":{"b/*":1}}"#, "/~0*/b~1*").as_deref(), Some("1"));
    }
}
