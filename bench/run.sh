#!/usr/bin/env bash
# Measures hooksieve with everything on against nginx and HAProxy as bare reverse proxies, and writes
# docs/performance.md. Takes about four minutes on two cores. Debian: installs nginx and HAProxy if they are missing.
set -euo pipefail
cd "$(dirname "$0")"

RUNS=${RUNS:-5} SECONDS_EACH=${SECONDS_EACH:-5} RATE=${RATE:-5000} CONNECTIONS=${CONNECTIONS:-32}
WORK=/tmp/hooksieve-bench
export BENCH_SECRET=0f1e2d3c4b5a69788796a5b4c3d2e1f0 TOKIO_WORKER_THREADS=1

say() { printf '%s\n' "$*" >&2; }

[ "$(nproc)" -ge 2 ] || { say "two cores are needed: one for the proxy, one for the load"; exit 1; }
mkdir -p "$WORK"
if ! command -v nginx >/dev/null || ! command -v haproxy >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light haproxy
fi
cargo build --release --quiet --manifest-path ../Cargo.toml
cargo build --release --quiet --manifest-path load/Cargo.toml --target-dir ../target/load
LOAD=../target/load/release/load HOOKSIEVE=../target/release/hooksieve

# Each proxy alone on core 1; sender and application together on core 0.
declare -A PORT=([nginx]=18080 [haproxy]=18081 [hooksieve]=18082)
start() {
    case $1 in
        nginx) taskset -c 1 nginx -p "$WORK" -c "$PWD/nginx.conf" ;;
        haproxy) taskset -c 1 haproxy -db -f haproxy.cfg ;;
        hooksieve) taskset -c 1 "$HOOKSIEVE" run -c hooksieve.toml ;;
    esac >"$WORK/$1.log" 2>&1 &
    PROXY=$!
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/${PORT[$1]}") 2>/dev/null; then return; fi
        sleep 0.05
    done
    say "$1 does not listen:"; cat "$WORK/$1.log" >&2; exit 1
}
stop() { kill "$PROXY" 2>/dev/null && wait "$PROXY" 2>/dev/null || true; }
trap 'stop' EXIT

# measure NAME FILE [option…]: one line of `load` into FILE.
measure() {
    local name=$1 file=$2
    shift 2
    taskset -c 0 "$LOAD" --name "$name" --target "127.0.0.1:${PORT[$name]}" --application 127.0.0.1:18090 \
        --connections "$CONNECTIONS" --pid "$PROXY" "$@" | tee -a "$file" >&2
}

rm -f "$WORK"/full.tsv "$WORK"/paced.tsv
for run in $(seq "$RUNS"); do
    say "run $run of $RUNS"
    for name in nginx haproxy hooksieve; do
        start "$name"
        measure "$name" "$WORK/full.tsv" --seconds "$SECONDS_EACH"
        measure "$name" "$WORK/paced.tsv" --seconds "$((SECONDS_EACH / 2 + 1))" --rate "$RATE" --warm 0.5
        stop
    done
done

# median FILE NAME KEY: of all runs.
median() {
    grep -P "^$2\t" "$1" | grep -oP "\t$3=\K[0-9.]+" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
. ./report.sh > ../docs/performance.md
say "written: docs/performance.md"
