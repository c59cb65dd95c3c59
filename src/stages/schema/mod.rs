//! Whether an event is what its type's JSON Schema says (drafts 4 to 2020-12).
//!
//! A schema is one file that needs no other: nothing is fetched, neither when it is read nor when it is used. Patterns
//! run on an engine that takes linear time whatever the sender writes, and formats are asserted, not just noted. What
//! breaks a schema is reported as pointer and keyword, never with the sender's text.
#![expect(clippy::wildcard_enum_match_arm, reason = "the enums of the engine and of serde_json are open or not ours")]

mod audit;
mod instance;
mod outline;

use std::{cell::Cell, fmt, sync::Arc};

use bytes::Bytes;
use jsonschema::{
    Draft, PatternOptions, ReferencingError, Retrieve, ValidationError, ValidationOptions, Validator,
    error::ValidationErrorKind,
};
use serde_json::Value as Tree;

pub use self::audit::{Warning, Weakness};
use self::{
    instance::{Instance, Tape},
    outline::Outline,
};
use crate::stages::json::{Document, Limits, Malformed, Value};

/// What a schema file may be at most; it comes from the operator, and is read once.
const SCHEMA_LIMITS: Limits = Limits { depth: 120, nodes: 1_000_000 };

/// How many containers may be looked into to say why an event does not conform: a minimum, and so many for each of its
/// values. Alternatives that contain themselves would otherwise double the work with every level of the event.
const EXPLANATION_MIN: usize = 2_000;
const EXPLANATION_PER_NODE: usize = 2;

/// A compiled schema.
pub struct Schema {
    name: String,
    validator: Validator<Tape>,
}

