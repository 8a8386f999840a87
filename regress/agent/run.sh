#!/bin/sh
# marionette-agent against an independent gRPC server, then with the real
# Claude Code in a namespace that has loopback alone; TAP on stdout.
set -eu
AGENT=${AGENT:-${O:-build}/marionette-agent}
case $AGENT in /*) ;; *) AGENT=$PWD/$AGENT ;; esac
regress/install.sh regress
CLAUDE=${CLAUDE:-$(regress/claude/install.sh)}
export AGENT CLAUDE
exec regress/lib/netns.sh node --test --test-concurrency=1 \
    --test-reporter=tap regress/agent/*.test.mjs
