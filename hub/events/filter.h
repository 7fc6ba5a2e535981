/* What a reader of the log wants of it. Every door takes the same filters, by
 * the same names: parameters of a stream, members of a webhook. */
#ifndef EVENTS_FILTER_H
#define EVENTS_FILTER_H

#include "base/err.h"
#include "base/sb.h"
#include "events/log.h"

#include <stdbool.h>

#define EVENTS_FILTER_MAX 1024 /* Bytes of one value. */

/* Commas separate alternatives; NULL: anything. All must match. */
struct events_filter {
    char *site;
    char *type; /* Patterns of "server.create", or of the whole type, in which
                 * '*' is any text and '?' one byte. */
    char *kind, *project;          /* All four owned. */
    enum events_severity severity; /* That or worse. */
};

void events_filter_fini(struct events_filter *);

/* The names that events_filter_set() knows; NULL-ended. */
extern const char *const events_filter_names[];

/* 'value' is copied; NULL or "" asks for anything. 0, -ENOENT: no filter has
 * this name, -EINVAL with 'err' filled, -ENOMEM. */
int events_filter_set(struct events_filter *, const char *name,
                      const char *value, struct ist_err *err);

/* The value as it was set; NULL: anything. Borrowed. */
const char *events_filter_get(const struct events_filter *, const char *name);

bool events_filter_match(const struct events_filter *,
                         const struct events_item *);

#define EVENTS_TYPE_SIZE 160

/* "server.create": what patterns are matched against, and what a stream calls
 * its events. 'buf' has EVENTS_TYPE_SIZE bytes; returned. */
char *events_type(const struct events_item *, char *buf);

/* Appends the CloudEvent that says to a reader that events 'from' to 'to' were
 * dropped before it came to them. One line, without its end. */
void events_gap_put(struct ist_sb *, uint64_t from, uint64_t to,
                    uint64_t wall_ms);

#endif
