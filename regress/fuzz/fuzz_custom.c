/*
 * fuzz_custom.c - what a program of one's own prints; see agent_world.c.
 * covers: agent/agent_custom.c agent/ask.c agent/linebuf.c agent/run_log.c
 * world: agent_world.c
 */
#include "agent_world.h"
#include "fuzz.h"
#include "kind.h"

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	agent_run(&kind_custom, p, n);
	return (0);
}
