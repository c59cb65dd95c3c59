#!/usr/bin/env bash
# Measures queued delivery through the whole program: 64 connections, events of 1 KiB, beside a bare SQLite writer that
# commits in groups of the same size, in turns on the same disk. Prints a table and the share; takes about a minute on two
# cores, after building.
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
start() {
    rm -f "$WORK"/journal.db*
    ../target/release/hooksieve run -c queued.toml >"$WORK/log" 2>&1 &
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
    start
    line=$(../target/load/release/load --name queued --target 127.0.0.1:18082 --application 127.0.0.1:18090 \
        --connections "$CONNECTIONS" --pid "$GATEWAY" --seconds "$SECONDS_EACH" 2>/dev/null)
    events=$(metric hooksieve_journal_appended_total) commits=$(metric hooksieve_journal_commits_total)
    kill -9 "$GATEWAY" && wait "$GATEWAY" 2>/dev/null || true
    group=$((events / commits > 0 ? events / commits : 1))
    rm -f "$WORK"/bare.db*
    bare=$(../target/load/release/bare "$WORK/bare.db" "$group" "$SECONDS_EACH")
    printf '%s\tgroup=%s\tbare=%s\n' "$line" "$group" "$bare" | tee -a "$WORK/runs.tsv" >&2
done
value() { grep -oP "\t$1=\K[0-9.]+" "$WORK/runs.tsv" | median; }
shares=$(awk -F'\t' '{ for (i = 1; i <= NF; i++) { split($i, p, "="); v[p[1]] = p[2] } printf "%.0f\n", v["rps"] * 100 / v["bare"] }' "$WORK/runs.tsv")
cat <<END
| | events/s | p50 of the answer | p99 of the answer | events per commit |
|---|---|---|---|---|
| hooksieve, queued, delivering at the same time | $(value rps) | $(value p50_us) µs | $(value p99_us) µs | $(value group) |
| bare SQLite writer, groups of that size | $(value bare) | | | $(value group) |

The share is $(median <<<"$shares") % (median of $RUNS runs: $(tr '\n' ' ' <<<"$shares")%).
END
