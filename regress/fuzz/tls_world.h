/*
 * tls_world.h - both ends of TLS for a harness of frontd's.
 */
#ifndef TLS_WORLD_H
#define TLS_WORLD_H

struct tls;

/* frontd's, with a certificate made at the first call. */
struct tls	*tls_world_server(void);
/* A client on a connected socket; it trusts anybody. */
struct tls	*tls_world_client(int fd, int h2);

#endif
