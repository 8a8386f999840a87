/*
 * seal.c - asks providerd to seal a session's credential to a runner.  The
 * answer is only good for the stream whose Hello brought the sealing key; when
 * the runner has connected anew meanwhile the code is "stale".
 */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "session.h"

#define SEAL_SECONDS	10

struct sealing {			/* until KEY_SEALED or REFUSED */
	char		 id[ID_SIZE];	/* of who wants it */
	char		 runner[ID_SIZE];
	uint64_t	 stream;
	seal_done	 done;
};

static void
sealed(struct ask *a, const struct answer *ans)
{
	struct sealing	*s = a->arg;
	struct runner	*r = runner_find(s->runner);
	const char	*code = ans->code;

	if (r == NULL || r->stream == NULL ||
	    stream_ref(r->stream) != s->stream)
		code = "stale";
	else if (code[0] != '\0' && strcmp(code, "credential_required") != 0)
		code = "unavailable";
	s->done(s->id, code, ans->doc, ans->doc_len);
	free(s);
}

void
on_key_sealed(struct peer *p, uint64_t ref, const struct msg_key_sealed *m)
{
	struct answer	 ans = { 0 };

	ans.code = ans.text = "";
	ans.doc = m->sealed;
	ans.doc_len = m->sealed_len;
	ask_answer(p, ref, &ans);
}

int
seal(const struct session *ses, const struct runner *r, const char *id,
    seal_done done)
{
	struct msg_key_seal	 m;
	struct sealing		*s;

	/* Nobody has a key for it: its agent needs none. */
	if (ses->agent_config[0] == '\0' && ses->key_ref[0] == '\0') {
		done(id, "", NULL, 0);
		return (1);
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("sealing");
	strlcpy(s->id, id, sizeof(s->id));
	strlcpy(s->runner, r->id, sizeof(s->runner));
	s->stream = stream_ref(r->stream);
	s->done = done;
	m.tenant = ses->tenant;
	m.session = ses->id;
	m.runner = r->id;
	m.agent_config = ses->agent_config;
	m.key_ref = ses->key_ref;
	if (ask(PROC_PROVIDERD, MSG_KEY_SEAL, &m, SEAL_SECONDS, sealed, s) !=
	    NULL)
		return (0);
	free(s);
	return (-1);
}
