#!/bin/sh
# quickstart.sh quickstart | quickstart-stop | quickstart-clean
#
# Run by the user.  Builds, starts a server of its own with an embedded
# PostgreSQL, enrols a runner on this machine, and runs one task with the user
# at the keys.  Root is asked for (sudo or su) for packages, for the workers'
# users and to start the parent; nothing else runs as root.
#
#	YES=1		answer the permission request with yes, without a terminal
#	ROOTLESS=1	no root at all: seccomp alone confines the workers
#	AGENT=demo	the demo agent even when claude and a key are there
set -u
cd "$(dirname "$0")/.." || exit 1
TOP=$PWD
Q=$TOP/.quickstart
O=$TOP/build
MCTL=$O/mctl
umask 022

# ---- words for the person --------------------------------------------------

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
	bold='' plain=''
fi
step() { printf '%s==> %s%s\n' "$bold" "$*" "$plain"; }
say() { printf '    %s\n' "$*"; }
die() {
	printf '\nquickstart: %s\n' "$1" >&2
	for log in "$Q/server.log" "$STATE/server.log" "$Q/agent.log"; do
		[ -s "$log" ] || continue
		printf -- '--- last lines of %s\n' "$log" >&2
		tail -n 12 "$log" >&2
	done
	printf '%s\n' "${2:-Then: make quickstart-clean, and make quickstart again.}" >&2
	exit 1
}

# ---- root, asked for once a purpose ----------------------------------------

as_root() {	# purpose, command ...
	purpose=$1
	shift
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -n true 2>/dev/null || say "root is needed $purpose (sudo):"
		sudo "$@"
	else
		say "root is needed $purpose (su):"
		cmd=
		for w in "$@"; do
			cmd="$cmd '$(printf %s "$w" | sed "s/'/'\\\\''/g")'"
		done
		su root -c "$cmd"
	fi
}

mode() {	# 1: without root
	ROOTLESS=$1
	if [ -n "$1" ]; then
		STATE=$Q/state RUN=$Q/run
	else
		STATE=/var/lib/marionette-quickstart
		RUN=/run/marionette-quickstart
	fi
}
mode "$([ -z "${ROOTLESS:-}" ] || [ "$(id -u)" -eq 0 ] || echo 1)"

# ---- small questions -------------------------------------------------------

# Does anything listen on this TCP port?
port_is_busy() {
	hex=$(printf '%04X' "$1")
	grep -qiE "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F]+:[0-9A-F]+ 0A" \
	    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}
free_port() {
	p=$1
	while port_is_busy "$p"; do
		p=$((p + 1))
	done
	echo "$p"
}
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
# Begun by an earlier quickstart, which did not stay until it was ready.
is_starting() {
	[ -f "$Q/ports" ] && [ -f "$Q/marionette.conf" ] &&
	    pid_is "$(cat "$STATE/server.pid" 2>/dev/null)" marionetted
}
is_running() {
	[ -f "$Q/ports" ] && . "$Q/ports" &&
	    "$MCTL" --socket "$RUN/control.sock" server health >/dev/null 2>&1
}
wait_for() {	# seconds, what, command ...
	n=$(($1 * 5)) what=$2
	shift 2
	while ! "$@" >/dev/null 2>&1; do
		n=$((n - 1))
		[ "$n" -gt 0 ] || return 1
		[ $((n % 5)) -ne 0 ] || { [ -t 1 ] && printf '.'; }
		sleep 0.2
	done
	return 0
}
pid_is() {	# pid, name: alive, no zombie, and the program that we started?
	case $(cat "/proc/${1:-none}/stat" 2>/dev/null) in
	*") Z "*) return 1 ;;
	"$1 ($2) "*) return 0 ;;
	esac
	return 1
}
pid_is_not() { ! pid_is "$@"; }
saved() { cat "$Q/$1" 2>/dev/null; }

# ---- stop and clean --------------------------------------------------------

stop() {
	[ -d "$Q" ] || { say "nothing is running"; return 0; }
	[ ! -f "$Q/rootless" ] || mode "$(saved rootless)"
	pid=$(saved agent.pid)
	if pid_is "$pid" marionette-agen; then
		kill "$pid"
		wait_for 15 "the agent" pid_is_not "$pid" marionette-agen ||
		    kill -9 "$pid"
	fi
	rm -f "$Q/agent.pid"
	if [ -n "$ROOTLESS" ]; then
		sh parent/quickstart-root.sh stop "$STATE" "$RUN"
	elif [ -d "$STATE" ]; then
		as_root "to stop the server" \
		    sh "$TOP/parent/quickstart-root.sh" stop "$STATE" "$RUN"
	fi
}
# What is left is still known here.
not_gone() {
	echo "quickstart: not all of it is gone, see above; then again:" \
	    "make quickstart-clean" >&2
	exit 1
}
clean() {
	stop || not_gone
	if [ -z "$ROOTLESS" ] && { [ -d "$STATE" ] || [ -f "$Q/users" ]; }; then
		as_root "to remove $STATE and the workers' users" \
		    sh "$TOP/parent/quickstart-root.sh" clean "$STATE" "$RUN" \
		    "$Q/users" || not_gone
	fi
	# Sessions of a runner with user namespaces may hold directories that
	# are not writable.
	chmod -R u+rwX "$Q" 2>/dev/null
	rm -rf "$Q" "$O"
	say "gone: $Q, $O, $STATE, $RUN and the workers' users (packages stay)"
}
case ${1:-quickstart} in
quickstart)
	# What is here with root, and what is here without, are two: begun beside
	# each other, one of them would be forgotten.
	if [ -f "$Q/ports" ] && [ "$(saved rootless)" != "$ROOTLESS" ]; then
		printf 'quickstart: one %s root is here.  First: make %s\n' \
		    "$([ -n "$ROOTLESS" ] && echo with || echo without)" \
		    quickstart-clean >&2
		exit 1
	fi ;;
