/*
 * run.c - the life of a run: accepted (holder waiting, journal written), let go
 * when that is durable, ended when all that it started is dead and all that it
 * printed is in the spool.  Exactly one RunCompleted, last.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "leftover.h"
#include "log.h"
#include "place.h"
#include "room.h"
#include "run.h"
#include "spec.h"
#include "util.h"

#define RESULT_MAX	(256 * 1024)
#define ERROR_MAX	1024
#define CODE_MAX	64
#define SYSTEM_PATH	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:" \
			"/sbin:/bin"

char *
run_id(struct run *r)
{
	return (r->rec->run_id);
}

static void
run_free(struct run *r)
{
	if (r->program != NULL && r->program->kind->release != NULL)
		r->program->kind->release(r);
	run_io_free(r);
	if (r->prompt != NULL)
		freezero(r->prompt, strlen(r->prompt));
	keys_unlock(r->key);
	free(r->task_id);
	free(r->context_json);
	free(r->status);
	free(r->error_code);
	free(r->error);
	free(r->result);
	free(r->conversation);
	free(r);
}

static const char *
run_status(struct run *r)
{
	/* What was done when we ended it is done, but for a cancellation. */
	if (r->status != NULL && (!r->succeeded ||
	    strcmp(r->status, "canceled") == 0))
		return (r->status);
	if (r->succeeded)
		return ("completed");
	if (r->failed || r->error != NULL || !WIFEXITED(r->wait_status) ||
	    WEXITSTATUS(r->wait_status) != 0)
		return ("failed");
	return ("completed");
}

/* Masked, well-formed, at most max bytes; "" for NULL. */
static char *
run_text(struct run *r, const char *s, size_t max)
{
	char	*p;
	size_t	 n;

	if (s == NULL)
		return (xstrdup(""));
	p = utf8_scrub(s, strlen(s), &n);
	p = keys_mask(r->key, p, &n);
	p[utf8_cut(p, n, max)] = '\0';
	return (p);
}

static void
run_explain(struct run *r, const char *status)
{
	if (strcmp(status, "completed") == 0 || r->error != NULL)
		return;
	if (strcmp(status, "timeout") == 0)
		r->error = xasprintf("The task ran longer than its %u seconds.",
		    r->timeout_s);
	else if (strcmp(status, "lost") == 0)
		r->error = xstrdup(env->stopping ?
		    "The runner's agent was stopped." :
		    "The runner was without a server for too long.");
	else if (strcmp(status, "canceled") == 0)
		r->error = xstrdup("The task was canceled.");
	else if (strcmp(status, "suspended") == 0)
		r->error = xstrdup("The session was suspended.");
	else if (WIFSIGNALED(r->wait_status))
		r->error = xasprintf("%s was killed by signal %d (%s).",
		    r->program->name, WTERMSIG(r->wait_status),
		    strsignal(WTERMSIG(r->wait_status)));
	else
		r->error = xasprintf("%s ended with status %d.",
		    r->program->name, WEXITSTATUS(r->wait_status));
	if (r->error_code == NULL && strcmp(status, "failed") == 0)
		r->error_code = xstrdup("agent_failed");
}

static void
run_report(struct run *r)
{
	Marionette__V1__RunCompleted	 b;
	const char			*status = run_status(r);
	union { const char *c; char *v; } u = { status };

	run_explain(r, status);
	marionette__v1__run_completed__init(&b);
	b.run_id = run_id(r);
	b.attempt = r->rec->attempt;
	b.status = u.v;
	b.exit_code = WIFEXITED(r->wait_status) ? WEXITSTATUS(r->wait_status) :
	    128 + WTERMSIG(r->wait_status);
	b.error_code = run_text(r, r->error_code, CODE_MAX);
	b.error = run_text(r, r->error, ERROR_MAX);
	b.result = run_text(r, r->result, RESULT_MAX);
	b.tokens_input = r->tokens_input;
	b.tokens_output = r->tokens_output;
	b.cost_microusd = r->cost_microusd;
	b.duration_ms = run_clock(r);
	b.conversation_id = run_text(r, r->conversation, 128);
	if (strcmp(status, "completed") != 0)
		run_system(r, "error", b.error);
	if (spool_durable(r->spool) == -1)
		log_warn("run %s: its log waits for room", run_id(r));
	b.log_last = spool_number(r->spool);
	record_completed(r->rec, &b);
	log_info("run %s: %s%s%s", run_id(r), status,
	    b.error[0] != '\0' ? ": " : "", b.error);
	free(b.error_code);
	free(b.error);
	free(b.result);
	free(b.conversation_id);
}

