/* "/v2.1/servers/6f../action": behind the version, and the project where there
 * is one, the first segment is a collection; how many follow tells apart what
 * is done to the collection, to one of it, and to something within one. */
#include "serve/action.h"

#include "os/url.h"

#include <ctype.h>
#include <string.h>

#define SEGMENTS_MAX 8 /* More say nothing new. */

struct segment {
    const char *text;
    size_t len;
};

static size_t split(const char *target, struct segment segments[SEGMENTS_MAX])
{
    size_t n = 0;

    while (*target == '/' && n < SEGMENTS_MAX) {
        size_t len = strcspn(++target, "/?");

        if (len)
            segments[n++] = (struct segment){target, len};
        target += len;
    }
    return n;
}

static bool is(struct segment segment, const char *word)
{
    return strlen(word) == segment.len &&
           memcmp(word, segment.text, segment.len) == 0;
}

/* What Nova and Cinder take for the id of a project (project_id_regex). */
static bool is_project(struct segment segment)
{
    for (size_t i = 0; i < segment.len; i++) {
        if (!isxdigit((unsigned char) segment.text[i]) &&
            segment.text[i] != '-')
            return false;
    }
    return true;
}

/* Collections that are part of another kind, or no resource. */
static const struct {
    const char *service, *collection, *kind;
} others[] = {
    {"network", "security-group-rules", "security-group"},
    {"network", "extensions", "service"},
    {"network", "agents", "service"},
    {"network", "availability_zones", "availability-zone"},
    {"compute", "extensions", "service"},
    {"compute", "os-security-groups", "security-group"},
    {"image", "schemas", "service"},
    {"image", "info", "service"},
    {"volume", "extensions", "service"},
    {"volume", "os-availability-zone", "availability-zone"},
    {"volume", "limits", "limit"},
};

static bool begins_with(const char *path, struct segment collection)
{
    return path[0] == '/' &&
           strncmp(path + 1, collection.text, collection.len) == 0 &&
           strchr("/", path[1 + collection.len]);
}

static const char *kind_of(const struct os_service *service,
                           struct segment collection)
{
    const struct os_resource *resources;
    size_t n;

    resources = os_resources(&n);
    for (size_t i = 0; i < n; i++) {
        const struct ist_kind *kind = ist_kind_find(resources[i].kind);

        if (kind && strcmp(kind->service, service->name) == 0 &&
            begins_with(resources[i].list_path, collection))
            return resources[i].kind;
    }
    for (size_t i = 0; i < IST_COUNT(others); i++) {
        if (strcmp(others[i].service, service->name) == 0 &&
            is(collection, others[i].collection))
            return others[i].kind;
    }
    return "unknown";
}

/* By the segments behind the collection: none, one, more. */
static const struct {
    const char *method;
    enum policy_verb verbs[3];
} methods[] = {
    {"GET", {POLICY_READ, POLICY_READ, POLICY_READ}},
    {"HEAD", {POLICY_READ, POLICY_READ, POLICY_READ}},
    {"POST", {POLICY_CREATE, POLICY_ACTION, POLICY_ACTION}},
    {"PUT", {POLICY_UPDATE, POLICY_UPDATE, POLICY_ACTION}},
    {"PATCH", {POLICY_UPDATE, POLICY_UPDATE, POLICY_ACTION}},
    {"DELETE", {POLICY_DELETE, POLICY_DELETE, POLICY_ACTION}},
};

static enum policy_verb verb_of(const char *method, size_t n_behind)
{
    for (size_t i = 0; i < IST_COUNT(methods); i++) {
        if (strcmp(methods[i].method, method) == 0)
            return methods[i].verbs[n_behind < 2 ? n_behind : 2];
    }
    return POLICY_ACTION;
}

struct serve_action serve_action_of(const struct os_service *service,
                                    const char *method, const char *target)
{
    struct segment segments[SEGMENTS_MAX];
    size_t n = split(target, segments), at = 0;

    if (at < n && os_url_is_version(segments[at].text, segments[at].len))
        at++;
    if (at < n && is_project(segments[at]))
        at++;
    if (at == n || is(segments[at], "versions"))
        return (struct serve_action){verb_of(method, 0), "service"};
    return (struct serve_action){verb_of(method, n - at - 1),
                                 kind_of(service, segments[at])};
}
