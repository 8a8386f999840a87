# GET /sessions/{id} as fast as it goes, and nginx with a file of that size
READS=${READS:-40000}

# name url h2load options ...: requests a second
reads() {
	name=$1 url=$2
	shift 2
	h2load -n "$READS" -c 32 "$@" \
	    -H "authorization: Bearer $MARIONETTE_API_KEY" "$url" \
	    >"$D/h2load" 2>&1 || :
	grep -q " $READS succeeded, 0 failed, 0 errored" "$D/h2load" &&
	    grep -q "status codes: $READS 2xx" "$D/h2load" ||
	    { rc=1; put failed 1; cat "$D/h2load" >&2; }
	put "$name" "$(sed -n 's/^finished in.*, \([0-9.]*\) req.*/\1/p' \
	    "$D/h2load")"
}

nginx_start() {
	mkdir -p "$D/www"
	curl -s --cacert "$D/ca.crt" -o "$D/www/session" \
	    -H "authorization: Bearer $MARIONETTE_API_KEY" "$1"
	chmod 755 "$D/www"
	cat >"$D/nginx.conf" <<-END
	daemon off;
	worker_processes 1;
	pid $D/nginx.pid;
	error_log $D/nginx.log;
	events { worker_connections 1024; }
	http {
		access_log off;
		sendfile on;
		tcp_nopush on;
		keepalive_requests 1000000;
		open_file_cache max=100;
		default_type application/json;
		server {
			listen 127.0.0.1:9443 ssl http2;
			ssl_certificate $D/server.crt;
			ssl_certificate_key $D/server.key;
			root $D/www;
		}
	}
	END
	nginx -c "$D/nginx.conf" &
	beside=$!
	n=0
	until curl -s --cacert "$D/ca.crt" -o "$D/nginx.out" \
	    https://localhost:9443/session; do
		n=$((n + 1))
		[ $n -lt 100 ] || die "nginx does not start"
		sleep 0.1
	done
}

measure() {
	id=$(mctl -q sessions create --agent custom:nobody)
	url=https://localhost:8443/api/v1/sessions/$id
	reads h1 "$url" --h1
	reads h2 "$url" -m 4
	nginx_start "$url"
	reads nginx_h1 https://localhost:9443/session --h1
	reads nginx_h2 https://localhost:9443/session -m 4
	beside_end || :
	mctl -q sessions terminate "$id" >/dev/null
}

table() {
	for h in h1 h2; do
		line "GET /sessions/{id}, TLS, $h, 32 connections" "12000 /s" \
		    "$(with "$(median $h)" 0 /s)"
		line "nginx, one worker, a file of that size, $h" \
		    "up to 3 times" "$(with "$(median nginx_$h)" 0 /s) $(ours \
		    read $h "$(median nginx_$h)")"
	done
}
