#!/bin/sh
# Fetches the senders' own libraries that tests/sdk.rs signs and verifies with, in the versions that tests/sdk/ pins, into
# folders that git ignores. Needs Node 20 or later with npm, and Python 3.9 or later with pip. Does nothing where
# everything is there already.
set -eu
cd "$(dirname "$0")/sdk"
wanted="the senders' own libraries"
. ../have.sh

# changed LIST FOLDER: whether FOLDER was made from another LIST.
changed() {
    ! cmp -s "$1" "$2/.made-from"
}

if changed package-lock.json node_modules; then
    have node nodejs
    have npm npm
    npm ci --silent
    cp package-lock.json node_modules/.made-from
fi

if changed requirements.txt site-packages; then
    have pip3 python3-pip
    rm -rf site-packages
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target site-packages -r requirements.txt
    cp requirements.txt site-packages/.made-from
fi
