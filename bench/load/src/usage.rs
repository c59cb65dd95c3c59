//! CPU time of processes, from `/proc` (proc(5)).

use std::{fs, io};

/// Linux reports in ticks of 1/100 s on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process and its children so far, in seconds.
pub fn seconds(pid: u32) -> io::Result<f64> {
    let own = Stat::read(pid)?;
    let mut ticks = own.ticks;
    for entry in fs::read_dir("/proc")? {
        let Ok(child) = entry?.file_name().to_string_lossy().parse() else { continue };
        match Stat::read(child) {
            Ok(stat) if stat.parent == pid => ticks += stat.ticks,
            Ok(_) | Err(_) => {}
        }
    }
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// User and system time of everything on this machine so far, in seconds.
pub fn machine() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: u64 = fields.take(3).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in brackets, may hold anything; what follows it are numbers.
        let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let number = |index: usize| -> io::Result<u64> {
            let field = fields.get(index).and_then(|field| field.parse().ok());
            field.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected form of /proc/PID/stat"))
        };
        let parent = u32::try_from(number(1)?).map_err(io::Error::other)?;
        Ok(Self { parent, ticks: number(11)? + number(12)? })
    }
}
