/*
 * wire.h - the runner wire: protobuf in and out, checked field by field
 * (promise 4).  What comes out of here is fit for every process behind us.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "runner.pb-c.h"

#define WIRE_WHY	96	/* names the field that is wrong */
#define WIRE_DOWN_MAX	1179648
#define WIRE_LINES_MAX	8192	/* of one LogBatch */
#define WIRE_RUNS_MAX	256
#define WIRE_KEPT_MAX	1000
#define WIRE_NUMBER_MAX	((1ULL << 43) - 1)

Marionette__V1__EnrollRequest *wire_enroll(const uint8_t *, size_t,
	    char why[WIRE_WHY]);
Marionette__V1__RunnerMessage *wire_message(const uint8_t *, size_t,
	    char why[WIRE_WHY]);
Marionette__V1__LogBatch *wire_logs(const uint8_t *, size_t,
	    char why[WIRE_WHY]);
void	 wire_free(ProtobufCMessage *);
/* A typed id of any prefix. */
int	 wire_is_id(const char *);
/* The agents of Hello and Enroll as words; 0, or -1 when over size. */
int	 wire_words(char *out, size_t size, char *const *words, size_t n);
#endif
