/*
 * points_send.c - dies before or after a message is sent.  Linked only into a
 * build with CRASH=1, in which channel_queue() is this one (points.mk).  Without
 * a page in MN_POINTS it changes nothing.
 */
#include <sys/mman.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel.h"
#include "points.h"

void	 __real_peer_init(struct event_base *, enum proc,
	    const struct peer_ops *);
void	 __wrap_peer_init(struct event_base *, enum proc,
	    const struct peer_ops *);
int	 __real_channel_queue(struct channel *, const struct frame *,
	    const struct msg_desc *, const void *, const uint8_t *, int);
int	 __wrap_channel_queue(struct channel *, const struct frame *,
	    const struct msg_desc *, const void *, const uint8_t *, int);

static struct points_page	*page;
static enum proc		 self;

/* Before main(), so before any jail. */
static void __attribute__((constructor))
points_open(void)
{
	const char	*path = getenv("MN_POINTS");
	void		*p;
	int		 fd;

	if (path == NULL || (fd = open(path, O_RDWR | O_CLOEXEC)) == -1)
		return;
	p = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	    0);
	close(fd);
	if (p != MAP_FAILED)
		page = p;
}

void
points_die(void)
{
	_exit(86);
}

int
points_is(enum msg_type type, enum points_where where)
{
	struct points_order	*o;
	uint32_t		 armed = POINTS_ARMED;

	if (page == NULL)
		return (0);
	o = &page->order[self];
	if (__atomic_load_n(&o->state, __ATOMIC_ACQUIRE) != POINTS_ARMED ||
	    o->type != type || o->where != where)
		return (0);
	if (o->skip > 0) {
		o->skip--;
		return (0);
	}
	return (__atomic_compare_exchange_n(&o->state, &armed, POINTS_HIT, 0,
	    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

void
__wrap_peer_init(struct event_base *base, enum proc me,
    const struct peer_ops *ops)
{
	self = me;
	__real_peer_init(base, me, ops);
}

int
__wrap_channel_queue(struct channel *c, const struct frame *f,
    const struct msg_desc *d, const void *m, const uint8_t *packed, int fd)
{
	enum msg_type	 type = (enum msg_type)f->type;
	int		 rc;

	if (points_is(type, POINTS_SEND_BEFORE))
		points_die();
	rc = __real_channel_queue(c, f, d, m, packed, fd);
	if (rc == 0 && page != NULL)
		page->sent[self][type]++;
	if (rc == 0 && points_is(type, POINTS_SEND_AFTER)) {
		channel_flush(c);
		points_die();
	}
	return (rc);
}
