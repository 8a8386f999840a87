#!/bin/sh
# The fuzz room: every seed and every input that once broke something goes
# through its harness again; README.md tells how they are searched for.
cd "$(dirname "$0")/../.." || exit 2
O=${O:-build}
rc=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT INT TERM
# No harness is jailed, so leaks are looked for whatever the other rooms do.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=1
export ASAN_OPTIONS
for c in regress/fuzz/fuzz_*.c; do
	name=${c##*/fuzz_}
	name=${name%.c}
	set -- regress/fuzz/seeds/$name
	[ -d regress/fuzz/found/$name ] && set -- "$@" regress/fuzz/found/$name
	if [ -d "$1" ] && n=$("$O/regress/fuzz_$name" "$@" 2>"$log") &&
	    [ "$n" -gt 0 ]; then
		echo "ok - fuzz $name: $n inputs"
	else
		tail -40 "$log" | sed 's/^/# /'
		echo "not ok - fuzz $name"
		rc=1
	fi
done
exit $rc
