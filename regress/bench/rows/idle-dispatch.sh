# POST's first byte to ExecuteTask read by the agent, one task at a time
SAMPLES=${SAMPLES:-1000}

measure() {
	fleet -n 50 -s 50 -t "$SAMPLES" -S "lines=20 bytes=100" trickle
}

table() {
	line "dispatch on an idle server, p50" "1 ms" \
	    "$(with "$(median dispatch_p50)" 2 ms)"
	line "the same, p99" "4 ms" "$(with "$(median dispatch_p99)" 2 ms)"
}
