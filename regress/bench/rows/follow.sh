# a line's way from agent to followers of its task: 1, 10 and 100 of them
FOLLOW_SECONDS=${FOLLOW_SECONDS:-4}

# Values of one of the three, named by it.
follow() {
	mv "$D/out" "$D/out.row"
	: >"$D/out"
	fleet -n 1 -s 1 -f "$1" -S "wait=1000 rate=$2 bytes=100 \
lines=$(($2 * FOLLOW_SECONDS))" follow
	sed "/^\(way\|deliv\|gener\)/s/^/f$1_/" "$D/out" >>"$D/out.row"
	mv "$D/out.row" "$D/out"
}

measure() {
	follow 1 50000
	follow 10 50000
	follow 100 3000
}

way() {
	line "a line's way to $1 at $2 lines a second, p99" "20 ms" \
	    "$(with "$(median "f$3_way_p99")" 1 ms)"
}

table() {
	way "1 follower" 50000 1
	way "10 followers" 50000 10
	way "100 followers" 3000 100
}
