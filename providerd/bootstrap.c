/*
 * bootstrap.c - `providerd -I DIR -H name[,name]', run once by the parent as
 * root before anything else: makes what is missing in DIR.  The encryption key
 * and the CA are never made twice; the runner listener's certificate is made
 * again when it has less than 30 days left, is not valid yet, or has other
 * names or another CA.  Files are written beside their place, synced and
 * renamed.  Exit 0, or BOOTSTRAP_NEW_LEAF when that certificate was made, or 1
 * and a line.
 */
#include <arpa/inet.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "providerd.h"

#define CA_DAYS		3650
#define LEAF_DAYS	365
#define LEAF_RENEW	(30 * 86400)
#define NAMES_MAX	2048

static const char	*dir;
static char		 no_passphrase[] = "";	/* so that none is asked for */
static EVP_PKEY		*ca_pkey, *leaf_pkey;
static X509		*ca, *leaf;

static int
failed(const char *what, const char *why)
{
	fprintf(stderr, "providerd: %s/%s: %s\n", dir, what, why);
	return (-1);
}

static int
path_of(char out[1024], const char *name, const char *suffix)
{
	if (snprintf(out, 1024, "%s/%s%s", dir, name, suffix) >= 1024)
		return (failed(name, "the path is too long"));
	return (0);
}

/* 1 there, 0 not, -1 told. */
static int
is_there(const char *name)
{
	struct stat	 st;
	char		 path[1024];

	if (path_of(path, name, "") == -1)
		return (-1);
	if (stat(path, &st) == 0)
		return (1);
	return (errno == ENOENT ? 0 : failed(name, strerror(errno)));
}

static int
write_file(const char *name, const void *buf, size_t len, mode_t mode)
{
	char	 path[1024], tmp[1024];
	int	 fd, d;

	if (path_of(path, name, "") == -1 || path_of(tmp, name, ".new") == -1)
		return (-1);
	if ((fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW |
	    O_CLOEXEC, mode)) == -1)
		return (failed(name, strerror(errno)));
	if (fchmod(fd, mode) == -1 || write(fd, buf, len) != (ssize_t)len ||
	    fsync(fd) == -1 || rename(tmp, path) == -1) {
		failed(name, strerror(errno));
		close(fd);
		unlink(tmp);
		return (-1);
	}
	close(fd);
	if ((d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1 ||
	    fsync(d) == -1)
		failed(name, strerror(errno));
	if (d != -1)
		close(d);
	return (0);
}

static FILE *
open_file(const char *name)
{
	char	 path[1024];

	return (path_of(path, name, "") == -1 ? NULL : fopen(path, "re"));
}

static EVP_PKEY *
read_key(const char *name)
{
	EVP_PKEY	*key;
	FILE		*f;

	if ((f = open_file(name)) == NULL)
		return (NULL);
	setvbuf(f, NULL, _IONBF, 0);	/* no copy left in stdio's buffer */
	key = PEM_read_PrivateKey(f, NULL, NULL, no_passphrase);
	fclose(f);
	if (cert_key_is_fit(key))
		return (key);
	EVP_PKEY_free(key);
	return (NULL);
}

static X509 *
read_certificate(const char *name)
{
	X509	*x;
	FILE	*f;

	if ((f = open_file(name)) == NULL)
		return (NULL);
	x = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	return (x);
}

static EVP_PKEY *
make_key(const char *name)
{
	EVP_PKEY	*key;
	BIO		*bio;
	char		*pem;
	long		 n;

	if ((key = EVP_EC_gen("P-256")) == NULL ||
	    (bio = BIO_new(BIO_s_secmem())) == NULL) {
		failed(name, "libcrypto");
		return (NULL);
	}
	if (PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL,
	    NULL) != 1 || (n = BIO_get_mem_data(bio, &pem)) <= 0 ||
	    write_file(name, pem, (size_t)n, 0600) == -1) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	BIO_free(bio);
	return (key);
}

static int
write_certificate(const char *name, X509 *x)
{
	char	*pem;
	BIO	*bio;
	long	 n;
	int	 rc = -1;

	if (x != NULL && (bio = BIO_new(BIO_s_mem())) != NULL) {
		if (PEM_write_bio_X509(bio, x) == 1 &&
		    (n = BIO_get_mem_data(bio, &pem)) > 0)
			rc = write_file(name, pem, (size_t)n, 0644);
		BIO_free(bio);
	} else
		failed(name, "the certificate could not be made");
	return (rc);
}

static int
make_encryption_key(void)
{
	uint8_t	 key[32];
	int	 there, rc;

	if ((there = is_there("encryption-key")) != 0)
		return (there == 1 ? 0 : -1);
	randombytes_buf(key, sizeof(key));
	rc = write_file("encryption-key", key, sizeof(key), 0600);
	sodium_memzero(key, sizeof(key));
	return (rc);
}

/*
 * A certificate without its key is never replaced: every enrolled runner
 * pins it.  A key without its certificate is a first start cut short.
 */
