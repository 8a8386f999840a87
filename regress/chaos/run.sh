#!/bin/sh
# run.sh - the bounded pass: each of SEEDS for CHAOS_SECONDS of faults, by default
# those that make the room take two minutes, and beside them two servers on one
# database.  FAULTS=regex chooses among the faults; `run.sh two' does the two
# servers alone.  See README.md.
#
# As root each runs in a pid and a mount namespace of its own: however it ends,
# no process, no mount and no file of it is left.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
O=${O:-$top/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
"$here/../install.sh"
CLAUDE=${CLAUDE:-$("$here/../claude/install.sh")}
CHAOS_SECONDS=${CHAOS_SECONDS:-42}
MN_TMP=$(mktemp -d /tmp/mnf.XXXXXX)
chmod 755 "$MN_TMP"
export CLAUDE O CHAOS_SECONDS MN_TMP
rc=0 pids=

# bounded seconds test: instead of this shell.  The first of a pid namespace is a
# shell that stays: it reaps whose parent was killed.
bounded() {
	set -- "$here/../lib/netns.sh" timeout -k 10 "$1" \
	    node --test-reporter=tap "$here/$2.test.mjs"
	[ "$(id -u)" -ne 0 ] || set -- unshare --mount --pid --fork \
	    --kill-child --mount-proc sh -c '"$@"; exit $?' sh "$@"
	exec "$@"
}

# Those that are under way: the first of each namespace, with which all others
# go, or who stops what it has started itself.
finish() {
	for pid in $pids; do
		if [ "$(id -u)" -eq 0 ]; then
			kill -KILL $(cat "/proc/$pid/task/$pid/children") ||
			    kill -KILL "$pid"
		else
			kill "$pid"
		fi
		wait "$pid"
	done 2>/dev/null || :
	rm -rf "$MN_TMP"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

if [ "${1:-}" = two ]; then
	bounded 600 two &
	pids=$!
	wait "$pids" || rc=1
	exit $rc
fi
two=
if [ -z "${FAULTS:-}" ]; then
	bounded 600 two >"$MN_TMP/two" 2>&1 &
	two=$! pids=$!
fi
for SEED in ${SEEDS:-1 2}; do
	export SEED
	bounded $((CHAOS_SECONDS * 5 / 4 + 900)) chaos &
	pids="$two $!"
	wait $! || rc=1
	pids=$two
done
[ -z "$two" ] || wait "$two" || rc=1
pids=
[ -z "$two" ] || cat "$MN_TMP/two"
exit $rc
