# what a task costs: SQL statements, commits, WAL, processor time by process
# Once: the counting itself costs, so the server is another one for this row.
COST_TASKS=${COST_TASKS:-10000}
once=1

measure() {
	sql "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'"
	server_stop
	server_start
	sql "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
	settle
	export here D pid PGBIN
	fleet -n 50 -s 50 -t "$COST_TASKS" -k 16 -S "lines=20 bytes=100" \
	    -x "sh $here/sample.sh" tasks
	put statements "$(awk -v n="$COST_TASKS" '{ print $1 / n }' "$D/calls")"
	for what in commits wal; do
		put $what "$(cat "$D/sql.begin" "$D/sql.end" |
		    awk -v w=$what -v n="$COST_TASKS" '$1 == w { d = $2 - p
			p = $2 } END { print d / n }')"
	done
	cat "$D/cpu.begin" "$D/cpu.end" | awk -v n="$COST_TASKS" '
	    $1 in was { printf "cpu_%s %.4f\n", $1,
		1000 * ($2 - was[$1]) / n }
	    { was[$1] = $2 }' >>"$D/out"
	put cpu_all "$(awk '/^cpu_/ { s += $2 } END { print s }' "$D/out")"
	sed 's/^/  /' "$D/statements"
	sql "ALTER SYSTEM RESET shared_preload_libraries"
	server_stop
	server_start
}

table() {
	line "SQL statements a task" "at most 4" "$(median statements)"
	line "commits a task" "" "$(with "$(median commits)" 3 "")"
	line "WAL bytes a task" "" "$(with "$(median wal)" 0 "")"
	for p in $(awk '/^cpu_/ && $2 >= 0.001 { print substr($1, 5) }' \
	    "$D/results/cost"); do
		line "processor time a task, $p" "" \
		    "$(with "$(median "cpu_$p")" 3 ms)"
	done
}
