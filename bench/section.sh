#!/usr/bin/env bash
# section.sh TITLE: puts what it reads in the place of that section of docs/performance.md, or at its end.
set -euo pipefail
PAGE="$(dirname "$0")/../docs/performance.md"
TEXT=$(cat)
awk -v title="## $1" -v text="$TEXT" '
    $0 == title { print title "\n\n" text "\n"; found = skip = 1; next }
    /^## / { skip = 0 }
    !skip { print }
    END { if (!found) print "\n" title "\n\n" text }
' "$PAGE" | cat -s | sed -e '$ { /^$/ d }' >"$PAGE.new"
mv "$PAGE.new" "$PAGE"
echo "written: the section \"$1\" of docs/performance.md" >&2
