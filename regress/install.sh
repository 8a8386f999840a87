#!/bin/sh
# Installs the npm packages that the tests use, exactly as locked, in the given
# directory (default: this one).  Quick when nothing changed.  Fails with npm's
# own words, and then nothing is marked as installed.
set -eu

dir=$(cd "${1:-$(dirname "$0")}" && pwd)
command -v npm >/dev/null || {
	echo "install.sh: npm is not installed; apt-get install -y nodejs npm" >&2
	exit 1
}
cd "$dir"
exec 9<package.json
flock 9
want=$(cat package.json package-lock.json .npmrc | sha256sum)
stamp=node_modules/.installed
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
	exit 0
fi
if ! out=$(npm ci 2>&1); then
	printf '%s\n' "$out" >&2
	echo "install.sh: npm ci failed in $dir" >&2
	exit 1
fi
printf '%s\n' "$want" >"$stamp"
