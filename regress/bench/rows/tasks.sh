# tasks end to end: REST, agents, lines, all durable; as fast as they go
TASKS=${TASKS:-20000} RUNNERS=${RUNNERS:-50} LINES=${LINES:-20}
CONNECTIONS=${CONNECTIONS:-16}

measure() {
	fleet -n "$RUNNERS" -s "$RUNNERS" -t "$TASKS" -k "$CONNECTIONS" \
	    -S "lines=$LINES bytes=100" tasks
}

table() {
	line "tasks end to end, $RUNNERS runners, $LINES lines each, $TASKS tasks" \
	    "2000 /s" "$(with "$(median tasks_per_second)" 0 /s)"
}
