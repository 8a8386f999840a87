#!/bin/sh
# The sanitizer room: everything that runs the server or its parts once more, as
# an ASan and UBSan build.  A report of either ends the process that made it,
# and a test with it.
cd "$(dirname "$0")/../.." || exit 2
O=${O:-$PWD/build}
san=$O/san
rc=0
${MAKE:-make} -s -j2 O="$san" CC=clang-14 SAN=1 all regress-programs || {
	echo "not ok - san build"
	exit 1
}
# What a room makes for itself is made the same way.
MAKEFLAGS=' -- CC=clang-14 SAN=1'
export MAKEFLAGS
# And finds it made: a program that is linked anew cannot be run meanwhile.
if ${MAKE:-make} -s -q O="$san" all regress-programs; then
	echo "ok - a second make has nothing to do"
else
	echo "not ok - a second make has nothing to do"
	rc=1
fi
# Leaks cannot be looked for in a jail: it would take ptrace.  jail, probe and
# canary are about memory, libraries and calls that a sanitizer adds to.
SYS_WITHOUT='canary jail probe' ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 \
    CI='' O=$san LOGS=$san/regress/logs \
    sh regress/run.sh unit msg conf fuzz sql http agent sys | sed 's/^/# /'
# What they said, room by room, counts here as theirs.
for log in "$san"/regress/logs/*.log; do
	name=${log##*/}
	name=${name%.log}
	grep -E '^ *(not )?ok( |$)' "$log" | grep -v '# SKIP' |
	    sed "s/^ *\(not \)\{0,1\}ok *[0-9]* *-* */\1ok - san $name: /"
	[ -s "${log%.log}.count" ] || echo "not ok - san $name did not end"
done
awk '{ f += $2 } END { exit f > 0 }' "$san"/regress/logs/*.count || rc=1
exit $rc
