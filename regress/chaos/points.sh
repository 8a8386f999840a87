#!/bin/sh
# points.sh - the crash points: a build in which processes die where they are
# told (CRASH=1), and a test that tells them to, each at each of its messages.
# See README.md.  POINTS=regex: only some.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cd "$top"
O=${O:-$top/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
"$here/../install.sh"
${MAKE:-make} -s -j2 O="$O" "$O/regress/fleet"
${MAKE:-make} -s -j2 O="$O-crash" CRASH=1 all
dir=$(mktemp -d)
[ -n "${KEEP:-}" ] && echo "# $dir" || trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
mkdir "$dir/papers"
sh "$here/../http/certs.sh" "$dir"
awk -f imsg/gen.awk -v what=points imsg/messages.master >"$dir/list"
FLEET=$O/regress/fleet O=$O-crash MN_POINTS=$dir/page POINTS_LIST=$dir/list
POINTS_CERTS=$dir
export FLEET O MN_POINTS POINTS_LIST POINTS_CERTS
"$here/../lib/netns.sh" node "$here/points.test.mjs"
