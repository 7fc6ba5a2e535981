/* One job, three engines: the hub's view as bench_view_engines measures it.
 * Rows of sites, kept in the order of five members, over all and within each
 * project; pages of them behind a place; a row by its id.
 *
 * These are prototypes: what an engine costs shows, what a product needs beside
 * is not there. Whatever fails ends the program (ve_die). */
#ifndef BENCH_VIEW_ENGINE_H
#define BENCH_VIEW_ENGINE_H

#include "base/scope.h"
#include "model/order.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ve_member {
    VE_ID,
    VE_NAME,
    VE_STATUS,
    VE_CREATED,
    VE_UPDATED,
    VE_MEMBERS,
};

#define VE_PACKED_MAX 8192

struct ve_row {
    const char *site;
    struct ist_bytes project, keys[VE_MEMBERS], body;
};

/* Of a row that is deleted, site and id count. */
struct ve_change {
    struct ve_row row;
    bool is_delete;
};

/* In the order of the member; where that is equal, site and id ascend,
 * whatever the direction. */
struct ve_query {
    enum ve_member member;
    bool descending;
    const struct ist_bytes *project; /* NULL: all. */
    const struct ve_row *after;      /* NULL: from the start. Need not exist. */
    size_t limit;
};

/* All is borrowed until it returns. */
typedef void ve_emit(void *arg, const char *site, const struct ist_bytes *id,
                     const struct ist_bytes *body);

struct ve_engine {
    const char *name;
    const char *flushes; /* What a change waits for. */
    const char *loses;   /* What a crash of the machine may take. */

    void *(*open)(const char *dir, uint64_t n_rows);
    /* One transaction: all of it is there after a crash, or none. Returns once
     * it is as durable as the engine promises. */
    void (*write)(void *, const struct ve_change *, size_t n);
    /* What the engine does from time to time so that a restart is quick. */
    void (*settle)(void *);
    void (*page)(void *, const struct ve_query *, ve_emit *, void *arg);
    /* All sites that have it. */
    void (*lookup)(void *, const struct ist_bytes *id, ve_emit *, void *arg);
    void (*close)(void *);
};

extern const struct ve_engine ve_memory, ve_lmdb, ve_sqlite;

/* A row as bytes, at most VE_PACKED_MAX; and back, borrowing from them. */
size_t ve_pack(const struct ve_row *, uint8_t *out);
void ve_unpack(const uint8_t *data, size_t size, struct ve_row *ret);

static inline bool ve_equal(const struct ist_bytes *a,
                            const struct ist_bytes *b)
{
    return a->size == b->size &&
           __builtin_memcmp(a->data, b->data, a->size) == 0;
}

/* The rows of the workload: row 'n' as it is after change 'version', 0 being
 * what the fill writes. */
struct ve_text {
    char site[16], id[40], project[40], name[32], created[24], updated[24];
    char body[2048];
};

void ve_make(struct ve_text *, uint64_t seed, uint64_t n, uint64_t version,
             struct ve_row *ret);
/* Is it of the project that has most rows? */
bool ve_is_of_big(uint64_t seed, uint64_t n);

_Noreturn void ve_die(const char *fmt, ...) IST_PRINTF(1, 2);

#endif
