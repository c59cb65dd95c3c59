//! How a sender proves itself, and how it is greeted. Sources and presets share these tables.

use std::{collections::BTreeMap, time::Duration};

use crate::config::{
    diagnostics::{Diagnostic, Diagnostics},
    key::At,
    node::{Node, Value},
    raw::secret::SecretSource,
    table::{FromConfig, Many, Shape, table, words},
    values::{Ahead, Cidr, Header, Host, MethodName, Number, Pattern, Plain, Pointer, Selector, Template},
};

table! {
    /// One rule of authentication.
    Rule {
        /// The way to prove it.
        kind: At<Kind>,
        /// The hash, for the kinds that have a choice.
        hash: At<Hash> = r#""sha256""#,
        /// The algorithms a JSON Web Token or Signature may have: no other is looked at.
        algorithms: Many<At<JoseAlgorithm>> = "[]",
        /// Where the signature or token is, and how it is written.
        signature: Option<Signature>,
        /// How the secret becomes a key.
        key: KeyForm = "{}",
        /// Where the sender publishes its keys. They are fetched when a request needs one; with `secrets`, which are then
        /// pinned keys, nothing is.
        keys: Option<Keys>,
        /// What is signed: candidates of literals and selectors. One of them must verify.
        message: Many<At<Template>> = r#"["{body}"]"#,
        /// When the request was signed.
        time: Option<Time>,
        /// The rule applies only when all of these hold. Empty: always.
        when: Many<Condition> = "[]",
        /// All of these must hold as well, or the request is refused.
        require: Many<Condition> = "[]",
        /// The array whose elements are signed one by one. `json:` and `raw:` then start at the element, and all must verify.
        each: Option<At<Pointer>>,
        /// Secrets of this rule alone, in place of the source's.
        secrets: Many<SecretSource> = "[]",
        /// Takes a `message` in which values of the request follow each other with nothing in between, where it is not
        /// certain that they cannot run into each other: for senders that sign so.
        allow_side_by_side: At<bool> = "false",
        /// Takes a `time` that is not part of what is signed: it then protects against nothing but honest delays.
        allow_unsigned_time: At<bool> = "false",
    }

    /// Where a signature or token is, and how it is written.
    Signature {
        /// Where it is: the first selector that finds something. `basic` looks at `header:authorization` by itself.
        from: Many<At<Selector>> = "[]",
        /// Each place, and each line of a header (`header:NAME*` for many names), may hold a signature of its own, and one
        /// must be right. Otherwise several places are names for one.
        any_of: At<bool> = "false",
        /// What stands between groups of items, each with a time of its own.
        groups: Option<At<String>>,
        /// What stands between several signatures, or between the items of one header.
        split: Option<At<String>>,
        /// What stands between the name and the value of an item.
        pair: Option<At<String>>,
        /// The names of the items that are signatures; the others are fields for `sig.NAME`.
        take: Vec<At<String>> = "[]",
        /// Characters that may stand around an item.
        trim: At<String> = r#""""#,
        /// What stands in front of each signature. `{ optional = "…" }`: may be missing.
        prefix: At<Prefix> = r#""""#,
        /// How the bytes are written.
        encoding: At<Encoding> = r#""hex""#,
        /// What the bytes of an ECDSA signature are, or how an RSA signature is padded.
        form: Option<At<Form>>,
    }

    /// How a secret becomes a key.
    KeyForm {
        /// What the secret is.
        decode: At<Decode> = r#""utf8""#,
        /// Prefixes taken off first, where they are there.
        strip: Many<At<String>> = "[]",
        /// What a secret is that has none of these prefixes. Absent: the same.
        bare: Option<At<Decode>>,
        /// The Unicode form that the sender brings the secret into first. Absent: none.
        normalize: Option<At<Normalize>>,
        /// What the sender puts behind the key.
        suffix: At<String> = r#""""#,
        /// Where a request names the secret that it is signed with: only the one with that `name` is looked at. Absent: all.
        chosen_by: Option<At<Selector>>,
        /// The key is this hash of it.
        derive: Option<At<Hash>>,
    }

    /// Where a sender publishes its public keys. Only `https`, only public addresses, and never a redirect. A document is
    /// kept for a day, asked for again after 15 minutes, and sooner, but not within 30 seconds, for a key it lacks.
    Keys {
        /// The address. With a part of the request in it, or `{kid}`, the key that a token names, it is followed only where
        /// `hosts` and `path` fit. Several: each that the request has all parts of.
        url: Many<At<Template>>,
        /// What lies there.
        form: At<KeyDocument>,
        /// The hosts that are gone to, `NAME` or `NAME:PORT`. A `*` stands for a part of one label, and never for a name
        /// that strangers can register.
        hosts: Many<At<Host>> = "[]",
        /// The path, as a regular expression that fits all of it. A query is never followed.
        path: Option<At<Pattern>>,
        /// The body of a `POST`, as JSON, in place of a `GET`. Settings that are secrets may stand in it.
        post: Option<At<Template>>,
        /// Where in a JSON document the keys are.
        pointer: At<Pointer> = r#""""#,
        /// Where in a JSON Web Key its end is, in seconds since 1970. Absent: it has none.
        until: Option<At<Pointer>>,
        /// The common names that a certificate may have. Empty: any.
        names: Many<At<Host>> = "[]",
        /// Networks that are gone to, though they are not public: for an issuer of your own.
        networks: Many<At<Cidr>> = "[]",
    }

    /// An address of the sender's by which an endpoint is confirmed: a `GET`, as careful as for keys.
    Confirm {
        /// The address.
        url: At<Template>,
        /// The hosts that are gone to, as for `keys`.
        hosts: Many<At<Host>>,
        /// The path, as a regular expression that fits all of it.
        path: At<Pattern>,
        /// The query, as a regular expression that fits all of it. Absent: there must be none.
        query: Option<At<Pattern>>,
    }

    /// When the request was signed.
    Time {
        /// Where the time is: the first selector that finds something.
        from: Many<At<Selector>>,
        /// How it is written.
        unit: At<Unit> = r#""s""#,
        /// How old it may be.
        past: At<Duration> = r#""5m""#,
        /// How far ahead it may be. `any`: for senders that are known to write times which never come.
        future: At<Ahead> = r#""5m""#,
    }

    /// A challenge or test of the sender, and the answer to it.
    Handshake {
        /// The method of the request.
        method: At<MethodName> = r#""POST""#,
        /// What it is compared with: the whole request, or each event of it.
        on: At<Subject> = r#""request""#,
        /// All of these must hold.
        when: Many<Condition> = "[]",
        /// What the request must prove before it is answered.
        auth: At<Proof> = r#""signature""#,
        /// Where the token is that must equal a secret, for `auth = "secret"`.
        token: Option<At<Selector>>,
        /// The secrets that `token` may equal. Absent: the source's.
        secrets: Many<SecretSource> = "[]",
        /// Only when this setting is given, and not `false`.
        only_with: Option<At<String>>,
        /// What must hold for the answer to be given. What is no test of this kind belongs in `when`.
        require: Many<Condition> = "[]",
        /// What the values that are sent back must look like.
        guard: BTreeMap<Selector, At<Pattern>> = "{}",
        /// The status, without a body, where what is asked for is not proved, does not hold or does not look right. Absent:
        /// as for a request that is no handshake.
        otherwise: Option<At<Number<400, 409>>>,
        /// An address that is visited before the answer is given: it is given only if that is answered with a 2xx.
        confirm: Option<Confirm>,
        /// A secret that the sender hands over, kept before the answer is given: the first one, and no other after it.
        /// Nothing is verified with it until `hooksieve secrets confirm`. Needs `[learned]`.
        learn: Option<At<Selector>>,
        /// The answer.
        reply: HandshakeReply = "{}",
    }

    /// The answer to a handshake.
    HandshakeReply {
        /// The status.
        status: At<Number<200, 299>> = "200",
        /// The headers.
        headers: BTreeMap<Header, At<Template>> = "{}",
        /// The body.
        body: At<Template> = r#""""#,
    }

    /// A condition on the request: exactly one of these.
    ConditionTable {
        /// The selector finds something.
        present: Option<At<Selector>>,
        /// The selector finds nothing.
        absent: Option<At<Selector>>,
        /// `[SELECTOR, VALUE]`: the selector finds this value.
        equal: Option<Pair<Selector, Plain>>,
        /// `[SELECTOR, SELECTOR]`: both find the same.
        same: Option<Pair<Selector, Selector>>,
        /// `[SELECTOR, REGULAR EXPRESSION]`: the selector finds a text that is matched as a whole.
        matches: Option<Pair<Selector, Pattern>>,
        /// `[SELECTOR, SETTING]`: the selector finds one of the values of this setting.
        in_list: Option<Pair<Selector, String>>,
        /// At least one of these holds.
        any: Option<Many<Condition>>,
    }
}

