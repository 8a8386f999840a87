/*
 * log.h - one line a time to standard error, text or JSON.
 */
#ifndef LOG_H
#define LOG_H

#include <stdarg.h>

/* name is kept, not copied.  json, verbose: 0 or 1. */
void	 log_init(const char *name, int verbose, int json);
void	 log_setverbose(int);
int	 log_getverbose(void);

/* errno matters (and is kept). */
void	 log_warn(const char *, ...) __attribute__((format(printf, 1, 2)));
void	 log_warnx(const char *, ...) __attribute__((format(printf, 1, 2)));
void	 log_info(const char *, ...) __attribute__((format(printf, 1, 2)));
void	 log_debug(const char *, ...) __attribute__((format(printf, 1, 2)));
void	 fatal(const char *, ...)
	    __attribute__((noreturn, format(printf, 1, 2)));
void	 fatalx(const char *, ...)
	    __attribute__((noreturn, format(printf, 1, 2)));

#endif
