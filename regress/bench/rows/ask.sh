# permission: from the agent to a follower, and from the answer to the agent
QUESTIONS=${QUESTIONS:-1000}

measure() {
	fleet -n 20 -s 20 -t "$QUESTIONS" -R 100 -k 16 -S "lines=2" ask
}

table() {
	line "permission: asked at the agent to seen by a follower, p99" \
	    "15 ms" "$(with "$(median asked_p99)" 1 ms)"
	line "answered to known by the agent, p99" "15 ms" \
	    "$(with "$(median known_p99)" 1 ms)"
}
