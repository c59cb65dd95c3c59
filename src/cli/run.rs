//! `hooksieve run`: serve.

use std::sync::Arc;

use tokio::{
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
};
use tracing::level_filters::LevelFilter;

use super::{ConfigFile, NO, USAGE, complain, usage};
use crate::{
    app::{Ground, Running},
    clock::SystemClock,
    config::{
        Diagnostics,
        compile::Compiled,
        raw::{LogFormat, LogLevel},
    },
    telemetry,
};

/// Serves until a signal ends it.
pub(super) fn run(file: &ConfigFile) -> u8 {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return usage(&format!("error: the runtime cannot be started: {error}")),
    };
    let _entered = runtime.enter();
    let ground = Ground::new(Arc::new(SystemClock));
    let (compiled, found) = match file.load(false, &mut |name, settings| ground.connect(name, settings)) {
        Ok(loaded) => loaded,
        Err(problem) => return usage(&problem),
    };
    let Some(compiled) = compiled else {
        complain(&found);
        return USAGE;
    };
    start_log(&compiled, &found);
    telemetry::count_panics(ground.telemetry.metrics.panics.clone());
    runtime.block_on(serve(compiled, &ground))
}

async fn serve(compiled: Compiled, ground: &Ground) -> u8 {
    let (mut terminate, mut interrupt) = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => return usage(&format!("error: signals cannot be caught: {error}")),
    };
    let running = match Running::start(compiled, ground).await {
        Ok(running) => running,
        Err(error) => return usage(&format!("error: {error}")),
    };
    for listen in &running.listen {
        tracing::info!(%listen, admin = %running.admin, "ready");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining; a second signal ends it at once");
    let drained = tokio::select! {
        drained = running.drain() => drained,
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
    };
    tracing::info!(drained, "stopped");
    if drained { 0 } else { NO }
}

fn start_log(compiled: &Compiled, found: &Diagnostics) {
    let (format, level) = compiled.log;
    let format = match format {
        LogFormat::Auto => telemetry::Format::Auto,
        LogFormat::Json => telemetry::Format::Json,
        LogFormat::Text => telemetry::Format::Text,
    };
    let level = match level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // There is a subscriber already only where a test has made one, and then it stays.
    let _ = telemetry::init(format, level);
    for warning in found {
        tracing::warn!(key = warning.key.path(), help = warning.help, "{}", warning.message);
    }
}
