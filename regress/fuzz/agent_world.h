/*
 * agent_world.h - a coding agent's output through the agent.
 */
#ifndef AGENT_WORLD_H
#define AGENT_WORLD_H

#include <stddef.h>
#include <stdint.h>

struct kind;

void	 agent_run(const struct kind *, const uint8_t *, size_t);

#endif
