#!/bin/sh
# deps.sh package ... - installs what is missing of the distribution's packages,
# once; asks for root only when something is missing.
missing=
for p in "$@"; do
	dpkg-query -W -f '${Status}\n' "$p" 2>/dev/null |
	    grep -q ' ok installed$' || missing="$missing $p"
done
# A node and npm that came another way do as well.
for p in nodejs npm; do
	case $p in nodejs) cmd=node ;; *) cmd=$p ;; esac
	command -v $cmd >/dev/null &&
	    missing=$(echo " $missing " | sed "s/ $p / /")
done
missing=$(echo $missing)
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || {
	echo "deps: not a Debian system; these packages or their like are" \
	    "needed: $missing" >&2
	exit 1
}
as_root=
if [ "$(id -u)" -ne 0 ]; then
	echo "deps: root is needed to install: $missing"
	if command -v sudo >/dev/null; then
		as_root=sudo
	else
		exec su -c "sh '$0' $missing" root
	fi
fi
echo "deps: installing $missing"
# The embedded PostgreSQL wants the programs, not the distribution's cluster.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	$as_root mkdir -p /etc/postgresql-common
	echo 'create_main_cluster = false' |
	    $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
# Nor are services wanted, only their programs: nothing is started.
policy=/usr/sbin/policy-rc.d ours='# marionette: until apt-get has ended'
if [ ! -e $policy ] || grep -qxF "$ours" $policy; then
	# Before it is there: it must not stay, or no service of this machine
	# would be started any more.
	trap '$as_root rm -f $policy' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\n%s\nexit 101\n' "$ours" |
	    $as_root tee $policy >/dev/null
	$as_root chmod 755 $policy
fi
log=$(mktemp)
{ $as_root apt-get update -q &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
    --no-install-recommends -o Dpkg::Options::=--force-confold $missing
} >"$log" 2>&1 || {
	tail -20 "$log" >&2
	echo "deps: apt-get failed, see above and $log" >&2
	exit 1
}
rm -f "$log"
