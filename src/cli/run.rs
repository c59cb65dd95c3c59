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
    let mut ground = Ground::new(Arc::new(SystemClock));
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
    if let Err(error) = runtime.block_on(ground.open(&compiled)) {
        return usage(&format!("error: {error}"));
    }
    runtime.block_on(serve(file, compiled, &ground))
}

async fn serve(file: &ConfigFile, compiled: Compiled, ground: &Ground) -> u8 {
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)] = signals else {
        return usage("error: signals cannot be caught");
    };
    let running = match Running::start(compiled, ground).await {
        Ok(running) => running,
        Err(error) => return usage(&format!("error: {error}")),
    };
    for listen in &running.listen {
        tracing::info!(%listen, admin = %running.admin, "ready");
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(file, &running, ground),
        }
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

/// Takes over the file as one snapshot, or changes nothing and says why.
fn reload(file: &ConfigFile, running: &Running, ground: &Ground) {
    let loaded = file.load(false, &mut |name, settings| ground.connect(name, settings));
    let (compiled, found) = match loaded {
        Ok((Some(compiled), found)) => (compiled, found),
        Ok((None, found)) => {
            ground.telemetry.metrics.reload_failed.inc();
            tell(&found);
            tracing::error!("the configuration is not taken over; the old one stays");
            return;
        }
        Err(problem) => {
            ground.telemetry.metrics.reload_failed.inc();
            tracing::error!(problem, "the configuration is not taken over; the old one stays");
            return;
        }
    };
    tell(&found);
    match running.reload(compiled, ground) {
        Ok(waits) => {
            if waits {
                tracing::warn!(
                    "listeners, connection limits, trusted proxies and the journal change at the next start"
                );
            }
            tracing::info!("the configuration is taken over");
        }
        Err(problem) => {
            ground.telemetry.metrics.reload_failed.inc();
            tracing::error!(problem, "the configuration is not taken over; the old one stays");
        }
    }
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
    tell(found);
}

/// Logs what is wrong with a configuration, each problem with its place.
fn tell(found: &Diagnostics) {
    for problem in found {
        let place =
            problem.position().map(|(line, column)| format!("{}:{line}:{column}", problem.file().unwrap_or_default()));
        let (key, help) = (problem.key.path(), problem.help.as_deref());
        if problem.is_error() {
            tracing::error!(key, place, help, "{}", problem.message);
        } else {
            tracing::warn!(key, place, help, "{}", problem.message);
        }
    }
}
