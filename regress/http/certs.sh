#!/bin/sh
# A CA, a server certificate for localhost, a client's, one that has expired and
# a stranger's, in directory $1.
set -eu
cd "$1"
curve="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086
{
	openssl req -x509 $curve -keyout ca.key -out ca.crt -days 2 \
	    -subj /CN=test-ca
	for who in server client; do
		openssl req $curve -keyout $who.key -out $who.csr \
		    -subj /CN=$who
		printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >ext
		openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key \
		    -CAcreateserial -days 2 -extfile ext -out $who.crt
	done
	openssl req $curve -keyout expired.key -out expired.csr -subj /CN=client
	openssl x509 -req -in expired.csr -CA ca.crt -CAkey ca.key \
	    -days -1 -out expired.crt
	openssl req -x509 $curve -keyout other.key -out other.crt -days 2 \
	    -subj /CN=other
} >certs.log 2>&1 || { cat certs.log >&2; exit 1; }
