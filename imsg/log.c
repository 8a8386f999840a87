/*
 * log.c - a line is one write(2), so that lines of several processes on one
 * standard error do not mix.  Control characters are escaped: a line is a line
 * whatever a stranger put into it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "text.h"

#define LOG_LINE_MAX	2048

static const char	*log_name = "marionette";
static int		 log_verbose;
static int		 log_json;

void
log_init(const char *name, int verbose, int json)
{
	log_name = name;
	log_verbose = verbose;
	log_json = json;
}

void
log_setverbose(int verbose)
{
	log_verbose = verbose;
}

int
log_getverbose(void)
{
	return (log_verbose);
}

/* Only what cannot be shown as it is needs to look otherwise. */
static int
is_plain(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return (0);
	return (1);
}

/* It did not fit: a part of a character at the end is no UTF-8. */
static void
cut_character(char *s)
{
	size_t	 n = strlen(s);

	while (n > 0 && (s[n - 1] & 0xc0) == 0x80)
		s[--n] = '\0';
	if (n > 0 && (s[n - 1] & 0x80) != 0)
		s[n - 1] = '\0';
}

static void __attribute__((format(printf, 3, 0)))
log_line(const char *level, int code, const char *fmt, va_list ap)
{
	char		 msg[LOG_LINE_MAX], esc[6 * LOG_LINE_MAX];
	char		 line[7 * LOG_LINE_MAX], when[TEXT_TIME_SIZE];
	struct timespec	 ts;
	size_t		 n;
	ssize_t		 len;
	int		 save = errno, m;

	clock_gettime(CLOCK_REALTIME, &ts);
	text_time(when, (uint64_t)ts.tv_sec * 1000 +
	    (uint64_t)ts.tv_nsec / 1000000);
	if (vsnprintf(msg, sizeof(msg), fmt, ap) >= (int)sizeof(msg))
		cut_character(msg);
	if (code != 0) {
		n = strlen(msg);
		snprintf(msg + n, sizeof(msg) - n, ": %s", strerror(code));
	}
	/* Six bytes for one at most: it fits. */
	len = text_json(esc, sizeof(esc) - 1, msg, strlen(msg));
	esc[len == -1 ? 0 : len] = '\0';
	if (log_json)
		m = snprintf(line, sizeof(line), "{\"time\":\"%s\",\"level\":"
		    "\"%s\",\"process\":\"%s\",\"pid\":%ld,\"message\":\"%s\"}"
		    "\n", when, level, log_name, (long)getpid(), esc);
	else
		m = snprintf(line, sizeof(line), "%s %s %s: %s\n", when,
		    log_name, level, is_plain(msg) ? msg : esc);
	if (m > (int)sizeof(line) - 1)
		m = (int)sizeof(line) - 1;
	if (write(STDERR_FILENO, line, (size_t)m) == -1)
		errno = 0;	/* Nobody is left to be told. */
	errno = save;
}

#define LOG_FUNCTION(name, level, code)		\
void						\
name(const char *fmt, ...)			\
{						\
	va_list	 ap;				\
						\
	va_start(ap, fmt);			\
	log_line(level, code, fmt, ap);		\
	va_end(ap);				\
}

LOG_FUNCTION(log_warn, "warn", errno)
LOG_FUNCTION(log_warnx, "warn", 0)
LOG_FUNCTION(log_info, "info", 0)

void
log_debug(const char *fmt, ...)
{
	va_list	 ap;

	if (!log_verbose)
		return;
	va_start(ap, fmt);
	log_line("debug", 0, fmt, ap);
	va_end(ap);
}

void
fatal(const char *fmt, ...)
{
	va_list	 ap;

	va_start(ap, fmt);
	log_line("fatal", errno, fmt, ap);
	va_end(ap);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list	 ap;

	va_start(ap, fmt);
	log_line("fatal", 0, fmt, ap);
	va_end(ap);
	exit(1);
}