impl Schema {
    /// Reads a schema: strict JSON of a known draft (2020-12 where `$schema` is absent), complete in itself. `name` is
    /// what messages call it, such as its path.
    pub fn compile(name: &str, text: &str) -> Result<(Self, Vec<Warning>), SchemaFault> {
        let fault = |pointer: &str, problem| SchemaFault { schema: name.into(), pointer: pointer.into(), problem };
        Document::parse(Bytes::copy_from_slice(text.as_bytes()), &SCHEMA_LIMITS)
            .map_err(|malformed| fault("", Problem::Malformed(malformed)))?;
        let schema: Tree =
            serde_json::from_str(text).map_err(|error| fault("", Problem::Invalid(error.to_string())))?;
        let draft = Draft::default().detect(&schema);
        let registry = outline::registry(&schema, draft).map_err(|problem| fault("", problem))?;
        let outline = Outline::of(&schema, draft, &registry);
        let outline = outline.map_err(|(pointer, problem)| fault(&pointer, problem))?;
        if let Some(pointer) = outline.cycle() {
            return Err(fault(pointer, Problem::Cycle));
        }
        let options = options();
        let validator = options.build(&schema).map_err(|error| {
            let (pointer, problem) = explain(&error, &schema);
            fault(&pointer, problem)
        })?;
        let warnings = audit::warnings(&outline, |format| options.is_known_format(draft, format));
        let warnings = warnings.map(|(pointer, weakness)| Warning { schema: name.into(), pointer, weakness });
        Ok((Self { name: name.into(), validator }, warnings.collect()))
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a value is as the schema says; if not, the first thing that is wrong with it.
    pub fn check(&self, value: Value<'_>) -> Result<(), Violation> {
        if self.validator.is_valid(Instance { value, budget: None }) {
            return Ok(());
        }
        let left = Cell::new(EXPLANATION_MIN + EXPLANATION_PER_NODE * value.nodes());
        let error = self.validator.validate(Instance { value, budget: Some(&left) }).err();
        // The verdict stands, also where the reason is too expensive to find.
        Err(error.map_or_else(|| Violation::new("", "schema"), |error| deepest(&error)))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("name", &self.name).finish_non_exhaustive()
    }
}

fn options<'a>() -> ValidationOptions<'a, Arc<dyn Retrieve>, Tape> {
    jsonschema::options_for::<Tape>()
        .offline()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
}

/// Where and how a value breaks its schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{keyword}` at `{pointer}`")]
pub struct Violation {
    /// The JSON pointer (RFC 6901) to the part of the event that is wrong.
    pub pointer: String,
    /// The keyword of the schema that says so.
    pub keyword: String,
}

impl Violation {
    fn new(pointer: &str, keyword: &str) -> Self {
        Self { pointer: pointer.into(), keyword: keyword.into() }
    }
}

/// The part of an error that names the actual fault. Where every branch of a choice failed, the branch that got
/// furthest into the value is the one the sender most likely meant.
fn deepest(error: &ValidationError<'_>) -> Violation {
    let pointer = error.instance_path().as_str();
    let branches = match error.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => context.as_slice(),
        ValidationErrorKind::PropertyNames { error } => return Violation::new(pointer, error.kind().keyword()),
        ValidationErrorKind::FalseSchema => {
            // `false` is no keyword; what it is the value of, is one.
            let mut steps = error.schema_path().as_str().rsplit('/');
            return Violation::new(pointer, steps.find(|step| outline::is_applicator(step)).unwrap_or("false"));
        }
        _ => &[],
    };
    let leaves = branches.iter().flatten().map(deepest);
    let depth = |violation: &Violation| violation.pointer.matches('/').count();
    let furthest = leaves.reduce(|best, next| if depth(&next) > depth(&best) { next } else { best });
    furthest.unwrap_or_else(|| Violation::new(pointer, error.kind().keyword()))
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema `{schema}`, at `#{pointer}`: {problem}")]
pub struct SchemaFault {
    /// The name it was given.
    pub schema: String,
    /// The JSON pointer to the part of the schema that is wrong.
    pub pointer: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file is not strict JSON.
    #[error("{0}")]
    Malformed(Malformed),
    /// `$schema` names no draft that is known here.
    #[error("`$schema` names no draft known here: `{0}`")]
    Draft(String),
    /// A reference leads to another file or host.
    #[error("`{0}` leads out of this file, and nothing is fetched: put the schema under `$defs`")]
    OutsideReference(String),
    /// A reference leads to a place that this file does not have.
    #[error("`{0}` leads nowhere")]
    DanglingReference(String),
    /// Schemas that refer to each other in a circle without ever looking at a part of the value.
    #[error("refers back to itself for the same value, so it decides nothing")]
    Cycle,
    /// A pattern that needs backtracking, or is too large, or no regular expression at all.
    #[error("the pattern `{0}` cannot run in linear time: no backreference, no look-around, no huge repetition")]
    Pattern(String),
    /// The schema breaks the rules of its draft.
    #[error("{0}")]
    Invalid(String),
}

/// Finds the place and the words for what the engine did not take.
fn explain(error: &ValidationError<'_>, schema: &Tree) -> (String, Problem) {
    let pointer = error.instance_path().as_str();
    let problem = match error.kind() {
        ValidationErrorKind::Referencing(ReferencingError::UnknownSpecification { specification }) => {
            Problem::Draft(specification.clone())
        }
        ValidationErrorKind::Format { format } if format == "regex" => {
            let written = schema.pointer(pointer).and_then(Tree::as_str);
            // A key of `patternProperties` is its own pattern.
            let key = pointer.rsplit('/').next().unwrap_or_default();
            Problem::Pattern(written.map_or_else(|| key.replace("~1", "/").replace("~0", "~"), str::to_owned))
        }
        _ => Problem::Invalid(error.to_string()),
    };
    (pointer.to_owned(), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<Schema, (String, Problem)> {
        let compiled = Schema::compile("s.json", text);
        compiled.map(|(schema, _)| schema).map_err(|fault| (fault.pointer, fault.problem))
    }

    fn violation(schema: &Schema, instance: &str) -> Option<(String, String)> {
        let limits = Limits { depth: 127, ..Limits::default() };
        let document = Document::parse(Bytes::from(instance.to_owned()), &limits).unwrap();
        schema.check(document.root()).err().map(|violation| (violation.pointer, violation.keyword))
    }

    /// Checks which of the instances a schema takes.
    fn check(schema: &str, valid: &[&str], invalid: &[(&str, &str, &str)]) {
        let schema = compile(schema).unwrap();
        for instance in valid {
            assert_eq!(violation(&schema, instance), None, "{instance}");
        }
        for &(instance, pointer, keyword) in invalid {
            assert_eq!(violation(&schema, instance), Some((pointer.into(), keyword.into())), "{instance}");
        }
    }

    fn refused(schema: &str, pointer: &str, problem: Problem) {
        assert_eq!(compile(schema).err(), Some((pointer.into(), problem)), "{schema}");
    }

    #[test]
    fn j_27_nothing_is_fetched() {
        for reference in
            ["http://127.0.0.1:9/x", "https://example.com/x#/a", "file:///etc/passwd", "ftp://h/x", "b.json"]
        {
            let schema = format!(r#"{{"properties":{{"a":{{"$ref":"{reference}"}}}}}}"#);
            refused(&schema, "/properties/a/$ref", Problem::OutsideReference(reference.into()));
        }
        refused(r##"{"$ref":"#/$defs/b"}"##, "/$ref", Problem::DanglingReference("#/$defs/b".into()));
        refused(r##"{"$ref":"#b"}"##, "/$ref", Problem::DanglingReference("#b".into()));
        refused(r#"{"$schema":"https://example.com/s"}"#, "", Problem::Draft("https://example.com/s".into()));
    }

    #[test]
    fn j_27_references_within_the_file_are_followed() {
        let inside = [
            r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"string"}}}"##,
            r##"{"$ref":"#a","$defs":{"x":{"$anchor":"a","type":"string"}}}"##,
            r#"{"$id":"https://example.com/s.json","$ref":"t.json","$defs":{"x":{"$id":"t.json","type":"string"}}}"#,
            r##"{"$id":"urn:x:s","$ref":"#/$defs/a~1b%25","$defs":{"a/b%":{"type":"string"}}}"##,
            r##"{"$ref":"#/components/a","components":{"a":{"$ref":"#/components/b"},"b":{"type":"string"}}}"##,
        ];
        for schema in inside {
            check(schema, &["\"x\""], &[("1", "", "type")]);
        }
        check(r#"{"$ref":"https://json-schema.org/draft/2020-12/schema"}"#, &["true"], &[("1", "", "type")]);
        refused(
            r##"{"$ref":"#/components/a","components":{"a":{"$ref":"http://h/"}}}"##,
            "#/components/a/$ref",
            Problem::OutsideReference("http://h/".into()),
        );
    }

    #[test]
    fn j_28_a_circle_is_no_schema() {
        let circles = [
            (r##"{"$ref":"#"}"##, ""),
            (r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##, "/$defs/a"),
            (r##"{"type":"object","allOf":[{"$ref":"#"}]}"##, ""),
            (r##"{"properties":{"x":{"anyOf":[{"type":"null"},{"$ref":"#/properties/x"}]}}}"##, "/properties/x"),
            (r##"{"$ref":"#/x","x":{"$ref":"#/y"},"y":{"not":{"$ref":"#/x"}}}"##, "#/x"),
        ];
        for (schema, pointer) in circles {
            let (found, problem) = compile(schema).err().unwrap();
            assert_eq!(problem, Problem::Cycle, "{schema}");
            assert_eq!(found.is_empty(), pointer.is_empty(), "{schema}: {found}");
        }
        let tree = r##"{"type":"object","properties":{"l":{"$ref":"#"},"r":{"$ref":"#"}}}"##;
        check(tree, &[r#"{"l":{"r":{}}}"#], &[(r#"{"l":{"r":1}}"#, "/l/r", "type")]);
        let twice = r##"{"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}],"$defs":{"a":{"type":"null"}}}"##;
        check(twice, &["null"], &[("1", "", "type")]);
    }

    #[test]
    fn j_29_recursion_in_the_schema_goes_as_deep_as_the_event() {
        let tree = r##"{"type":["array","integer"],"items":{"$ref":"#"}}"##;
        let nested = |levels: usize, core: &str| format!("{}{core}{}", "[".repeat(levels), "]".repeat(levels));
        let bad = nested(120, "null");
        check(tree, &[&nested(120, "1")], &[(&bad, &"/0".repeat(120), "type")]);
    }

    #[test]
    fn j_30_patterns_take_linear_time() {
        for pattern in ["^(a+)+$", "^(a|aa)+$"] {
            let schema = compile(&format!(r#"{{"pattern":"{pattern}"}}"#)).unwrap();
            let hostile = format!("\"{}!\"", "a".repeat(100_000));
            assert_eq!(violation(&schema, &hostile), Some((String::new(), "pattern".into())), "{pattern}");
        }
    }

    #[test]
    fn j_31_j_32_patterns_that_must_backtrack_do_not_compile() {
        for pattern in [r"^(a|aa)+\\1$", "^(?=a)", "(?<!a)b", "(", "a{5000}{5000}"] {
            let written = pattern.replace(r"\\", r"\");
            let schema = format!(r#"{{"properties":{{"x":{{"not":{{"pattern":"{pattern}"}}}}}}}}"#);
            refused(&schema, "/properties/x/not/pattern", Problem::Pattern(written.clone()));
            let schema = format!(r#"{{"patternProperties":{{"{pattern}":true}}}}"#);
            let pointer = format!("/patternProperties/{written}");
            refused(&schema, &pointer, Problem::Pattern(written));
        }
    }

    #[test]
    fn j_33_comparing_elements_stays_affordable() {
        let schema = compile(r#"{"uniqueItems":true}"#).unwrap();
        let object = |number: usize| format!(r#"{{"k":"same","n":{number}}}"#);
        let objects: Vec<String> = (0..20_000).map(object).collect();
        assert_eq!(violation(&schema, &format!("[{}]", objects.join(","))), None);
        let twins = format!("[{},{}]", objects.join(","), r#"{"n":7.0,"k":"s\u0061me"}"#);
        assert_eq!(violation(&schema, &twins), Some((String::new(), "uniqueItems".into())));
    }

    #[test]
    fn j_33_looking_for_the_reason_stays_affordable() {
        let twice =
            r##"{"anyOf":[{"items":{"$ref":"#"},"minItems":1,"type":"array"},{"items":{"$ref":"#"},"type":"array"}]}"##;
        let schema = compile(twice).unwrap();
        let nested = format!("{}null{}", "[".repeat(60), "]".repeat(60));
        let (pointer, keyword) = violation(&schema, &nested).unwrap();
        assert_eq!((pointer.matches("/0").count(), keyword.as_str()), (60, "type"));
        let flat = compile(r#"{"items":{"properties":{"a":{"type":"integer"}},"required":["a"]}}"#).unwrap();
        let many = format!("[{}{{\"a\":null}}]", "{\"a\":1},".repeat(30_000));
        assert_eq!(violation(&flat, &many), Some(("/30000/a".into(), "type".into())));
    }

    #[test]
    fn j_35_errors_carry_nothing_the_sender_wrote() {
        let schema = compile(r#"{"properties":{"card":{"type":"integer","maximum":5}},"required":["id"]}"#).unwrap();
        let document = Document::parse(Bytes::from_static(b"{\"card\":\"4111111111111111\"}"), &Limits::default());
        let document = document.unwrap();
        let errors: Vec<String> = schema
            .validator
            .iter_errors(Instance { value: document.root(), budget: None })
            .map(|e| format!("{e} {e:?}"))
            .collect();
        assert_eq!(errors.len(), 2);
        assert!(errors.iter().all(|error| !error.contains("4111")), "{errors:?}");
        let violation = schema.check(document.root()).unwrap_err();
        assert!(!violation.to_string().contains("4111"));
    }

    #[test]
    fn j_36_formats_are_asserted() {
        let date = r#"{"format":"date-time"}"#;
        check(date, &["\"2026-01-01T00:00:00Z\"", "1"], &[("\"yesterday\"", "", "format")]);
        check(r#"{"format":"no-such"}"#, &["\"x\""], &[]);
    }

    #[test]
    fn j_37_numbers_by_value() {
        check(r#"{"type":"integer"}"#, &["1.0", "1e2", "9007199254740993", "1e300", "-0"], &[("1.5", "", "type")]);
        check(r#"{"const":100}"#, &["100", "1E2", "100.0"], &[("101", "", "const"), ("\"100\"", "", "const")]);
        check(r#"{"enum":[{"a":[1,null],"b":"é"}]}"#, &[r#"{"b":"\u00e9","a":[1.0,null]}"#], &[("{}", "", "enum")]);
        check(r#"{"maximum":9007199254740992}"#, &["9007199254740992"], &[("9007199254740993", "", "maximum")]);
        let largest = "1.7976931348623158079e308";
        check(r#"{"minimum":1e308}"#, &[largest], &[("1e307", "", "minimum")]);
    }

    #[test]
    fn a_violation_names_the_branch_that_got_furthest() {
        let choice = r#"{"anyOf":[{"type":"null"},{"type":"object","properties":{"a":{"type":"string"}}}]}"#;
        check(choice, &["null", "{}"], &[(r#"{"a":1}"#, "/a", "type"), ("1", "", "type")]);
        let one = r#"{"oneOf":[{"type":"integer"},{"minimum":2},{"type":"string"}]}"#;
        check(one, &["1", "2.5"], &[("3", "", "oneOf"), ("1.5", "", "type")]);
        let condition = r#"{"if":{"required":["a"]},"then":{"properties":{"a":{"type":"null"}}},"else":false}"#;
        check(condition, &[r#"{"a":null}"#], &[(r#"{"a":1}"#, "/a", "type")]);
        check(r#"{"propertyNames":{"maxLength":2}}"#, &[r#"{"ab":1}"#], &[(r#"{"abc":1}"#, "", "maxLength")]);
        check(r#"{"not":{"type":"null"}}"#, &["1"], &[("null", "", "not")]);
        check(r#"{"additionalProperties":false}"#, &["{}"], &[(r#"{"~/":1}"#, "", "additionalProperties")]);
        check(r#"{"properties":{"a":false}}"#, &["{}"], &[(r#"{"a":1}"#, "/a", "properties")]);
        check("false", &[], &[("1", "", "false")]);
        check(r#"{"dependentRequired":{"a":["b"]}}"#, &["{}"], &[(r#"{"a":1}"#, "", "required")]);
        check(r#"{"items":{"items":{"type":"null"}}}"#, &["[[null]]"], &[("[[null],[1]]", "/1/0", "type")]);
    }

    #[test]
    fn a_schema_is_strict_json_of_its_draft() {
        let malformed = compile(r#"{"type":"object","type":"array"}"#).err().unwrap();
        assert!(matches!(malformed, (_, Problem::Malformed(_))), "{malformed:?}");
        let invalid = compile(r#"{"properties":{"x":{"type":"text"}}}"#).err().unwrap();
        assert!(invalid.0 == "/properties/x/type" && matches!(invalid.1, Problem::Invalid(_)), "{invalid:?}");
        let older = r#"{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"type":"null"}},"items":[{"$ref":"DEFS"}]}"#;
        check(&older.replace("DEFS", "#/definitions/a"), &["[null, 1]"], &[("[1]", "/0", "type")]);
        let fault = Schema::compile("events/a.json", r##"{"$ref":"#"}"##).err().unwrap().to_string();
        assert!(fault.starts_with("schema `events/a.json`, at `#`: refers back"), "{fault}");
    }

    #[test]
    fn j_28_j_33_j_34_j_36_warnings() {
        let check = |schema: &str, expected: &[(&str, Weakness, bool)]| {
            let (_, warnings) = Schema::compile("s.json", schema).unwrap();
            let found: Vec<_> =
                warnings.iter().map(|w| (w.pointer.as_str(), w.weakness.clone(), w.is_strict())).collect();
            assert_eq!(found, expected, "{schema}");
        };
        for everything in ["true", "{}", r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"x"}"#] {
            check(everything, &[("", Weakness::AcceptsEverything, false)]);
        }
        check(r#"{"properties":{"a":true,"b":{}}}"#, &[]);
        check(
            r#"{"properties":{"a":{"format":"nope","maxLength":9}}}"#,
            &[("/properties/a", Weakness::UnknownFormat("nope".into()), false)],
        );
        check(r#"{"items":{"pattern":"^a"}}"#, &[("/items", Weakness::UnboundedString("pattern"), true)]);
        check(r#"{"format":"uri"}"#, &[("", Weakness::UnboundedString("format"), true)]);
        check(r#"{"pattern":"^a","format":"uri","maxLength":99}"#, &[]);
        check(r#"{"patternProperties":{"^x":{}}}"#, &[("", Weakness::UnboundedNames, true)]);
        check(r#"{"patternProperties":{"^x":{}},"propertyNames":{"maxLength":9}}"#, &[]);
        check(r#"{"uniqueItems":true}"#, &[("", Weakness::UnboundedArray("uniqueItems"), true)]);
        check(r#"{"contains":{"const":1}}"#, &[("", Weakness::UnboundedArray("contains"), true)]);
        check(r#"{"contains":{"const":1},"uniqueItems":true,"maxItems":9}"#, &[]);
        let branches = vec![r#"{"const":1}"#; 101].join(",");
        check(&format!(r#"{{"anyOf":[{branches}]}}"#), &[("", Weakness::ManyBranches("anyOf"), true)]);
    }
}
