#include "serve/assertion.h"

#include "base/log.h"
#include "codec/statement.h"
#include "codec/unpack.h"
#include "os/exchange.h"
#include "os/url.h"
#include "serve/action.h"
#include "serve/answer.h"

#include <stdio.h>
#include <string.h>

#define LIFE_MAX 60000U /* Between an assertion's two times. */

static bool is_body_asserted(const Isthmus__V1__Relay *asks,
                             const Isthmus__V1__Assertion *assertion)
{
    uint8_t hash[crypto_hash_sha256_BYTES];

    if (asks->body_follows)
        return assertion->body_hash.len == 0 && asks->body.len == 0;
    if (assertion->body_hash.len != sizeof(hash))
        return false;
    crypto_hash_sha256(hash, asks->body.data, asks->body.len);
    return memcmp(hash, assertion->body_hash.data, sizeof(hash)) == 0;
}

static bool is_in_time(const struct serve *serve,
                       const Isthmus__V1__Assertion *assertion)
{
    uint64_t now = ist_loop_wall(serve->loop), skew = serve->conf.skew_ms;

    return assertion->issued_ms <= now + skew &&
           assertion->expires_ms + skew >= now &&
           assertion->expires_ms >= assertion->issued_ms &&
           assertion->expires_ms - assertion->issued_ms <= LIFE_MAX;
}

/* NULL: fine; else what is wrong. */
static const char *doubt(const struct serve *serve,
                         const struct serve_asserted *word)
{
    const Isthmus__V1__Relay *asks = word->asks;
    const Isthmus__V1__Assertion *assertion = word->assertion;

    if (asks->signature.len != crypto_sign_BYTES ||
        !ist_statement_verify(IST_STATEMENT_ASSERTION, asks->assertion.data,
                              asks->assertion.len, asks->signature.data,
                              serve->hub->signing_public))
        return "it is not signed by the hub";
    if (!assertion)
        return "it cannot be read";
    if (assertion->audience.len != sizeof(serve->self->uid.b) ||
        memcmp(assertion->audience.data, serve->self->uid.b,
               sizeof(serve->self->uid.b)) != 0)
        return "it is for another site";
    if (!is_in_time(serve, assertion))
        return "its time is over, or has not come";
    if (!is_body_asserted(asks, assertion))
        return "it is for another body";
    return NULL;
}

static bool distrust(struct serve_answer *answer, const char *why)
{
    struct serve *serve = answer->serve;
    char text[128];

    snprintf(text, sizeof(text), "the hub's assertion is refused: %s", why);
    ist_log_warn("serve", "%s", text);
    serve->counts.denied++;
    serve_tell(serve, "denied", "unknown", "assertion", text);
    serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__DENIED, text);
    return false;
}

/* The site's own id of the project: as the credential's entry says it, or as
 * Keystone did when it was first used. */
static const char *own_project(const struct project *project)
{
    if (os_cloud_project(project->cloud)[0])
        return os_cloud_project(project->cloud);
    return project->entry.project_id ? project->entry.project_id : "mapped";
}

static bool refuse(struct serve_answer *answer, Isthmus__V1__Failure__Code code,
                   const char *text)
{
    serve_answer_refuse(answer, code, text);
    answer->failure.retryable = code == ISTHMUS__V1__FAILURE__CODE__BUSY;
    return false;
}

/* By a token of his own. */
static bool be_guest(struct serve_answer *answer, struct serve_asserted *word,
                     struct serve_asked *asked)
{
    const Isthmus__V1__Relay *asks = word->asks;

    word->guest = serve_guests_get(answer->serve->guests, asks->token.data,
                                   asks->token.len, asks->project);
    if (!word->guest)
        return refuse(answer, ISTHMUS__V1__FAILURE__CODE__BUSY,
                      "as many users act with their own tokens as may, or "
                      "this one's is none");
    asked->project = word->guest->project;
    return true;
}

