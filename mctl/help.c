/*
 * Help, made from the tables of commands and from nothing else.
 */

#include <string.h>

#include "doc.h"

const char *const output_names[] = { "table", "wide", "json", "yaml", NULL };

const struct opt global_opts[] = {
	{ "output", "FORMAT", "table, wide, json or yaml", 'o' },
	{ "quiet", NULL, "print ids alone (a new secret: the secret)", 'q' },
	{ "server", "URL", "the server, http:// or https://", 0 },
	{ "socket", "PATH", "the server's local socket", 0 },
	{ "admin-url", "URL", "the admin listener, if not port 8081", 0 },
	{ "context", "NAME", "a context of the configuration", 0 },
	{ "api-key-file", "FILE", "read the API key for the server from it", 0 },
	{ "ca", "FILE", "certificates that may sign the server's", 0 },
	{ "help", NULL, "say this", 'h' },
	{ NULL, NULL, NULL, 0 }
};

static void
help_opts(FILE *f, const struct opt *o)
{
	char	 left[64];

	for (; o != NULL && o->name != NULL; o++) {
		snprintf(left, sizeof(left), "%s%.1s%s--%s%s%s",
		    o->letter != 0 ? "-" : "", &o->letter,
		    o->letter != 0 ? ", " : "    ", o->name,
		    o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
		fprintf(f, "  %-30s  %s\n", left, o->help);
	}
}

static void
help_name(FILE *f, const struct cmd_entry *e)
{
	fprintf(f, "mctl %s%s%s%s%s", e->noun, e->verb != NULL ? " " : "",
	    e->verb != NULL ? e->verb : "", e->operands != NULL ? " " : "",
	    e->operands != NULL ? e->operands : "");
}

void
help_command(FILE *f, const struct cmd_entry *e)
{
	fputs("usage: ", f);
	help_name(f, e);
	fprintf(f, "%s\n\n%s.\n", e->opts != NULL ? " [options]" : "",
	    e->summary);
	if (e->opts != NULL) {
		fputs("\nOptions:\n", f);
		help_opts(f, e->opts);
	}
	fputs("\nOptions of every command:\n", f);
	help_opts(f, global_opts);
}

static void
help_table(FILE *f, const struct cmd_entry *e)
{
	char	 left[96];

	for (; e->noun != NULL; e++) {
		snprintf(left, sizeof(left), "%s%s%s%s%s", e->noun,
		    e->verb != NULL ? " " : "", e->verb != NULL ? e->verb : "",
		    e->operands != NULL ? " " : "",
		    e->operands != NULL ? e->operands : "");
		fprintf(f, "  %-38s  %s\n", left, e->summary);
	}
}

static void
help_all(FILE *f)
{
	size_t	 i;

	fputs("usage: mctl [options] noun verb [options] [operands]\n"
	    "       mctl run AGENT PROMPT\n\n", f);
	for (i = 0; cmd_tables[i] != NULL; i++)
		help_table(f, cmd_tables[i]);
	fputs("\nOptions of every command:\n", f);
	help_opts(f, global_opts);
	fputs("\n`mctl help NOUN [VERB]' says more; so does mctl(1).\n", f);
}

/* The words of one noun: is it this entry's, and with a verb, this verb? */
static int
is_about(const struct cmd_entry *e, int n, const char *const *words)
{
	const char	*noun = e->noun;
	size_t		 len;
	int		 i;

	for (i = 0; i < n && *noun != '\0'; i++) {
		len = strcspn(noun, " ");
		if (strlen(words[i]) != len ||
		    strncmp(noun, words[i], len) != 0)
			return (0);
		noun += len;
		noun += *noun == ' ';
	}
	if (i == n)
		return (1);
	return (e->verb != NULL && strcmp(e->verb, words[i]) == 0 &&
	    i + 1 == n);
}

/* 0 if anything is known about these words. */
int
help_about(int n, const char *const *words)
{
	const struct cmd_entry	*e, *one = NULL;
	size_t			 i;
	int			 found = 0;

	if (n == 0) {
		help_all(stdout);
		return (0);
	}
	for (i = 0; cmd_tables[i] != NULL; i++) {
		for (e = cmd_tables[i]; e->noun != NULL; e++) {
			if (!is_about(e, n, words))
				continue;
			found++;
			one = e;
		}
	}
	if (found == 1)
		help_command(stdout, one);
	for (i = 0; found > 1 && cmd_tables[i] != NULL; i++) {
		for (e = cmd_tables[i]; e->noun != NULL; e++) {
			if (!is_about(e, n, words))
				continue;
			fputs("  ", stdout);
			help_name(stdout, e);
			printf("\n      %s\n", e->summary);
		}
	}
	return (found == 0 ? -1 : 0);
}
