# POST's due time to ExecuteTask read by the agent, at half the aimed rate
RATE=${RATE:-1000} RUNNERS=${RUNNERS:-50} SECONDS_=${SECONDS_:-10}

measure() {
	fleet -n "$RUNNERS" -s "$RUNNERS" -t $((RATE * SECONDS_)) -R "$RATE" \
	    -k 64 -S "lines=20 bytes=100" tasks
}

table() {
	line "dispatch at $RATE tasks a second, open loop, p50" "5 ms" \
	    "$(with "$(median dispatch_p50)" 1 ms)"
	line "the same, p99" "25 ms" "$(with "$(median dispatch_p99)" 1 ms)"
}
