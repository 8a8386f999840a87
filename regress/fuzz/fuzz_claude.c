/*
 * fuzz_claude.c - what Claude Code prints; see agent_world.c.
 * covers: agent/agent_claude.c agent/ask.c agent/claude_delta.c
 * covers: agent/claude_gate.c agent/claude_text.c agent/utf8.c
 * world: agent_world.c
 */
#include "agent_world.h"
#include "fuzz.h"
#include "kind.h"

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	agent_run(&kind_claude, p, n);
	return (0);
}
