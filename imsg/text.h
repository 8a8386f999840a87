/*
 * text.h - checks and encodings of text that more than one process must agree
 * on: UTF-8, hexadecimal, base64url, JSON strings, times.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong), no NUL. */
int	 text_is_utf8(const char *, size_t);
/* n bytes to 2n lower-case digits and a NUL. */
void	 text_hex(char *, const uint8_t *, size_t n);
/* 2n hexadecimal digits to n bytes; 0, or -1 when they are not just that. */
int	 text_unhex(uint8_t *, size_t n, const char *);
/* RFC 4648 section 5 without padding; out has text_base64_size(n) bytes. */
#define text_base64_size(n)	(((n) * 4 + 2) / 3 + 1)
void	 text_base64(char *, const uint8_t *, size_t n);
/*
 * Writes s as the inside of a JSON string (RFC 8259, no quotes around it):
 * number of bytes, at most 6 * len, or -1 when out is too small.  s is UTF-8.
 */
ssize_t	 text_json(char *out, size_t size, const char *s, size_t len);
/* Decimal digits and a NUL: the number of digits. */
#define TEXT_U64_SIZE	21
size_t	 text_u64(char out[TEXT_U64_SIZE], uint64_t);
#define TEXT_TIME_SIZE	25
/* Unix milliseconds as RFC 3339, UTC, 2026-01-02T03:04:05.678Z. */
void	 text_time(char out[TEXT_TIME_SIZE], uint64_t ms);
/* Only printable ASCII without space; the empty string is not. */
int	 text_is_token(const char *);

#endif
