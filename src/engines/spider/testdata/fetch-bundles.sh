#!/bin/sh
# Fetches the packages of bundles.txt into a directory, for the test that no secret is found in them:
#   sh fetch-bundles.sh DIR && RECON_BUNDLES=DIR cargo test --release --lib spider::secrets::bundle_tests -- --ignored
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && cd "$1"
grep -v '^#' "$here/bundles.txt" | while read -r package; do
    [ -n "$package" ] || continue
    archive=$(npm pack --silent "$package" < /dev/null)
    mkdir -p "${archive%.tgz}"
    tar -xzf "$archive" -C "${archive%.tgz}"
    rm "$archive"
done
