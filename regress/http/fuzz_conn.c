/*
 * fuzz_conn.c - libFuzzer: the bytes of a connection.  The first byte of the
 * input says which listener it is; 0xfe 0xff in the input ends a write, so
 * that bytes arrive in pieces.
 */
#include <sys/socket.h>

#include <err.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "log.h"
#include "worker.h"

#define TURNS	4	/* after each piece */

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct event_base	*base;

struct event_base *
worker_base(void)
{
	return (base);
}

uint64_t
worker_mono_ms(void)
{
	static uint64_t	 now;

	return (++now);
}

uint64_t
worker_now_ms(void)
{
	return (1700000000000);
}

static void
turns(int fd)
{
	static char	 sink[1 << 20];
	int		 i;

	for (i = 0; i < TURNS; i++) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		http_turn();
		while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
	}
}

static void
pieces(int fd, const uint8_t *p, size_t n)
{
	const uint8_t	*end;
	size_t		 len;

	while (n > 0) {
		end = memmem(p, n, "\xfe\xff", 2);
		len = end != NULL ? (size_t)(end - p) : n;
		if (send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT) == -1)
			return;
		turns(fd);
		if (end != NULL)
			len += 2;
		p += len;
		n -= len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	int	 pair[2];

	if (n < 2)
		return (0);
	if (base == NULL) {
		log_init("fuzz", 0, 0);
		signal(SIGPIPE, SIG_IGN);
		if ((base = event_base_new()) == NULL)
			errx(1, "event base");
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == -1)
		err(1, "socketpair");
	conn_new(pair[0], p[0] & 1 ? LISTEN_RUNNER : LISTEN_API, NULL,
	    "127.0.0.1", NULL);
	pieces(pair[1], p + 1, n - 1);
	close(pair[1]);
	/* Whatever it was, it ends; lingering takes a deadline. */
	while (http_stats.conns > 0) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		http_turn();
		http_janitor();
	}
	return (0);
}
