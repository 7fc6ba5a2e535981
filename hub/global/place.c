/* What the region learnt of objects by making and finding them, before the view
 * hears of them. */
#include "global/request.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_ 600

static void name_place(const struct global_request *request,
                       const char *collection, const char *id,
                       char ret[NAME_MAX_])
{
    snprintf(ret, NAME_MAX_, "at %s %s %s %s", request->asked.caller.project,
             request->asked.service->name, collection, id);
}

void global_place_note(struct global_request *request, const char *collection,
                       const char *id, const char *site)
{
    char name[NAME_MAX_];

    name_place(request, collection, id, name);
    global_memory_put(&request->global->memory, name, site, strlen(site),
                      ist_loop_now(request->global->facade->loop));
}

const struct global_site *global_place_recall(struct global_request *request,
                                              const char *collection,
                                              const char *id)
{
    const struct global_memo *memo;
    char name[NAME_MAX_];

    name_place(request, collection, id, name);
    memo = global_memory_find(&request->global->memory, name);
    return memo ? global_request_site(request, memo->text) : NULL;
}