words! {
    /// The way to prove it.
    Kind {
        /// A keyed hash over the message.
        Hmac = "hmac",
        /// A plain hash over a message that contains the secret.
        Digest = "digest",
        /// The secret itself.
        Token = "token",
        /// The secret as `user:password`, by HTTP Basic authentication.
        Basic = "basic",
        /// An Ed25519 signature.
        Ed25519 = "ed25519",
        /// An ECDSA signature over P-256 with SHA-256.
        Ecdsa = "ecdsa",
        /// An RSA signature (PKCS #1 v1.5, or PSS), at least 2048 bits.
        Rsa = "rsa",
        /// A JSON Web Token. `claim:/NAME` stands for what it says, in `require` and `time`; `exp` and `nbf` count.
        Jwt = "jwt",
        /// A detached JSON Web Signature over the message.
        Jws = "jws",
        /// Nothing: anybody may send.
        None = "none",
    }

    /// A hash.
    Hash {
        /// SHA-1, for senders that have nothing better.
        Sha1 = "sha1",
        /// SHA-256.
        Sha256 = "sha256",
        /// SHA-384.
        Sha384 = "sha384",
        /// SHA-512.
        Sha512 = "sha512",
    }

    /// An algorithm of JSON Web Signatures.
    JoseAlgorithm {
        /// HMAC with SHA-256.
        Hs256 = "HS256",
        /// HMAC with SHA-384.
        Hs384 = "HS384",
        /// HMAC with SHA-512.
        Hs512 = "HS512",
        /// RSA PKCS #1 v1.5 with SHA-256.
        Rs256 = "RS256",
        /// RSA PKCS #1 v1.5 with SHA-384.
        Rs384 = "RS384",
        /// RSA PKCS #1 v1.5 with SHA-512.
        Rs512 = "RS512",
        /// RSA PSS with SHA-256.
        Ps256 = "PS256",
        /// RSA PSS with SHA-384.
        Ps384 = "PS384",
        /// RSA PSS with SHA-512.
        Ps512 = "PS512",
        /// ECDSA over P-256 with SHA-256.
        Es256 = "ES256",
        /// Ed25519.
        EdDsa = "EdDSA",
    }

    /// How the bytes of a signature are written.
    Encoding {
        /// Hexadecimal, in either case.
        Hex = "hex",
        /// Base64.
        Base64 = "base64",
        /// Base64 with `-` and `_`.
        Base64url = "base64url",
        /// Whichever of them has the right length.
        Auto = "auto",
    }

    /// What the bytes of a signature are.
    Form {
        /// ECDSA: DER, as where nothing is said.
        Der = "der",
        /// ECDSA: the two numbers in a row, 32 bytes each.
        Raw = "raw",
        /// RSA: PKCS #1 v1.5, as where nothing is said.
        Pkcs1 = "pkcs1",
        /// RSA: PSS, with a salt as long as the hash.
        Pss = "pss",
    }

    /// What a secret is.
    Decode {
        /// Its bytes are the key.
        Utf8 = "utf8",
        /// Base64 of the key.
        Base64 = "base64",
        /// Hexadecimal of the key.
        Hex = "hex",
        /// A public key in PEM, or a certificate of which the key is taken.
        Pem = "pem",
        /// A public key as a JSON Web Key (RFC 7517).
        Jwk = "jwk",
        /// A public key as base64 of its `SubjectPublicKeyInfo`, without the lines around it.
        Spki = "spki",
    }

    /// A Unicode form (Unicode Standard Annex #15).
    Normalize {
        /// Compatibility decomposition.
        Nfkd = "nfkd",
    }
    /// What lies where a sender publishes its keys.
    KeyDocument {
        /// A JSON Web Key Set (RFC 7517, section 5).
        Jwks = "jwks",
        /// One JSON Web Key.
        Jwk = "jwk",
        /// A public key in PEM.
        Pem = "pem",
        /// A certificate in PEM, which must be valid at the time; its issuers are not looked at.
        X509 = "x509",
    }

    /// How a time is written.
    Unit {
        /// Seconds since 1970.
        Seconds = "s",
        /// Milliseconds since 1970.
        Milliseconds = "ms",
        /// Date and time (RFC 3339).
        Rfc3339 = "rfc3339",
    }

    /// What a handshake is compared with.
    Subject {
        /// The whole request.
        Request = "request",
        /// Each event of it.
        Event = "event",
    }

    /// What a handshake must prove.
    Proof {
        /// Nothing.
        None = "none",
        /// What every request of the source must prove.
        Signature = "signature",
        /// That it knows a secret, by sending it.
        Secret = "secret",
    }
}