void
run_finish(struct run *r)
{
	run_clock_stop(r);
	if (r->error == NULL)
		r->program->kind->ended(r, r->wait_status);
	ask_end_all(r);
	run_report(r);
	env->run = NULL;
	run_free(r);
	session_run_ended();
}

/* It could not even be started; the reason is in r->error. */
static void
run_stillborn(struct run *r, const char *code)
{
	if (r->error_code == NULL)
		r->error_code = xstrdup(code);
	r->exited = 1;
	r->failed = 1;
	r->wait_status = 127 << 8;
	run_report(r);
	env->run = NULL;
	run_free(r);
	session_run_ended();
}

/* What it would do nobody could read: it is not begun, and says why. */
static void
run_unlogged(const Marionette__V1__ExecuteTask *t, const char *why)
{
	struct record	*rec;
	char		*error;

	rec = record_new(t->run_id, t->session_id, t->attempt, t->epoch);
	record_put(rec);
	record_accepted(rec);
	error = xasprintf("The runner cannot keep the log of this run: %s.",
	    why);
	record_ended(rec, "failed", "runner_failed", error, 127);
	log_info("run %s: failed: %s", t->run_id, error);
	free(error);
}

void
run_new(const Marionette__V1__ExecuteTask *t, struct session *s)
{
	struct spool	*spool;
	struct run	*r;
	const char	*key = s->secret.api_key != NULL ? s->secret.api_key :
			    env->local_key;
	const char	*why;

	if ((spool = spool_new(t->run_id)) == NULL) {
		run_unlogged(t, strerror(errno));
		return;
	}
	r = xcalloc(1, sizeof(*r));
	TAILQ_INIT(&r->asks);
	RB_INIT(&r->ask_ids);
	r->spool = spool;
	r->fd_in = r->fd_ctl = r->fd_spec = r->out.fd = r->err.fd = -1;
	r->session = s;
	r->rec = record_new(t->run_id, t->session_id, t->attempt, t->epoch);
	why = place_make(s->id, s->dir, &s->uid);
	r->rec->uid = s->uid;
	/* The session's may be another before the run ends. */
	r->key = key != NULL ? keys_locked(key) : NULL;
	r->task_id = xstrdup(t->task_id);
	r->prompt = xstrdup(t->prompt);
	r->context_json = xstrdup(t->context_json);
	r->timeout_s = t->timeout_seconds;
	r->interrupted = t->interrupted;
	/* First: half of a journal must not say what it does not know. */
	record_put(r->rec);
	record_accepted(r->rec);
	env->run = r;
	r->program = kind_program(s->agent);
	if (r->program == NULL) {
		r->error = xasprintf("This runner has no agent \"%s\".",
		    s->agent);
		r->program = kind_program(NULL);
		run_stillborn(r, "agent_missing");
		return;
	}
	if (why != NULL)
		r->error = xasprintf("The session has no directory here: %s.",
		    why);
	if (why != NULL || run_spawn(r) == -1) {
		run_stillborn(r, "runner_failed");
		return;
	}
	run_read(r);
	record_put(r->rec);
	log_info("run %s: accepted, session %s, %s", run_id(r), s->id,
	    s->agent);
}

/* A session cannot have them otherwise. */
static int
run_owns(const char *name)
{
	return (strcmp(name, "HOME") == 0 || strcmp(name, "PATH") == 0 ||
	    strcmp(name, LEFTOVER_VAR) == 0 ||
	    strcmp(name, "MARIONETTE_RUN_ID") == 0);
}

