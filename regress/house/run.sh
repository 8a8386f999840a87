#!/bin/sh
# The house room: what keeps the walls where they are drawn.
cd "$(dirname "$0")/../.." || exit 2
O=${O:-build}
rc=0
check() {	# name, then a command whose output is the complaint
	name=$1
	shift
	out=$("$@" 2>&1)
	if [ -z "$out" ]; then
		echo "ok - house $name"
	else
		printf '%s\n' "$out" | sed 's/^/# /'
		echo "not ok - house $name"
		rc=1
	fi
}

# imsg/*.h include only system headers and each other; X/*.h only in X/.
includes() {
	for f in imsg/*.h */*.c */*.h; do
		dir=${f%%/*}
		case $dir in regress|build*) continue ;; esac
		sed -n 's/^#include "\(.*\)"$/\1/p' "$f" | while read -r h; do
			[ -f "imsg/$h" ] && continue
			[ "$dir" != imsg ] && [ -f "$dir/$h" ] && continue
			case $h in
			messages.h) [ "$dir" = imsg ] && continue ;;
			worker_msg.h) [ "$f" = imsg/worker.c ] && continue ;;
			"${dir}_msg.h") continue ;;
			runner.pb-c.h)
				case $dir in runnerd|agent) continue ;; esac ;;
			esac
			echo "$f includes $h"
		done
	done
}

# One file, one noun: 600 lines at most; a folder's header 150.
sizes() {
	wc -l */*.[chy] */*.sh storaged/sql/*.sql 2>/dev/null |
	    awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines" }'
	for d in parent sessiond taskd runnerd tunneld providerd storaged; do
		[ -f "$d/$d.h" ] && awk -v f="$d/$d.h" 'END {
			if (NR > 150) print f ": " NR " lines" }' "$d/$d.h"
	done
}

# Needed libraries, an allow list per program (promise 24).
common="libevent_core-2.1 libseccomp libcap libsodium libbsd libc"
libraries_of() {
	case $1 in
	frontd) echo "libtls libnghttp2 libwslay libjansson" ;;
	runnerd) echo libprotobuf-c ;;
	providerd) echo libcrypto ;;
	storaged) echo libpq ;;
	marionette-agent) echo "libtls libcrypto libnghttp2 libprotobuf-c libjansson" ;;
	mctl) echo "libcurl libjansson" ;;
	esac
}
links() {
	for p in marionetted sessiond taskd runnerd tunneld providerd storaged \
	    frontd marionette-agent mctl; do
		[ -x "$O/$p" ] || { echo "$p is not built"; continue; }
		allowed=" $common $(libraries_of $p) "
		readelf -d "$O/$p" |
		    sed -n 's/.*NEEDED.*\[\(.*\)\.so.*/\1/p' |
		    while read -r lib; do
			case $allowed in
			*" $lib "*) ;;
			*) echo "$p needs $lib" ;;
			esac
		done
	done
}

# Symbols no jailed worker may import.
imports() {	# program, extended regular expression
	nm -D --undefined-only "$O/$1" |
	    awk '{ sub(/@.*/, "", $2); print $2 }' | grep -Ex "$2" |
	    sed "s/^/$1 imports /"
}
symbols() {
	for p in taskd sessiond runnerd tunneld; do
		never="socket|connect|bind|open|openat|fopen|execve|execv|execvp|posix_spawn|ptrace|system|popen"
		imports $p "$never"
	done
	for p in taskd runnerd tunneld providerd frontd storaged; do
		imports $p "bind|listen|execve|execv|execvp|posix_spawn|ptrace|system|popen|fork|vfork"
	done
	for p in taskd sessiond runnerd tunneld frontd storaged; do
		imports $p "crypto_(secretbox|box|aead|secretstream).*|EVP_(Encrypt|Decrypt|Seal|Open|AEAD).*"
	done
	for p in taskd sessiond runnerd tunneld providerd storaged; do
		imports $p "tls_.*|SSL_.*|nghttp2_.*"
	done
	for p in taskd sessiond runnerd tunneld providerd frontd; do
		imports $p "PQ.*"
	done
}

# Every message, option and route that exists is in a manual page.
words() {
	for o in $(sed -n 's/.*case .\([a-z]\).:$/\1/p' parent/main.c); do
		grep -q "^.It Fl $o" man/marionetted.8 ||
		    echo "marionetted -$o is not in marionetted.8"
	done
	grep -o '{ "[a-z]*", [A-Z_]* }' parent/parse.y | cut -d'"' -f2 |
	    while read -r k; do
		grep -qw "$k" man/marionette.conf.5 ||
		    echo "$k is not in marionette.conf.5"
	done
	# Every statement across tenants is named where operators read of it.
	awk '/^[A-Z]/ && / system/ { print $1 }' imsg/messages.master |
	    while read -r m; do
		grep -qw "$m" man/marionette-security.7 ||
		    echo "$m crosses tenants and is not in marionette-security.7"
	done
}
manuals() {
	for m in man/*.[1-9]; do
		mandoc -Tlint -Wstyle "$m" 2>&1 |
		    grep -vE 'referenced manual not found|outdated mandoc.db'
	done
}
shell() {
	for f in $(git ls-files '*.sh' '.ci/run' 2>/dev/null); do
		sh -n "$f" 2>&1
	done
}
# Each planted fault of the chaos room fits the tree as it is.
faults() {
	for f in regress/chaos/faults/*.patch; do
		git apply --check "$f" 2>&1
	done
}
# Each claim of the chaos room breaks when it should, and only then.
books() {
	told=$(node --test --test-reporter=tap \
	    regress/chaos/compare.test.mjs \
	    regress/chaos/points_book.test.mjs 2>&1) || printf '%s\n' "$told"
}
# What an operator runs as root.
scripts() {
	O=$O sh regress/house/scripts.sh
}
names() {
	git grep -nE '/work/|\.library|farm-(bench|studio)' -- . \
	    ':!regress/house/run.sh' 2>/dev/null
}

check includes includes
check sizes sizes
check words words
check manuals manuals
check shell shell
check faults faults
check books books
check scripts scripts
check "nothing of the workplace" names
# The sanitizers' run time imports what it likes.
case $(nm -D "$O/taskd" 2>/dev/null) in
*__asan_init*) ;;
*)	check links links
	check symbols symbols ;;
esac
exit $rc
