# each worker killed in turn: time until what needs it succeeds again
# The runners are there and idle; nothing else runs.

# name probe
killed() {
	mv "$D/out" "$D/out.row"
	: >"$D/out"
	sleep 0.2
	fleet -e -n 1 -s 1 -A "custom:$row" -p "$2" \
	    -K "$(workers | awk -v n="$1" '$2 == n { print $1 }')" outage
	sed -n "s/^outage/$1/p; /^failed/p" "$D/out" >>"$D/out.row"
	mv "$D/out.row" "$D/out"
}

# name command: without a request of the fleet's
seen() {
	begun=$(date +%s%N)
	kill -9 "$(workers | awk -v n="$1" '$2 == n { print $1 }')"
	n=0
	until "$2"; do
		n=$((n + 1))
		[ $n -lt 1000 ] || die "$1 does not come back"
	done
	put "$1" $((($(date +%s%N) - begun) / 1000000))
}

admin_answers() {
	curl -sf -o "$D/health" http://localhost:8081/health/live
}

# No request needs tunneld yet: what the parent says.
ups() {
	grep -c 'ready: every process is up' "$D/log"
}
all_are_up() {
	[ "$(ups)" -gt "$ups" ]
}

measure() {
	killed api get
	killed runner welcome
	killed sessiond get
	killed taskd post
	killed runnerd logs
	killed providerd welcome
	killed storaged post
	seen admin admin_answers
	sleep 0.2
	ups=$(ups)
	seen tunneld all_are_up
}

table() {
	for w in api runner sessiond taskd runnerd providerd storaged admin \
	    tunneld; do
		line "$w killed: until requests succeed again" "150 ms" \
		    "$(with "$(median $w)" 0 ms)"
	done
}
