#!/bin/sh
# Every row of frontd's route table is in openapi.yaml, and everything there is
# a row; every reference points somewhere; operationIds are different; the page
# shows all of it.  Environment: O, the object directory.
set -u

cd "$(dirname "$0")/../.." || exit 1
O=${O:-build}
make -s "O=$O" "$O/regress/routes" >&2 || { echo "not ok - routes"; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM
y=frontd/openapi.yaml
status=0

same() {
	if diff "$dir/$2" "$dir/$3" > "$dir/diff"; then
		echo "ok - openapi: $1"
	else
		sed 's/^/# /' "$dir/diff"
		echo "not ok - openapi: $1"
		status=1
	fi
}

"$O/regress/routes" | sort > "$dir/rows"
awk '/^[a-z]/ { in_paths = $1 == "paths:" }
    in_paths && /^  \// { path = $1; sub(/:$/, "", path) }
    in_paths && /^    (get|put|post|patch|delete):/ {
	m = toupper($1); sub(/:/, "", m); print m, path }' $y |
    sort > "$dir/paths"
same "routes (<) and paths (>) are the same" rows paths

grep -o "'#/components/[A-Za-z]*/[A-Za-z]*'" $y | tr -d "'" | sort -u |
    cut -d/ -f3,4 > "$dir/refs"
awk '/^[a-z]/ { c = $1 == "components:" }
    c && /^  [a-zA-Z]+:$/ { g = $1; sub(/:/, "", g) }
    c && /^    [A-Za-z]+:/ { n = $1; sub(/:.*/, "", n); print g "/" n }' $y |
    sort -u > "$dir/defs"
comm -23 "$dir/refs" "$dir/defs" > "$dir/missing"
: > "$dir/none"
same "every reference points somewhere" none missing

sed -n 's/^ *operationId: //p' $y | sort | uniq -d > "$dir/twice"
same "no operationId is there twice" none twice

awk -f frontd/docs.awk $y > "$dir/docs.html"
sed -n 's/^<h3 id="[A-Z]*-[^"]*"><code>\([A-Z]* [^<]*\).*/\1/p' \
    "$dir/docs.html" | sort > "$dir/shown"
same "the page shows every route" paths shown
grep -oE 'src=|https?://[^" <]*' "$dir/docs.html" |
    grep -vE '^https?://(localhost|\?)' > "$dir/foreign"
same "the page needs nothing from elsewhere" none foreign
exit $status
