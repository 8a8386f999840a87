/*
 * message.h - the codec of every message, driven by the tables that gen.awk
 * makes from messages.master.
 *
 * Bodies are packed in field order: integers in host order (both ends are on
 * this host), str and id as u32 length, bytes, NUL (the length counts the NUL),
 * blob and secret as u32 length and bytes.  Decoding lends views into the
 * buffer and allocates nothing.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <sys/types.h>

#include "messages.h"

enum field_type {
	FIELD_U8, FIELD_U16, FIELD_U32, FIELD_U64,
	FIELD_ID, FIELD_STR, FIELD_BLOB, FIELD_SECRET
};

struct msg_field {
	const char	*name;
	enum field_type	 type;
	uint32_t	 bound;		/* bytes, without the NUL */
	uint16_t	 off;		/* of the member in its struct */
	uint16_t	 len_off;	/* of the length member; blob, secret */
};

#define MSG_F_FD	0x001
#define MSG_F_BULK	0x002
#define MSG_F_SQL	0x004
#define MSG_F_WRITE	0x008
#define MSG_F_READ	0x010
#define MSG_F_TENANT	0x020
#define MSG_F_SYSTEM	0x040
#define MSG_F_ROW	0x080
#define MSG_F_SECRET	0x100
#define MSG_F_MANY	0x200

struct msg_desc {
	const char		*name;		/* TASK_CREATE */
	const char		*lower;		/* task_create */
	unsigned int		 flags;
	enum msg_type		 rows;		/* sql: message a row becomes */
	unsigned int		 nfields;
	const struct msg_field	*fields;
	size_t			 size;		/* of the struct */
	uint32_t		 max;		/* of the packed body */
	uint32_t		 to[PROC_MAX];	/* sender -> set of receivers */
};

extern const struct msg_desc	 msg_descs[MSG_MAX];
extern const char *const	 proc_names[PROC_MAX];
extern const uint8_t		 proc_edges[PROC_MAX][PROC_MAX];
extern const uint8_t		 msg_table_hash[32];

#define MSG_STRUCT_MAX	512	/* bytes; asserted in message.c's test */

/* Process of this name, or -1. */
int	 proc_by_name(const char *);
/* May `from' send this type to `to'? */
int	 msg_may(enum msg_type, enum proc from, enum proc to);
/*
 * Packed size of *m; a NULL str counts as "".  -1 and EMSGSIZE when a field is
 * over its bound, EINVAL when a str is no UTF-8.
 */
ssize_t	 msg_size(const struct msg_desc *, const void *m);
/* Packs into buf, which has msg_size() bytes. */
void	 msg_pack(const struct msg_desc *, const void *m, uint8_t *buf);
/*
 * Unpacks len bytes into *m (desc->size bytes) as views into buf.  The body
 * must end exactly, every bound holds, strings are UTF-8 with one NUL, at the
 * end.  0, or -1 with errno EBADMSG.
 */
int	 msg_unpack(const struct msg_desc *, const uint8_t *buf, size_t len,
	    void *m);
/*
 * Sets a field of a row message from text in PostgreSQL's output format
 * (blobs already decoded): 0, or -1 when it does not fit.
 */
int	 msg_set_field(const struct msg_field *, void *m, const char *, size_t);

#endif
