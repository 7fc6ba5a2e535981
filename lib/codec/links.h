/* Links in what a service answers: its own address in them gives way to the one
 * that the client knows. In JSON these are the values of members "href", as all
 * services write them that write absolute ones (Nova, Neutron, Cinder); nothing
 * else of a document is touched, and it may come in any pieces. */
#ifndef CODEC_LINKS_H
#define CODEC_LINKS_H

#include "base/sb.h"

#include <stdbool.h>
#include <stddef.h>

#define IST_LINK_MAX 2048 /* Bytes of a link; a longer one stays as it is. */

/* "http://10.0.0.1:8774" becomes "https://hub/r/hkg/compute". */
struct ist_link_map {
    const char *from, *to; /* Without a slash at the end. */
};

/* Appends the link as it is to be: of the maps that fit the one with the
 * longest 'from' counts; none: unchanged. Returns whether one did. */
bool ist_link_rewrite(const struct ist_link_map *, size_t n, const char *link,
                      size_t len, struct ist_sb *out);

/* A document on its way. Zeroed but for the first two. */
struct ist_links {
    const struct ist_link_map *maps; /* Borrowed. */
    size_t n_maps;

    /* Private. */
    enum {
        IST_LINKS_OUTSIDE, /* Of all strings. */
        IST_LINKS_STRING,
        IST_LINKS_VALUE, /* In the string that is a link. */
    } at;
    bool escaped;    /* The next character is, whatever it is. */
    bool is_href;    /* The last string was "href"... */
    bool has_colon;  /* ... and a colon came behind it. */
    size_t n_string; /* Of the string: bytes so far that are of "href". */
    char held[IST_LINK_MAX];
    size_t n_held;
};

/* Appends to 'out' what can be said of the document with these bytes. */
void ist_links_feed(struct ist_links *, const char *data, size_t size,
                    struct ist_sb *out);
/* The document ended; what was held back of a broken one comes. */
void ist_links_end(struct ist_links *, struct ist_sb *out);

#endif
