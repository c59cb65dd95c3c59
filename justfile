# The words of the house. Logic lives in Rust and in the scripts; a recipe is one line.

# List the recipes
default:
    @just --list

# Everything that CI checks
check:
    .ci/run

# All tests, with the public corpora and the senders' libraries they need
test:
    tests/run.sh

# The whole thing on loopback, with no files of your own
demo:
    cargo run --release -- demo

# Fuzz one target for so many seconds
fuzz TARGET SECONDS="60":
    cargo +nightly fuzz run {{TARGET}} -- -max_total_time={{SECONDS}}

# Micro-benchmarks
bench:
    cargo bench --bench journey --bench schemes

# Whether the time of a refusal tells how much of a credential was right (docs/timing.md)
timing:
    cargo bench --bench timing

# Measure the journal beside a bare SQLite writer; writes a section of docs/performance.md
bench-journal:
    bench/journal.sh

# Measure against nginx and HAProxy; writes docs/performance.md
bench-proxies:
    bench/run.sh

# The documentation of the code, warnings denied
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