static void
run_environment(struct run *r, struct spec *spec, const char *home)
{
	const char	*name, *path = getenv("PATH");
	char		*mark = leftover_mark(r->rec->pid, r->rec->pid_start);
	json_t		*value;

	spec_env(spec, "PATH", path != NULL ? path : SYSTEM_PATH);
	spec_env(spec, "HOME", home);
	spec_env(spec, "TERM", "dumb");
	spec_env(spec, "LANG", "C.UTF-8");
	spec_env(spec, "SHELL", "/bin/sh");
	spec_env(spec, LEFTOVER_VAR, mark);
	spec_env(spec, "MARIONETTE_RUN_ID", run_id(r));
	spec_env(spec, "MARIONETTE_SESSION_ID", r->session->id);
	spec_env(spec, "MARIONETTE_TASK_ID", r->task_id);
	json_object_foreach(r->session->vars, name, value)
		if (!run_owns(name) && strchr(name, '=') == NULL &&
		    json_string_value(value) != NULL)
			spec_env(spec, name, json_string_value(value));
	free(mark);
}

/* What a run needs may live below /tmp; then it cannot be a private one. */
static int
run_private(const struct run *r, const char *tmp)
{
	char	*real;
	size_t	 n = strlen(tmp);
	int	 yes;

	if (env->mcp_config != NULL && strncmp(env->mcp_config, tmp, n) == 0)
		return (0);
	if ((real = realpath(r->program->path, NULL)) == NULL)
		return (1);
	yes = strncmp(real, tmp, n) != 0 &&
	    strncmp(r->program->path, tmp, n) != 0;
	free(real);
	return (yes);
}

/* Others' sessions; and where programs of our user listen for him alone. */
static void
run_hide(const struct run *r, struct spec *spec)
{
	static const char *const	 sub[] = { ".ssh", ".gnupg", ".docker" };
	const char			*home = getenv("HOME");
	char				*dir;
	size_t				 i;

	spec_put(spec, SPEC_HIDE, env->ws_root);
	spec_put(spec, SPEC_HIDE, env->state_dir);
	if (r->session->uid != 0 || home == NULL || home[0] != '/')
		return;
	for (i = 0; i < sizeof(sub) / sizeof(sub[0]); i++) {
		dir = xasprintf("%s/%s", home, sub[i]);
		spec_put(spec, SPEC_HIDE, dir);
		free(dir);
	}
}

static int
run_spec(struct run *r, struct spec *spec)
{
	char	 mode[2] = { room_mode(), '\0' }, uid[16];
	char	*home, *tmp;
	int	 private_tmp = run_private(r, "/tmp/"), rv;

	spec_put(spec, SPEC_PATH, r->program->path);
	spec_put(spec, SPEC_DIR, r->session->dir);
	run_hide(r, spec);
	snprintf(uid, sizeof(uid), "%u", (unsigned)r->session->uid);
	spec_put(spec, SPEC_UID, uid);
	spec_put(spec, SPEC_MODE, mode);
	if (mode[0] == ROOM_NAMESPACE) {
		home = xstrdup(ROOM_HOME);
		if (private_tmp)
			spec_put(spec, SPEC_TMP, "");
		if (run_private(r, "/var/tmp/"))
			spec_put(spec, SPEC_VAR_TMP, "");
		tmp = xstrdup(private_tmp ? "/tmp" : ROOM_TMP);
	} else {
		home = xasprintf("%s/home", r->session->dir);
		tmp = xasprintf("%s/tmp", r->session->dir);
	}
	run_environment(r, spec, home);
	spec_env(spec, "TMPDIR", tmp);
	spec_env(spec, "CLAUDE_CODE_TMPDIR", tmp);
	free(home);
	free(tmp);
	rv = r->program->kind->start(r, spec);
	spec_put(spec, SPEC_END, "");
	if (rv == 0 && spec->full) {
		r->error = xstrdup("The environment is larger than 512 KiB.");
		rv = -1;
	}
	return (rv);
}

/* All up to here is durable: the holder may begin, the program hear more. */
void
run_go(void)
{
	struct spec	 spec;
	struct run	*r = env->run;

	if (r == NULL)
		return;
	run_tell(r);
	if (r->program->kind->turn != NULL)
		r->program->kind->turn(r);
	if (r->fd_spec == -1 || r->status != NULL)
		return;
	spec_init(&spec);
	if (run_spec(r, &spec) == -1)
		run_ctl(r, 'K');
	else if (write_all(r->fd_spec, spec.buf, spec.len) == -1)
		log_warn("run %s: its holder is gone", run_id(r));
	spec_free(&spec);
	if (r->fd_spec != -1)
		close(r->fd_spec);
	r->fd_spec = -1;
}
