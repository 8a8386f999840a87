#!/bin/sh
# users.sh sysusers.conf - makes the users of a sysusers.d(5) file with useradd.
# Run as root; those that are there are left alone.
[ "$(id -u)" -eq 0 ] || { echo "users: root is needed" >&2; exit 1; }
rc=0
sed -n 's/^u \([^ ]*\) - "\(.*\)" \(.*\)$/\1|\2|\3/p' "$1" |
    while IFS='|' read -r user comment home; do
	getent passwd "$user" >/dev/null && continue
	useradd -r -U -M -d "${home%% *}" -s /usr/sbin/nologin -c "$comment" \
	    "$user" || rc=1
done
exit $rc
