/* What a list asks of the service, and what it will look at in the answer. */
#include "os/list_priv.h"

#include "os/url.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* --- Preparing --- */

static int bad_call(struct os_list_work *work, const char *what,
                    const char *name)
{
    return ist_err_set(&work->list->op.err, OS_E_BAD_CALL,
                       "list %ss: they have no %s that is called %.60s",
                       work->kind->name, what, name);
}

static size_t add_pick(struct os_list_work *work, const char *path)
{
    const char *wrapper = work->resource->wrapper;

    snprintf(work->paths[work->n_picks], OS_LIST_PATH_MAX, "%s%s%s",
             wrapper ? wrapper : "", wrapper && *path ? "." : "", path);
    work->picks[work->n_picks] = work->paths[work->n_picks];
    return work->n_picks++;
}

static void view_init(struct os_list_work *work, struct os_list_view *view,
                      const struct ist_member *member)
{
    view->member = member;
    view->is_project = member->path[0] == '\0';
    if (!view->is_project)
        view->pick = add_pick(work, member->path);
}

static int prepare_picks(struct os_list_work *work)
{
    const struct os_list *list = work->list;

    view_init(work, &work->id, ist_kind_member(work->kind, "id"));
    work->wrapper_pick = SIZE_MAX;
    if (work->resource->wrapper)
        work->wrapper_pick = add_pick(work, "");
    for (size_t i = 0; i < list->n_sort; i++) {
        const struct ist_member *member =
            ist_kind_member(work->kind, list->sort[i].name);

        if (!member)
            return bad_call(work, "member", list->sort[i].name);
        view_init(work, &work->keys[i], member);
        work->order.descending[i] = list->sort[i].descending;
    }
    work->order.n_keys = list->n_sort;
    for (size_t i = 0; i < list->n_filters; i++) {
        const struct ist_member *member =
            ist_kind_member(work->kind, list->filters[i].name);

        if (!member)
            return bad_call(work, "member", list->filters[i].name);
        view_init(work, &work->filters[i], member);
    }
    return 0;
}

/* For the paths that hold "{project}": the one that is asked for. */
static int prepare_project(struct os_list_work *work)
{
    const struct os_list *list = work->list;

    for (size_t i = 0; i < list->n_filters; i++) {
        const struct os_filter *filter = &list->filters[i];

        if (strcmp(filter->name, "project") != 0 || filter->n_values == 0)
            continue;
        if (filter->n_values > 1 &&
            strstr(work->resource->list_path, "{project}"))
            return ist_err_set(&work->list->op.err, OS_E_BAD_CALL,
                               "list %ss: ask for one project at a time",
                               work->kind->name);
        if (strlen(filter->values[0]) <= OS_PROJECT_MAX)
            snprintf(work->project, sizeof(work->project), "%s",
                     filter->values[0]);
    }
    return 0;
}

static void prepare_want(struct os_list_work *work)
{
    const struct os_resource *resource = work->resource;

    switch (work->service->paging) {
    case OS_PAGING_LINKS:
        if (resource->links)
            snprintf(work->links_path, sizeof(work->links_path), "%s",
                     resource->links);
        else
            snprintf(work->links_path, sizeof(work->links_path), "%s_links",
                     resource->collection);
        break;
    case OS_PAGING_NEXT:
        snprintf(work->links_path, sizeof(work->links_path), "next");
        break;
    case OS_PAGING_LINKS_NEXT:
        snprintf(work->links_path, sizeof(work->links_path), "links.next");
        break;
    }
    work->siblings[0] = work->links_path;
    work->want = (struct ist_json_want){
        .collection = resource->collection,
        .picks = work->picks,
        .n_picks = work->n_picks,
        .siblings = work->siblings,
        .n_siblings = resource->unpaged ? 0 : 1,
        .element_max = work->cloud->conf->record_max,
        .siblings_max = OS_LIST_LINKS_MAX,
    };
}

bool *os_list_unsorted(const struct os_list_work *work)
{
    size_t n;
    const struct os_resource *first = os_resources(&n);

    assert(n <= OS_RESOURCES_MAX);
    return &work->cloud->unsorted[work->resource - first];
}

/* Can the service give just our order?  With the id behind the keys. */
static bool can_sort(const struct os_list_work *work)
{
    const struct os_resource *resource = work->resource;

    if (work->service->sorting == OS_SORTING_NONE || resource->unpaged ||
        !os_native_find(resource->sorts, "id") || *os_list_unsorted(work))
        return false;
    for (size_t i = 0; i < work->list->n_sort; i++) {
        if (!os_native_find(resource->sorts, work->list->sort[i].name))
            return false;
    }
    return true;
}

int os_list_plan(struct os_list_work *work)
{
    int rc = prepare_picks(work);

    if (rc == 0)
        rc = prepare_project(work);
    if (rc)
        return rc;
    prepare_want(work);
    work->native = can_sort(work);
    return 0;
}

/* --- The query --- */

static void add_sort(struct os_list_work *work, const char *native,
                     bool descending, bool first)
{
    const char *dir = descending ? "desc" : "asc";

    if (work->service->sorting == OS_SORTING_PAIRS)
        ist_sb_printf(&work->query, "&sort_key=%s&sort_dir=%s", native, dir);
    else
        ist_sb_printf(&work->query, "%s%s:%s", first ? "&sort=" : ",", native,
                      dir);
}

