#!/bin/sh
# pass.sh - a bounded pass of the chaos room over programs that are built: see
# pass.test.mjs.  SEED, SECONDS.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
O=${O:-$here/../../build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
"$here/../install.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
mkdir "$dir/papers"
sh "$here/../http/certs.sh" "$dir"
FLEET=$O/regress/fleet POINTS_CERTS=$dir
export FLEET O POINTS_CERTS
"$here/../lib/netns.sh" node "$here/pass.test.mjs"
