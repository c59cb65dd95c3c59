//! What the gateway remembers between requests.
