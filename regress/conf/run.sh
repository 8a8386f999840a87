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
# refused NAME PATTERN: the minimal one with stdin behind it is, and says why.
refused() {
	cat minimal.in - >"$tmp/more.in"
	if "$O/marionetted" -n -f "$tmp/more.in" 2>&1 | grep -q "more.in$2"
	then
		echo "ok - conf $1"
	else
		echo "not ok - conf $1"
		rc=1
	fi
}
# A word is taken whole or refused, never cut.
printf 'hostname %09000d\n' 0 >"$tmp/more"
refused "long word" ":5: the word is too long" <"$tmp/more"
# What a worker has no room for is refused here, not there.
for i in $(seq 65); do
	printf 'hostname "h%d"\n' "$i"
done >"$tmp/more"
refused "many names" ":69: at most 64 .hostname' are possible" <"$tmp/more"
printf 'run directory "/run/\377"\n' >"$tmp/more"
refused bytes ": run directory: it is no UTF-8" <"$tmp/more"
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
