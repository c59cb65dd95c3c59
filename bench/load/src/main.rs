//! Distinct signed webhooks at a high rate through a proxy, and the application behind it, in one process.
//!
//! Sender and application share a process and a thread, so that together they cost as little as possible and the
//! proxy, alone on the other core, is what is measured. Prints one line: what was answered, how fast, and what it
//! cost the proxy.
#![allow(clippy::disallowed_methods, reason = "this program is no part of the gateway and may ask for the time")]

mod application;
mod event;
mod sender;
mod usage;

use std::{
    cell::{Cell, RefCell},
    error::Error,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use clap::Parser;
use tokio::{net::TcpListener, task::LocalSet};

use event::Events;
use sender::{Pace, Tally};

/// Sends distinct signed events through a proxy and reports rate, latency and the proxy's CPU time.
#[derive(Parser)]
struct Options {
    /// The proxy.
    #[arg(long)]
    target: SocketAddr,
    /// Where the application listens.
    #[arg(long)]
    application: SocketAddr,
    /// The source's path.
    #[arg(long, default_value = "/in/bench")]
    path: String,
    /// The shared secret.
    #[arg(long, env = "BENCH_SECRET")]
    secret: String,
    /// Kept-alive connections, each with one request at a time.
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Seconds before counting starts.
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    /// Seconds that count.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests per second over all connections; as fast as answers come when absent.
    #[arg(long)]
    rate: Option<f64>,
    /// The proxy's process: its CPU time and that of its children is measured.
    #[arg(long)]
    pid: u32,
    /// What to call the proxy in the report.
    #[arg(long, default_value = "proxy")]
    name: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, run(options))
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let delivered = Rc::new(Cell::new(0));
    let listener = TcpListener::bind(options.application).await?;
    tokio::task::spawn_local(application::serve(listener, delivered.clone()));

    let events = Rc::new(Events::new(&options.path, options.secret.as_bytes()));
    let tally = Rc::new(RefCell::new(Tally::default()));
    let start = Instant::now();
    for index in 0..options.connections {
        let pace = options.rate.map(|rate| {
            let every = Duration::from_secs_f64(f64::from(options.connections) / rate);
            Pace { next: start + every.mul_f64(f64::from(index) / f64::from(options.connections)), every }
        });
        tokio::task::spawn_local(sender::send(options.target, events.clone(), pace, tally.clone()));
    }

    tokio::time::sleep(Duration::from_secs_f64(options.warm)).await;
    *tally.borrow_mut() = Tally::default();
    let (all_before, before, own_before) =
        (usage::machine()?, usage::seconds(options.pid)?, usage::seconds(std::process::id())?);
    let (delivered_before, from) = (delivered.get(), Instant::now());
    tokio::time::sleep(Duration::from_secs_f64(options.seconds)).await;
    let elapsed = from.elapsed().as_secs_f64();
    let cpu = usage::seconds(options.pid)? - before;
    let own = usage::seconds(std::process::id())? - own_before;
    let others = (usage::machine()? - all_before - cpu - own).max(0.0);
    let Tally { mut latencies, failures, .. } = tally.take();

    if latencies.is_empty() {
        return Err(format!("{}: no request was answered with 200; {failures} failures", options.name).into());
    }
    latencies.sort_unstable();
    let count = latencies.len() as f64;
    let quantile = |q: f64| latencies[((count - 1.0) * q) as usize];
    println!(
        "{}\trps={:.0}\tcpu_us={:.2}\tp50_us={}\tp99_us={}\tproxy_core={:.0}%\tload_core={:.0}%\tothers={:.0}%\tanswered={}\tdelivered={}\tfailed={failures}",
        options.name,
        count / elapsed,
        cpu * 1e6 / count,
        quantile(0.5),
        quantile(0.99),
        cpu * 100.0 / elapsed,
        own * 100.0 / elapsed,
        others * 100.0 / elapsed,
        latencies.len(),
        delivered.get() - delivered_before,
    );
    Ok(())
}
