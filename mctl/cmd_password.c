/*
 * mctl admin password: the line of marionette.conf(5) for an administrator.
 * The password is read from the terminal or, without one, from stdin.
 */

#include <readpassphrase.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "doc.h"

#define PASSWORD_MAX	256

static int
password_read(char *buf, size_t size)
{
	char	 again[PASSWORD_MAX + 1];
	int	 rc = -1;

	if (!isatty(STDIN_FILENO))
		return (readpassphrase("", buf, size, RPP_STDIN) == NULL ? -1 :
		    0);
	if (readpassphrase("Password: ", buf, size, RPP_REQUIRE_TTY) != NULL &&
	    readpassphrase("Again: ", again, sizeof(again),
	    RPP_REQUIRE_TTY) != NULL) {
		rc = strcmp(buf, again) == 0 ? 0 : -1;
		if (rc == -1)
			fputs("mctl: they differ\n", stderr);
	}
	explicit_bzero(again, sizeof(again));
	return (rc);
}

static int
is_name(const char *s)
{
	static const char	 ok[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-";

	return (*s != '\0' && strlen(s) <= 64 && strspn(s, ok) == strlen(s));
}

/* Made as the server will check it: 64 MiB, about 170 ms. */
static int
do_hash(struct mctl *m, const struct args *a)
{
	const char	*name = a->noperands > 0 ? a->operand[0] : "admin";
	char		 password[PASSWORD_MAX + 1], hash[crypto_pwhash_STRBYTES];
	int		 rc = EX_ERROR;

	if (!is_name(name))
		return (usage_error(m, "%s: a name is letters, digits and "
		    "._@-, at most 64", name));
	memset(password, 0, sizeof(password));
	if (sodium_init() == -1 ||
	    password_read(password, sizeof(password)) == -1)
		fputs("mctl: no password\n", stderr);
	else if (password[0] == '\0')
		fputs("mctl: the password is empty\n", stderr);
	else if (strlen(password) == PASSWORD_MAX)
		fputs("mctl: the password is too long\n", stderr);
	else if (crypto_pwhash_str(hash, password, strlen(password),
	    crypto_pwhash_OPSLIMIT_INTERACTIVE,
	    crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
		fputs("mctl: out of memory\n", stderr);
	else {
		printf("admin user \"%s\" password \"%s\"\n", name, hash);
		rc = EX_DONE;
	}
	explicit_bzero(password, sizeof(password));
	return (rc);
}

const struct cmd_entry cmd_password[] = {
	{ "admin password", "hash", "[NAME]", NULL, 0, 1, CMD_LOCAL,
	    "Read a password, print its line of marionette.conf", do_hash },
	{ NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL }
};
