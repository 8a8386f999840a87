#!/bin/sh
# Runs a command in a network namespace that has loopback alone: a test inside
# cannot reach, or be helped by, the world; what it mounts nobody else sees, and
# it goes with the last process.  As root, or with user namespaces as anybody.
# Usage: netns.sh command [argument ...]
set -eu

[ $# -gt 0 ] || { echo "usage: netns.sh command [argument ...]" >&2; exit 2; }
if [ "$(id -u)" -eq 0 ]; then
	set -- unshare -nm sh -c 'ip link set lo up && exec "$@"' sh "$@"
else
	set -- unshare -rnm sh -c 'ip link set lo up && exec "$@"' sh "$@"
fi
exec "$@"
