#!/bin/sh
# run.sh - the bounded pass: the seeds below, one after the other, for so long
# each that the room takes two minutes.  SEEDS, SECONDS and FAULTS choose.  See
# README.md.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
O=${O:-$top/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
"$here/../install.sh"
SECONDS=${SECONDS:-30}
export O SECONDS
rc=0
for SEED in ${SEEDS:-1 2}; do
	export SEED
	"$here/../lib/netns.sh" node --test --test-reporter=tap \
	    "$here/chaos.test.mjs" || rc=1
done
exit $rc
