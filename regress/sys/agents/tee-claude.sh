#!/bin/bash
# Claude Code from PATH, with a copy of all that it prints in its HOME.
set -o pipefail
claude "$@" | tee -a "$HOME/printed"
