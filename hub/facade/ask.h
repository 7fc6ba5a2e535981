/* One short exchange with a service of a site, in a client's name, its answer
 * collected: for what the hub makes one answer of several. */
#ifndef FACADE_ASK_H
#define FACADE_ASK_H

#include "facade/facade.h"

#define FACADE_ASK_MS 30000U /* Longer, and it is not waited for. */

struct facade_ask {
    struct ist_op op; /* Prepared by the caller. rc 0: an answer came whole,
                       * whatever its status; else as a desk_call's. */

    /* The question, the caller's until 'done'. */
    struct facade *facade;
    struct facade_asked asked;
    const char *method;
    const struct ist_httpd_request *http; /* Whose headers go along. */
    const char *body;
    size_t body_size;
    size_t max; /* Bytes of the answer; more fails. */

    /* The answer. */
    int status;
    const Isthmus__V1__Header *const *headers;
    size_t n_headers;
    struct ist_sb text; /* Its body. */

    /* Private to ask.c. */
    struct desk_call call;
    struct ist_arena arena, kept;
};

void facade_ask_start(struct facade_ask *);
/* Frees; safe on a zeroed one. */
void facade_ask_fini(struct facade_ask *);

/* With rc not 0: what clients are told, see outcome.h. */
int facade_ask_outcome(const struct facade_ask *, char *ret_text);

/* Answers the client with the site's own answer. */
void facade_ask_reply(const struct facade_ask *, struct ist_httpd_request *);

#endif
