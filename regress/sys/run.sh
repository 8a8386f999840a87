#!/bin/sh
# The room of the whole system: a private server and its agents for each file,
# in a namespace that has loopback alone, two files at once.  `run.sh file ...'
# runs some of it; SYS_WITHOUT names some that are left out.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
O=${O:-$top/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
"$here/../install.sh"
CLAUDE=${CLAUDE:-$("$here/../claude/install.sh")}
export O CLAUDE
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# The long ones first, so that the lanes end together.
[ $# -gt 0 ] || set -- $(ls -S "$here"/crash.test.mjs "$here"/main.test.mjs \
    "$here"/badinput.test.mjs "$here"/canary.test.mjs) \
    $(ls "$here"/*.test.mjs | grep -vE '/(crash|main|badinput|canary)\.test')
for f; do
	shift
	case " ${SYS_WITHOUT:-} " in
	*" $(basename "$f" .test.mjs) "*) ;;
	*) set -- "$@" "$f" ;;
	esac
done
printf '%s\n' "$@" | out=$out here=$here xargs -P 2 -n 1 sh -c '
	name=${1##*/}
	start=$(date +%s)
	"$here/../lib/netns.sh" timeout -k 10 600 node --test \
	    --test-reporter=tap "$1" >"$out/$name" 2>&1 ||
	    touch "$out/failed"
	{ echo "# $name: $(($(date +%s) - start)) s"; cat "$out/$name"; } \
	    >"$out/whole.$name"
	cat "$out/whole.$name"' sh
[ ! -e "$out/failed" ]
