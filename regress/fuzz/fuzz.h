/*
 * fuzz.h - what the harnesses share: a clock of their own, a reader for inputs
 * that are more than one string, and claims that end the program.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int	 LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* What holds for every input.  The message names the claim. */
#define CLAIM(x)	((x) ? (void)0 : fuzz_broken(#x, __FILE__, __LINE__))
void	 fuzz_broken(const char *, const char *, int) __attribute__((noreturn));

/* world.c: worker.h and log.h; each input begins at the same time. */
void	 fuzz_begin(void);
void	 fuzz_pass(uint64_t);		/* milliseconds */

/* An input is read from the front; at its end come zeros and "". */
struct input {
	const uint8_t	*p;
	size_t		 n;
};
unsigned int	 input_u8(struct input *);
unsigned int	 input_u16(struct input *);
/* At most max bytes, a copy of exactly that size with a NUL after it. */
uint8_t		*input_bytes(struct input *, size_t, size_t *);
/* Up to the next NUL or the end. */
char		*input_str(struct input *);

#endif