/* By the credential that the site has put for the project. */
static bool use_row(struct serve_answer *answer, struct serve_asserted *word,
                    struct serve_asked *asked)
{
    const Isthmus__V1__Assertion *assertion = word->assertion;
    char text[160];

    word->project = projects_find(answer->serve->projects, assertion->project,
                                  assertion->project_name, assertion->roles,
                                  assertion->n_roles);
    if (!word->project) {
        snprintf(text, sizeof(text),
                 "the site has no project for %.80s: its admin maps it in "
                 "projects.yaml",
                 assertion->project_name);
        return refuse(answer, ISTHMUS__V1__FAILURE__CODE__DENIED, text);
    }
    if (word->project->project && strcmp(asked->kind, "keypair") == 0)
        return refuse(answer, ISTHMUS__V1__FAILURE__CODE__DENIED,
                      "key pairs are a user's, and projects that are granted "
                      "in projects.yaml share one here: those that need them "
                      "are mapped by cloud:");
    if (!word->project->cloud)
        return refuse(answer, ISTHMUS__V1__FAILURE__CODE__BUSY,
                      "the site's agent has no credential for the project "
                      "yet: its log says why");
    word->held = answer->serve->projects;
    projects_hold(word->held);
    asked->project = own_project(word->project);
    return true;
}

/* Who acts. What is of no project is the hub's admin's own, or nobody's, who
 * may only ask a service what it is. */
static bool find_project(struct serve_answer *answer,
                         struct serve_asserted *word, struct serve_asked *asked)
{
    if (word->assertion->project[0] == '\0') {
        if (word->assertion->user[0] ||
            (asked->verb == POLICY_READ && strcmp(asked->kind, "service") == 0))
            return true;
        return refuse(answer, ISTHMUS__V1__FAILURE__CODE__DENIED,
                      "only who has logged in may ask for that");
    }
    return answer->serve->guests && word->asks->token.len
               ? be_guest(answer, word, asked)
               : use_row(answer, word, asked);
}

bool serve_assertion_look(struct serve_answer *answer,
                          const Isthmus__V1__Relay *asks,
                          struct serve_asserted *ret,
                          struct serve_asked *ret_asked)
{
    struct serve_action action;
    struct ist_err err;
    const char *why;

    *ret = (struct serve_asserted){
        .asks = asks,
        .assertion =
            ist_unpack(&isthmus__v1__assertion__descriptor, &answer->arena,
                       asks->assertion.data, asks->assertion.len)};
    why = doubt(answer->serve, ret);
    if (why)
        return distrust(answer, why);
    ret->service = os_service_find(ret->assertion->service);
    if (!ret->service || strcmp(ret->service->name, "identity") == 0) {
        serve_answer_refuse(answer, ISTHMUS__V1__FAILURE__CODE__UNSUPPORTED,
                            "it is none of the services that the agent passes "
                            "on");
        return false;
    }
    if (os_url_check_target(ret->assertion->target, &err)) {
        serve_answer_fail(answer, ISTHMUS__V1__FAILURE__CODE__BAD_CALL, &err);
        return false;
    }
    action = serve_action_of(ret->service, ret->assertion->method,
                             ret->assertion->target);
    *ret_asked = (struct serve_asked){action.verb, action.kind, NULL};
    return find_project(answer, ret, ret_asked);
}

void serve_assertion_fini(struct serve_asserted *word)
{
    projects_release(IST_TAKE(word->held));
    serve_guest_release(IST_TAKE(word->guest));
}

struct os_cloud *serve_assertion_cloud(const struct serve_answer *answer,
                                       const struct serve_asserted *word)
{
    if (word->guest)
        return word->guest->cloud;
    return word->project ? word->project->cloud : answer->serve->cloud;
}

/* --- What reads otherwise at the hub --- */

