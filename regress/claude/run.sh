#!/bin/sh
# The room of the real Claude Code: the test kit by itself, then the facts.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
"$here/../install.sh"
status=0
NODE_NO_WARNINGS=1 node --test --test-reporter=tap \
    "$here/../lib/kit.test.mjs" || status=1
"$here/facts.sh" || status=1
exit $status
