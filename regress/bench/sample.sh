#!/bin/sh
# sample.sh begin|end - what the server has used, for row cost: the fleet calls it
# around what is measured.  In $D: cpu.begin, sql.begin and so on; at the end
# calls, and in statements the dearest: calls, ms in all, ms a call, text.
set -eu
. "$here/server.sh"

cpu >"$D/cpu.$1"
# Transactions that wrote have a number, so commits are counted by it; the
# statistics views are up to ten seconds late.
sql "SELECT 'commits', pg_snapshot_xmax(pg_current_snapshot());
    SELECT 'wal', pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')" |
    tr '|' ' ' >"$D/sql.$1"
if [ "$1" = begin ]; then
	sql "SELECT pg_stat_statements_reset()" >"$D/reset"
	exit 0
fi
sql "SELECT sum(calls) FROM pg_stat_statements JOIN pg_roles r
    ON r.oid = userid WHERE rolname = 'marionette'" >"$D/calls"
sql "SELECT calls, round(total_exec_time), round(total_exec_time::numeric /
    calls, 3), left(regexp_replace(query, '\s+', ' ', 'g'), 90)
    FROM pg_stat_statements ORDER BY 2 DESC LIMIT 12" >"$D/statements"
