#!/bin/sh
# marionette-agent alone, against an independent gRPC server; TAP on stdout.
set -eu
AGENT=${AGENT:-${O:-build}/marionette-agent}
export AGENT
regress/install.sh regress
exec node --test --test-concurrency=1 --test-reporter=tap regress/agent/*.test.mjs
