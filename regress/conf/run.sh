#!/bin/sh
# The configuration room: n.in -> marionetted -nv -> n.ok (and printing that
# again changes nothing); n.in with n.err must be refused with just those lines.
O=${O:-build}
cd "$(dirname "$0")" || exit 2
case $O in /*) ;; *) O=../../$O ;; esac
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
rc=0
for in in *.in; do
	n=${in%.in}
	if [ -f "$n.ok" ]; then
		"$O/marionetted" -nv -f "$in" >"$tmp/out" 2>"$tmp/err" &&
		    diff -u "$n.ok" "$tmp/out" &&
		    "$O/marionetted" -nv -f "$tmp/out" | diff -u "$n.ok" -
	else
		! "$O/marionetted" -n -f "$in" >"$tmp/out" 2>&1 &&
		    diff -u "$n.err" "$tmp/out"
	fi
	if [ $? -eq 0 ]; then
		echo "ok - conf $n"
	else
		echo "not ok - conf $n"
		rc=1
	fi
done
# A word is taken whole or refused, never cut.
{ cat minimal.in; printf 'hostname %09000d\n' 0; } >"$tmp/long.in"
if "$O/marionetted" -n -f "$tmp/long.in" 2>&1 |
    grep -q 'long.in:5: the word is too long'; then
	echo "ok - conf long word"
else
	echo "not ok - conf long word"
	rc=1
fi
# What a worker has no room for is refused here, not there.
{
	cat minimal.in
	for i in $(seq 65); do
		printf 'hostname "h%d"\n' "$i"
	done
} >"$tmp/many.in"
if "$O/marionetted" -n -f "$tmp/many.in" 2>&1 |
    grep -q "many.in:69: at most 64 .hostname' are possible"; then
	echo "ok - conf many names"
else
	echo "not ok - conf many names"
	rc=1
fi
{ cat minimal.in; printf 'run directory "/run/\377"\n'; } >"$tmp/bytes.in"
if "$O/marionetted" -n -f "$tmp/bytes.in" 2>&1 |
    grep -q 'bytes.in: run directory: it is no UTF-8'; then
	echo "ok - conf bytes"
else
	echo "not ok - conf bytes"
	rc=1
fi
# Who passes through to the run directory are other users: whatever the umask is.
# (It begins with nothing else: what is in the state directory is not of its time.)
mkdir "$tmp/state"
echo 999 >"$tmp/state/version"
{ cat minimal.in; printf '%s directory "%s"\n' state "$tmp/state" \
    run "$tmp/new/er/run"; } >"$tmp/umask.in"
(umask 077; "$O/marionetted" -f "$tmp/umask.in") >"$tmp/out" 2>&1
if grep -q 'is of version 999' "$tmp/out" && [ "$(stat -c %a "$tmp/new" \
    "$tmp/new/er" "$tmp/new/er/run" | uniq)" = 755 ]; then
	echo "ok - conf umask"
else
	cat "$tmp/out"
	echo "not ok - conf umask"
	rc=1
fi
exit $rc
