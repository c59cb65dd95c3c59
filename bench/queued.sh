#!/usr/bin/env bash
# Measures queued delivery through the whole program: 64 connections, events of 1 KiB, beside a bare SQLite writer that
# commits in groups of the same size, in turns on the same disk, and beside delivery while the sender waits, without a
# journal. Writes a section of docs/performance.md; takes about a minute on two cores, after building.
set -euo pipefail
cd "$(dirname "$0")"

RUNS=${RUNS:-5} SECONDS_EACH=${SECONDS_EACH:-4} CONNECTIONS=${CONNECTIONS:-64}
WORK=/var/tmp/hooksieve-bench
export BENCH_SECRET=0f1e2d3c4b5a69788796a5b4c3d2e1f0

mkdir -p "$WORK" && chmod 700 "$WORK"
[ -n "${BUILT:-}" ] || cargo build --release --quiet --manifest-path ../Cargo.toml
cargo build --release --quiet --manifest-path load/Cargo.toml --target-dir ../target/load
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
start() {
    rm -f "$WORK"/journal.db*
    ../target/release/hooksieve run -c "$WORK/$1" >"$WORK/log" 2>&1 &
    GATEWAY=$!
    for _ in $(seq 100); do
        if (exec 3<>/dev/tcp/127.0.0.1/18082) 2>/dev/null; then return; fi
        sleep 0.05
    done
    tail -n 5 "$WORK/log" >&2; exit 1
}
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

: >"$WORK/runs.tsv"
for _ in $(seq "$RUNS"); do
    start sync.toml
    line=$(load sync)
    stop
    printf '%s\n' "$line" | tee -a "$WORK/runs.tsv" >&2
    start queued.toml
    line=$(load queued)
    events=$(metric hooksieve_journal_appended_total) commits=$(metric hooksieve_journal_commits_total)
    stop
    group=$((events / commits > 0 ? events / commits : 1))
    rm -f "$WORK"/bare.db*
    bare=$(../target/load/release/bare "$WORK/bare.db" "$group" "$SECONDS_EACH")
    printf '%s\tgroup=%s\tbare=%s\n' "$line" "$group" "$bare" | tee -a "$WORK/runs.tsv" >&2
done
value() { grep "^$1" "$WORK/runs.tsv" | grep -oP "\t$2=\K[0-9.]+" | median; }
share() {
    local to
    case $1 in bare) to=$(value queued bare) ;; sync) to=$(value sync rps) ;; esac
    awk -v a="$(value queued rps)" -v b="$to" 'BEGIN { printf "%.0f", a * 100 / b }'
}
./section.sh "Queued delivery" <<END
\`bench/queued.sh\`, on $(date -u +%Y-%m-%d): the whole program over sockets, with everything on. $CONNECTIONS connections send signed events of
1 KiB, one at a time each; they are answered 202 when they are synced, and delivered at the same time. The bare SQLite
writer has one table, one thread and no sockets, and commits groups of the size that the gateway's commits had in the
same run, on the same disk. Sender, gateway and application share the machine's cores. Medians of $RUNS runs in turns.

| | events/s | p50 of the answer | p99 of the answer | events per commit |
|---|---|---|---|---|
| queued | $(value queued rps) | $(value queued p50_us) µs | $(value queued p99_us) µs | $(value queued group) |
| bare SQLite writer | $(value queued bare) | | | $(value queued group) |
| delivered while the sender waits, no journal | $(value sync rps) | $(value sync p50_us) µs | $(value sync p99_us) µs | |

Queued delivery reaches $(share bare) % of the bare writer, and $(share sync) % of what the same program does without writing anything.
Where a disk syncs quickly the cores set the bound, and most of their work is HTTP, verification and checks.
END
