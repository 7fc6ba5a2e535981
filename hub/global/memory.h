/* What the region remembers between requests, so that it need not ask again,
 * and can say something of a site that is away: short texts by their names, the
 * ones not used for longest forgotten first. Lost with the hub, and only then
 * missed for a while. */
#ifndef GLOBAL_MEMORY_H
#define GLOBAL_MEMORY_H

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <stddef.h>
#include <stdint.h>

#define GLOBAL_MEMORY_MAX   (64U << 20) /* Bytes of all. */
#define GLOBAL_MEMORY_ONE   (4U << 20)  /* Of one; a larger one is not kept. */
#define GLOBAL_MEMORY_NAMES 100000U     /* How many. */

struct global_memo;
RB_HEAD(global_memos, global_memo);

struct global_memory {
    struct global_memos by_name;
    TAILQ_HEAD(global_memo_uses, global_memo)
    by_use; /* Used last comes first. */
    size_t n, n_bytes;
};

/* One text; borrowed until anything is put. */
struct global_memo {
    char *name;
    char *text; /* With a NUL behind it. */
    size_t size;
    uint64_t at_ms; /* When it was put; loop time. */

    /* Private to memory.c. */
    RB_ENTRY(global_memo) node;
    TAILQ_ENTRY(global_memo) use;
};

void global_memory_init(struct global_memory *);
void global_memory_fini(struct global_memory *);

/* In place of the one that has the name. Without memory: forgotten. */
void global_memory_put(struct global_memory *, const char *name,
                       const void *text, size_t size, uint64_t now_ms);
/* NULL: there is none. */
const struct global_memo *global_memory_find(struct global_memory *,
                                             const char *name);
void global_memory_forget(struct global_memory *, const char *name);

#endif
