# log lines agent to database, 100 bytes each, 20 runs at once
RUN_LINES=${RUN_LINES:-100000}

measure() {
	fleet -n 20 -s 20 -S "lines=$RUN_LINES bytes=100" lines
}

table() {
	line "log lines agent to database, 20 runs, 100 bytes" "200000 /s" \
	    "$(with "$(median lines_per_second)" 0 /s)"
}
