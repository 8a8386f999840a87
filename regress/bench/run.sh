#!/bin/sh
# run.sh - make bench: a private server in the shipped configuration, what it
# says of that configuration, and one table.  Nothing is compared: it fails only
# when something was lost.  Root is needed (jails, users).
#
#	O=build ROUNDS=3 TASKS=5000 SAMPLES=1000 RUNNERS=50 LINES=20 BYTES=100
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
O=${O:-$top/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
[ "$(id -u)" = 0 ] || { echo "bench: root is needed: the jails are part of" \
    "what is measured" >&2; exit 1; }
# In a network that has loopback alone; its ports are free.
[ -n "${MN_BENCH:-}" ] || MN_BENCH=1 O=$O exec "$here/../lib/netns.sh" sh "$0"
ROUNDS=${ROUNDS:-3} TASKS=${TASKS:-5000} SAMPLES=${SAMPLES:-1000}
RUNNERS=${RUNNERS:-50} LINES=${LINES:-20} BYTES=${BYTES:-100}
CONNECTIONS=${CONNECTIONS:-16}

for PGBIN in /usr/lib/postgresql/*/bin; do :; done
D=$(mktemp -d "${TMPDIR:-/tmp}/mn-bench.XXXXXX")
chmod 755 "$D"
pid=
stop() {
	[ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid"; } || :
	if [ -n "${KEEP:-}" ]; then
		echo "kept: $D" >&2
	else
		rm -rf "$D"
	fi
}
trap stop EXIT
trap 'exit 130' INT TERM
die() {
	echo "bench: $*" >&2
	tail -20 "$D/log" >&2
	exit 1
}

# ---- the server --------------------------------------------------------------

sh "$top/parent/users.sh" "$top/parent/etc/sysusers.conf"
sh "$here/../http/certs.sh" "$D"
(umask 077; echo "mk_$(openssl rand -hex 32)" >"$D/master.key")
cat >"$D/conf" <<END
state directory "$D/state"
run directory "$D/run"
listen api on localhost port 8443 tls certificate "$D/server.crt" key "$D/server.key"
listen admin on localhost port 8081 plaintext
listen runner on localhost port 9090 tls
master key file "$D/master.key"
END
"$O/marionetted" -f "$D/conf" >"$D/log" 2>&1 &
pid=$!
mctl() { "$O/mctl" --socket "$D/run/control.sock" "$@"; }
key='' n=0
# Ready when a key can be made: that goes through to the database.
until key=$(mctl -q admin keys create --name bench 2>/dev/null); do
	n=$((n + 1))
	[ $n -lt 150 ] && kill -0 "$pid" || die "the server does not start"
	sleep 0.2
done
MARIONETTE_API_KEY=$key
MARIONETTE_RUNNER_TOKEN=$(mctl -q admin runner-tokens create --pool default)
export MARIONETTE_API_KEY MARIONETTE_RUNNER_TOKEN

# "pid name" of each worker.
workers() {
	for p in $(cat "/proc/$pid/task/$pid/children"); do
		tr '\0' ' ' <"/proc/$p/cmdline" |
		    awk -v p="$p" '$2 == "-P" { print p, $3 }'
	done
}
sql() {
	"$PGBIN/psql" -XAtq -h "$D/run/postgres" -U marionette_owner \
	    -d marionette -c "$1"
}

# ---- what it says of itself ---------------------------------------------------

echo "machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: //p' \
    /proc/cpuinfo | head -1), load $(cut -d' ' -f1-3 /proc/loadavg)"
echo "fsync $(sql 'SHOW fsync'), synchronous_commit" \
    "$(sql 'SHOW synchronous_commit'), full_page_writes" \
    "$(sql 'SHOW full_page_writes'), wal_sync_method" \
    "$(sql 'SHOW wal_sync_method'), PostgreSQL $(sql 'SHOW server_version')"
echo "row-level security: $(sql "SELECT count(*) FILTER (WHERE relrowsecurity),
    ' enabled, ', count(*) FILTER (WHERE relforcerowsecurity), ' forced, of ',
    count(*), ' tables' FROM pg_class c JOIN pg_namespace n ON n.oid =
    relnamespace WHERE nspname = 'mn_data' AND relkind IN ('r', 'p')
    AND NOT relispartition" | tr -d '|'); the worker's role:" \
    "$(sql "SELECT 'superuser ' || rolsuper || ', bypassrls ' || rolbypassrls
    FROM pg_roles WHERE rolname = 'marionette'")"
workers | while read -r p name; do
	awk -v n="$name" -v root="$(readlink "/proc/$p/root")" '
	    $1 == "Uid:" { uid = $2 }
	    $1 == "CapEff:" { cap = $2 }
	    $1 == "NoNewPrivs:" { nnp = $2 }
	    $1 == "Seccomp:" { sec = $2 }
	    END { printf "jail: %-9s uid %d, seccomp %d, no_new_privs %d, " \
	    "capabilities %s, root %s\n", n, uid, sec, nnp,
	    cap ~ /^0*$/ ? "none" : cap, root }' "/proc/$p/status"
done
echo "api listener: $(openssl s_client -connect localhost:8443 -CAfile \
    "$D/ca.crt" -verify_return_error -brief </dev/null 2>&1 | sed -n \
    's/^Protocol version: //p; s/^Ciphersuite: //p; s/^Verification: /verification /p' |
    paste -sd, | sed 's/,/, /g')"
echo "runner listener without a client certificate:" \
    "$(curl -sk --http2 -o /dev/null -D - -X POST \
    -H 'content-type: application/grpc' -H 'te: trailers' --data-binary '' \
    https://localhost:9090/marionette.v1.RunnerService/Connect |
    tr -d '\r' | grep -i '^grpc-' | paste -sd' ')"

# ---- memory, before any work ---------------------------------------------------

sleep 3
workers | while read -r p name; do
	awk -v n="$name" '
	    $1 == "Private_Clean:" || $1 == "Private_Dirty:" { priv += $2 }
	    $1 == "Private_Dirty:" { dirty += $2 }
	    $1 == "Pss:" { pss += $2 }
	    END { print "memory", n, dirty / 1024, priv / 1024, pss / 1024 }' \
	    "/proc/$p/smaps_rollup"
done >"$D/memory"

# ---- the rounds ---------------------------------------------------------------

rc=0 round=1
: >"$D/all"
while [ $round -le "$ROUNDS" ]; do
	MARIONETTE_RUNNER_TOKEN=$(mctl -q admin runner-tokens create --pool \
	    default)
	before=$(cat /proc/loadavg | cut -d' ' -f1)
	"$O/regress/fleet" -a localhost:8443 -r localhost:9090 -c "$D/ca.crt" \
	    -n "$RUNNERS" -s "$SAMPLES" -t "$TASKS" -l "$LINES" -m "$BYTES" \
	    -k "$CONNECTIONS" >"$D/round" || rc=1
	echo "round $round (load before: $before):" $(cat "$D/round")
	cat "$D/round" >>"$D/all"
	# Its runners are gone; so that the next round's are the only ones.
	for s in $(mctl -q sessions list --limit 500 2>/dev/null); do
		mctl -q sessions terminate "$s" >/dev/null 2>&1 || :
	done
	round=$((round + 1))
done

# ---- the table ------------------------------------------------------------------

median() {
	awk -v n="$1" '$1 == n { print $2 }' "$D/all" | sort -n |
	    awk '{ v[NR] = $1 }
	    END { lo = int((NR + 1) / 2); hi = int(NR / 2) + 1
		if (NR) print (v[lo] + v[hi]) / 2; else print "-" }'
}
row() { printf '%-62s %10s %10s\n' "$@"; }
echo
row "what (medians of $ROUNDS rounds)" aim measured
row "POST's first byte to ExecuteTask read, idle, p50" "2 ms" \
    "$(median dispatch_p50) ms"
row "the same, p99" "8 ms" "$(median dispatch_p99) ms"
row "GET /sessions/{id}, keep-alive, TLS, p50" "1 ms" "$(median get_p50) ms"
row "the same, p99" "3 ms" "$(median get_p99) ms"
row "tasks end to end, $RUNNERS agents, $LINES lines each, $TASKS tasks" \
    "1000 /s" "$(median tasks_per_second) /s"
sort -k2 "$D/memory" | while read -r _ name dirty priv pss; do
	row "private memory of $name at rest (clean too: $priv, Pss $pss)" \
	    "< 4 MB" "$(printf %.2f "$dirty") MB"
done
echo
awk '$1 == "verified" { v += $2 } $1 == "wrong" { w += $2 }
    $1 == "lines" { l += $2 }
    END { printf "%d tasks and %d lines read again, %d tasks wrong\n",
    v, l, w }' "$D/all"
[ $rc = 0 ] || { tail -20 "$D/log" >&2; echo "bench: something was lost" >&2; }
exit $rc
