#!/bin/sh
# run.sh - the bounded pass: each of SEEDS for CHAOS_SECONDS of faults, by default
# those that make the room take two minutes, and beside them two servers on one
# database.  FAULTS=regex chooses among the faults; `run.sh two' does the two
# servers alone.  See README.md.
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

# seconds test
bounded() {
	"$here/../lib/netns.sh" timeout -k 10 "$1" \
	    node --test-reporter=tap "$here/$2.test.mjs"
}

[ "${1:-}" != two ] || { bounded 600 two; exit; }
out=$(mktemp)
trap 'rm -f "$out"' EXIT
two=
trap '[ -z "$two" ] || kill "$two"; exit 130' INT TERM
[ -n "${FAULTS:-}" ] || { bounded 600 two >"$out" 2>&1 & two=$!; }
for SEED in ${SEEDS:-1 2}; do
	export SEED
	bounded $((CHAOS_SECONDS * 5 / 4 + 900)) chaos || rc=1
done
[ -z "$two" ] || wait "$two" || rc=1
cat "$out"
exit $rc
