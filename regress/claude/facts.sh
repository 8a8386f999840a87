#!/bin/sh
# The facts about the real Claude Code that the agent's driver is built on, in
# a namespace that has loopback alone.  When a new version of it fails here,
# the driver is wrong before any user is.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
CLAUDE=${CLAUDE:-$("$here/install.sh")}
export CLAUDE
exec "$here/../lib/netns.sh" node --test --test-reporter=tap \
    "$here/facts.test.mjs"