static bool take_maps(struct ist_arena *arena, const struct os_cloud *cloud,
                      const char *url, struct ist_rewriting *how)
{
    struct ist_link_map *maps =
        ist_arena_alloc(arena, OS_SERVICES_MAX * sizeof(*maps));
    const struct os_service *services;
    size_t n;

    services = os_services(&n);
    for (size_t i = 0; maps && i < n && url[0]; i++) {
        const char *from = os_cloud_base(cloud, &services[i]);
        size_t size = strlen(url) + strlen(services[i].name) + 2;
        char *to = from ? ist_arena_alloc(arena, size) : NULL;

        if (!from)
            continue;
        from = ist_arena_strdup(arena, from);
        if (!to || !from)
            return false;
        snprintf(to, size, "%s/%s", url, services[i].name);
        maps[how->n_maps++] = (struct ist_link_map){from, to};
    }
    how->maps = maps;
    return maps != NULL;
}

static const struct ist_pair *
take_pairs(struct ist_arena *arena, const Isthmus__V1__Swap *from, bool to_hub)
{
    struct ist_pair *pairs =
        ist_arena_alloc(arena, (from->n_pairs + 1) * sizeof(*pairs));

    for (size_t i = 0; pairs && i < from->n_pairs; i++)
        pairs[i] =
            to_hub
                ? (struct ist_pair){from->pairs[i]->site, from->pairs[i]->hub}
                : (struct ist_pair){from->pairs[i]->hub, from->pairs[i]->site};
    return pairs;
}

static bool take_swaps(struct ist_arena *arena, const Isthmus__V1__Relay *asks,
                       bool to_hub, struct ist_rewriting *how)
{
    const size_t max = IST_SWAPS_MAX - 1; /* And one of our own. */
    size_t n = asks->n_swaps < max ? asks->n_swaps : max;
    struct ist_swap *swaps = ist_arena_alloc(arena, (n + 1) * sizeof(*swaps));

    for (size_t i = 0; swaps && i < n; i++) {
        const Isthmus__V1__Swap *from = asks->swaps[i];

        swaps[i] =
            (struct ist_swap){.names = (const char *const *) from->members,
                              .n_names = from->n_members,
                              .pairs = take_pairs(arena, from, to_hub),
                              .n_pairs = from->n_pairs};
        if (!swaps[i].pairs)
            return false;
    }
    how->swaps = swaps;
    how->n_swaps = n;
    return swaps != NULL;
}

bool serve_assertion_request(struct serve_answer *answer,
                             const struct serve_asserted *word,
                             struct ist_rewriting *ret)
{
    *ret = (struct ist_rewriting){0};
    if (word->project || word->guest)
        ret->id_from = word->assertion->project;
    return take_swaps(&answer->arena, word->asks, false, ret);
}

/* The quotas of a project have its id for theirs. */
static bool take_quota_id(struct ist_arena *arena, const char *target,
                          struct ist_rewriting *how)
{
    static const char *const names[] = {"id"};
    struct ist_pair *pair;

    if (!strstr(target, "/os-quota-sets/"))
        return true;
    pair = ist_arena_alloc(arena, sizeof(*pair));
    if (!pair)
        return false;
    *pair = (struct ist_pair){how->id_from, how->id_to};
    /* take_swaps() has left room. */
    ((struct ist_swap *) (uintptr_t) how->swaps)[how->n_swaps++] =
        (struct ist_swap){names, 1, pair, 1};
    return true;
}

bool serve_assertion_rewriting(struct serve_answer *answer,
                               const struct serve_asserted *word,
                               struct ist_rewriting *ret)
{
    const struct os_cloud *cloud = serve_assertion_cloud(answer, word);
    struct ist_arena *arena = &answer->arena;

    *ret = (struct ist_rewriting){0};
    if (!take_maps(arena, cloud, word->asks->public_url, ret) ||
        !take_swaps(arena, word->asks, true, ret))
        return false;
    if (!word->project && !word->guest)
        return true;
    ret->id_from = ist_arena_strdup(arena, os_cloud_project(cloud));
    ret->id_to = word->assertion->project;
    return ret->id_from && take_quota_id(arena, word->assertion->target, ret);
}
