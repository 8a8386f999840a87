#!/bin/sh
# The quickstart room: a plain user on a machine that has never seen the
# project, made with debootstrap: README's commands and nothing else.
# Needs root and the distribution's mirror.
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
if [ "$(id -u)" -ne 0 ]; then
	echo "ok 1 - quickstart # SKIP a bare Debian root is made by root"
	exit 0
fi
root=$(mktemp -d /var/tmp/mn-quickstart.XXXXXX) || exit 2
cleanup() {
	[ -n "$busy" ] && kill "$busy" 2>/dev/null
	umount -R "$root" 2>/dev/null
	rm -rf --one-file-system "$root"
}
chmod 755 "$root"
trap cleanup EXIT
trap 'exit 1' INT TERM
rc=0
ok() { echo "ok - quickstart $1"; }
bad() {
	echo "not ok - quickstart $1"
	rc=1
}
check() {	# name, command ...
	name=$1
	shift
	if "$@"; then ok "$name"; else bad "$name"; fi
}

# The mirror that this machine uses itself.
mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\(http[^ ]*\) bookworm main.*/\2/p; s/^URIs: \([^ ]*\).*/\1/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
debootstrap --variant=minbase --include=git,make,sudo,curl,ca-certificates \
    bookworm "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 || {
	tail -5 "$root.log"
	bad "debootstrap"
	exit 1
}
rm -f "$root.log"
cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/" 2>/dev/null
cp /etc/apt/sources.list "$root/etc/apt/" 2>/dev/null
cp -a /etc/apt/sources.list.d/. "$root/etc/apt/sources.list.d/" 2>/dev/null
cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null
chroot "$root" useradd -m -s /bin/sh visitor
echo 'visitor ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/visitor"
git clone -q "$top" "$root/home/visitor/marionette" &&
    chroot "$root" chown -R visitor: /home/visitor/marionette || exit 1

# A mount and a pid namespace whose root is that directory (not a chroot, in
# which no user namespaces could be made), then README's command as the user.
inside() {
	timeout -k 5 900 unshare --mount --pid --fork --kill-child \
	    --propagation private sh -ec '
		mount --bind "$1" "$1"
		cd "$1"
		mount -t proc proc proc
		mount --rbind /sys sys
		mount --rbind /dev dev
		mkdir -p .old
		pivot_root . .old
		umount -l /.old
		exec su - visitor -c "$2"
	' sh "$root" "$1"
}
env_of() { env | sed -n 's/^\(http_proxy\|https_proxy\|HTTP_PROXY\|HTTPS_PROXY\|no_proxy\)=\(.*\)/export \1="\2";/p' | tr '\n' ' '; }

out=$root/tmp/out
start=$(date +%s)
inside "$(env_of) cd marionette && YES=1 make quickstart; echo status \$?;
    echo; echo SECOND; YES=1 make quickstart; echo status \$?;
    echo CURL; . ./.quickstart/ports;
    build/mctl --server http://localhost:\$API --api-key-file .quickstart/api-key tasks list;
    build/mctl --socket /run/marionette-quickstart/control.sock server privsep;
    make quickstart-stop; echo stopped \$?;
    grep -hv ') Z ' /proc/[0-9]*/stat | cut -d' ' -f2 | sort -u |
	tr '\\n' ' '; echo PROCESSES;
    make quickstart-clean; echo cleaned \$?;
    ls -d .quickstart build /var/lib/marionette* /run/marionette* 2>/dev/null; grep ^_mn_ /etc/passwd;
    git status --porcelain; echo END" >"$out" 2>&1
took=$(($(date +%s) - start))
sed 's/^/# /' "$out"
echo "# $took s for two runs, stop and clean"

part() { sed -n "/$1/,/$2/p" "$out"; }
first() { sed '/^SECOND$/,$d' "$out"; }
check "ends well" sh -c "sed '/^SECOND\$/,\$d' '$out' | grep -qx 'status 0'"
check "writes and shows the agent's file" sh -c "grep -q '^    | # Hello' '$out'"
check "says which agent and why" grep -q 'agent "demo" (there is no claude on your PATH' "$out"
seconds=$(sed -n 's/^==> Done in \([0-9]*\) s.*/\1/p' "$out" | head -n 1)
# How many depends on the machine and what else it does: no matter for a test.
check "tells how long it took (${seconds:-never ended})" test -n "$seconds"
check "finds the running server the second time" \
    grep -q '^==> The server is running already' "$out"
