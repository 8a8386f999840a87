#!/bin/sh
# users.sh sysusers.conf - makes the users of a sysusers.d(5) file with useradd.
# Run as root; those that are there are left alone.
[ "$(id -u)" -eq 0 ] || { echo "users: root is needed" >&2; exit 1; }
sed -n 's/^u \([^ ]*\) - "\(.*\)" \(.*\)$/\1|\2|\3/p' "$1" | {
	rc=0
	while IFS='|' read -r user comment home; do
		getent passwd "$user" >/dev/null && continue
		# A group of this name may have outlived its user.
		set -- -U
		getent group "$user" >/dev/null && set -- -g "$user"
		useradd -r "$@" -M -d "${home%% *}" -s /usr/sbin/nologin \
		    -c "$comment" "$user" || rc=1
	done
	# Of the pipe, which is the last that is done here.
	exit $rc
}
