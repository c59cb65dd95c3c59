#!/usr/bin/env bash
# Measures what a preset's rules cost beside the bare digest, and writes a section of docs/performance.md. Takes some
# seconds, after building.
set -euo pipefail
cd "$(dirname "$0")/.."

FIGURES=${FIGURES:-$(cargo bench --quiet --bench schemes)}
bench/section.sh "What a preset costs" <<END
\`bench/schemes.sh\`, on $(date -u +%Y-%m-%d), on $(lscpu | sed -n 's/^Model name: *//p'): HMAC-SHA256 over an event of 1 KiB, by the bare crate with its key prepared, and through the whole of
a source's authentication: finding and reading headers, prefix and encoding, the signed text, the window of the signed
time. They take turns, and the fastest batch of each counts.

\`\`\`text
$FIGURES
\`\`\`
END