/// What stands in front of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Always; may be empty.
    Required(String),
    /// Sometimes.
    Optional(String),
}

table! {
    /// A prefix that may be missing.
    OptionalPrefix {
        /// The prefix.
        optional: At<String>,
    }
}

impl FromConfig for Prefix {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::Table(_) => OptionalPrefix::read(node, found).map(|it| Self::Optional(it.optional.value)),
            _ => String::read(node, found).map(Self::Required),
        }
    }

    fn shape() -> Shape {
        Shape::Leaf("a string, or `{ optional = \"…\" }`".to_owned())
    }
}

/// A condition on the request.
#[derive(Clone, Debug)]
pub enum Condition {
    /// One of them holds.
    Any(Many<Self>),
    /// The selector finds something.
    Present(At<Selector>),
    /// The selector finds nothing.
    Absent(At<Selector>),
    /// The selector finds this value.
    Equal(At<Selector>, At<Plain>),
    /// The selector finds one of the values of this setting.
    InList(At<Selector>, At<String>),
    /// Both selectors find the same.
    Same(At<Selector>, At<Selector>),
    /// The selector finds a text that is matched as a whole.
    Matches(At<Selector>, At<Pattern>),
}

impl FromConfig for Condition {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        let ConditionTable { at, present, absent, equal, same, matches, in_list, any } =
            ConditionTable::read(node, found)?;
        let written = [
            present.map(Self::Present),
            absent.map(Self::Absent),
            equal.map(|Pair(selector, value)| Self::Equal(selector, value)),
            in_list.map(|Pair(selector, setting)| Self::InList(selector, setting)),
            same.map(|Pair(one, other)| Self::Same(one, other)),
            matches.map(|Pair(selector, shape)| Self::Matches(selector, shape)),
            any.map(Self::Any),
        ];
        let mut written = written.into_iter().flatten();
        if let (Some(condition), None) = (written.next(), written.next()) {
            return Some(condition);
        }
        let message = format!("`{}` must be exactly one condition", at.path());
        let help = "for several conditions write a list: `[{ present = … }, { equal = [ … ] }]`";
        found.push(Diagnostic::error(&at, message).help(help));
        None
    }

    fn shape() -> Shape {
        ConditionTable::shape()
    }
}

/// Two values in brackets.
#[derive(Clone, Debug)]
pub struct Pair<A, B>(pub At<A>, pub At<B>);

impl<A: FromConfig, B: FromConfig> FromConfig for Pair<A, B> {
    fn read(node: &Node, found: &mut Diagnostics) -> Option<Self> {
        if let Value::List(items) = &node.value
            && let [first, second] = items.as_slice()
        {
            let (first, second) = (At::read(first, found), At::read(second, found));
            return Some(Self(first?, second?));
        }
        node.mistyped("a list of two", "write `[SELECTOR, VALUE]`", found);
        None
    }

    fn shape() -> Shape {
        Shape::Leaf("a list of two".to_owned())
    }
}
