/*
 * api.c - agent configurations for the web: AGENT_CONFIG_*.  The key is sealed
 * in the turn that brings it, with the data key that its tenant gets if there
 * is none yet, so that no number of held keys leaves no room for it.  Reads are
 * rendered by storaged; a key is never in them.
 *
 * Refuses: unavailable, when 512 are being made, or from half of that on a
 * quarter of them for this tenant.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "providerd.h"
#include "relay.h"

#define HINT		4	/* last characters of a key, shown to its owner */
#define CREATIONS_MAX	512	/* 10 KB each */

struct creation {			/* until AGENT_CONFIG_PUT is asked */
	TAILQ_ENTRY(creation) entry;
	struct ticket	 ticket;
	char		 id[ID_SIZE];
	char		 name[65], agent[65], model[129];
	char		 base_url[URL_MAX + 1];
	char		 hint[17];
	char		 idem_key[256];
	char		 request_id[65];
	uint8_t		 idem_hash[32];
	size_t		 idem_hash_len;
	uint8_t		 is_default;
	uint8_t		 data_key[DATA_KEY_SEALED];	/* a new one */
	uint8_t		 tenants[DATA_KEY_SEALED];	/* its own */
	uint8_t		 sealed[SEALED_MAX];
	size_t		 sealed_len;	/* 0: there is no key */
	int		 have_tenants;
};

static TAILQ_HEAD(, creation) creations = TAILQ_HEAD_INITIALIZER(creations);
static unsigned int	 ncreations;

static void
creation_free(struct creation *c)
{
	TAILQ_REMOVE(&creations, c, entry);
	ncreations--;
	freezero(c, sizeof(*c));
}

/* One tenant alone does not take what all are to have. */
static int
creations_are_full(const char *tenant)
{
	const struct creation	*c;
	unsigned int		 own = 0;

	if (ncreations < CREATIONS_MAX / 2)
		return (0);
	TAILQ_FOREACH(c, &creations, entry)
		own += strcmp(c->ticket.tenant, tenant) == 0;
	return (ncreations >= CREATIONS_MAX || own >= CREATIONS_MAX / 4);
}

static void
set_hint(struct creation *c, const uint8_t *key, size_t len)
{
	size_t	 i;

	/* A short key would be told whole. */
	if (len < 4 * HINT)
		return;
	for (i = len - HINT; i < len; i++)
		if (key[i] <= 0x20 || key[i] >= 0x7f)
			return;
	strlcpy(c->hint, "...", sizeof(c->hint));
	memcpy(c->hint + 3, key + len - HINT, HINT);
}

static struct creation *
creation_new(const struct ticket *t, const struct msg_agent_config_create *m)
{
	struct creation	*c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		fatal("agent config");
	TAILQ_INSERT_TAIL(&creations, c, entry);
	ncreations++;
	c->ticket = *t;
	id_make(c->id, "acfg");
	config_new_data_key(c->data_key, t->tenant);
	if (m->key_len > 0)
		c->sealed_len = config_seal(c->sealed, t->tenant, c->id,
		    c->data_key, sizeof(c->data_key), m->key, m->key_len);
	set_hint(c, m->key, m->key_len);
	strlcpy(c->name, m->name, sizeof(c->name));
	strlcpy(c->agent, m->agent, sizeof(c->agent));
	strlcpy(c->model, m->model, sizeof(c->model));
	strlcpy(c->base_url, m->base_url, sizeof(c->base_url));
	strlcpy(c->idem_key, m->idem_key, sizeof(c->idem_key));
	strlcpy(c->request_id, m->request_id, sizeof(c->request_id));
	memcpy(c->idem_hash, m->idem_hash, m->idem_hash_len);
	c->idem_hash_len = m->idem_hash_len;
	c->is_default = m->is_default != 0;
	return (c);
}

void
on_data_key_row(struct peer *p, uint64_t ref, const struct msg_data_key_row *m)
{
	struct creation	*c;
	struct ask	*a;

	if ((a = ask_find(p, ref)) == NULL || a->told)
		return;
	c = a->arg;
	/* Comes again when storaged dies before it says that this was all. */
	c->have_tenants = m->data_key_len == sizeof(c->tenants);
	if (c->have_tenants)
		memcpy(c->tenants, m->data_key, sizeof(c->tenants));
}

static int
creation_seal(struct creation *c)
{
	if (!c->have_tenants)
		return (-1);
	if (c->sealed_len == 0)
		return (0);
	return (config_seal_anew(c->sealed, c->sealed_len, c->ticket.tenant,
	    c->id, c->data_key, c->tenants, sizeof(c->tenants)));
}

