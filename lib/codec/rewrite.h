/* What must read otherwise on the other side of the hub, in what services say:
 * their own address in links, and the id of a project, which the hub's clients
 * know by another one. In JSON links are the values of members "href", as all
 * services write them that write absolute ones (Nova, Neutron, Cinder), and
 * ids those of the members that hold a project's (rewrite.c has their names).
 * Nothing else of a document is touched, and it may come in any pieces. */
#ifndef CODEC_REWRITE_H
#define CODEC_REWRITE_H

#include "base/sb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IST_LINK_MAX 2048 /* Bytes of a link; a longer one stays as it is. */

/* "http://10.0.0.1:8774" becomes "https://hub/r/hkg/compute". */
struct ist_link_map {
    const char *from, *to; /* Without a slash at the end. */
};

#define IST_SWAPS_MAX 31

struct ist_pair {
    const char *from, *to;
};

/* The value of a member of one of these names, where it is a string that reads
 * 'from', or in a list of strings each that does, becomes 'to': the name of a
 * zone, the id of an image. */
struct ist_swap {
    const char *const *names;
    size_t n_names;
    const struct ist_pair *pairs; /* The first that fits counts. */
    size_t n_pairs;
};

/* All borrowed. */
struct ist_rewriting {
    const struct ist_link_map *maps;
    size_t n_maps;
    const char *id_from, *id_to; /* NULL: ids stay. */
    const struct ist_swap *swaps;
    size_t n_swaps; /* Up to IST_SWAPS_MAX. */
};

/* Appends a link as it is to be: of the maps that fit the one with the longest
 * 'from' counts, and the id is replaced where it is a part of the path or the
 * value of a parameter. */
void ist_rewrite_link(const struct ist_rewriting *, const char *link,
                      size_t len, struct ist_sb *out);

/* Where in a document. */
enum ist_rewrite_at {
    IST_REWRITE_OUTSIDE, /* Of all strings. */
    IST_REWRITE_STRING,
    IST_REWRITE_LINK,  /* In a string that is held back. */
    IST_REWRITE_VALUE, /* The same, to be compared. */
};

/* A document on its way. Zeroed but for the first. */
struct ist_rewrite {
    struct ist_rewriting how;

    /* Private. */
    enum ist_rewrite_at at;
    enum ist_rewrite_at next; /* What the value behind the last string is. */
    bool escaped;             /* The next character is, whatever it is. */
    bool has_colon;           /* Behind the last string. */
    bool in_list;             /* Of strings that are each such a value. */
    uint32_t swaps; /* Of the value: bit 0 the id, bit n + 1 swap n. */
    /* Of the string so far, if it may be a name we know: the longest is that of
     * a snapshot's project, 42 bytes. */
    char name[48];
    size_t n_name;
    char held[IST_LINK_MAX];
    size_t n_held;
};

/* Appends to 'out' what can be said of the document with these bytes. */
void ist_rewrite_feed(struct ist_rewrite *, const char *data, size_t size,
                      struct ist_sb *out);
/* The document ended; what was held back of a broken one comes. */
void ist_rewrite_end(struct ist_rewrite *, struct ist_sb *out);

#endif
