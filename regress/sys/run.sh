#!/bin/sh
# The room of the whole system: a private server and its agents for each file,
# in a namespace that has loopback alone.  `run.sh file ...' runs some of it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
O=${O:-$top/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
"$here/../install.sh"
CLAUDE=${CLAUDE:-$("$here/../claude/install.sh")}
export O CLAUDE
status=0
[ $# -gt 0 ] || set -- "$here"/*.test.mjs
for f in "$@"; do
	echo "# ${f##*/}"
	"$here/../lib/netns.sh" node --test --test-reporter=tap "$f" ||
	    status=1
done
exit $status