quickstart-stop) stop; exit ;;
quickstart-clean) clean; exit ;;
*) echo "usage: $0 quickstart|quickstart-stop|quickstart-clean" >&2; exit 2 ;;
esac

# Only mctl needs the model's key, and hands it to the server: it is in the
# environment of nothing that stays.
key=${ANTHROPIC_API_KEY:-}
unset ANTHROPIC_API_KEY

# ---- which agent -----------------------------------------------------------

claude=$(command -v claude 2>/dev/null)
if [ -n "${AGENT:-}" ]; then
	agent=$AGENT why="AGENT says so"
elif [ -n "$claude" ] && [ -n "$key" ]; then
	agent=claude why="claude is on your PATH and ANTHROPIC_API_KEY is set"
elif [ -n "$claude" ]; then
	agent=demo why="claude is here, but ANTHROPIC_API_KEY is not set"
else
	agent=demo why="there is no claude on your PATH; it needs no account"
fi

# ---- packages and build ----------------------------------------------------

started=$(date +%s)
step "Packages (Debian's; root is needed only if some are missing)"
make -s deps || die "the packages could not be installed" \
    "Install what is named above by hand, then: make quickstart"
step "Building"
: >"$O.log"
# Not by its whole name, in which may be a blank.
make -s -j"$(nproc)" O=build all >"$O.log" 2>&1 &
build=$!
while kill -0 $build 2>/dev/null; do
	[ -t 1 ] && printf '\r    %s files compiled' "$(grep -c '^cc' "$O.log")"
	sleep 0.5
done
wait $build || { tail -n 15 "$O.log" >&2; die "the build failed, see $O.log" \
    "Is this Debian 12?  make deps names what is needed."; }
[ -t 1 ] && printf '\r'
say "$(grep -c '^cc' "$O.log") files compiled into 10 programs"
rm -f "$O.log"

# ---- the server ------------------------------------------------------------

mkdir -p "$Q" && chmod 700 "$Q" || die "$Q cannot be made"
if is_running; then
	step "The server is running already (admin http://localhost:$ADMIN)"
elif is_starting; then
	. "$Q/ports"
	step "The server is starting already"
	wait_for 60 "the server" is_running ||
	    die "the server does not become ready"
else
	API=$(free_port 8080)
	ADMIN=$(free_port $((API >= 8081 ? API + 1 : 8081)))
	GRPC=$(free_port 9090)
	[ "$API" = 8080 ] || say "port 8080 is busy: $API instead"
	[ "$GRPC" = 9090 ] || say "port 9090 is busy: $GRPC instead"
	echo "$ROOTLESS" >"$Q/rootless"
	printf 'API=%s\nADMIN=%s\nGRPC=%s\n' "$API" "$ADMIN" "$GRPC" >"$Q/ports"
	[ -s "$Q/admin-password" ] ||
	    (umask 077; secret >"$Q/admin-password")
	hash=$(printf %s "$(saved admin-password)" | sha256sum | cut -d' ' -f1)
	cat >"$Q/marionette.conf" <<-CONF
	# Made by make quickstart.
	state directory "$STATE"
	run directory "$RUN"
	control group "$(id -gn)"
	listen api on localhost port $API plaintext
	listen admin on localhost port $ADMIN plaintext
	listen runner on localhost port $GRPC tls
	admin user "admin" password "sha256:$hash"
	CONF
	step "Starting the server with an embedded PostgreSQL"
	say "state in $STATE"
	if [ -n "$ROOTLESS" ]; then
		sh parent/quickstart-root.sh start "$STATE" "$RUN" "$O" \
		    "$Q/marionette.conf" ""
	else
		as_root "to make the workers' users and to start the parent" \
		    sh "$TOP/parent/quickstart-root.sh" start "$STATE" "$RUN" \
		    "$O" "$Q/marionette.conf" "$Q/users"
	fi || die "the server did not start"
	wait_for 60 "the server" "$MCTL" --socket "$RUN/control.sock" \
	    server health || die "the server does not become ready"