static int
make_ca(void)
{
	struct cert_want	 w = { 0 };
	int			 have_key, have_cert;

	if ((have_key = is_there("ca.key")) == -1 ||
	    (have_cert = is_there("ca.crt")) == -1)
		return (-1);
	if (have_cert && !have_key)
		return (failed("ca.key", "missing, while ca.crt is there; "
		    "restore it, or remove ca.crt and enrol every runner "
		    "again"));
	ca_pkey = have_key ? read_key("ca.key") : make_key("ca.key");
	if (ca_pkey == NULL)
		return (have_key ? failed("ca.key", "is no Ed25519 or P-256 "
		    "key in PEM") : -1);
	if (have_cert) {
		if ((ca = read_certificate("ca.crt")) == NULL ||
		    X509_check_private_key(ca, ca_pkey) != 1)
			return (failed("ca.crt", "does not belong to ca.key"));
		return (0);
	}
	w.cn = "Marionette CA";
	w.pkey = ca_pkey;
	w.days = CA_DAYS;
	ca = cert_make(&w);
	return (write_certificate("ca.crt", ca));
}

/* "a,10.0.0.1" to "DNS:a,IP:10.0.0.1"; only what a host's name may have. */
static int
alt_names(char out[NAMES_MAX], const char *hosts)
{
	struct in6_addr	 addr;
	char		 name[256];
	size_t		 n;
	int		 ip;

	out[0] = '\0';
	while (*hosts != '\0') {
		n = strcspn(hosts, ",");
		if (n == 0 || n >= sizeof(name) || strspn(hosts,
		    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "0123456789-_.:*") < n)
			return (failed("runner.crt", "-H: not a list of host "
			    "names and addresses"));
		memcpy(name, hosts, n);
		name[n] = '\0';
		ip = inet_pton(AF_INET, name, &addr) == 1 ||
		    inet_pton(AF_INET6, name, &addr) == 1;
		if ((out[0] != '\0' && strlcat(out, ",", NAMES_MAX) >=
		    NAMES_MAX) || strlcat(out, ip ? "IP:" : "DNS:",
		    NAMES_MAX) >= NAMES_MAX || strlcat(out, name,
		    NAMES_MAX) >= NAMES_MAX)
			return (failed("runner.crt", "-H: too many names"));
		hosts += n;
		hosts += *hosts == ',';
	}
	return (out[0] == '\0' ? failed("runner.crt", "-H: no name") : 0);
}

static int
same_names(X509 *a, X509 *b)
{
	X509_EXTENSION	*x, *y;
	int		 i, k;

	i = X509_get_ext_by_NID(a, NID_subject_alt_name, -1);
	k = X509_get_ext_by_NID(b, NID_subject_alt_name, -1);
	if (i < 0 || k < 0)
		return (0);
	x = X509_get_ext(a, i);
	y = X509_get_ext(b, k);
	return (ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(x),
	    X509_EXTENSION_get_data(y)) == 0);
}

/* The certificate that is there serves as well as the new one. */
static int
leaf_is_fit(X509 *old, X509 *fresh)
{
	time_t	 soon = time(NULL) + LEAF_RENEW;

	/* One that is not valid yet was made by a clock that was ahead. */
	return (old != NULL && X509_check_private_key(old, leaf_pkey) == 1 &&
	    X509_verify(old, ca_pkey) == 1 && same_names(old, fresh) &&
	    X509_cmp_time(X509_get0_notBefore(old), NULL) < 0 &&
	    X509_cmp_time(X509_get0_notAfter(old), &soon) > 0);
}

/* 1 when the certificate that is there would not do and is another now. */
static int
make_leaf(const char *hosts)
{
	struct cert_want	 w = { 0 };
	char			 names[NAMES_MAX];
	X509			*old;
	int			 rc = 0;

	if (alt_names(names, hosts) == -1)
		return (-1);
	if ((leaf_pkey = read_key("runner.key")) == NULL &&
	    (leaf_pkey = make_key("runner.key")) == NULL)
		return (-1);
	w.cn = "Marionette runner listener";
	w.pkey = leaf_pkey;
	w.issuer = ca;
	w.issuer_key = ca_pkey;
	w.usage = "serverAuth";
	w.names = names;
	w.days = LEAF_DAYS;
	if ((leaf = cert_make(&w)) == NULL)
		return (failed("runner.crt", "could not be made"));
	old = read_certificate("runner.crt");
	if (!leaf_is_fit(old, leaf))
		rc = write_certificate("runner.crt", leaf) == -1 ? -1 : 1;
	X509_free(old);
	return (rc);
}

int
bootstrap(int argc, char **argv)
{
	const char	*hosts = "localhost";
	int		 ch, made;

	while ((ch = getopt(argc, argv, "I:H:")) != -1)
		switch (ch) {
		case 'I':
			dir = optarg;
			break;
		case 'H':
			hosts = optarg;
			break;
		default:
			return (1);
		}
	if (dir == NULL || optind != argc) {
		fprintf(stderr, "usage: providerd -I dir -H name[,name]\n");
		return (1);
	}
	umask(077);
	(void)CRYPTO_secure_malloc_init(65536, 64);	/* without: plain heap */
	if (make_encryption_key() == -1 || make_ca() == -1 ||
	    (made = make_leaf(hosts)) == -1)
		return (1);
	EVP_PKEY_free(leaf_pkey);
	EVP_PKEY_free(ca_pkey);
	X509_free(leaf);
	X509_free(ca);
	return (made ? BOOTSTRAP_NEW_LEAF : 0);
}
