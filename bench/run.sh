#!/usr/bin/env bash
# Measures hooksieve with everything on against nginx and HAProxy as bare reverse proxies, and writes
# docs/performance.md. Takes about four minutes on two cores, after building. Debian: installs nginx and HAProxy if they
# are missing. Waits for up to five minutes more where other work disturbs it.
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
cargo bench --quiet --no-run --bench journey --manifest-path ../Cargo.toml
LOAD=../target/load/release/load HOOKSIEVE=../target/release/hooksieve

# Each proxy alone on core 1; sender and application together on core 0.
declare -A PORT=([nginx]=18080 [haproxy]=18081 [hooksieve]=18082)
start() {
    case $1 in
        nginx) exec taskset -c 1 nginx -p "$WORK" -c "$PWD/nginx.conf" ;;
        haproxy) exec taskset -c 1 haproxy -db -f haproxy.cfg ;;
        hooksieve) exec taskset -c 1 "$HOOKSIEVE" run -c hooksieve.toml ;;
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

# measure NAME FILE [option…]: one line of `load` into FILE. Where other processes took more than 5 % of a core meanwhile, it
# is measured again, as long as there is patience.
measure() {
    local name=$1 file=$2 line others
    shift 2
    while true; do
        line=$(taskset -c 0 "$LOAD" --name "$name" --target "127.0.0.1:${PORT[$name]}" --application 127.0.0.1:18090 \
            --connections "$CONNECTIONS" --pid "$PROXY" "$@")
        say "$line"
        others=$(grep -oP '\tothers=\K[0-9]+' <<<"$line")
        if [ "$others" -le 5 ]; then break; fi
        if [ "$SECONDS" -gt "$PATIENCE" ]; then DISTURBED=$((DISTURBED + 1)); break; fi
        sleep 1
    done
    printf '%s\n' "$line" >>"$file"
}

PATIENCE=$((SECONDS + ${PATIENCE:-300})) DISTURBED=0
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

# The steps by themselves, on the core that nobody else uses now; of three rounds the fastest counts, because other work
# can only make a step slower.
for _ in 1 2 3; do
    (cd .. && taskset -c 1 cargo bench --quiet --bench journey -- --warm-up-time 1 --measurement-time 1 --output-format bencher) \
        2>/dev/null | sed -nE 's/^test (.*) \.\.\. bench: +([0-9,]+) ns\/iter.*/\1\t\2/p' | tr -d ,
done >"$WORK/steps.tsv"

# median FILE NAME KEY: of all runs.
median() {
    grep -P "^$2\t" "$1" | grep -oP "\t$3=\K[0-9.]+" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
row() {
    local full="$WORK/full.tsv" paced="$WORK/paced.tsv"
    echo "| $2 | $(median "$full" "$1" rps) | $(median "$full" "$1" cpu_us) | $(median "$full" "$1" p50_us) |" \
        "$(median "$full" "$1" p99_us) | $(median "$full" "$1" proxy_core) % |" \
        "$(median "$paced" "$1" cpu_us) | $(median "$paced" "$1" p50_us) | $(median "$paced" "$1" p99_us) |"
}
steps() {
    awk -F'\t' '!($1 in best) { order[++n] = $1; best[$1] = $2 } $2 < best[$1] { best[$1] = $2 }
        END { for (i = 1; i <= n; i++) print "| " order[i] " | " best[order[i]] " |" }' "$WORK/steps.tsv"
}
failed=$(cat "$WORK"/full.tsv "$WORK"/paced.tsv | grep -oP '\tfailed=\K[0-9]+' | awk '{ n += $1 } END { print n }')
answered=$(cat "$WORK"/full.tsv "$WORK"/paced.tsv | grep -oP '\tanswered=\K[0-9]+' | awk '{ n += $1 } END { print n }')

cat > ../docs/performance.md <<END
# Performance

Written by \`bench/run.sh\` on $(date -u +%Y-%m-%d). Run it yourself: it needs Linux, two cores and some five minutes, and installs nginx and
HAProxy from Debian if they are missing.

## Against bare reverse proxies

nginx and HAProxy only pass requests on. hooksieve does all its work on every one of them: HMAC-SHA256 over time and
body, the signed time's window, strict JSON, the JSON Schema of the event's type, a claim in the dedup store (every
event is new), the source's limit, forwarding, a Standard Webhooks signature of its own, one access record in JSON.

| | requests/s | CPU µs per request | p50 µs | p99 µs | its core busy | at $RATE/s: CPU µs | p50 µs | p99 µs |
|---|---|---|---|---|---|---|---|---|
$(row nginx "nginx, bare")
$(row haproxy "HAProxy, bare")
$(row hooksieve "hooksieve, everything on")

Read *CPU µs per request* first: it is what the proxy costs, whatever the rest of the machine does. Latencies at full
load are those of a queue of $CONNECTIONS; the columns at $RATE/s are what a sender sees, and their p99 is the least certain
figure here: what causes hooksieve's is not known yet. At a fixed rate a request costs more CPU time than
at full load, for all three: there is less to do at each wake-up.

### How it is measured

- Each proxy has core 1 to itself and one worker (\`worker_processes 1\`, \`nbthread 1\`, \`TOKIO_WORKER_THREADS=1\`). Sender
  and application are one thread on core 0 (\`bench/load\`), the same for all three.
- $CONNECTIONS kept-alive connections, one request at a time on each; a proxy that closes one after its usual 1 000 requests gets
  a new one. Bodies are 1 KiB of JSON, each with an identity of its own and signed as it is sent.
- The application answers 200 with two bytes. Upstream connections are kept alive by all three.
- Full load: $SECONDS_EACH s after 1 s of warm-up. Fixed rate: $RATE/s on a schedule that a late answer does not move, so waiting
  that a slow proxy causes is counted.
- CPU time is user and system time of the proxy's processes, from \`/proc/PID/stat\`. nginx and HAProxy write no log;
  hooksieve writes its own to a file.
- Medians of $RUNS runs; the proxies take turns within each. $answered requests were answered with 200 in these runs,
  $failed failed. A run during which other processes took more than 5 % of a core is repeated; $DISTURBED were not.

## The steps by themselves

\`cargo bench --bench journey\`: nanoseconds for one event of 1 KiB, in one thread, without sockets; the
fastest of three rounds.

| step | ns |
|---|---|
$(steps)

## The machine

The figures above: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $(nproc) cores of a virtual machine, $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo) of memory, Linux $(uname -r | grep -oE '^[0-9]+\.[0-9]+'), $(. /etc/os-release && echo "$PRETTY_NAME"),
nginx $(nginx -v 2>&1 | grep -oE '[0-9.]+$'), HAProxy $(haproxy -v | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -1), $(rustc --version | cut -d' ' -f1,2).
END
say "written: docs/performance.md"
./schemes.sh
./journal.sh
./queued.sh
