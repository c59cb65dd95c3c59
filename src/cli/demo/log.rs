//! The gateway's own log, read instead of shown: it says why a request ended as it did.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::Value;

use crate::telemetry::TRACE_TARGET;

/// Takes what is logged. Errors are shown at once; once the show is over, everything is.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The reason of the last request, or else what became of it.
    why: String,
    is_over: bool,
}

impl Log {
    /// Why the last request ended as it did.
    pub(super) fn why(&self) -> String {
        std::mem::take(&mut self.0.lock().expect("no panic while held").why)
    }

    /// From now on everything is shown.
    pub(super) fn show(&self) {
        self.0.lock().expect("no panic while held").is_over = true;
    }
}

/// Every write is one line.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().expect("no panic while held");
        let record: Value = serde_json::from_slice(line).unwrap_or_default();
        let word = |name: &str| record.get(name).and_then(Value::as_str);
        if word("target") == Some(TRACE_TARGET) {
            word("reason").or_else(|| word("outcome")).unwrap_or_default().clone_into(&mut state.why);
        }
        if state.is_over || word("level") == Some("ERROR") {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
