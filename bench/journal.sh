#!/usr/bin/env bash
# Measures the journal's engine beside SQLite alone on the same disk, and writes the section "The journal" of
# docs/performance.md. Takes some three minutes on two cores, after building.
set -euo pipefail
cd "$(dirname "$0")/.."

FIGURES=${FIGURES:-$(cargo bench --quiet --bench journal)}
bench/section.sh "The journal" <<END
\`bench/journal.sh\`, on $(date -u +%Y-%m-%d), on $(lscpu | sed -n 's/^Model name: *//p'). 64 producers append
events of 1 KiB, each waiting until its own is synced, to the journal, and to SQLite alone with the same
\`synchronous=FULL\`: one thread that commits in groups what came while the commit before ran, once with the journal's own
rows, once with nothing but bodies in one table. They take turns on the same disk; medians of five rounds. Then a journal
with a million pending events is opened after a crash and drained by 256 at a time, its checksums verified and each
delivery written down.

\`\`\`text
$FIGURES
\`\`\`
END
