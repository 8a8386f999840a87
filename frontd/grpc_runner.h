/*
 * grpc_runner.h - runners' gRPC streams, as api.c sees them.
 */
#ifndef GRPC_RUNNER_H
#define GRPC_RUNNER_H

void	 grpc_runner_down(void);	/* runnerd died: all streams end */

#endif
