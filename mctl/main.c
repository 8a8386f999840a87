/*
 * mctl, the command line of Marionette.  It owns nothing: it asks the server
 * by HTTP, over TCP or the local socket, and prints the answer.  What can
 * fail: the command line (2), the server's no (1, 4), the way there (5), the
 * task itself (3).
 */

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "doc.h"
#include "text.h"

/* One that is closed is nobody else's: what is written there fails. */
static void
streams_keep(void)
{
	int	 fd;

	while ((fd = open("/dev/null", O_RDONLY)) != -1 && fd <= STDERR_FILENO)
		;
	if (fd != -1)
		close(fd);
}

static void
terminal_find(struct mctl *m)
{
	const char	*no = getenv("NO_COLOR"), *term = getenv("TERM");

	m->progress = isatty(STDERR_FILENO);
	m->colour = isatty(STDOUT_FILENO) && (no == NULL || *no == '\0') &&
	    term != NULL && strcmp(term, "dumb") != 0;
}

/* What goes into JSON and paths must be text. */
static int
words_check(struct mctl *m, int argc, char **argv)
{
	int	 i;

	for (i = 1; i < argc; i++)
		if (*argv[i] != '\0' &&
		    !text_is_utf8(argv[i], strlen(argv[i])))
			return (usage_error(m, "word %d of the command line "
			    "is not UTF-8", i));
	return (0);
}

int
main(int argc, char **argv)
{
	static struct mctl	 m;
	int			 i, rc;

	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN);
	streams_keep();
	terminal_find(&m);
	if (words_check(&m, argc, argv) != 0)
		return (EX_USE);
	i = args_parse(&m, &m.global, NULL, global_opts, argc - 1, argv + 1);
	if (i == -1)
		return (EX_USE);
	i++;
	if (i == argc) {
		if (args_has(&m.global, "help"))
			return (help_about(0, NULL));
		return (usage_error(&m, "what? A noun and a verb are needed"));
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = cmd_run(&m, argc - i, argv + i);
	secret_free(m.ep.key);
	curl_global_cleanup();
	if (out_check(&m) != 0 && rc == EX_DONE)
		rc = EX_ERROR;
	return (rc);
}
