#!/bin/sh
# run.sh - storaged and its SQL against a PostgreSQL of their own, in a
# temporary directory: the SQL files through psql, then a real storaged.
# O names the object directory.  Prints ok and not ok lines; exits 1 when one
# is not ok.
set -eu

cd "$(dirname "$0")/../.."
O=${O:-build}
for PGBIN in /usr/lib/postgresql/*/bin; do :; done
command -v initdb >/dev/null && PGBIN=$(dirname "$(command -v initdb)")
PATH=$PGBIN:$PATH
D=$(mktemp -d "${TMPDIR:-/tmp}/mn-sql.XXXXXX")
AS=
if [ "$(id -u)" = 0 ]; then
	# initdb refuses root.
	AS="setpriv --reuid=65534 --regid=65534 --clear-groups --"
	chown 65534:65534 "$D"
fi
chmod 755 "$D"

stop()
{
	$AS pg_ctl -D "$D/data" -m immediate stop >/dev/null 2>&1 || :
	rm -rf "$D"
}
trap stop EXIT
trap 'exit 1' INT TERM

$AS initdb -D "$D/data" -U owner -A trust --no-sync --no-instructions -E UTF8 \
    --locale=C >/dev/null
cat >>"$D/data/postgresql.conf" <<EOF
listen_addresses = ''
unix_socket_directories = '$D'
fsync = off
shared_buffers = 16MB
max_connections = 30
jit = off
EOF
cat >"$D/start" <<EOF
#!/bin/sh
PATH=$PGBIN:\$PATH
i=0
while [ \$i -lt 50 ]; do
	$AS pg_ctl -D "$D/data" -l "$D/log" -w -s start >/dev/null 2>&1 && exit 0
	sleep 0.2
	i=\$((i + 1))
done
exit 1
EOF
cat >"$D/kill" <<EOF
#!/bin/sh
kill -9 \$(head -1 "$D/data/postmaster.pid")
EOF
cat >"$D/pause" <<EOF
#!/bin/sh
# pause SECONDS PID: PostgreSQL stands still; then PID goes on, and of the
# backends the last one first
first=\$(head -1 "$D/data/postmaster.pid")
all="\$(pgrep -P \$first | sort -nr) \$first"
kill -STOP \$all
sleep \$1
kill -CONT \$2
for pid in \$all; do
	kill -CONT \$pid
	sleep 0.2
done
EOF
chmod 755 "$D/start" "$D/kill" "$D/pause"
"$D/start"
psql -h "$D" -U owner -d postgres -qc 'CREATE DATABASE marionette'

export OWNER="host=$D dbname=marionette user=owner"
export WORKER="host=$D dbname=marionette user=marionette" ROOT="$D"
# With a root of its own, the socket's directory, as with the parent.
[ "$(id -u)" = 0 ] && WORKER="host=/ dbname=marionette user=marionette"
export STORAGED="$O/storaged"
export START="$D/start" KILL="$D/kill"
export PGOPTIONS='-c search_path=mn,mn_data -c client_min_messages=warning'
export PSQL="psql -X -q -h $D -U owner -d marionette -v ON_ERROR_STOP=1"
rc=0
${MAKE:-make} -s O="$O" "$O/storaged" "$O/regress/storaged_test" >/dev/null

# 1. storaged makes the schema and does its work.
"$O/regress/storaged_test" >"$D/out" 2>"$D/err" || rc=1
cat "$D/out"
if grep -q '^not ok' "$D/out" || [ $rc = 1 ]; then
	sed 's/^/# storaged: /' "$D/err" | tail -40
	rc=1
fi

# 2. The functions by themselves, as the worker's role.
for f in regress/sql/*.test.sql; do
	[ -e "$f" ] || continue
	psql -X -q -A -t -h "$D" -U marionette -d marionette \
	    -v ON_ERROR_STOP=1 -f "$f" >"$D/out" 2>"$D/err" || {
		echo "not ok - $f ends with an error"
		sed 's/^/# /' "$D/err"
		rc=1
	}
	grep -E '^(not )?ok|^#' "$D/out" || :
	if grep -q '^not ok' "$D/out"; then rc=1; fi
done

# 3. A schema that this program does not know.
$PSQL -c "INSERT INTO mn_meta.applied VALUES (899, 'x', '99.0')"
"$O/regress/storaged_test" newer 2>"$D/err" || rc=1
if grep -q 'schema is 899 (marionette 99.0).*schemas up to' "$D/err"; then
	echo "ok - and both versions are named"
else
	echo "not ok - and both versions are named"
	rc=1
fi
exit $rc
