/*
 * world.c - the loop and the clock that worker.h promises, and log.h's
 * functions: for harnesses.  Time passes only when an input says so; a line of
 * the log is put together and dropped; and no input may be fatal.
 */
#include <err.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "log.h"
#include "worker.h"

#define BEGIN_MS	1700000000000ULL
#define UPTIME_MS	1000000ULL

static struct event_base	*base;
static uint64_t			 passed;
static char			 line[4096];

struct event_base *
worker_base(void)
{
	return (base);
}

uint64_t
worker_mono_ms(void)
{
	return (UPTIME_MS + passed);
}

uint64_t
worker_now_ms(void)
{
	return (BEGIN_MS + passed);
}

void
fuzz_begin(void)
{
	passed = 0;
	if (base != NULL)
		return;
	signal(SIGPIPE, SIG_IGN);
	if ((base = event_base_new()) == NULL)
		errx(1, "event base");
}

void
fuzz_pass(uint64_t ms)
{
	passed += ms;
}

void
log_init(const char *name, int verbose, int json)
{
	(void)name;
	(void)verbose;
	(void)json;
}

void
log_setverbose(int verbose)
{
	(void)verbose;
}

int
log_getverbose(void)
{
	return (1);
}

#define LOG_FUNCTION(name)				\
void							\
name(const char *fmt, ...)				\
{							\
	va_list	 ap;					\
							\
	va_start(ap, fmt);				\
	vsnprintf(line, sizeof(line), fmt, ap);		\
	va_end(ap);					\
}

#define FATAL_FUNCTION(name)				\
void							\
name(const char *fmt, ...)				\
{							\
	va_list	 ap;					\
							\
	va_start(ap, fmt);				\
	vsnprintf(line, sizeof(line), fmt, ap);		\
	va_end(ap);					\
	fprintf(stderr, "fatal: %s\n", line);		\
	abort();					\
}

LOG_FUNCTION(log_warn)
LOG_FUNCTION(log_warnx)
LOG_FUNCTION(log_info)
LOG_FUNCTION(log_debug)
FATAL_FUNCTION(fatal)
FATAL_FUNCTION(fatalx)
