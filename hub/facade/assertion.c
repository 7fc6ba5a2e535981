#include "facade/assertion.h"

#include "codec/statement.h"
#include "codec/unpack.h"
#include "facade/pass.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LIFE_MS     60000U
#define HEADERS_MAX 64

/* Headers that a service may see, as openstack-facing proxies pass them: all
 * others stay here, above all those by which a service behind
 * keystonemiddleware would know its user (X-Roles, X-Project-Id,
 * X-Identity-Status...). */
static bool may_pass(const char *name)
{
    static const char *const names[] = {"Accept",
                                        "Accept-Language",
                                        "Content-Type",
                                        "Content-MD5",
                                        "If-Match",
                                        "If-None-Match",
                                        "If-Modified-Since",
                                        "If-Unmodified-Since",
                                        "Range",
                                        "User-Agent",
                                        "ETag"};
    static const char *const prefixes[] = {
        "OpenStack-API-Version", "X-OpenStack-Nova-API-Version",
        "X-OpenStack-Volume-API-Version", "X-OpenStack-Image-", "X-Image-"};

    for (size_t i = 0; i < IST_COUNT(names); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    for (size_t i = 0; i < IST_COUNT(prefixes); i++) {
        if (strncasecmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

/* "compute 2.69" or "2.69", with the version that is to be asked for. */
static const char *versioned(const struct ist_httpd_header *header,
                             const struct facade_asked *asked,
                             struct ist_arena *arena)
{
    const char *space = strchr(header->value, ' ');
    size_t word = space ? (size_t) (space + 1 - header->value) : 0, size;
    char *text;

    if (!asked->version || !strcasestr(header->name, "API-Version"))
        return header->value;
    size = word + strlen(asked->version) + 1;
    text = ist_arena_alloc(arena, size);
    if (text)
        snprintf(text, size, "%.*s%s", (int) word, header->value,
                 asked->version);
    return text;
}

bool facade_pass_headers(const struct ist_httpd_request *http,
                         const struct facade_asked *asked,
                         struct ist_arena *arena, Isthmus__V1__Relay *ret)
{
    Isthmus__V1__Header *all =
        ist_arena_alloc(arena, HEADERS_MAX * sizeof(*all));
    struct ist_httpd_header header;

    ret->headers =
        ist_arena_alloc(arena, HEADERS_MAX * sizeof(Isthmus__V1__Header *));
    if (!all || !ret->headers)
        return false;
    for (size_t i = 0; ist_httpd_header_at(http, i, &header); i++) {
        Isthmus__V1__Header *one = &all[ret->n_headers];

        if (!may_pass(header.name) || ret->n_headers == HEADERS_MAX)
            continue;
        isthmus__v1__header__init(one);
        one->name = (char *) (uintptr_t) header.name;
        one->value = (char *) (uintptr_t) versioned(&header, asked, arena);
        if (!one->value)
            return false;
        ret->headers[ret->n_headers++] = one;
    }
    return true;
}

bool facade_assert(const struct facade *facade,
                   const struct facade_asked *asked, const char *method,
                   const char *request_id, struct ist_arena *arena,
                   Isthmus__V1__Relay *ret)
{
    uint64_t now = ist_loop_wall(facade->loop);
    Isthmus__V1__Assertion assertion = ISTHMUS__V1__ASSERTION__INIT;
    uint8_t hash[crypto_hash_sha256_BYTES];

    assertion.audience = (ProtobufCBinaryData){sizeof(asked->site->peer.uid.b),
                                               asked->site->peer.uid.b};
    assertion.user = (char *) (uintptr_t) asked->caller.user;
    assertion.project = (char *) (uintptr_t) asked->caller.project;
    assertion.project_name = (char *) (uintptr_t) asked->caller.project_name;
    assertion.roles = asked->caller.roles;
    assertion.n_roles = asked->caller.n_roles;
    assertion.service = (char *) (uintptr_t) asked->service->name;
    assertion.method = (char *) (uintptr_t) method;
    assertion.target = (char *) (uintptr_t) asked->target;
    assertion.request_id = (char *) (uintptr_t) request_id;
    assertion.issued_ms = now;
    assertion.expires_ms = now + LIFE_MS;
    if (!ret->body_follows) {
        crypto_hash_sha256(hash, ret->body.data, ret->body.len);
        assertion.body_hash = (ProtobufCBinaryData){sizeof(hash), hash};
    }
    if (facade_pass_is_for(&asked->caller, asked->site->name)) {
        ret->token =
            (ProtobufCBinaryData){strlen(asked->caller.pass),
                                  (uint8_t *) (uintptr_t) asked->caller.pass};
        ret->project = (char *) (uintptr_t) asked->caller.pass_project;
    }
    ret->public_url = (char *) (uintptr_t) asked->base;
    ret->swaps = asked->swaps;
    ret->n_swaps = asked->n_swaps;
    ret->assertion.data = ist_pack(&assertion, arena, &ret->assertion.len);
    ret->signature.data = ist_arena_alloc(arena, crypto_sign_BYTES);
    ret->signature.len = crypto_sign_BYTES;
    return ret->assertion.data && ret->signature.data &&
           ist_statement_sign(IST_STATEMENT_ASSERTION, ret->assertion.data,
                              ret->assertion.len, facade->self->signing_secret,
                              ret->signature.data) == 0;
}
