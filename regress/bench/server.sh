# server.sh - a private server in the shipped configuration, for run.sh and its
# rows: start, stop, what its processes use, and waiting until it rests.

server_make() {
	sh "$top/parent/users.sh" "$top/parent/etc/sysusers.conf"
	sh "$here/../http/certs.sh" "$D"
	(umask 077; echo "mk_$(openssl rand -hex 32)" >"$D/master.key")
	# 10,000 runners are more connections than the default allows.
	cat >"$D/conf" <<-END
	state directory "$D/state"
	run directory "$D/run"
	listen api on localhost port 8443 tls certificate "$D/server.crt" key "$D/server.key"
	listen admin on localhost port 8081 plaintext
	listen runner on localhost port 9090 tls
	master key file "$D/master.key"
	limit connections 12000
	END
}

server_start() {
	"$O/marionetted" -f "$D/conf" >>"$D/log" 2>&1 &
	pid=$!
	n=0
	# Ready when a key can be made: that goes through to the database.
	until MARIONETTE_API_KEY=$(mctl -q admin keys create --name bench \
	    2>/dev/null); do
		n=$((n + 1))
		[ $n -lt 300 ] && kill -0 "$pid" ||
		    die "the server does not start"
		sleep 0.1
	done
	MARIONETTE_RUNNER_TOKEN=$(mctl -q admin runner-tokens create --pool \
	    default)
	export MARIONETTE_API_KEY MARIONETTE_RUNNER_TOKEN
}

server_stop() {
	[ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid"; } || :
	pid=
}

mctl() {
	"$O/mctl" --socket "$D/run/control.sock" "$@"
}

sql() {
	"$PGBIN/psql" -XAtq -h "$D/run/postgres" -U marionette_owner \
	    -d marionette -c "$1"
}

# "pid name" of the parent, each worker, and PostgreSQL with all its children.
processes() {
	echo "$pid parent"
	for p in $(cat "/proc/$pid/task/$pid/children"); do
		name=$(tr '\0' ' ' <"/proc/$p/cmdline" |
		    awk '$2 == "-P" { print $3 }')
		if [ -n "$name" ]; then
			echo "$p $name"
			continue
		fi
		for q in $p $(cat "/proc/$p/task/$p/children"); do
			echo "$q postgres"
		done
	done
}

workers() {
	processes | grep -vE ' (parent|postgres)$'
}

# "name seconds" of processor time of each, until now.  What a backend that has
# ended used is not seen: the server keeps its connections.
cpu() {
	processes | while read -r p name; do
		[ -r "/proc/$p/stat" ] || continue
		sed 's/.*) //' "/proc/$p/stat" |
		    awk -v n="$name" '{ print n, ($12 + $13) / 100 }'
	done | awk '{ s[$1] += $2 } END { for (n in s) print n, s[n] }'
}

cpu_sum() {
	cpu | awk '{ s += $2 } END { print s + 0 }'
}

# settle [percent]: until all of its processes together use less than this much
# of a processor, 5 if it is not said; what a row has left to do is not of the
# next one.
settle() {
	n=0
	was=$(cpu_sum)
	while [ $n -lt 60 ]; do
		sleep 0.5
		is=$(cpu_sum)
		awk -v a="$was" -v b="$is" -v p="${1:-5}" \
		    'BEGIN { exit (b - a) * 200 > p }' && return
		was=$is
		n=$((n + 1))
	done
	echo "(not at rest after 30 s)" >&2
}

# Pss in KB of all processes together.
pss() {
	processes | while read -r p _; do
		awk '$1 == "Pss:" { print $2 }' "/proc/$p/smaps_rollup" \
		    2>/dev/null || :
	done | awk '{ s += $1 } END { print s + 0 }'
}