fi
say "REST http://localhost:$API   admin http://localhost:$ADMIN (user admin, password in .quickstart/admin-password)"

# ---- key and runner --------------------------------------------------------

step "API key and runner"
if ! [ -s "$Q/api-key" ] || ! "$MCTL" --server "http://localhost:$API" \
    --api-key-file "$Q/api-key" me >/dev/null 2>&1; then
	(umask 077; "$MCTL" --socket "$RUN/control.sock" -q admin keys create \
	    --name quickstart >"$Q/api-key" 2>"$Q/mctl.err") || {
		cat "$Q/mctl.err" >&2
		die "no API key could be made"
	}
fi
say "API key in .quickstart/api-key"
pid=$(saved agent.pid)
if ! pid_is "$pid" marionette-agen; then
	set -- --server "localhost:$GRPC" --state "$Q/agent" \
	    --name "$(uname -n)" --agent demo="$TOP/agent/demo/demo-agent"
	[ -z "$claude" ] || set -- "$@" --agent claude="$claude"
	# The token goes by descriptor; it is good for one runner, ten minutes.
	# It is there when it has enrolled.
	if ! [ -f "$Q/agent/runner.json" ]; then
		token=$("$MCTL" --socket "$RUN/control.sock" -q admin \
		    runner-tokens create --name quickstart --max-uses 1 \
		    --expires-in 10m 2>"$Q/mctl.err") || {
			cat "$Q/mctl.err" >&2
			die "no runner token could be made"
		}
		set -- "$@" --token-fd 3
	else
		token=
	fi
	printf '%s\n' "$token" >"$Q/token.$$"
	chmod 600 "$Q/token.$$"
	# Opened here: in the background it might be gone before it is.
	exec 3<"$Q/token.$$"
	rm -f "$Q/token.$$"
	setsid "$O/marionette-agent" "$@" >>"$Q/agent.log" 2>&1 </dev/null &
	echo $! >"$Q/agent.pid"
	exec 3<&-
fi
runner_is_up() {
	"$MCTL" --server "http://localhost:$API" --api-key-file "$Q/api-key" \
	    -o json runners list | grep -qE '"status": *"(idle|busy)"'
}
wait_for 30 "the runner" runner_is_up || die "the runner does not come online"
say "a runner on this machine is enrolled, over mutual TLS"

# ---- the task --------------------------------------------------------------

# A session that an earlier, broken-off run left would hold the only runner.
for s in $("$MCTL" --server "http://localhost:$API" --api-key-file \
    "$Q/api-key" -q sessions list --status active --status pending \
    --status resuming); do
	"$MCTL" --server "http://localhost:$API" --api-key-file "$Q/api-key" \
	    sessions suspend "$s" >/dev/null 2>&1
done

step "Running a task with the agent \"$agent\" ($why)"
prompt='Write hello.md: greet the reader in one line, and list what is in the workspace.'
say "prompt: $prompt"
[ "${YES:-}" != 1 ] || set -- --yes
[ "${YES:-}" = 1 ] || set --
if [ "$agent" = claude ] && [ -n "$key" ]; then
	ANTHROPIC_API_KEY=$key
	export ANTHROPIC_API_KEY
fi
MARIONETTE_API_URL=http://localhost:$API "$MCTL" --api-key-file "$Q/api-key" \
    run "$agent" "$prompt" --keep --name quickstart "$@"
rc=$?
unset ANTHROPIC_API_KEY key
case $rc in
0) ;;
4) say "you said no, so nothing was written; the agent was told" ;;
*) die "the task did not end well (status $rc)" ;;
esac
session=$("$MCTL" --server "http://localhost:$API" --api-key-file \
    "$Q/api-key" -q sessions list --status active | head -n 1)
file=$Q/agent/sessions/$session/workspace/hello.md
if [ -f "$file" ]; then
	step "The file that the agent wrote: ${file#"$TOP"/}"
	sed 's/^/    | /' "$file"
fi

# The runner is given back; files and conversation stay with the session.
[ -z "$session" ] || "$MCTL" --server "http://localhost:$API" \
    --api-key-file "$Q/api-key" sessions suspend "$session" >/dev/null

step "Done in $(($(date +%s) - started)) s.  Try next:"
cat <<NEXT
    export MARIONETTE_API_URL=http://localhost:$API MARIONETTE_ADMIN_URL=http://localhost:$ADMIN
    export MARIONETTE_API_KEY=\$(cat .quickstart/api-key)
    build/mctl run $agent "prompt"            the same again, in a new session
    build/mctl run --session ${session:-S} $agent "prompt"      go on in this one
    build/mctl sessions list                  sessions; tasks, permissions, runners too
    curl -s -H "Authorization: Bearer \$MARIONETTE_API_KEY" http://localhost:$API/api/v1/tasks
    man -l man/mctl.1
Stop it:        make quickstart-stop
Remove it all:  make quickstart-clean
NEXT
