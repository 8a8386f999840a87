#!/bin/sh
# run.sh - make bench: a private server in the shipped configuration, what it
# says of that configuration, and one table.  Nothing is compared: it fails only
# when something was lost, doubled or changed.  Root is needed (jails, users).
# How to run and read it: README.md.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
O=${O:-$top/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
ROUNDS=${ROUNDS:-3}
ALL="tasks dispatch idle-dispatch lines follow ask post read get cost kill idle
    queues limit"
ROWS=${ROWS:-$ALL}

if [ "$ROWS" = list ]; then
	for r in $ALL; do
		printf '%-14s %s\n' "$r" \
		    "$(sed -n '1s/^# //p' "$here/rows/$r.sh")"
	done
	exit 0
fi
for r in $ROWS; do
	[ -f "$here/rows/$r.sh" ] ||
	    { echo "bench: there is no row $r (ROWS=list)" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "bench: root is needed: the jails are part of" \
    "what is measured" >&2; exit 1; }
# The queues come from npm; behind this line there is no network but loopback,
# whose ports are free.
[ -n "${MN_BENCH:-}" ] || case " $(echo $ROWS) " in
*" queues "*) sh "$here/../install.sh" "$here/peers" ;;
esac
[ -n "${MN_BENCH:-}" ] || MN_BENCH=1 O=$O exec "$here/../lib/netns.sh" sh "$0"