static void
creation_put(struct peer *p, uint64_t ref, const struct creation *c)
{
	struct msg_agent_config_put	 m;

	m.tenant = c->ticket.tenant;
	m.agent_config = c->id;
	m.name = c->name;
	m.agent = c->agent;
	m.model = c->model;
	m.base_url = c->base_url;
	m.is_default = c->is_default;
	m.key_hint = c->hint;
	m.sealed = c->sealed;
	m.sealed_len = c->sealed_len;
	m.actor = c->ticket.name;
	m.idem_key = c->idem_key;
	m.idem_hash = c->idem_hash;
	m.idem_hash_len = c->idem_hash_len;
	relay_write(p, ref, 201, MSG_AGENT_CONFIG_PUT, &m,
	    deed_new(&c->ticket, "agent_config.create", c->id, c->request_id,
	    ""));
}

static void
data_key_done(struct ask *a, const struct answer *ans)
{
	struct creation	*c = a->arg;
	struct peer	*p;

	if ((p = ask_client(a)) == NULL) {
		creation_free(c);
		return;
	}
	if (ans->code[0] != '\0' && strcmp(ans->code, "replayed") != 0)
		/* Nothing of the client's own was written yet. */
		refuse(p, a->client_ref, "unavailable", ans->text);
	else if (creation_seal(c) == -1) {
		log_warnx("tenant %s: its data key does not open with this "
		    "encryption key", c->ticket.tenant);
		refuse(p, a->client_ref, "internal_error",
		    "the key could not be sealed");
	} else
		creation_put(p, a->client_ref, c);
	creation_free(c);
}

void
on_agent_config_create(struct peer *p, uint64_t ref,
    const struct msg_agent_config_create *m)
{
	struct msg_data_key_put	 put;
	struct creation		*c;
	struct ticket		 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_CREDENTIALS), &t))
		return;
	if (m->name[0] == '\0' || m->agent[0] == '\0' ||
	    !credential_is_fit(m->key, m->key_len, m->base_url)) {
		refuse(p, ref, "validation_error", m->name[0] == '\0' ?
		    "name: expected 1 to 64 bytes" : m->agent[0] == '\0' ?
		    "agent: expected 1 to 64 bytes" :
		    "api_key, base_url: expected printable text");
		return;
	}
	if (creations_are_full(t.tenant)) {
		refuse(p, ref, "unavailable", "128 agent configs of one "
		    "tenant, or 512 of all, are being stored; try again");
		return;
	}
	c = creation_new(&t, m);
	put.tenant = t.tenant;
	put.data_key = c->data_key;
	put.data_key_len = sizeof(c->data_key);
	if (ask_for(p, ref, PROC_STORAGED, MSG_DATA_KEY_PUT, &put,
	    RELAY_SECONDS, data_key_done, c) == NULL) {
		creation_free(c);
		refuse(p, ref, "unavailable", "too much is under way");
	}
}

void
on_agent_config_list(struct peer *p, uint64_t ref,
    const struct msg_agent_config_list *m)
{
	struct msg_agent_config_page	 page;
	struct ticket			 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_CREDENTIALS), &t))
		return;
	page.tenant = t.tenant;
	page.query = m->query;
	page.query_len = m->query_len;
	relay_read(p, ref, MSG_AGENT_CONFIG_PAGE, &page);
}

void
on_agent_config_get(struct peer *p, uint64_t ref,
    const struct msg_agent_config_get *m)
{
	struct msg_agent_config_read	 get;
	struct ticket			 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_R(SCOPE_CREDENTIALS), &t))
		return;
	get.tenant = t.tenant;
	get.agent_config = m->agent_config;
	relay_read(p, ref, MSG_AGENT_CONFIG_READ, &get);
}

void
on_agent_config_delete(struct peer *p, uint64_t ref,
    const struct msg_agent_config_delete *m)
{
	struct msg_agent_config_end	 end;
	struct ticket			 t;

	if (!authorised(p, ref, m->ticket, m->ticket_len,
	    SCOPE_W(SCOPE_CREDENTIALS), &t))
		return;
	end.tenant = t.tenant;
	end.agent_config = m->agent_config;
	end.actor = t.name;
	relay_write(p, ref, 204, MSG_AGENT_CONFIG_END, &end,
	    deed_new(&t, "agent_config.delete", m->agent_config,
	    m->request_id, ""));
}

void
on_stored(struct peer *p, uint64_t ref, const struct msg_stored *m)
{
	ask_stored(p, ref, m);
}

void
on_refused(struct peer *p, uint64_t ref, const struct msg_refused *m)
{
	ask_refused(p, ref, m);
}
