# 10,000 idle runners: memory, heartbeats, and all back after a restart
IDLE=${IDLE:-10000} IDLE_SECONDS=${IDLE_SECONDS:-30}
once=1

# How often the fleet has said that all are there; again when some were away.
said() {
	grep -c '^all ' "$D/hold" || :
}

# Until it has said so $1 times.
all_there() {
	n=0
	until [ "$(said)" -ge "$1" ]; do
		sleep 0.1
		n=$((n + 1))
		[ $n -lt 6000 ] && kill -0 "$beside" ||
		    die "not all of $IDLE runners are there"
	done
}

seconds_since() {
	awk -v a="$1" -v b="$(date +%s%N)" 'BEGIN { print (b - a) / 1e9 }'
}

measure() {
	# What the rows before have made the processes grow by is not theirs.
	server_stop
	server_start
	settle
	before=$(pss)
	"$O/regress/fleet" -a localhost:8443 -r localhost:9090 \
	    -c "$D/ca.crt" -i "$D/runners" -e -n "$IDLE" -s 0 hold \
	    >"$D/hold" 2>"$D/hold.err" &
	beside=$!
	all_there 1
	settle 20
	put kb_per_runner "$(awk -v a="$before" -v b="$(pss)" -v n="$IDLE" \
	    'BEGIN { print (b - a) / n }')"
	was=$(cpu_sum)
	own=$(awk '{ print ($14 + $15) / 100 }' "/proc/$beside/stat")
	sleep "$IDLE_SECONDS"
	put heartbeats "$(awk -v a="$was" -v b="$(cpu_sum)" \
	    -v s="$IDLE_SECONDS" 'BEGIN { print 100 * (b - a) / s }')"
	put generator "$(awk -v a="$own" -v s="$IDLE_SECONDS" \
	    '{ print 100 * (($14 + $15) / 100 - a) / s }' "/proc/$beside/stat")"
	server_stop
	had=$(said)
	begun=$(date +%s%N)
	server_start
	all_there $((had + 1))
	put back "$(seconds_since "$begun")"
	settle 20
	put rested "$(seconds_since "$begun")"
	beside_end || { rc=1; put failed 1; }
}

table() {
	line "$IDLE idle runners: memory of each, over all processes" "100 KB" \
	    "$(with "$(median kb_per_runner)" 0 KB)"
	line "their heartbeats, of a processor" "5 %" \
	    "$(with "$(median heartbeats)" 1 %)"
	line "all back after a restart" "" "$(with "$(median back)" 1 s)"
	line "and the server at rest again (under 20 % of a processor)" "30 s" \
	    "$(with "$(median rested)" 1 s)"
}
