#!/bin/bash
# Claude Code from PATH, with a copy of all that each start of it prints in a
# file of its own, named by the time, in its HOME.
set -o pipefail
claude "$@" | tee "$HOME/printed.$(date +%s%N)"