check "runs twice" sh -c "sed '1,/^SECOND\$/d' '$out' | grep -qx 'status 0'"
check "jails nine processes" sh -c "[ \$(grep -c ' filter ' '$out') -eq 9 ]"
check "stops" grep -qx 'stopped 0' "$out"
check "leaves no process" sh -c "! grep PROCESSES '$out' | grep -qE 'marionet|postgres|frontd|storaged|sessiond'"
check "cleans" grep -qx 'cleaned 0' "$out"
check "leaves nothing behind" sh -c "! sed '1,/^cleaned/d; /^END/,\$d' '$out' | grep -q ."

# A person at the terminal, a busy port, and no.
python3 - 8080 <<'PY' &
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(5)
time.sleep(600)
PY
busy=$!
# What was typed before the question does not count, so it is waited for.
inside "cd marionette && (while ! grep -qs 'Allow Write' /tmp/tty; do sleep 0.2; done; echo y;
    while ! grep -qs 'Remove it all' /tmp/tty; do sleep 0.2; done) |
    script -qfec 'make quickstart' /tmp/tty >/dev/null 2>&1; cat /tmp/tty;
    echo; echo UNANSWERED; make quickstart </dev/null; echo status \$?;
    make quickstart-clean" >"$out" 2>&1
sed 's/^/# /' "$out"
check "takes the next port when 8080 is busy" grep -q 'port 8080 is busy: ' "$out"
check "asks at the terminal" grep -q '\[y\]es' "$out"
check "does what the person said" sh -c "sed '/^UNANSWERED/,\$d' '$out' | grep -q '| # Hello'"
check "without a terminal and YES nothing is approved" \
    sh -c "sed '1,/^UNANSWERED/d' '$out' | grep -q 'you said no'"
kill $busy
busy=

# By hand, as README shows.
inside "cd marionette && make -s deps && make -s -j2 && sudo make -s install users
    echo \"mk_\$(openssl rand -hex 32)\" | sudo install -m 600 /dev/stdin /etc/marionette/master.key
    sudo marionetted -n && echo CHECKED
    sudo sh -c 'marionetted >/tmp/marionetted.log 2>&1 &'
    until sudo mctl server health >/dev/null 2>&1; do sleep 0.2; done
    API_KEY=\$(sudo mctl -q admin keys create --name laptop)
    sudo mctl -q admin runner-tokens create >token
    marionette-agent --server localhost:9090 --state ~/.marionette-agent --token-file token >agent.log 2>&1 &
    export MARIONETTE_API_URL=http://localhost:8080 MARIONETTE_API_KEY=\$API_KEY
    until mctl runners list | grep -q idle; do sleep 0.2; done
    S=\$(mctl -q sessions create --agent demo)
    T=\$(mctl -q tasks create --session \$S --prompt 'By hand')
    until P=\$(mctl -q permissions list --status pending) && [ -n \"\$P\" ]; do sleep 0.2; done
    mctl permissions approve \$P
    mctl tasks logs \$T -f; echo logs \$?
    curl -s http://localhost:8080/api/v1/sessions -H \"Authorization: Bearer \$API_KEY\" \
      -H 'Content-Type: application/json' -d '{\"agent\":\"claude\",\"api_key\":\"sk-ant-...\"}' >s.json
    S2=\$(sed 's/.*\"id\" *: *\"\(sess_[^\"]*\)\".*/\1/' s.json)
    curl -s http://localhost:8080/api/v1/tasks -H \"Authorization: Bearer \$API_KEY\" \
      -H 'Content-Type: application/json' -d '{\"session_id\":\"'\$S2'\",\"prompt\":\"Build a REST API\"}' >t.json
    echo; cat s.json; echo; cat t.json; echo; cat /tmp/marionetted.log" >"$out" 2>&1
sed 's/^/# /' "$out"
check "by hand: the configuration is checked" grep -qx CHECKED "$out"
check "by hand: a task is approved and followed to its end" grep -qx 'logs 0' "$out"
check "by hand: README's first request" grep -q '"status" *: *"pending"' "$out"
check "by hand: README's second request" grep -q '"prompt" *: *"Build a REST API"' "$out"
exit $rc
