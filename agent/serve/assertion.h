/* The hub's word for what a client asks: who he is, for which project, and what
 * he wants of which service. It is believed when the hub has signed it, for
 * this site, now, with that body; what the site then lets it do is for policy
 * and projects.yaml to say. */
#ifndef SERVE_ASSERTION_H
#define SERVE_ASSERTION_H

#include "codec/rewrite.h"
#include "os/rows.h"
#include "projects/projects.h"
#include "serve/guest.h"

#include "isthmus/v1/relay.pb-c.h"

struct serve_answer;
struct serve_asked;

struct serve_asserted {
    const Isthmus__V1__Relay *asks; /* NULL: the call is nobody's but the
                                     * hub's own. In the answer's arena... */
    const Isthmus__V1__Assertion *assertion; /* ... as this is. */
    const struct os_service *service;
    const struct project *project; /* Of 'held'; NULL: the site's own. */
    struct projects *held;         /* Until serve_assertion_fini(). */
    struct serve_guest *guest;     /* The same; or NULL. */
};

/* Fills both when the word is good. False: the answer is a failure that says
 * why, and OpenStack is not asked. */
bool serve_assertion_look(struct serve_answer *, const Isthmus__V1__Relay *,
                          struct serve_asserted *ret,
                          struct serve_asked *ret_asked);

/* Safe on a zeroed one. */
void serve_assertion_fini(struct serve_asserted *);

/* Who acts: the credential that the site has put for the project, or the user
 * with a token of his own. */
struct os_cloud *serve_assertion_cloud(const struct serve_answer *,
                                       const struct serve_asserted *);

/* What reads otherwise for the service than in the client's request, but for
 * the id of its project there ('id_to'). */
bool serve_assertion_request(struct serve_answer *,
                             const struct serve_asserted *,
                             struct ist_rewriting *ret);

/* What reads otherwise for the hub's clients, all in the answer's arena. Of a
 * cloud that has logged in. False: no memory. */
bool serve_assertion_rewriting(struct serve_answer *,
                               const struct serve_asserted *,
                               struct ist_rewriting *ret);

#endif
