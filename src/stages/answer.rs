//! From what happened to what the sender is told. The only file that knows status codes.