for PGBIN in /usr/lib/postgresql/*/bin; do :; done
D=$(mktemp -d "${TMPDIR:-/tmp}/mn-bench.XXXXXX")
chmod 755 "$D"
mkdir "$D/results" "$D/runners"
pid='' beside='' rc=0
. "$here/server.sh"

# What a row has running beside the server, by its pid; its status.
beside_end() {
	b=$beside
	beside=
	kill "$b" && wait "$b"
}

# Who is in the midst of something would finish that first.
beside_hurry() {
	kill "$beside"
	timeout 5 tail -f --pid="$beside" /dev/null || kill -KILL "$beside"
}

finish() {
	[ -z "$beside" ] || beside_hurry || :
	server_stop
	if [ -n "${KEEP:-}" ]; then
		echo "kept: $D" >&2
	else
		rm -rf "$D"
	fi
}
trap finish EXIT
trap 'exit 130' INT TERM
die() {
	echo "bench: $*" >&2
	grep -v " info: " "$D/log" | tail -20 >&2
	exit 1
}

# ---- for the rows -------------------------------------------------------------

# The fleet; what it prints is of this row and round.  It says when something
# was lost.
fleet() {
	"$O/regress/fleet" -a localhost:8443 -r localhost:9090 -c "$D/ca.crt" \
	    -i "$D/runners" "$@" >>"$D/out" || { rc=1; echo "failed 1" \
	    >>"$D/out"; }
}

# put name value
put() {
	echo "$1 $2" >>"$D/out"
}

# median name [row]: of all rounds of this row, or another
median() {
	awk -v n="$1" '$1 == n { print $2 }' "$D/results/${2:-$row}" | sort -n |
	    awk '{ v[NR] = $1 }
	    END { lo = int((NR + 1) / 2); hi = int(NR / 2) + 1
		if (NR) print (v[lo] + v[hi]) / 2; else print "-" }'
}

# ours row name theirs: how many times theirs
ours() {
	[ -f "$D/results/$1" ] || return 0
	awk -v a="$(median "$2" "$1")" -v b="$3" \
	    'BEGIN { if (a > 0 && b > 0) printf "(ours %.2f times)", a / b }'
}

# A database of the peers' own on the server's PostgreSQL.
peers_database() {
	PGHOST=$D/run/postgres PGUSER=marionette_owner PGDATABASE=peers
	export PGHOST PGUSER PGDATABASE
	sql "CREATE DATABASE peers"
}
peers_sql() {
	"$PGBIN/psql" -XAtq -v ON_ERROR_STOP=1 "$@"
}
peers_drop() {
	sql "DROP DATABASE peers WITH (FORCE)"
}

# line what aim measured
line() {
	printf '%-62s %13s  %s\n' "$@"
}

# with: so many decimals, and a unit
with() {
	case $1 in -) echo - ;; *) printf "%.$2f %s" "$1" "$3" ;; esac
}

# ---- what the server says of itself ----------------------------------------------

about() {
	echo "machine: $(nproc) processors, $(sed -n \
	    's/^model name[^:]*: //p' /proc/cpuinfo | head -1), load" \
	    "$(cut -d' ' -f1-3 /proc/loadavg)"
	echo "fsync $(sql 'SHOW fsync'), synchronous_commit" \
	    "$(sql 'SHOW synchronous_commit'), full_page_writes" \
	    "$(sql 'SHOW full_page_writes'), wal_sync_method" \
	    "$(sql 'SHOW wal_sync_method'), PostgreSQL" \
	    "$(sql 'SHOW server_version')"
	echo "row-level security: $(sql "SELECT count(*) FILTER
	    (WHERE relrowsecurity), ' enabled, ', count(*) FILTER
	    (WHERE relforcerowsecurity), ' forced, of ', count(*), ' tables'
	    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
	    WHERE nspname = 'mn_data' AND relkind IN ('r', 'p')
	    AND NOT relispartition" | tr -d '|'); the worker's role:" \
	    "$(sql "SELECT 'superuser ' || rolsuper || ', bypassrls ' ||
	    rolbypassrls FROM pg_roles WHERE rolname = 'marionette'")"
	workers | while read -r p name; do
		awk -v n="$name" -v root="$(readlink "/proc/$p/root")" '
		    $1 == "Uid:" { uid = $2 }
		    $1 == "CapEff:" { cap = $2 }
		    $1 == "NoNewPrivs:" { nnp = $2 }
		    $1 == "Seccomp:" { sec = $2 }
		    END { printf "jail: %-9s uid %d, seccomp %d, " \
		    "no_new_privs %d, capabilities %s, root %s\n", n, uid,
		    sec, nnp, cap ~ /^0*$/ ? "none" : cap, root }' \
		    "/proc/$p/status"
	done
	echo "api listener: $(openssl s_client -connect localhost:8443 \
	    -CAfile "$D/ca.crt" -verify_return_error -brief </dev/null 2>&1 |
	    sed -n 's/^Protocol version: //p; s/^Ciphersuite: //p
	    s/^Verification: /verification /p' | paste -sd, | sed 's/,/, /g')"
	echo "runner listener without a client certificate:" \
	    "$(curl -sk --http2 -o /dev/null -D - -X POST \
	    -H 'content-type: application/grpc' -H 'te: trailers' \
	    --data-binary '' \
	    https://localhost:9090/marionette.v1.RunnerService/Connect |
	    tr -d '\r' | grep -i '^grpc-' | paste -sd' ')"
}

# ---- the rounds --------------------------------------------------------------------

server_make
server_start
about
echo
round=1
while [ "$round" -le "$ROUNDS" ]; do
	for row in $ROWS; do
		once=
		. "$here/rows/$row.sh"
		[ -z "$once" ] || [ $round = 1 ] || continue
		settle
		: >"$D/out"
		load=$(cut -d' ' -f1 /proc/loadavg)
		measure
		cat "$D/out" >>"$D/results/$row"
		echo "$row, round $round, load before $load:" \
		    $(awk '{ print $1, $2 }' "$D/out")
	done
	round=$((round + 1))
done

# ---- the table -----------------------------------------------------------------------

echo
line "what (medians of $ROUNDS rounds)" aim measured
for row in $ROWS; do
	. "$here/rows/$row.sh"
	table
done
echo
cat "$D/results"/* | awk '$1 == "verified" { v += $2 } $1 == "wrong" { w += $2 }
    $1 == "lines" { l += $2 } $1 == "failed" { f++ }
    END { printf "%d tasks and %d lines read again, %d tasks wrong", v, l, w
	if (f) printf ", %d measurements failed", f; print "" }'
[ $rc = 0 ] || die "something was lost or could not be measured"
