/* What the region knows by name where each site has an id of its own: a flavor,
 * a type of volumes. Its own path is translated for the first site that has
 * it. */
#include "global/names.h"

#include "httpd/query.h"

#include <string.h>

/* The path with the site's id in the place of the name. */
static bool translate(struct global_request *request, const char *id,
                      struct facade_asked *asked)
{
    const char *name = request->segments[1];

    request->segments[1] = id;
    asked->target =
        global_request_target(request, request->n_segments, request->query);
    request->segments[1] = name;
    return asked->target != NULL;
}

/* The name as it is, of a segment as it was sent. */
static const char *decoded(struct global_request *request)
{
    struct ist_sb path;
    const char *text = NULL;

    ist_sb_init(&path, 0);
    ist_sb_printf(&path, "/%s", request->segments[1]);
    if (ist_query_path(&request->arena, ist_sb_text(&path), &text))
        text = NULL;
    ist_sb_fini(&path);
    return text ? text + 1 : "";
}

static void begin(struct global_request *request)
{
    const char *name = decoded(request);

    for (size_t i = 0; i < request->n_sites; i++) {
        const struct global_site *site = &request->sites[i];
        struct facade_asked asked = global_request_asked(request, site);
        const char *id = site->is_away
                             ? NULL
                             : global_names_id(request, site->site->name,
                                               request->route->kind, name);

        if (!id)
            continue;
        if (request->version && request->version[0])
            asked.version = request->version;
        if (!translate(request, id, &asked) ||
            !global_names_add(request, &asked, NULL, NULL))
            global_request_fail(request, 500, "The hub is out of memory.");
        else
            global_request_relay(request, &asked);
        return;
    }
    global_request_fail(request, 404, "%s %.80s could not be found.",
                        request->route->kind, name);
}

void global_flavor(struct global_request *request)
{
    if (request->n_segments < 2)
        global_request_fail(request, 404, "The resource could not be found.");
    else
        global_version_settle(request, begin);
}
