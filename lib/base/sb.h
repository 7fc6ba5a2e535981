/* A string builder: grows up to its cap, keeps its first error, and is
 * checked once, at the end. The bytes end in a NUL that 'len' does not count,
 * but for what was written behind ist_sb_reserve(), until the next call. */
#ifndef BASE_SB_H
#define BASE_SB_H

#include "base/scope.h"

#include <stddef.h>

struct ist_sb {
    char *data;  /* Owned. NULL while empty: ist_sb_text() never is. */
    size_t len;  /* Bytes used. */
    size_t size; /* Bytes allocated. */
    size_t cap;  /* Most bytes it may hold; more is -ENOBUFS. */
    int rc;      /* First error, sticky: 0, -ENOMEM or -ENOBUFS. */
};

/* 'cap' 0: no cap but memory. Fit for output whose size we decide. */
void ist_sb_init(struct ist_sb *, size_t cap);
void ist_sb_fini(struct ist_sb *);
/* The same, of a secret: its bytes are overwritten first. */
void ist_sb_wipe(struct ist_sb *);

/* Forgets the bytes and the error, keeps the memory. */
void ist_sb_reset(struct ist_sb *);

void ist_sb_add(struct ist_sb *, const void *data, size_t len);
void ist_sb_puts(struct ist_sb *, const char *text);
void ist_sb_putc(struct ist_sb *, char c);
void ist_sb_printf(struct ist_sb *, const char *fmt, ...) IST_PRINTF(2, 3);

/* Appends "text" as a JSON string with its quotes (RFC 8259, section 7).
 * Bytes that are not UTF-8 become U+FFFD. */
void ist_sb_json(struct ist_sb *, const char *text, size_t len);

/* Makes room for 'len' more bytes and returns where they go, or NULL (the
 * error is kept). The caller writes them and adds to 'len'. */
char *ist_sb_reserve(struct ist_sb *, size_t len);

/* Borrowed until the next call on the builder. */
const char *ist_sb_text(const struct ist_sb *);

/* The bytes, to be freed by the caller; the builder is empty after it. NULL
 * when rc != 0. */
char *ist_sb_take(struct ist_sb *, size_t *ret_len);

#endif
