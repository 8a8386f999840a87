#!/bin/sh
# Tests of frontd's engine alone: raw bytes in, exact reply out; smuggling;
# HTTP/2; gRPC, WebSocket and SSE with clients not written here; limits and
# timeouts.  Environment: O, the object directory.  Prints `ok' and `not ok'
# lines; the exit status says whether all were ok.
set -eu

cd "$(dirname "$0")/../.."
O=${O:-build}
make -s "O=$O" "$O/engine_test" >&2
sh regress/install.sh >&2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
sh regress/http/certs.sh "$dir"

status=0
for t in regress/http/*.test.mjs; do
	MN_BUILD=${SAN:+san} ENGINE="$O/engine_test" DIR="$dir" node "$t" ||
	    status=1
done
exit $status
