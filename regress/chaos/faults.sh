#!/bin/sh
# faults.sh [fault ...] - plants each fault of faults/*.patch in a copy of the
# tree and runs the bounded pass over it: a claim that is to keep it out (Kept
# by:) has to break; all that break are named.  A patch says which of the pass's
# faults bring it to light (Faults:); TRIES seeds are tried from SEED on,
# CHAOS_SECONDS each.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cd "$top"
O=${O:-build}
SEED=${SEED:-1}
TRIES=${TRIES:-4}
CHAOS_SECONDS=${CHAOS_SECONDS:-30}
copy=$(mktemp -d)
LOGS=${LOGS:-$copy}
trap 'rm -rf "$copy"' EXIT
chmod 755 "$copy"
[ $# -gt 0 ] || set -- $(ls "$here/faults" | sed 's/\.patch$//')

# With its objects, so that only what a fault changes is made again.
git ls-files -z | xargs -0 cp -a --parents -t "$copy"
ln -s "$top/regress/node_modules" "$copy/regress/node_modules"
mkdir "$copy/build"
cp -a "$O"/* "$copy/build"
rm -rf "$copy/build/san" "$copy/build/regress/logs"

# Which claims broke, and how often.
broken() {
	sed -n 's/^# \([a-z]*-[a-z]*\|fleet\): .*/\1/p' "$1" | sort | uniq -c |
	    awk '{ printf "%s%s (%d)", (NR > 1 ? ", " : ""), $2, $1 }'
}

# claims, as above: whether one of those that keep the fault out is there.
is_kept_out() {
	for claim in $(sed -n 's/^Kept by: \(.*\)\.$/\1/p' "$patch" |
	    tr -d ,); do
		case $1 in *"$claim ("*) return ;; esac
	done
	return 1
}

rc=0
for fault; do
	patch=$here/faults/$fault.patch
	log=$LOGS/fault-$fault.log
	(cd "$copy" && git apply "$patch" && ${MAKE:-make} -s -j2 O=build all) \
	    >"$log" 2>&1 || { cat "$log"; exit 1; }
	try=0
	caught=
	until is_kept_out "$caught" || [ $try -ge "$TRIES" ]; do
		O=$copy/build SEEDS=$((SEED + try)) \
		    FAULTS=$(sed -n 's/^Faults: //p' "$patch") \
		    CHAOS_SECONDS=$CHAOS_SECONDS \
		    sh "$copy/regress/chaos/run.sh" >"$log" 2>&1 || :
		caught=$(broken "$log")
		try=$((try + 1))
	done
	if is_kept_out "$caught"; then
		echo "ok - chaos: $fault is caught by $caught, seed" \
		    "$((SEED + try - 1))"
	else
		tail -20 "$log" | sed 's/^/# /'
		echo "not ok - chaos: $fault is caught; what broke:" \
		    "${caught:-nothing}"
		rc=1
	fi
	(cd "$copy" && git apply -R "$patch")
done
exit $rc
