/*
 * seal.c - KEY_SEAL: a session's credential, sealed to the runner that was
 * verified to be who it says (promise 17).  What leaves is ciphertext for
 * everybody but that runner.
 *
 * Refuses: unavailable (the runner's Hello is not known here), and
 * credential_required (there should be a key and there is none, or none that
 * opens): a person is asked for one then, and for nothing else.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "providerd.h"
#include "text.h"

struct sealing {			/* while a config is being loaded */
	char	 tenant[33];
	char	 session[ID_SIZE];
	char	 runner[ID_SIZE];
	uint8_t	 sealed[CREDENTIAL_MAX + crypto_box_SEALBYTES];
	size_t	 sealed_len;
	const char *code, *why;		/* when it is empty; literals */
};

static const char	 not_verified[] =
			    "the runner's Hello is not verified yet";
static const char	 not_sealed[] = "the key was not sealed";

/* The credential's JSON into out: its length, or -1. */
static ssize_t
credential_json(char *out, size_t size, const uint8_t *key, size_t key_len,
    const char *base_url)
{
	static const char	 head[] = "{\"api_key\":\"",
				 middle[] = "\",\"base_url\":\"", tail[] = "\"}";
	size_t			 used = 0;
	ssize_t			 n;

	if (size < sizeof(head) + sizeof(middle) + sizeof(tail))
		return (-1);
	size -= sizeof(middle) + sizeof(tail);
	memcpy(out, head, sizeof(head) - 1);
	used = sizeof(head) - 1;
	if ((n = text_json(out + used, size - used, (const char *)key,
	    key_len)) == -1)
		return (-1);
	used += (size_t)n;
	memcpy(out + used, middle, sizeof(middle) - 1);
	used += sizeof(middle) - 1;
	size += sizeof(middle);
	if ((n = text_json(out + used, size - used, base_url,
	    strlen(base_url))) == -1)
		return (-1);
	used += (size_t)n;
	memcpy(out + used, tail, sizeof(tail) - 1);
	return ((ssize_t)(used + sizeof(tail) - 1));
}

int
credential_is_fit(const uint8_t *key, size_t key_len, const char *base_url)
{
	size_t	 i, escaped = 0;

	if (key_len > KEY_MAX || !text_is_utf8((const char *)key, key_len))
		return (0);
	for (i = 0; i < key_len; i++) {
		if (key[i] < 0x20 || key[i] == 0x7f)
			return (0);
		escaped += key[i] == '"' || key[i] == '\\';
	}
	return (base_url[0] == '\0' || text_is_token(base_url)) &&
	    key_len + escaped + 2 * strlen(base_url) + 64 <= CREDENTIAL_MAX;
}

size_t
credential_seal(uint8_t *out, const uint8_t public_key[32], const uint8_t *key,
    size_t key_len, const char *base_url)
{
	uint8_t	*plain = vault_desk()->credential;
	ssize_t	 n;
	size_t	 len = 0;

	n = credential_json((char *)plain, CREDENTIAL_MAX, key, key_len,
	    base_url);
	if (n != -1 &&
	    crypto_box_seal(out, plain, (size_t)n, public_key) == 0)
		len = (size_t)n + crypto_box_SEALBYTES;
	sodium_memzero(plain, CREDENTIAL_MAX);
	return (len);
}

static void
answer(struct peer *p, uint64_t ref, const char *session,
    const uint8_t *sealed, size_t len)
{
	struct msg_key_sealed	 m;

	m.session = session;
	m.sealed = sealed;
	m.sealed_len = len;
	send_key_sealed(p, ref, &m);
}

static void
seal_held(struct peer *p, uint64_t ref, const struct msg_key_seal *m,
    const uint8_t *public_key)
{
	static uint8_t	 out[CREDENTIAL_MAX + crypto_box_SEALBYTES];
	struct held	 h;
	size_t		 n;

	if (hold_find(&h, m->tenant, m->session, m->key_ref) == -1) {
		refuse(p, ref, "credential_required",
		    "the session's API key is not held any more; give it "
		    "again");
		return;
	}
	n = credential_seal(out, public_key, h.key, h.key_len, h.base_url);
	if (n == 0)
		refuse(p, ref, "unavailable", not_sealed);
	else
		answer(p, ref, m->session, out, n);
}

static void
seal_row(struct sealing *s, const struct msg_agent_config_row *m,
    const uint8_t *public_key)
{
	uint8_t	*key = vault_desk()->key;
	ssize_t	 n = 0;

	/* A configuration without a key still has a base URL to tell. */
	if (m->sealed_len > 0)
		n = config_open(key, s->tenant, m->agent_config, m->data_key,
		    m->data_key_len, m->sealed, m->sealed_len);
	if (n == -1) {
		log_warnx("agent config %s: does not open with this "
		    "encryption key", m->agent_config);
		s->code = "credential_required";
		s->why = "the agent config's key cannot be opened";
	} else if ((s->sealed_len = credential_seal(s->sealed, public_key, key,
	    (size_t)n, m->base_url)) == 0) {
		s->code = "unavailable";
		s->why = not_sealed;
	}
	sodium_memzero(key, KEY_MAX);
}

void
on_agent_config_row(struct peer *p, uint64_t ref,
    const struct msg_agent_config_row *m)
{
	const uint8_t	*public_key;
	struct sealing	*s;
	struct ask	*a;

	if ((a = ask_find(p, ref)) == NULL || a->told)
		return;
	s = a->arg;
	if ((public_key = hello_sealing_key(s->runner)) == NULL) {
		s->code = "unavailable";
		s->why = not_verified;
	} else
		seal_row(s, m, public_key);
}

static void
config_loaded(struct ask *a, const struct answer *ans)
{
	struct sealing	*s = a->arg;
	struct peer	*p;

	if ((p = ask_client(a)) == NULL) {
		free(s);
		return;
	}
	if (ans->code[0] != '\0' && strcmp(ans->code, "not_found") != 0)
		refuse(p, a->client_ref, "unavailable", ans->text);
	else if (s->sealed_len > 0)
		answer(p, a->client_ref, s->session, s->sealed, s->sealed_len);
	else
		refuse(p, a->client_ref, s->code, s->why);
	free(s);
}

static void
seal_config(struct peer *p, uint64_t ref, const struct msg_key_seal *m)
{
	struct msg_agent_config_load	 load;
	struct sealing			*s;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("sealing");
	strlcpy(s->tenant, m->tenant, sizeof(s->tenant));
	strlcpy(s->session, m->session, sizeof(s->session));
	strlcpy(s->runner, m->runner, sizeof(s->runner));
	s->code = "credential_required";
	s->why = "the session's agent config does not exist";
	load.tenant = m->tenant;
	load.agent_config = m->agent_config;
	if (ask_for(p, ref, PROC_STORAGED, MSG_AGENT_CONFIG_LOAD, &load,
	    READ_SECONDS, config_loaded, s) == NULL) {
		free(s);
		refuse(p, ref, "unavailable", "too much is under way");
	}
}

void
on_key_seal(struct peer *p, uint64_t ref, const struct msg_key_seal *m)
{
	const uint8_t	*public_key;

	if ((public_key = hello_sealing_key(m->runner)) == NULL)
		refuse(p, ref, "unavailable", not_verified);
	else if (m->key_ref[0] != '\0')
		seal_held(p, ref, m, public_key);
	else if (m->agent_config[0] != '\0')
		seal_config(p, ref, m);
	else
		answer(p, ref, m->session, NULL, 0);
}
