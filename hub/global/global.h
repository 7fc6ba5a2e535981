/* The region "global": OpenStack's services as one over all sites where the
 * caller's project acts.
 *
 *     GET servers            list.c    merged in order, page by page
 *     GET flavors, limits    union.c   one document of several
 *     POST servers           create.c  at the site that fits
 *     * servers/<id>/...     object.c  at the site that has it
 *
 * Sites are asked in the caller's name, so each shows what he may see there and
 * does what its policy allows. What a site last said stands for one that is
 * away, and never is a row missing for it, or an object "not found". */
#ifndef GLOBAL_GLOBAL_H
#define GLOBAL_GLOBAL_H

#include "base/row.h"
#include "facade/facade.h"
#include "global/alias.h"
#include "global/memory.h"
#include "view/view.h"

struct global_conf {
    char *placement; /* "spread", "home" or "none": where what names no site is
                      * made. */
};

extern const struct ist_row global_rows[];

struct global {
    struct facade *facade;
    struct sites *sites;
    struct view *view; /* All borrowed. */
    struct global_conf conf;
    struct global_memory memory;
    struct facade_keep *aliases; /* Borrowed, set by the owner; or NULL. */
};

/* 0, or -EINVAL where a word of the configuration is none there is. */
int global_init(struct global *, struct facade *, struct view *,
                const struct global_conf *, struct ist_err *err);
/* No request may be open. */
void global_fini(struct global *);

/* A facade_region_fn; 'arg' is the struct global. */
void global_begin(void *arg, struct ist_httpd_request *,
                  const struct facade_asked *);

#endif
