# POST /tasks, durable, 64 connections, no runner that would take them
POSTS=${POSTS:-20000}

measure() {
	fleet -n 0 -s 64 -t "$POSTS" -k 64 -A custom:nobody tasks
}

table() {
	line "POST /tasks durable, 64 connections" "5000 /s" \
	    "$(with "$(median tasks_per_second)" 0 /s)"
}
