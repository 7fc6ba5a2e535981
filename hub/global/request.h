/* A request to the region, from its head to its answer: what it asks for, in
 * whose name, and which sites may be asked. The files of the room hand it on
 * from one to the next; each ends it once, by global_request_end(). */
#ifndef GLOBAL_REQUEST_H
#define GLOBAL_REQUEST_H

#include "facade/ask.h"
#include "facade/fault.h"
#include "global/global.h"

#include <jansson.h>

#define GLOBAL_SEGMENTS_MAX 8
#define GLOBAL_BODY_MAX     (1U << 20) /* Of a request that is looked into. */
#define GLOBAL_ANSWER_MAX   (4U << 20) /* Of one site. */
#define GLOBAL_FRESH_MS                                                        \
    10000U /* So long an answer serves again, where that                       \
            * is said. */

/* A site where the caller's project acts. */
struct global_site {
    struct sites_site *site;
    const char *project; /* The site's own id of it; "": not known, or all. */
    bool is_away;        /* Not to be asked: known to be absent. */
    /* He acts there with his own token: no row of the view is his for sure, for
     * his project there is what another site has said, and his Keystone may
     * have changed its mind. */
    bool by_pass;
};

/* Whose rows of the view may be shown to the caller; "": anybody's. */
static inline const char *global_site_rows(const struct global_site *site)
{
    return site->by_pass ? "-" : site->project;
}

struct global_request;

/* What a path and method are served by. */
struct global_route {
    const char *service, *method; /* method NULL: any. */
    const char *path; /* "servers/detail"; "*" is one segment, "**" at the end
                       * is one or more. */
    void (*begin)(struct global_request *);
    const char *kind; /* Of model/kind.h; NULL: none. */
    const char *more; /* As 'begin' takes it. */
    bool takes_body;  /* It is collected before 'begin'. */
};

struct global_request {
    struct global *global;
    struct ist_httpd_request *http; /* NULL: answered. */
    struct facade_asked asked;      /* Its site is NULL. */
    bool is_region; /* It is to a site's own region, while that is away. */
    const struct global_route *route;
    struct ist_arena arena;

    const char *prefix; /* "/v2.1", "/v3/<project>": as the client wrote it. */
    /* What follows, as it was written: "servers", "<id>", "action". */
    const char *segments[GLOBAL_SEGMENTS_MAX];
    size_t n_segments;
    const char *query;   /* Behind '?'; "": none. */
    const char *version; /* The microversion that was asked for; NULL: none. */

    struct global_site *sites; /* By name. */
    size_t n_sites;

    struct ist_sb body; /* What has come of it. */
    bool has_ended, is_held;
    bool is_started;        /* Before its body, which is long, has come. */
    struct ist_op *running; /* To be cancelled when the client goes. */
    void *work;             /* Of the file at work; freed by free_work. */
    void (*free_work)(void *);
};

/* Ends it: the client has been answered, or is now, with a fault. */
void global_request_end(struct global_request *);
void global_request_fail(struct global_request *, int status, const char *fmt,
                         ...) IST_PRINTF(3, 4);
/* 503: the site that it is for is away; since when, and that nothing was done.
 */
void global_request_away(struct global_request *, const struct sites_site *);
/* Its client left while sites were asked: true, and it has ended. Nothing is to
 * be done for nobody. */
bool global_request_is_over(struct global_request *, const struct ist_op *);
/* Answers and ends. Frees the text. */
void global_request_reply(struct global_request *, int status,
                          const struct ist_httpd_header *, size_t n,
                          struct ist_sb *text);
/* The same of a document, whose reference is taken; NULL: no memory. */
void global_request_reply_json(struct global_request *, int status,
                               const struct ist_httpd_header *, size_t n,
                               json_t *);

/* Answers with the site's own answer, and ends. */
void global_request_pass(struct global_request *, const struct facade_ask *);

/* Hands the request to one site, target and swaps as in 'asked'; its body goes
 * on as it comes. Ends it. */
void global_request_relay(struct global_request *, const struct facade_asked *);

/* The request as for one site: site, and what reads otherwise there. */
struct facade_asked global_request_asked(struct global_request *,
                                         const struct global_site *);

/* "X-Isthmus-Sites: hkg=ok, lon=stale": what each site's part is. */
void global_request_note(struct ist_sb *, const char *site, const char *state);

const struct global_site *global_request_site(const struct global_request *,
                                              const char *name);

/* "/v2.1/servers/<id>" for 'n' segments: the target up to there. Lives as long
 * as the client's request. */
const char *global_request_target(struct global_request *, size_t n,
                                  const char *query);

/* Goes on with 'next' when request->version is one that all sites have: what
 * was asked for, their newest for "latest", their oldest where none was; ""
 * for a service without microversions. Else it ends with 400 or 406. */
void global_version_settle(struct global_request *,
                           void (*next)(struct global_request *));

/* Where an object is, as far as the region has learnt by making or finding it.
 */
void global_place_note(struct global_request *, const char *collection,
                       const char *id, const char *site);
const struct global_site *global_place_recall(struct global_request *,
                                              const char *collection,
                                              const char *id);
/* list.c, union.c, object.c, create.c, version.c */
void global_list(struct global_request *);
void global_unite(struct global_request *);
void global_object(struct global_request *);
void global_create(struct global_request *);
void global_versions(struct global_request *);
void global_flavor(struct global_request *);
void global_keypair(struct global_request *);
void global_anywhere(struct global_request *);
void global_forbid(struct global_request *);

#endif
