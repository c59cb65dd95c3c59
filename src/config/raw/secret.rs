//! Where a secret comes from.

use jiff::Timestamp;

use crate::{
    config::{
        diagnostics::{Diagnostic, Diagnostics},
        key::{At, Key},
        node::{Node, Value},
        table::{FromConfig, Shape, table},
        values::Plain,
    },
    secret::Secret,
};

table! {
    /// A secret: exactly one of `env`, `file` and `value`.
    SecretTable {
        /// The name shown in logs, in `hooksieve-verified` and in metrics.
        name: Option<At<String>>,
        /// The environment variable that holds it.
        env: Option<At<String>>,
        /// The file that holds it; one newline at its end is not part of it. A relative path starts at the configuration file.
        file: Option<At<std::path::PathBuf>>,
        /// The secret itself. Anybody who reads the file reads the secret: `check` warns about it.
        value: Option<At<Secret>>,
        /// When it stops being valid, for example the end of a rotation.
        until: Option<At<Timestamp>>,
    }
}

/// A secret that has not been fetched yet.
#[derive(Clone, Debug)]
pub struct SecretSource {
    /// Where the table stands.
    pub key: Key,
    /// The name shown in logs.
    pub name: Option<At<String>>,
    /// When it stops being valid.
    pub until: Option<At<Timestamp>>,
    /// Where it is.
    pub place: SecretPlace,
}

/// Where a secret is.
#[derive(Clone, Debug)]
pub enum SecretPlace {
    /// In this environment variable.
    Env(At<String>),
    /// In this file.
    File(At<std::path::PathBuf>),
    /// In the configuration.
    Value(At<Secret>),
}

/// Said wherever something else stands in the place of a secret.
const HELP: &str = "write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`";

impl FromConfig for SecretSource {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let structured = node.structured();
        if !matches!(structured.value, Value::Table(_)) {
            node.mistyped("a table that says where the secret is", HELP, found);
            return None;
        }
        let SecretTable { at: key, name, env, file, value, until } = SecretTable::read(&structured, found)?;
        let place = match (env, file, value) {
            (Some(env), None, None) => SecretPlace::Env(env),
            (None, Some(file), None) => SecretPlace::File(file),
            (None, None, Some(value)) => SecretPlace::Value(value),
            (env, file, value) => {
                let nowhere = env.is_none() && file.is_none() && value.is_none();
                let problem = if nowhere {
                    "says nowhere where the secret is"
                } else {
                    "says more than once where the secret is"
                };
                found.push(Diagnostic::error(&key, format!("`{}` {problem}", key.path())).help(HELP));
                return None;
            }
        };
        Some(Self { key, name, until, place })
    }

    fn shape() -> Shape {
        SecretTable::shape()
    }
}

/// What the operator answers to something a preset asks for.
#[derive(Clone, Debug)]
pub enum SettingValue {
    /// A string, a number or a boolean.
    Plain(Plain),
    /// Several of them.
    List(Vec<At<Plain>>),
    /// A secret.
    Secret(Box<SecretSource>),
}

impl FromConfig for SettingValue {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let node = node.structured();
        match &node.value {
            Value::List(_) => Vec::read(&node, found).map(Self::List),
            Value::Table(_) => SecretSource::read(&node, found).map(Box::new).map(Self::Secret),
            Value::Boolean(_) | Value::Integer(_) | Value::Float | Value::Datetime(_) | Value::Text(_) => {
                Plain::read(&node, found).map(Self::Plain)
            }
        }
    }

    fn shape() -> Shape {
        Shape::Leaf("a string, a number, `true` or `false`, a list of these, or a secret".to_owned())
    }
}
