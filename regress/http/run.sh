#!/bin/sh
# Tests of frontd.  Its engine alone: raw bytes in, exact reply out; smuggling;
# HTTP/2; gRPC, WebSocket and SSE with clients not written here; limits and
# timeouts.  Its API half against owners that tell what they heard.
# Environment: O, the object directory, where make regress-programs made them.  Prints `ok' and `not ok' lines; the exit status says
# whether all were ok.
set -eu

cd "$(dirname "$0")/../.."
O=${O:-build}
engine=$O/regress/engine_test
for p in "$engine" "$O/regress/world" "$O/regress/routes" "$O/frontd"; do
	[ -x "$p" ] || make -s "O=$O" "$p" >&2
done
sh regress/install.sh >&2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
sh regress/http/certs.sh "$dir"

# What is freed stays where it is in a sanitizer's memory: nothing to look for.
build=plain
grep -q __asan_init "$engine" && build=san
status=0
for t in regress/http/*.test.mjs; do
	O=$O MN_BUILD=$build ENGINE=$engine DIR=$dir node "$t" || status=1
done
exit $status
