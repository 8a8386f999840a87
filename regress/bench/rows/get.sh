# GET /sessions/{id} at 5,000 a second, open loop, HTTP/1.1
GETS=${GETS:-25000}

measure() {
	fleet -n 0 -s 1 -t "$GETS" -R 5000 -k 64 get
}

table() {
	line "GET /sessions/{id} at 5000 a second, p99" "3 ms" \
	    "$(with "$(median get_p99)" 2 ms)"
}
