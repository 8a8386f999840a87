# the plain SQL that a task needs, by pgbench, in batches: the limit
# A batch has three commits; so many tasks in it that a task has as many commits
# as row cost shows.
LIMIT_SECONDS=${LIMIT_SECONDS:-5} LIMIT_BATCH=${LIMIT_BATCH:-22}

measure() {
	peers_database
	peers_sql -qf "$here/peers/limit-tables.sql" >/dev/null
	"$PGBIN/pgbench" -n -M prepared -c 2 -T "$LIMIT_SECONDS" \
	    -D batch="$LIMIT_BATCH" -f "$here/peers/limit.pgbench" \
	    >"$D/pgbench" 2>&1 || { rc=1; put failed 1; cat "$D/pgbench" >&2; }
	put limit "$(awk -v b="$LIMIT_BATCH" '/^tps/ { print $3 * b }' \
	    "$D/pgbench")"
	peers_drop
}

table() {
	line "the SQL of a task alone, by pgbench, $LIMIT_BATCH a batch" "" \
	    "$(with "$(median limit)" 0 /s) $(ours tasks tasks_per_second \
	    "$(median limit)")"
}
