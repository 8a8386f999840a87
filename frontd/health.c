/*
 * health.c - grpc.health.v1.Health/Check, answered here: a load balancer wants
 * to know whether this port serves runners, which it does while runnerd is up.
 */
#include <string.h>

#include "http2.h"

#define HEALTH_MAX	256
#define GRPC_NOT_FOUND	5
#define SERVICE		"marionette.v1.RunnerService"

static int	 serving;

void
health_set(int up)
{
	serving = up;
}

static void
health_nothing(struct grpc_stream *s)
{
	(void)s;
}

/* HealthCheckRequest { string service = 1; }: empty, or one short field. */
static int
health_known(const uint8_t *p, size_t n)
{
	if (n == 0 || (n == 2 && p[0] == 0x0a && p[1] == 0))
		return (1);
	return (n == sizeof(SERVICE) + 1 && p[0] == 0x0a &&
	    p[1] == sizeof(SERVICE) - 1 &&
	    memcmp(p + 2, SERVICE, sizeof(SERVICE) - 1) == 0);
}

/* HealthCheckResponse { ServingStatus status = 1; }: SERVING or NOT_SERVING. */
static void
health_check(struct grpc_stream *s, const uint8_t *p, size_t n)
{
	const uint8_t	 answer[2] = { 0x08, serving ? 1 : 2 };

	if (!health_known(p, n)) {
		grpc_finish(s, GRPC_NOT_FOUND, "there is no such service");
		return;
	}
	grpc_send(s, answer, sizeof(answer));
	grpc_finish(s, 0, NULL);
}

const struct grpc_method	 health_methods[] = {
	{ "/grpc.health.v1.Health/Check", HEALTH_MAX, health_nothing,
	    health_check, health_nothing, health_nothing, 0, NULL },
	{ NULL, 0, NULL, NULL, NULL, NULL, 0, NULL }
};
