//! Text with selectors in it, and conditions on what selectors find.

use regex::bytes::Regex;
use subtle::ConstantTimeEq;

use crate::stages::selector::{Ambiguous, Facts, Selector};

/// Literals and selectors in a row: `{sig.t}.{body}`. A brace is written twice to stand for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// One part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text that stands for itself.
    Literal(String),
    /// A value of the request.
    Value(Selector),
}

impl Template {
    /// Parses the written form.
    pub fn parse(text: &str, setting: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if brace.starts_with("{{") || brace.starts_with("}}") {
                literal.push_str(&brace[..1]);
                rest = &brace[2..];
            } else if let Some((inner, after)) = brace.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Value(Selector::parse(inner, setting)?));
                rest = after;
            } else {
                return Err("a brace stands alone; write `{{` or `}}` for a brace in the text".to_owned());
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// All selectors, in order.
    pub fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Value(selector) => Some(selector),
        })
    }

    /// The text with every value in its place; `None` when one is absent.
    pub fn render(&self, facts: &Facts<'_>) -> Result<Option<Vec<u8>>, Ambiguous> {
        let mut text = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                Piece::Value(selector) => match selector.find(facts)? {
                    Some(value) => text.extend_from_slice(&value),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(text))
    }
}

/// What must hold for a rule to apply.
#[derive(Clone, Debug)]
pub enum Condition {
    /// Nothing lies there.
    Absent(Selector),
    /// One of them holds.
    Any(Vec<Self>),
    /// Exactly this text lies there.
    Equal(Selector, String),
    /// A text of this shape lies there; the expression is anchored.
    Matches(Selector, Regex),
    /// One of these texts lies there.
    OneOf(Selector, Vec<String>),
    /// Something lies there.
    Present(Selector),
    /// The same lies at both places.
    Same(Selector, Selector),
}

impl Condition {
    /// Whether it holds. Values are compared in constant time: an operator may have written a secret.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, Ambiguous> {
        Ok(match self {
            Self::Absent(selector) => selector.find(facts)?.is_none(),
            Self::Any(conditions) => {
                for condition in conditions {
                    if condition.holds(facts)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Equal(selector, text) => {
                selector.find(facts)?.is_some_and(|value| bool::from(value.ct_eq(text.as_bytes())))
            }
            Self::Matches(selector, shape) => selector.find(facts)?.is_some_and(|value| shape.is_match(&value)),
            Self::OneOf(selector, texts) => selector
                .find(facts)?
                .is_some_and(|value| texts.iter().any(|text| bool::from(value.ct_eq(text.as_bytes())))),
            Self::Present(selector) => selector.find(facts)?.is_some(),
            Self::Same(one, other) => {
                one.find(facts)?.zip(other.find(facts)?).is_some_and(|(one, other)| bool::from(one.ct_eq(&other)))
            }
        })
    }

    /// Whether it holds, where that is so for every request: it then looks at nothing but settings.
    pub fn decided(&self) -> Option<bool> {
        match self {
            Self::Absent(selector) => selector.constant().map(|_| false),
            Self::Any(conditions) => {
                let decided: Vec<_> = conditions.iter().map(Self::decided).collect();
                if decided.contains(&Some(true)) {
                    return Some(true);
                }
                decided.iter().all(|it| *it == Some(false)).then_some(false)
            }
            Self::Equal(selector, text) => selector.constant().map(|value| value == text),
            Self::Matches(selector, shape) => selector.constant().map(|value| shape.is_match(value.as_bytes())),
            Self::OneOf(selector, texts) => selector.constant().map(|value| texts.iter().any(|text| value == text)),
            Self::Present(selector) => selector.constant().map(|_| true),
            Self::Same(one, other) => one.constant().zip(other.constant()).map(|(one, other)| one == other),
        }
    }

    /// Whether no request can satisfy both.
    pub fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Absent(one),
                Self::Present(two) | Self::Equal(two, _) | Self::Matches(two, _) | Self::OneOf(two, _),
            )
            | (
                Self::Present(one) | Self::Equal(one, _) | Self::Matches(one, _) | Self::OneOf(one, _),
                Self::Absent(two),
            ) => one == two,
            (Self::Equal(one, value), Self::Equal(two, other)) => one == two && value != other,
            (Self::Equal(one, value), Self::OneOf(two, values))
            | (Self::OneOf(one, values), Self::Equal(two, value)) => one == two && !values.contains(value),
            (Self::OneOf(one, values), Self::OneOf(two, others)) => {
                one == two && !values.iter().any(|value| others.contains(value))
            }
            (Self::Any(conditions), other) | (other, Self::Any(conditions)) => {
                conditions.iter().all(|condition| condition.excludes(other))
            }
            (Self::Absent(_), Self::Absent(_) | Self::Same(..))
            | (
                Self::Present(_) | Self::Matches(..),
                Self::Present(_) | Self::Equal(..) | Self::Matches(..) | Self::OneOf(..) | Self::Same(..),
            )
            | (Self::Equal(..) | Self::OneOf(..), Self::Present(_) | Self::Matches(..) | Self::Same(..))
            | (Self::Same(..), _) => false,
        }
    }

    /// Whether all of them hold.
    pub fn all(conditions: &[Self], facts: &Facts<'_>) -> Result<bool, Ambiguous> {
        for condition in conditions {
            if !condition.holds(facts)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
