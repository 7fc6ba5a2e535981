/* GET /api/v1/search: where is this id, name or address? Answered by the view
 * alone: whatever it knows, however old. */
#include "api/api.h"
#include "api/member.h"
#include "api/problem.h"
#include "api/query.h"
#include "base/parse.h"

#include <errno.h>
#include <string.h>

#define LIMIT_MAX    500
#define TEXT_MAX     255
#define PROJECTS_MAX 64

struct searching {
    const char *text;
    uint64_t limit;
    char *projects[PROJECTS_MAX];
    size_t n_projects;
};

static bool take_projects(struct searching *s, const char *value,
                          struct ist_arena *arena)
{
    const char *at = value, *item;
    size_t len;

    while (ist_parse_item(&at, &item, &len)) {
        if (len == 0 || s->n_projects == PROJECTS_MAX)
            return false;
        s->projects[s->n_projects] = ist_arena_dup(arena, item, len);
        if (!s->projects[s->n_projects++])
            return false;
    }
    return true;
}

/* NULL, or what is wrong. */
static const char *read_query(const struct ist_httpd_request *http,
                              struct ist_arena *arena, struct searching *s)
{
    for (size_t i = 0; i < http->n_params; i++) {
        const char *name = http->params[i].name, *value = http->params[i].value;

        for (size_t j = 0; j < i; j++) {
            if (strcmp(name, http->params[j].name) == 0)
                return "A parameter is given twice: put several values into "
                       "one, with commas";
        }
        if (strcmp(name, "q") == 0)
            s->text = value;
        else if (strcmp(name, "limit") == 0) {
            if (!ist_parse_u64(value, 1, LIMIT_MAX, &s->limit))
                return "limit: must be a whole number from 1 to 500";
        } else if (strcmp(name, "project") == 0) {
            if (!take_projects(s, value, arena))
                return "project: takes 1 to 64 ids, with commas";
        } else {
            return "Only q, limit and project are parameters of this request";
        }
    }
    if (!s->text || strlen(s->text) < 2 || strlen(s->text) > TEXT_MAX)
        return "q: needs 2 to 255 characters that an id, a name or an address "
               "begins with";
    return NULL;
}

static void put_hit(struct ist_sb *out, const struct view_hit *hit)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb href;

    ist_sb_init(&href, 0);
    ist_sb_puts(out, "{\"site\":");
    ist_sb_json(out, hit->site, strlen(hit->site));
    api_put_text(out, "kind", hit->kind->name);
    api_put_text(out, "id", hit->id);
    api_put_text(out, "name", hit->name);
    api_put_text(out, "matched", hit->what);
    api_put_text(out, "text", hit->text);
    ist_sb_printf(&href, "/api/v1/%s/", hit->kind->plural);
    ist_query_encode(&href, hit->id);
    ist_sb_printf(&href, "?site=%s", hit->site);
    api_put_text(out, "href", ist_sb_text(&href));
    ist_sb_putc(out, '}');
}

void api_search(const struct api_request *request)
{
    struct ist_httpd_request *http = request->http;
    struct searching s = {.limit = 50};
    const char *wrong = read_query(http, &http->arena, &s);
    struct view_hit *hits;
    struct ist_err err;
    struct ist_sb out;
    bool more;
    size_t n;

    if (wrong) {
        api_problem_reply(http, API_BAD_PARAMETER, NULL, "%s.", wrong);
        return;
    }
    if (!request->api->view) {
        api_problem_reply(http, API_BUSY, NULL, "This hub keeps no view.");
        return;
    }
    if (view_search(request->api->view, s.text,
                    s.n_projects ? s.projects : NULL, s.n_projects, s.limit,
                    &http->arena, &hits, &n, &more, &err)) {
        api_problem_reply(http, API_INTERNAL, NULL, "%s.", err.text);
        return;
    }
    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            ist_sb_putc(&out, ',');
        put_hit(&out, &hits[i]);
    }
    ist_sb_printf(&out, "],\"more\":%s}\n", more ? "true" : "false");
    api_reply_json(http, 200, NULL, 0, &out);
}
