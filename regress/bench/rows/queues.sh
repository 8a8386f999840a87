# graphile-worker and pg-boss on the same PostgreSQL, added one call at a time
JOBS=${JOBS:-10000}

measure() {
	for q in graphile-worker pg-boss; do
		peers_database
		node "$here/peers/queue.mjs" "$q" "$JOBS" 16 >"$D/queue" ||
		    { rc=1; put failed 1; }
		put $q "$(sed -n 's/^jobs_per_second //p' "$D/queue")"
		peers_drop
	done
}

table() {
	for q in graphile-worker pg-boss; do
		line "$q, jobs added and done" "below ours" \
		    "$(with "$(median $q)" 0 /s) $(ours tasks \
		    tasks_per_second "$(median $q)")"
	done
}
