#!/bin/sh
# scripts.sh - what an operator runs as root, begun twice, cut short, refused:
# parent/users.sh, deps.sh, quickstart.sh and quickstart-root.sh, install.mk and
# marionette.rc, with the programs that would change this machine in place of which
# small ones write down that they were called.  Prints what is wrong.
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
O=${O:-$top/build}
D=$(mktemp -d "${TMPDIR:-/tmp}/mn-scripts.XXXXXX") || exit 2
D=$(cd "$D" && pwd)
trap 'rm -rf "$D"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$D/bin" "$D/build"

# fake name line ...: a program of this name that does this.
fake() {
	name=$1
	shift
	{ echo '#!/bin/sh'; printf '%s\n' "$@"; } >"$D/bin/$name"
	chmod 755 "$D/bin/$name"
}
called() { cat "$D/calls" 2>/dev/null; }
begin() {
	rm -rf "$D/calls" "$D/s" "$D/r" "$D/users" "$D"/bin/*
	fake id 'echo 0'
	fake getent 'exit 2'
	fake useradd "echo useradd \"\$@\" >>'$D/calls'"
	fake userdel "echo userdel \"\$@\" >>'$D/calls'"
}
faked() { PATH=$D/bin:$PATH "$@"; }
# Until the command ends well, ten seconds at most.
await() {
	n=0
	until "$@"; do
		n=$((n + 1))
		[ $n -lt 100 ] || { echo "waited in vain: $*"; return 1; }
		sleep 0.1
	done
}

# ---- users.sh ----------------------------------------------------------------

users() {
	begin
	faked sh "$top/parent/users.sh" "$top/parent/etc/sysusers.conf" ||
	    echo "users.sh fails without a reason"
	[ "$(called | grep -c '^useradd .*-U .* _mn_')" -eq 8 ] ||
	    echo "users.sh does not make eight users"
	begin
	fake useradd 'case $* in *_front) exit 1 ;; esac'
	! faked sh "$top/parent/users.sh" "$top/parent/etc/sysusers.conf" ||
	    echo "users.sh ends well when useradd does not"
	# Its group may be there without it.
	begin
	fake getent '[ "$1 $2" = "group _mn_task" ]'
	faked sh "$top/parent/users.sh" "$top/parent/etc/sysusers.conf"
	called | grep -q '^useradd .*-g _mn_task .*-c .* _mn_task$' ||
	    echo "users.sh does not use a group that is there"
}

# ---- quickstart-root.sh --------------------------------------------------------

cat >"$D/build/marionetted" <<'E2'
#!/bin/sh
[ "$1" = -n ] && exit 0
echo $$ >>"${0%/*}/pids"
sleep 30 &
trap 'kill $!; exit 0' TERM
wait
E2
chmod 755 "$D/build/marionetted"
root() { faked sh "$top/parent/quickstart-root.sh" "$@"; }
start() {
	root start "$D/s" "$D/r" "$D/build" "$D/conf" "$D/users"
}

twice() {
	begin
	: >"$D/build/pids"
	start
	await [ -s "$D/build/pids" ]
	start
	root stop "$D/s" "$D/r"
	for pid in $(cat "$D/build/pids"); do
		grep -qs '^[0-9]* (marionetted) [^Z]' "/proc/$pid/stat" &&
		    kill "$pid" &&
		    echo "a server that was begun twice is not stopped"
	done
}

# users.sh goes on, of itself, when who called it is killed.
all_made() { [ "$(called | grep -c ^useradd)" -eq 8 ]; }
# Users that were made are gone again, however far it came.
made() {
	begin
	fake useradd "grep -c '' '$D/calls' 2>/dev/null | grep -qx 3 &&
	    kill -KILL \$(cat '$D/shell'); echo useradd \"\$@\" >>'$D/calls'"
	faked sh -c 'echo $$ >"$1/shell"; exec sh "$2" start "$1/s" "$1/r" \
	    "$1/build" "$1/conf" "$1/users"' sh "$D" \
	    "$top/parent/quickstart-root.sh" 2>/dev/null
	await all_made
	fake getent "grep -q \" \$2\\\$\" '$D/calls'"
	root clean "$D/s" "$D/r" "$D/users" >/dev/null
	for u in $(called | sed -n 's/^useradd.* //p'); do
		called | grep -qx "userdel $u" ||
		    echo "$u was made by a start that was killed, and stays"
	done
	called | grep -q ^useradd || echo "no user was made at all"
}

# ---- quickstart.sh ---------------------------------------------------------------

# A tree of its own; a root that says no.
tree() {
	rm -rf "$D/tree"
	mkdir -p "$D/tree/.quickstart" "$D/tree/build"
	cp -R "$top/parent" "$D/tree/"
	begin
	fake id 'echo 1000'
	fake sudo "echo sudo \"\$@\" >>'$D/calls'; exit 1"
	fake make "echo make \"\$@\" >>'$D/calls'"
}
quickstart() { faked sh "$D/tree/parent/quickstart.sh" "$@"; }

refused() {
	tree
	echo _mn_task >"$D/tree/.quickstart/users"
	! quickstart quickstart-clean >"$D/out" 2>&1 ||
	    echo "quickstart-clean ends well though root was refused"
	[ -s "$D/tree/.quickstart/users" ] ||
	    echo "quickstart-clean forgets which users it made"
	! grep -q gone: "$D/out" || echo "quickstart-clean says that all is gone"
}

# With root and without it: one must not lose the other.
modes() {
	tree
	echo 1 >"$D/tree/.quickstart/rootless"
	echo 'API=1 ADMIN=2 GRPC=3' >"$D/tree/.quickstart/ports"
	! quickstart quickstart >"$D/out" 2>&1 ||
	    echo "quickstart with root goes on where one without it is"
	grep -q 'quickstart-clean' "$D/out" && [ -z "$(called)" ] ||
	    echo "quickstart with root begins where one without it is"
	: >"$D/tree/.quickstart/rootless"
	! ROOTLESS=1 quickstart quickstart >"$D/out" 2>&1 ||
	    echo "quickstart without root goes on where one with it is"
	grep -q 'quickstart-clean' "$D/out" && [ -z "$(called)" ] ||
	    echo "quickstart without root begins where one with it is"
}

# Stopped is what is there, whatever is said now.
saved() {
	tree
	echo >"$D/tree/.quickstart/rootless"
	echo _mn_task >"$D/tree/.quickstart/users"
	ROOTLESS=1 quickstart quickstart-clean >/dev/null 2>&1
	called | grep -q '^sudo .* clean ' ||
	    echo "ROOTLESS=1 quickstart-clean forgets the one with root"
}

# A first one was cut short while the server began, and the agent enrolled.
cut() {
	tree
	mkdir -p "$D/tree/.quickstart/state" "$D/tree/.quickstart/agent/spool"
	echo 1 >"$D/tree/.quickstart/rootless"
	: >"$D/tree/.quickstart/marionette.conf"
	echo 'API=1 ADMIN=2 GRPC=3' >"$D/tree/.quickstart/ports"
	"$D/build/marionetted" &
	echo $! >"$D/tree/.quickstart/state/server.pid"
	fake ../tree/build/mctl "case \$* in *health) [ -e '$D/ready' ] ;; esac &&
	    echo '\"status\": \"idle\"'"
	fake ../tree/build/marionette-agent \
	    "echo agent \"\$@\" >>'$D/calls'; sleep 10"
	fake setsid "echo setsid >>'$D/calls'; exec /usr/bin/setsid \"\$@\""
	rm -f "$D/ready"
	ROOTLESS=1 YES=1 quickstart quickstart >"$D/out" 2>&1 &
	quick=$!
	await grep -q 'server' "$D/out"
	: >"$D/ready"
	wait $quick
	grep -qx 'API=1 ADMIN=2 GRPC=3' "$D/tree/.quickstart/ports" ||
	    echo "quickstart gives other ports to a server that is starting"
	[ "$(called | grep -c ^setsid)" -eq 1 ] ||
	    echo "quickstart begins a second server"
	called | grep -q '^agent .*--token-fd 3' ||
	    echo "quickstart gives no token to an agent that is not enrolled"
	kill $! $(cat "$D/tree/.quickstart/agent.pid" \
	    "$D/tree/.quickstart/state/server.pid") 2>/dev/null
}

# make knows no path with blanks.
blanks() {
	tree
	quickstart quickstart >/dev/null 2>&1
	called | grep -q "^make .*all" || echo "quickstart does not build"
	called | grep "^make .*O=/" | sed 's/^/quickstart builds with /'
}

# ---- deps.sh ------------------------------------------------------------------------

# What forbids all services to start is gone, however it ends.
deps() {
	[ "$(/usr/bin/id -u)" -eq 0 ] && unshare --mount true 2>/dev/null ||
	    return
	begin
	rm -rf "$D/sbin" "$D/etc"
	mkdir -p "$D/sbin" "$D/etc"
	fake dpkg-query 'exit 1'
	fake apt-get 'kill -TERM $PPID'
	faked unshare --mount --propagation private sh -c '
		mount --bind "$1/etc" /etc && mount --bind "$1/sbin" /usr/sbin &&
		    sh "$2/parent/deps.sh" nothing-of-this-name
	' sh "$D" "$top" >/dev/null 2>&1
	[ -e "$D/etc/postgresql-common" ] || echo "deps.sh did not begin"
	[ ! -e "$D/sbin/policy-rc.d" ] ||
	    echo "deps.sh was ended and left policy-rc.d"
}

# Who has put a package on hold has it.
held() {
	begin
	fake dpkg-query "echo 'hold ok installed'"
	fake apt-get "echo apt-get >>'$D/calls'; exit 1"
	fake tee :
	fake chmod :
	fake mkdir :
	fake rm :
	faked sh "$top/parent/deps.sh" libevent-dev >/dev/null 2>&1 &&
	    [ -z "$(called)" ] || echo "deps.sh wants a package that is on hold"
}

# ---- install.mk, marionette.rc ------------------------------------------------------

installed() {
	(cd "$top" && umask 077 && env -u MAKEFLAGS make -s -o all O="$O" \
	    DESTDIR="$D/a b" install) >/dev/null 2>&1
	for f in usr/local/sbin/marionetted usr/local/bin/mctl \
	    usr/local/libexec/marionette/frontd \
	    usr/local/share/man/man8/marionetted.8 \
	    etc/marionette/marionette.conf \
	    usr/lib/systemd/system/marionette.service; do
		[ -f "$D/a b/$f" ] || echo "DESTDIR with a blank: no $f"
	done
	[ ! -e "$D/a" ] || echo "DESTDIR with a blank is cut"
	find "$D/a b/usr" -type d ! -perm -755 -printf 'with umask 077: %p %m\n'
}

# A pid that is another's by now is let be.
rc() {
	command -v start-stop-daemon >/dev/null || return
	sed "s|@PREFIX@|/usr/local|; s|^pidfile=.*|pidfile=$D/pid|" \
	    "$top/parent/etc/marionette.rc" >"$D/rc"
	sleep 60 &
	pid=$!
	echo "$pid" >"$D/pid"
	! sh "$D/rc" status || echo "marionette.rc: a stranger is the server"
	sh "$D/rc" stop >/dev/null 2>&1
	kill "$pid" 2>/dev/null || echo "marionette.rc stops a stranger"
	wait "$pid" 2>/dev/null
}

for t in ${*:-users twice made refused modes saved cut blanks deps held installed rc}; do
	$t 2>&1
done
