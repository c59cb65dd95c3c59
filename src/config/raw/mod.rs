//! The configuration as it is written: every table and every key, with its default and what it is for.
//!
//! Nothing here knows how a request is treated; selectors, templates and patterns are texts with their place, and
//! become the settings of the stages later. The reference page is made from these declarations.

pub mod auth;
pub mod events;
pub mod preset;
pub mod secret;
pub mod source;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use http::HeaderValue;

use crate::config::{
    key::At,
    raw::{secret::SecretSource, source::Source},
    table::{Many, Named, table, words},
    values::{Cidr, Header, HostName, Listen, Number, Rate, Size, Url},
};

table! {
    /// The whole file.
    Raw {
        /// Where senders reach the gateway.
        server: Server = "{}",
        /// Health, readiness, metrics and deliveries, on a listener of their own.
        admin: Admin = "{}",
        /// What is logged, and how.
        log: Log = "{}",
        /// The file that outlives the process: quarantine, queued delivery, delivery log, dedup across restarts.
        journal: Option<Journal>,
        /// Where secrets are kept that senders hand over by themselves.
        learned: Option<Learned>,
        /// The applications that events are forwarded to.
        upstreams: Named<Upstream> = "{}",
        /// The senders: one table for each path that takes webhooks.
        sources: Named<Source> = "{}",
    }

    /// Where senders reach the gateway.
    Server {
        /// The addresses to listen on: `"IP:PORT"`, or `"unix:/path"` for a socket.
        listen: Many<At<Listen>> = r#"["127.0.0.1:8080"]"#,
        /// What senders see in front of the path. Schemes that sign the URL use it, never `Host` or `X-Forwarded-*`.
        public_url: Option<At<Url>>,
        /// The proxies in front of the gateway: `X-Forwarded-For` is believed as far as the right-most address that is not one of these.
        trusted_proxies: Many<At<Cidr>> = "[]",
        /// How many failed requests one client may make, per address (per /64 for IPv6).
        client_limit: ClientLimit = "{}",
        /// How many connections may be open at once.
        max_connections: At<Number<1, 1_000_000>> = "10_000",
        /// How long requests in progress may take to end when the gateway stops.
        drain_timeout: At<Duration> = r#""25s""#,
        /// How long new connections are still taken after the gateway said it is not ready any more.
        drain_delay: At<Duration> = r#""0s""#,
        /// Serve HTTPS. Absent: plain HTTP.
        tls: Option<Tls>,
    }

    /// The budget of failed requests: looked at before the body is read, and charged only by requests that fail authentication or cannot be read.
    ClientLimit {
        /// How fast the budget fills up again.
        rate: At<Rate> = r#""20/s""#,
        /// How many failed requests may come at once.
        burst: At<Number<1, 1_000_000>> = "100",
        /// Whether private and loopback peers have the budget too, though many clients may share their address.
        apply_to_private: At<bool> = "false",
    }

    /// Certificates; they are read again when the files change.
    Tls {
        /// The certificate chain (PEM), the server's own first.
        cert: At<PathBuf>,
        /// Its private key (PEM).
        key: At<PathBuf>,
        /// Demand certificates of clients, signed by one of these (PEM).
        client_ca: Option<At<PathBuf>>,
    }

    /// Health, readiness, metrics and deliveries, on a listener of their own.
    Admin {
        /// The address to listen on. Off loopback it needs a `token`.
        listen: At<Listen> = r#""127.0.0.1:9464""#,
        /// What a client must send as `Authorization: Bearer …` for everything but `/live` and `/ready`. Absent: whoever reaches the listener may use it.
        token: Option<SecretSource>,
        /// Names under which clients reach the listener, besides addresses and `localhost`: a request for another host is refused.
        hosts: Many<At<HostName>> = "[]",
    }

    /// What is logged, and how.
    Log {
        /// How a line looks.
        format: At<LogFormat> = r#""auto""#,
        /// What is logged: this level and those above it.
        level: At<LogLevel> = r#""info""#,
    }

    /// The file that outlives the process.
    Journal {
        /// The file; it is made when it is not there. A relative path starts at the configuration file.
        path: At<PathBuf>,
        /// How long what is finished stays in the delivery log: delivered, discarded and noted events. What is pending, dead or quarantined stays until somebody decides.
        retention: At<Duration> = r#""30d""#,
        /// How large the file may grow. From nine tenths of it on, and when less than a tenth of the disk is free, nothing new is taken (503): what was accepted stays.
        max_size: At<Size> = r#""1GiB""#,
        /// Whose bytes are kept.
        bodies: At<Bodies> = r#""needed""#,
    }

    /// Secrets that senders hand over by themselves, for handshakes that say `learn`.
    Learned {
        /// The directory they lie in, a file for each source, for the gateway's user alone; it is made when it is not
        /// there. A relative path starts at the configuration file.
        directory: At<PathBuf>,
    }

    /// An application that events are forwarded to.
    Upstream {
        /// Where events are posted to. Path and query are exactly these: an event never chooses the address.
        url: At<Url>,
        /// How long one attempt may take, connecting included.
        timeout: At<Duration> = r#""8s""#,
        /// How long it may take to connect.
        connect_timeout: At<Duration> = r#""2s""#,
        /// How many attempts may be under way at once.
        max_in_flight: At<Number<1, 100_000>> = "256",
        /// Sign everything forwarded with this secret, as Standard Webhooks describes.
        sign: Option<SecretSource>,
        /// Headers added to everything forwarded.
        headers: BTreeMap<Header, At<HeaderValue>> = "{}",
        /// The sender's headers that pass; all others are dropped.
        forward_headers: Vec<At<Header>> = r#"["content-type", "user-agent"]"#,
        /// HTTP/2: with prior knowledge on `http://`, by ALPN on `https://`.
        http2: At<bool> = "false",
    }
}

words! {
    /// Which bodies are kept in the journal.
    Bodies {
        /// Those of events that are pending, dead or quarantined; of the others only what they were.
        Needed = "needed",
        /// Those of delivered events, too, for as long as `retention` says: they can be sent again.
        All = "all",
    }

    /// How a line of the log looks.
    LogFormat {
        /// Text on a terminal, JSON elsewhere.
        Auto = "auto",
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }

    /// How much is logged.
    LogLevel {
        /// Everything, for people who look for a defect in the gateway.
        Trace = "trace",
        /// What was decided, and why.
        Debug = "debug",
        /// One record per request.
        Info = "info",
        /// What an operator should look at.
        Warn = "warn",
        /// What an operator must look at.
        Error = "error",
    }
}
