/*
 * vault.c - one arena between two guard pages, locked, kept out of dumps
 * (promise 18).  Everything that is plain and outlives a turn lives here and
 * nowhere else.  Blocks of 256 bytes, first fit; a key takes one or two.
 *
 * Can fail: mlock, without privilege or over RLIMIT_MEMLOCK; then it says so
 * once and goes on, since a developer's machine is no reason to stop.
 */
#include <sys/mman.h>

#include <openssl/crypto.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "providerd.h"

#define BLOCK		256U
#define BLOCKS		(VAULT_SIZE / BLOCK)

static uint8_t		*arena;
static uint8_t		 taken[BLOCKS];
static size_t		 used;
static struct keyring	*keyring;
static struct desk	*desk;

void
vault_init(void)
{
	uint8_t	*p;
	size_t	 page = (size_t)sysconf(_SC_PAGESIZE);

	if (arena != NULL)
		return;
	p = mmap(NULL, VAULT_SIZE + 2 * page, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		fatal("vault");
	arena = p + page;
	if (mprotect(arena, VAULT_SIZE, PROT_READ | PROT_WRITE) == -1)
		fatal("vault");
	/* A page is locked when it is first used, and costs nothing before. */
	if (mlock2(arena, VAULT_SIZE, MLOCK_ONFAULT) == -1)
		log_warn("vault: keys may reach swap space");
	if (madvise(arena, VAULT_SIZE, MADV_DONTDUMP) == -1 ||
	    madvise(arena, VAULT_SIZE, MADV_WIPEONFORK) == -1)
		log_warn("vault: madvise");
	/* libcrypto's own: the private number of the CA's key. */
	if (CRYPTO_secure_malloc_init(65536, 64) == 0)
		log_warnx("vault: no locked memory for libcrypto");
	keyring = (struct keyring *)(void *)vault_take(sizeof(*keyring));
	desk = (struct desk *)(void *)vault_take(sizeof(*desk));
}

struct keyring *
vault_keyring(void)
{
	return (keyring);
}

struct desk *
vault_desk(void)
{
	return (desk);
}

static size_t
blocks_of(size_t n)
{
	return (n == 0 ? 1 : (n + BLOCK - 1) / BLOCK);
}

uint8_t *
vault_take(size_t n)
{
	size_t	 want = blocks_of(n), run = 0, i;

	for (i = 0; i < BLOCKS && run < want; i++)
		run = taken[i] ? 0 : run + 1;
	if (run < want)
		return (NULL);
	memset(taken + i - want, 1, want);
	used += want * BLOCK;
	return (arena + (i - want) * BLOCK);
}

void
vault_give(uint8_t *p, size_t n)
{
	size_t	 want = blocks_of(n), first;

	if (p == NULL)
		return;
	first = (size_t)(p - arena) / BLOCK;
	if (p < arena || first + want > BLOCKS || !taken[first])
		fatalx("vault: not from here");
	sodium_memzero(p, want * BLOCK);
	memset(taken + first, 0, want);
	used -= want * BLOCK;
}

size_t
vault_used(void)
{
	return (used);
}

size_t
vault_cost(size_t n)
{
	return (blocks_of(n) * BLOCK);
}
