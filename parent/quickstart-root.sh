#!/bin/sh
# quickstart-root.sh - the part of the quickstart that may need root.
#	start STATE RUN BUILD CONF USERSFILE
#	stop STATE RUN
#	clean STATE RUN USERSFILE
# USERSFILE remembers which users were made here, so that clean removes just
# those; empty: no users (not root).
set -u
cmd=$1 STATE=$2 RUN=$3
here=$(dirname "$0")

server_pid() { cat "$STATE/server.pid" 2>/dev/null; }
is_server() {	# alive, and not a zombie that nobody reaps
	case $(cat "/proc/$1/stat" 2>/dev/null) in
	*") Z "*) return 1 ;;
	"$1 (marionetted) "*) return 0 ;;
	esac
	return 1
}

start() {
	build=$1 conf=$2 users=$3
	if [ -n "$users" ] && ! [ -f "$users" ]; then
		made=
		for u in $(sed -n 's/^u \([^ ]*\) .*/\1/p' \
		    "$here/etc/sysusers.conf"); do
			getent passwd "$u" >/dev/null || made="$made $u"
		done
		# Written first: cut short, they are known to be of here.
		echo "$made" >"$users" || exit 1
	fi
	[ -z "$users" ] ||
	    sh "$here/users.sh" "$here/etc/sysusers.conf" || exit 1
	# One that was begun and is not ready yet: a second one would end at
	# once, and be the one that is stopped.
	pid=$(server_pid)
	[ -n "$pid" ] && is_server "$pid" && return 0
	mkdir -p "$STATE" || exit 1
	said=$("$build/marionetted" -n -f "$conf" 2>&1) || {
		echo "$said" >&2
		exit 1
	}
	# Before the server begins, which on a busy machine is after the next line.
	: >>"$STATE/server.log" && chmod 644 "$STATE/server.log" || exit 1
	setsid "$build/marionetted" -f "$conf" >>"$STATE/server.log" 2>&1 \
	    </dev/null &
	echo $! >"$STATE/server.pid"
	chmod 644 "$STATE/server.pid"
}

stop() {
	pid=$(server_pid)
	[ -n "$pid" ] && is_server "$pid" || return 0
	kill "$pid"
	n=0
	while is_server "$pid"; do
		n=$((n + 1))
		[ $n -lt 375 ] || { kill -9 "$pid"; break; }
		sleep 0.2
	done
	rm -f "$STATE/server.pid"
}

clean() {
	users=$1
	stop
	rm -rf "$STATE" "$RUN" || return 1
	rc=0
	for u in $(cat "$users" 2>/dev/null); do
		getent passwd "$u" >/dev/null || continue
		userdel "$u" || rc=1
	done
	return $rc
}

shift 3
case $cmd in
start) start "$@" ;;
stop) stop ;;
clean) clean "$@" ;;
esac
