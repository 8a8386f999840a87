#!/bin/sh
# Claude Code from PATH, whose model is the scripted one even where the session
# names none.  No variable of the runner but PATH reaches an agent, so the port
# stands there, as a directory /model-at/PORT.
port=$(printf '%s\n' "$PATH" | tr : '\n' | sed -n 's|^/model-at/||p')
: "${ANTHROPIC_BASE_URL:=http://127.0.0.1:$port}"
export ANTHROPIC_BASE_URL
exec claude "$@"
