/*
 * queue.h - the tasks that wait in a session: queue.c, and waiting.c, which says
 * what for.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "taskd.h"

void	 queue_add(struct task *);
int	 queue_cmp(struct task *, struct task *);
struct task *queue_first(struct session *);
int	 queue_is_free(const struct session *);
int	 queue_is_open(const struct session *);
void	 queue_remove(struct task *);
void	 queue_run(struct session *);
RB_PROTOTYPE(task_queue, task, qentry, queue_cmp);
const char *waiting_for(const struct task *);
const char *waiting_of(const struct session *);
void	 waiting_settle(struct task *);
void	 waiting_tell(struct session *);
void	 waiting_tell_task(struct task *);

#endif
