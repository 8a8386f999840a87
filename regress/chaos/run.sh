#!/bin/sh
# run.sh - the bounded pass: each of SEEDS for CHAOS_SECONDS of faults, by default
# those that make the room take two minutes.  FAULTS=regex chooses among them.  See
# README.md.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
O=${O:-$top/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
"$here/../install.sh"
CLAUDE=${CLAUDE:-$("$here/../claude/install.sh")}
CHAOS_SECONDS=${CHAOS_SECONDS:-42}
export CLAUDE O CHAOS_SECONDS
rc=0
for SEED in ${SEEDS:-1 2}; do
	export SEED
	"$here/../lib/netns.sh" timeout -k 10 $((CHAOS_SECONDS + 900)) \
	    node --test-reporter=tap "$here/chaos.test.mjs" || rc=1
done
exit $rc
