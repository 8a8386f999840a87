#!/bin/sh
# faults.sh [fault ...] - plants each fault of faults/*.patch in a copy of the
# tree, and runs the bounded pass over it: an invariant has to break, and is
# named.  SEED and SECONDS as for pass.sh; TRIES seeds are tried, each one more.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cd "$top"
O=${O:-build}
SEED=${SEED:-1}
TRIES=${TRIES:-3}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
chmod 755 "$copy"
[ $# -gt 0 ] || set -- $(ls "$here/faults" | sed 's/\.patch$//')

# With its objects, so that only what a fault changes is made again.
git ls-files -z | xargs -0 cp -a --parents -t "$copy"
mkdir -p "$copy/build"
cp -a "$O/gen" "$O/obj" "$O"/*.a "$copy/build"
mkdir "$copy/build/regress"
cp -a "$O/regress/fleet" "$copy/build/regress"
ln -s "$top/regress/node_modules" "$copy/regress/node_modules"
for p in marionetted sessiond taskd runnerd tunneld providerd storaged frontd \
    marionette-agent mctl; do
	cp -a "$O/$p" "$copy/build"
done

# What broke, once each, with how often.
broken() {
	sed -n 's/^# wrong: \([^:]*\): .*/\1/p' "$1" | sort | uniq -c |
	    sed 's/^ *\([0-9]*\) \(.*\)/\2 (\1)/' | paste -sd';' |
	    sed 's/;/; /g'
}

rc=0
for fault; do
	(cd "$copy" && git apply "$here/faults/$fault.patch" &&
	    ${MAKE:-make} -s -j2 O=build all >/dev/null)
	try=0
	caught=
	while [ -z "$caught" ] && [ $try -lt "$TRIES" ]; do
		SEED=$((SEED + try)) O=$copy/build \
		    sh "$copy/regress/chaos/pass.sh" >"$copy/log" 2>&1 || :
		caught=$(broken "$copy/log")
		try=$((try + 1))
	done
	if [ -n "$caught" ]; then
		echo "ok - $fault is caught (seed $((SEED + try - 1))):" \
		    "$caught"
	else
		tail -20 "$copy/log" | sed 's/^/# /'
		echo "not ok - $fault is caught"
		rc=1
	fi
	cp "$copy/log" "${LOGS:-$copy}/fault-$fault.log"
	(cd "$copy" && git apply -R "$here/faults/$fault.patch")
done
exit $rc
