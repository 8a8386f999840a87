#!/bin/sh
# run.sh [room ...] - runs the rooms (all of them without a name) and counts.
# Each room prints `ok - x', `not ok - x' and `ok - x # SKIP why' lines (TAP,
# without plans); its whole output goes to $LOGS/room.log.  In CI a skip is a
# failure.  Three lanes at once, of which one is the sanitizers': most rooms wait
# more than they compute; how long they do that is printed behind the seconds.
cd "$(dirname "$0")/.." || exit 2
O=${O:-$PWD/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
LOGS=${LOGS:-$O/regress/logs}
export O LOGS
rm -rf "$LOGS"
mkdir -p "$LOGS"
ROOMS=$*

# Processor seconds of what was waited for so far, in $used.
cpu() {
	times >"$LOGS/times-$1"
	used=$(awk 'NR == 2 { split($0, t, /[ms ]+/)
		print int(t[1] * 60 + t[2] + t[3] * 60 + t[4]) }' \
		"$LOGS/times-$1")
}

room() {
	name=$1
	shift
	log=$LOGS/$name.log
	start=$(date +%s)
	cpu "$name"
	before=$used
	"$@" >"$log" 2>&1 </dev/null
	rc=$?
	n=$(grep -cE '^ *ok( |$)' "$log")
	f=$(grep -cE '^ *not ok( |$)' "$log")
	s=$(grep -cE '^ *ok .*# SKIP' "$log")
	# A room that broke without saying where, or that tested nothing.
	if [ "$f" -eq 0 ] && { [ $rc -ne 0 ] || [ "$n" -eq 0 ]; }; then
		f=1
		echo "# $name ended with status $rc after $n tests"
	fi
	n=$((n - s))
	if [ -n "$CI" ] && [ "$s" -gt 0 ]; then
		f=$((f + s))
		s=0
	fi
	cpu "$name"
	printf '%-12s %4d passed %3d failed %3d skipped %5d s, %5d s CPU\n' \
	    "$name" "$n" "$f" "$s" $(($(date +%s) - start)) $((used - before))
	[ "$f" -eq 0 ] || { grep -E -A18 '^ *not ok|# SKIP' "$log" | head -150
	    tail -15 "$log"; } | sed "s/^/  $name| /"
	echo "$n $f $s" >"$LOGS/$name.count"
}

unit() {
	for t in "$O"/regress/test_*; do
		CMOCKA_MESSAGE_OUTPUT=TAP "$t" || echo "not ok - ${t##*/}"
	done
}

want() {
	[ -z "$ROOMS" ] && return 0
	case " $ROOMS " in *" $1 "*) return 0 ;; esac
	return 1
}

lane() {
	for r in "$@"; do
		want "$r" || continue
		if [ "$r" = unit ]; then
			room unit unit
		else
			room "$r" sh "regress/$r/run.sh"
		fi
	done
}

lane unit msg conf house fuzz
lane chaos sys &
lane sql http mctl agent claude quickstart &
lane san &
wait
# What failed, and why, in two lines each: of a TAP comment or block the first
# that tells it.  (A sanitizer's rooms stand in san.log behind a `# '.)
why() {
	awk '/^(# )? *not ok/ { print substr($0, 1, 160); left = 20; next }
	    left > 0 && /(Error|error|timeout|expected|waited).*[^-|]$/ {
		sub(/^[# \t]*/, ""); print "  " substr($0, 1, 240); left = 0 }
	    left > 0 && /error: [|>]-?$/ { getline; sub(/^[# \t]*/, "")
		print "  " substr($0, 1, 240); left = 0 }
	    { left-- }' "$1" | head -40
}

# Once more, behind all the rest: often only the end is looked at.
(
	cd "$LOGS" || exit
	for c in *.count; do
		read -r n f s <"$c"
		[ "$f" -eq 0 ] && continue
		echo "${c%.count}: $f failed"
		why "${c%.count}.log"
	done
)
awk '{ n += $1; f += $2; s += $3 }
    END { print n + 0 " passed, " f + 0 " failed, " s + 0 " skipped"
	exit (f > 0 || n == 0) }' "$LOGS"/*.count
