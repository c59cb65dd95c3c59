#!/usr/bin/env bash
# All tests. Fetches the public JSON corpora and the senders' own libraries first (they are not kept in the repository),
# then runs everything: with cargo-nextest where it is installed, else with `cargo test`, and the examples in the documentation either way.
# Arguments are handed to the runner: `tests/run.sh split`.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/fetch-corpora.sh
tests/fetch-sdks.sh
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run ${CI:+--profile ci} "$@"
    cargo test --doc "$@"
else
    cargo test "$@"
fi
