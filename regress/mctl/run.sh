#!/bin/sh
# mctl against a small server that fails on demand; TAP on stdout.
exec env MCTL="${MCTL:-${O:-build}/mctl}" \
    node --test --test-reporter=tap regress/mctl/*.test.mjs
