/*
 * message.c - packs and unpacks messages by their descriptors.
 *
 * A message that does not fit its descriptor is refused whole: on the way out
 * that is a programming error or input that should have been checked before
 * (-1); on the way in the sender is not to be trusted any more.
 */
#include <sys/types.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "text.h"

static const void *
member(const void *m, size_t off)
{
	return ((const uint8_t *)m + off);
}

static size_t
int_size(enum field_type t)
{
	switch (t) {
	case FIELD_U8:
		return (1);
	case FIELD_U16:
		return (2);
	case FIELD_U32:
		return (4);
	case FIELD_U64:
		return (8);
	case FIELD_ID:
	case FIELD_STR:
	case FIELD_BLOB:
	case FIELD_SECRET:
		break;
	}
	return (0);
}

static int
is_text(enum field_type t)
{
	return (t == FIELD_ID || t == FIELD_STR);
}

/* The bytes of a variable field; their number without a NUL in *len. */
static const uint8_t *
var_bytes(const struct msg_field *f, const void *m, size_t *len)
{
	const uint8_t	*p;

	memcpy(&p, member(m, f->off), sizeof(p));
	if (is_text(f->type)) {
		if (p == NULL)
			p = (const uint8_t *)"";
		*len = strlen((const char *)p);
	} else
		memcpy(len, member(m, f->len_off), sizeof(*len));
	return (p);
}

int
proc_by_name(const char *name)
{
	int	 i;

	for (i = 0; i < PROC_MAX; i++)
		if (strcmp(proc_names[i], name) == 0)
			return (i);
	return (-1);
}

int
msg_may(enum msg_type type, enum proc from, enum proc to)
{
	if (type <= MSG_NONE || type >= MSG_MAX)
		return (0);
	return ((msg_descs[type].to[from] & (1U << to)) != 0);
}

ssize_t
msg_size(const struct msg_desc *d, const void *m)
{
	const struct msg_field	*f;
	const uint8_t		*p;
	size_t			 len, total = 0;
	unsigned int		 i;

	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		if (int_size(f->type) != 0) {
			total += int_size(f->type);
			continue;
		}
		p = var_bytes(f, m, &len);
		if (len > f->bound) {
			errno = EMSGSIZE;
			return (-1);
		}
		if (is_text(f->type)) {
			if (!text_is_utf8((const char *)p, len)) {
				errno = EINVAL;
				return (-1);
			}
			len++;
		}
		total += 4 + len;
	}
	return ((ssize_t)total);
}

void
msg_pack(const struct msg_desc *d, const void *m, uint8_t *buf)
{
	const struct msg_field	*f;
	const uint8_t		*p;
	size_t			 len;
	uint32_t		 n;
	unsigned int		 i;

	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		if ((len = int_size(f->type)) != 0) {
			memcpy(buf, member(m, f->off), len);
			buf += len;
			continue;
		}
		p = var_bytes(f, m, &len);
		n = (uint32_t)len + (is_text(f->type) ? 1 : 0);
		memcpy(buf, &n, sizeof(n));
		buf += sizeof(n);
		if (len > 0)
			memcpy(buf, p, len);
		buf += len;
		if (is_text(f->type))
			*buf++ = '\0';
	}
}

static int
unpack_var(const struct msg_field *f, const uint8_t *p, uint32_t n, void *m)
{
	const uint8_t	*start = p;
	size_t		 len = n;

	if (is_text(f->type)) {
		if (n == 0 || n - 1 > f->bound || p[n - 1] != '\0' ||
		    !text_is_utf8((const char *)p, n - 1))
			return (-1);
	} else {
		if (n > f->bound)
			return (-1);
		memcpy((uint8_t *)m + f->len_off, &len, sizeof(len));
	}
	memcpy((uint8_t *)m + f->off, &start, sizeof(start));
	return (0);
}

int
msg_unpack(const struct msg_desc *d, const uint8_t *buf, size_t len, void *m)
{
	const struct msg_field	*f;
	size_t			 n;
	uint32_t		 vlen;
	unsigned int		 i;

	for (i = 0; i < d->nfields; i++) {
		f = &d->fields[i];
		if ((n = int_size(f->type)) != 0) {
			if (len < n)
				goto bad;
			memcpy((uint8_t *)m + f->off, buf, n);
			buf += n;
			len -= n;
			continue;
		}
		if (len < sizeof(vlen))
			goto bad;
		memcpy(&vlen, buf, sizeof(vlen));
		buf += sizeof(vlen);
		len -= sizeof(vlen);
		if (vlen > len || unpack_var(f, buf, vlen, m) == -1)
			goto bad;
		buf += vlen;
		len -= vlen;
	}
	if (len == 0)
		return (0);
bad:
	errno = EBADMSG;
	return (-1);
}

static int
set_int(const struct msg_field *f, void *m, const char *s)
{
	unsigned long long	 v;
	char			*end;
	uint64_t		 max = UINT64_MAX;
	size_t			 n = int_size(f->type);

	if (n < 8)
		max = (1ULL << (8 * n)) - 1;
	if (strcmp(s, "t") == 0 || strcmp(s, "f") == 0)
		v = s[0] == 't';
	else {
		errno = 0;
		v = strtoull(s, &end, 10);
		if (s[0] < '0' || s[0] > '9' || *end != '\0' || errno != 0 ||
		    v > max)
			return (-1);
	}
	/* Little-endian hosts only, which _Static_assert below makes sure of. */
	memcpy((uint8_t *)m + f->off, &v, n);
	return (0);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "set_int");

int
msg_set_field(const struct msg_field *f, void *m, const char *s, size_t len)
{
	if (int_size(f->type) != 0)
		return (set_int(f, m, s));
	if (len > f->bound)
		return (-1);
	memcpy((uint8_t *)m + f->off, &s, sizeof(s));
	if (!is_text(f->type))
		memcpy((uint8_t *)m + f->len_off, &len, sizeof(len));
	return (0);
}
