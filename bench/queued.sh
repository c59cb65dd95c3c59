#!/usr/bin/env bash
# Measures queued delivery through the whole program: 64 connections, events of 1 KiB, beside a bare SQLite writer that
# commits in groups of the same size, in turns on the same disk, and beside delivery while the sender waits, without a
# journal; and again with syncs that take longer, as on other disks. Writes a section of docs/performance.md; takes some
# two minutes on two cores, after building.
set -euo pipefail
cd "$(dirname "$0")"

RUNS=${RUNS:-3} SECONDS_EACH=${SECONDS_EACH:-4} CONNECTIONS=${CONNECTIONS:-64}
DELAYS_US=${DELAYS_US:-0 1000 2000 5000 10000}
WORK=/var/tmp/hooksieve-bench
export BENCH_SECRET=0f1e2d3c4b5a69788796a5b4c3d2e1f0

mkdir -p "$WORK" && chmod 700 "$WORK"
[ -n "${BUILT:-}" ] || cargo build --release --quiet --manifest-path ../Cargo.toml
cargo build --release --quiet --manifest-path load/Cargo.toml --target-dir ../target/load
cc -shared -fPIC -O2 -o "$WORK/slow_sync.so" slow_sync.c -ldl
GATEWAY=
trap 'kill "$GATEWAY" 2>/dev/null || true; rm -rf "$WORK"' EXIT

metric() { curl -s http://127.0.0.1:18083/metrics | awk -v name="$1" '$1 == name { print $2 }'; }
load() {
    ../target/load/release/load --name "$1" --target 127.0.0.1:18082 --application 127.0.0.1:18090 \
        --connections "$CONNECTIONS" --pid "$GATEWAY" --seconds "$SECONDS_EACH" 2>/dev/null
}
stop() { kill -9 "$GATEWAY" && wait "$GATEWAY" 2>/dev/null || true; }
# The same configuration for both; only one has a journal.
sed -e 's/^mode = "queued"$/mode = "sync"/' -e '/^\[journal\]$/,/^$/d' -e "s|\"schemas\"|\"$PWD/schemas\"|" queued.toml >"$WORK/sync.toml"
sed -e "s|\"schemas\"|\"$PWD/schemas\"|" queued.toml >"$WORK/queued.toml"
# on_disk DELAY_US COMMAND…
on_disk() { SYNC_DELAY_US=$1 LD_PRELOAD=$WORK/slow_sync.so exec "${@:2}"; }
start() {
    rm -f "$WORK"/journal.db*
    on_disk "$2" ../target/release/hooksieve run -c "$WORK/$1" >"$WORK/log" 2>&1 &
    GATEWAY=$!
    for _ in $(seq 100); do
        if (exec 3<>/dev/tcp/127.0.0.1/18082) 2>/dev/null; then return; fi
        sleep 0.05
    done
    tail -n 5 "$WORK/log" >&2; exit 1
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

: >"$WORK/runs.tsv"
measure() {
    local delay=$1 line events commits group bare
    start queued.toml "$delay"
    line=$(load "queued-$delay")
    events=$(metric hooksieve_journal_appended_total) commits=$(metric hooksieve_journal_commits_total)
    stop
    group=$((events / commits > 0 ? events / commits : 1))
    rm -f "$WORK"/bare.db*
    bare=$(on_disk "$delay" ../target/load/release/bare "$WORK/bare.db" "$group" "$SECONDS_EACH")
    printf '%s\tgroup=%s\tbare=%s\n' "$line" "$group" "$bare" | tee -a "$WORK/runs.tsv" >&2
}
for _ in $(seq "$RUNS"); do
    start sync.toml 0
    load sync | tee -a "$WORK/runs.tsv" >&2
    stop
    for delay in $DELAYS_US; do measure "$delay"; done
done
value() { grep -P "^$1\t" "$WORK/runs.tsv" | grep -oP "\t$2=\K[0-9.]+" | median; }
share() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.0f", a * 100 / b }'; }
row() {
    local name="queued-$1" rate bare
    rate=$(value "$name" rps) bare=$(value "$name" bare)
    echo "| $(awk -v us="$1" 'BEGIN { print us / 1000 }') ms | $rate | $(value "$name" p50_us) µs | $(value "$name" p99_us) µs |" \
        "$(value "$name" group) | $bare | $(share "$rate" "$bare") % |"
}
./section.sh "Queued delivery" <<END
\`bench/queued.sh\`, on $(date -u +%Y-%m-%d), on $(lscpu | sed -n 's/^Model name: *//p'): the whole program over sockets, with everything on.
$CONNECTIONS connections send signed events of 1 KiB, one at a time each; they are answered 202 when they are synced, and
delivered at the same time. The bare SQLite writer has one table, one thread and no sockets, and commits groups of the
size that the gateway's commits had in the same run, on the same disk. Sender, gateway and application share the
machine's cores. Medians of $RUNS runs in turns.

| a sync takes longer by | queued, events/s | p50 of the answer | p99 of the answer | events per commit | bare SQLite writer, events/s | queued / bare |
|---|---|---|---|---|---|---|
$(for delay in $DELAYS_US; do row "$delay"; done)

Without a journal, delivered while the sender waits, the same program does $(value sync rps) events/s (p50 $(value sync p50_us) µs, p99
$(value sync p99_us) µs); queued delivery reaches $(share "$(value queued-0 rps)" "$(value sync rps)") % of that. Where a disk syncs in a tenth of a millisecond, as this one does
by itself, the cores set the bound, and most of their work is HTTP, verification and checks, of which the bare writer
does none; where a sync takes milliseconds, the disk does.
END