static void add_sorts(struct os_list_work *work)
{
    const struct os_list *list = work->list;
    bool has_id = false;

    for (size_t i = 0; i < list->n_sort; i++) {
        const struct os_sort *sort = &list->sort[i];

        if (has_id)
            break; /* Nothing behind an id makes a difference. */
        add_sort(work, os_native_find(work->resource->sorts, sort->name),
                 sort->descending, i == 0);
        has_id = strcmp(sort->name, "id") == 0;
    }
    if (!has_id)
        add_sort(work, os_native_find(work->resource->sorts, "id"), false,
                 list->n_sort == 0);
}

/* One value is what every service can filter by. */
static bool is_sendable(const struct os_list_work *work,
                        const struct os_filter *filter)
{
    const struct os_resource *resource = work->resource;

    return os_native_find(resource->filters, filter->name) &&
           filter->n_values == 1 && filter->values[0][0] &&
           (!resource->takes ||
            resource->takes(filter->name, filter->values[0]));
}

static void add_filters(struct os_list_work *work)
{
    const struct os_list *list = work->list;

    work->local_filter = false;
    for (size_t i = 0; i < list->n_filters; i++) {
        const struct os_filter *filter = &list->filters[i];

        if (!is_sendable(work, filter)) {
            work->local_filter = true;
            continue;
        }
        ist_sb_printf(&work->query, "&%s=",
                      os_native_find(work->resource->filters, filter->name));
        os_url_encode(&work->query, filter->values[0],
                      strlen(filter->values[0]));
    }
}

static void build_query(struct os_list_work *work)
{
    const struct os_auth *auth = &work->cloud->auth;
    struct os_query q = {work->resource, work->project, auth->admin};

    ist_sb_reset(&work->query);
    if (work->list->query && work->list->query[0])
        ist_sb_printf(&work->query, "&%s", work->list->query);
    else if (!work->list->query && auth->admin && work->resource->admin_query)
        ist_sb_printf(&work->query, "&%s", work->resource->admin_query);
    add_filters(work);
    if (work->native)
        add_sorts(work);
    if (work->resource->query && !work->list->query)
        work->resource->query(&work->query, &q);
}

size_t os_list_n_wanted(const struct os_list *list)
{
    return list->first && list->first < list->limit ? list->first : list->limit;
}

/* As many as are wanted where that is certain, else as many as there may be:
 * an exchange more costs more than some records more. */
static size_t page_size(const struct os_list_work *work)
{
    size_t max = work->service->page_max, wanted = os_list_n_wanted(work->list);

    if (!work->native || work->local_filter ||
        (work->list->has_after && !work->marker_is_ours && !work->n_seen))
        return max;
    /* Some between the marker and the place that we want may be in vain. */
    if (work->marker_is_ours)
        wanted += OS_LIST_SLACK;
    return wanted < max ? wanted : max;
}

/* Which list it is, for the trail. */
static void signature(const struct os_list_work *work, struct ist_sb *out)
{
    ist_sb_printf(out, "%s %s%s", work->kind->name,
                  work->list->version ? work->list->version : "",
                  ist_sb_text(&work->query));
}

static void take_trail(struct os_list_work *work)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text, encoded;
    const struct os_list *list = work->list;
    const char *id;

    ist_sb_init(&text, 0);
    ist_sb_init(&encoded, OS_LIST_MARKER_MAX - 1);
    if (!work->native || !list->has_after || work->restarted)
        return;
    signature(work, &text);
    id = os_trail_find(&work->cloud->trails, ist_sb_text(&text), &work->order,
                       &list->after, list->ties);
    if (id)
        os_url_encode(&encoded, id, strlen(id));
    if (id && encoded.rc == 0) {
        memcpy(work->marker, ist_sb_text(&encoded), encoded.len + 1);
        work->marker_is_ours = true;
    }
}

void os_list_leave_trail(struct os_list_work *work)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, 0);
    if (!work->native)
        return;
    signature(work, &text);
    os_trail_store(&work->cloud->trails, ist_sb_text(&text), work->order.n_keys,
                   work->top.records, work->top.n);
}

void os_list_target(struct os_get *get, struct ist_sb *out)
{
    struct os_list_work *work = os_list_work_of(get);
    const char *query;

    if (!work->project[0])
        snprintf(work->project, sizeof(work->project), "%s",
                 work->cloud->auth.project);
    os_url_expand(out, work->resource->list_path, work->project, "");
    build_query(work);
    if (work->n_seen == 0 && !work->marker[0])
        take_trail(work);
    query = ist_sb_text(&work->query);
    if (!work->resource->unpaged) {
        ist_sb_printf(out, "?limit=%zu", page_size(work));
        if (work->marker[0])
            ist_sb_printf(out, "&marker=%s", work->marker);
        ist_sb_puts(out, query);
    } else if (*query) {
        ist_sb_printf(out, "?%s", query + 1);
    }
}

void os_list_forget_trail(struct os_list_work *work)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, 0);
    signature(work, &text);
    os_trail_forget(&work->cloud->trails, ist_sb_text(&text));
}
