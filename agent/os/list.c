/* A list: page after page, each record looked at while it arrives, and only
 * the best ones kept.
 *
 *     start --> page --> page --> ... --> sorted, done
 *                 |
 *                 +-- again from the start, once: the service did not know
 *                     the marker, or its order turned out not to be ours
 *
 * Where a service can sort as we do ("native"), it is asked to, the list
 * begins behind the last place that an earlier page left (trail.h), and ends
 * as soon as there are enough: one exchange for a page. That its order is
 * ours is not taken on trust: each record is compared with the one before.
 * Else every page is read, and a heap keeps the best.
 *
 * A marker comes from the service's own "next" link, but is put into a URL of
 * ours: so we never go where a link points, and Nova's links, which lose all
 * but the last of repeated parameters, do no harm. */
#include "os/cloud_priv.h"

#include "codec/json.h"
#include "os/fail.h"
#include "os/get.h"
#include "os/key.h"
#include "os/top.h"
#include "os/url.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX     IST_ORDER_ID_MAX
#define MARKER_MAX 512
#define PATH_MAX_  160
#define PICKS_MAX  (2 + IST_ORDER_KEYS_MAX + OS_FILTERS_MAX)
#define SLACK                                                                  \
    16 /* Records kept over the limit: a page that shifts while                \
        * we read may bring one twice. */
#define LINKS_MAX (16U * 1024)

/* A member that is looked at: its place among the picks, or the project. */
struct view {
    const struct ist_member *member;
    size_t pick;
    bool is_project;
};

struct os_list_work {
    struct os_cloud *cloud;
    struct os_list *list;
    const struct ist_kind *kind;
    const struct os_resource *resource;
    const struct os_service *service;
    struct os_get get;

    /* What is picked of each record. */
    char paths[PICKS_MAX][PATH_MAX_];
    const char *picks[PICKS_MAX];
    size_t n_picks, wrapper_pick;
    struct view id, keys[IST_ORDER_KEYS_MAX], filters[OS_FILTERS_MAX];
    char links_path[96];
    const char *siblings[1];
    struct ist_json_want want;
    struct ist_json_split split;
    bool splitting;

    struct ist_order order;
    struct os_top top;
    bool native;       /* The service sorts. */
    bool restarted;    /* From the start: may happen once. */
    bool out_of_order; /* It did not sort as we do. */
    bool local_filter; /* Some filter the service does not know. */
    char project[OS_PROJECT_MAX + 1];
    struct ist_sb query;     /* All but limit and marker. */
    char marker[MARKER_MAX]; /* Encoded; "": from the start. */
    bool marker_is_ours;     /* It comes from a trail. */
    uint64_t *seen;          /* Hashes of markers. */
    size_t n_seen;
    int refusal; /* Of a record: OS_E_TOO_LARGE or OS_E_BAD_ANSWER. */

    /* The record before, in native order. */
    char last_text[IST_ORDER_KEYS_MAX][OS_KEY_MAX], last_id[ID_MAX + 1];
    struct ist_place last;
    bool has_last;
    /* The record that is being looked at. */
    char key_text[IST_ORDER_KEYS_MAX][OS_KEY_MAX], id_text[ID_MAX + 1];
};

static void ask_page(struct os_list_work *work);

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

    snprintf(work->paths[work->n_picks], PATH_MAX_, "%s%s%s",
             wrapper ? wrapper : "", wrapper && *path ? "." : "", path);
    work->picks[work->n_picks] = work->paths[work->n_picks];
    return work->n_picks++;
}

static void view_init(struct os_list_work *work, struct view *view,
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
        .siblings_max = LINKS_MAX,
    };
}

static bool *unsorted(const struct os_list_work *work)
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
        !os_native_find(resource->sorts, "id") || *unsorted(work))
        return false;
    for (size_t i = 0; i < work->list->n_sort; i++) {
        if (!os_native_find(resource->sorts, work->list->sort[i].name))
            return false;
    }
    return true;
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
    if (auth->admin && work->resource->admin_query)
        ist_sb_printf(&work->query, "&%s", work->resource->admin_query);
    add_filters(work);
    if (work->native)
        add_sorts(work);
    if (work->resource->query)
        work->resource->query(&work->query, &q);
}

static size_t n_wanted(const struct os_list *list)
{
    return list->first && list->first < list->limit ? list->first : list->limit;
}

/* As many as are wanted where that is certain, else as many as there may be:
 * an exchange more costs more than some records more. */
static size_t page_size(const struct os_list_work *work)
{
    size_t max = work->service->page_max, wanted = n_wanted(work->list);

    if (!work->native || work->local_filter ||
        (work->list->has_after && !work->marker_is_ours && !work->n_seen))
        return max;
    /* Some between the marker and the place that we want may be in vain. */
    if (work->marker_is_ours)
        wanted += SLACK;
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
    ist_sb_init(&encoded, MARKER_MAX - 1);
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

static void leave_trail(struct os_list_work *work)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, 0);
    if (!work->native)
        return;
    signature(work, &text);
    os_trail_store(&work->cloud->trails, ist_sb_text(&text), work->order.n_keys,
                   work->top.records, work->top.n);
}

static struct os_list_work *work_of(struct os_get *get)
{
    return IST_CONTAINER(get, struct os_list_work, get);
}

static void target(struct os_get *get, struct ist_sb *out)
{
    struct os_list_work *work = work_of(get);
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

/* --- Records --- */

/* The characters of a string, the bytes of anything else; "" for null. */
static bool plain(struct ist_json_slice v, char *buf, size_t size,
                  size_t *ret_len)
{
    enum ist_json_type type = ist_json_type(v);

    if (type == IST_JSON_STRING)
        return ist_json_text(v, buf, size, ret_len);
    *ret_len = 0;
    buf[0] = '\0';
    if (type == IST_JSON_ABSENT || type == IST_JSON_NULL)
        return true;
    if (v.size >= size)
        return false;
    memcpy(buf, v.data, v.size);
    buf[v.size] = '\0';
    *ret_len = v.size;
    return true;
}

static bool take_id(struct os_list_work *work, const struct ist_json_element *e,
                    size_t *ret_len)
{
    char text[6 * ID_MAX + 3];
    enum ist_json_type type;

    if (work->id.is_project) {
        *ret_len = strlen(work->project);
        memcpy(work->id_text, work->project, *ret_len + 1);
        return true;
    }
    type = ist_json_type(e->picks[work->id.pick]);
    if ((type != IST_JSON_STRING && type != IST_JSON_NUMBER) ||
        !plain(e->picks[work->id.pick], text, sizeof(text), ret_len) ||
        *ret_len == 0 || *ret_len > ID_MAX || memchr(text, '\0', *ret_len))
        return false;
    memcpy(work->id_text, text, *ret_len + 1);
    return true;
}

static bool filter_matches(const struct os_list_work *work,
                           const struct view *view,
                           const struct os_filter *filter,
                           const struct ist_json_element *e)
{
    char text[2048];
    size_t len;

    if (view->is_project) {
        len = strlen(work->project);
        memcpy(text, work->project, len);
    } else if (!plain(e->picks[view->pick], text, sizeof(text), &len)) {
        return false;
    }
    for (size_t i = 0; i < filter->n_values; i++) {
        if (strlen(filter->values[i]) == len &&
            memcmp(filter->values[i], text, len) == 0)
            return true;
    }
    return false;
}

static bool matches(const struct os_list_work *work,
                    const struct ist_json_element *e)
{
    for (size_t i = 0; i < work->list->n_filters; i++) {
        if (!filter_matches(work, &work->filters[i], &work->list->filters[i],
                            e))
            return false;
    }
    return true;
}

static void take_place(struct os_list_work *work,
                       const struct ist_json_element *e, size_t id_len,
                       struct ist_place *place)
{
    *place = (struct ist_place){.site = "", .id = {work->id_text, id_len}};
    for (size_t i = 0; i < work->order.n_keys; i++) {
        const struct view *view = &work->keys[i];
        size_t len;

        if (view->is_project) {
            len = strlen(work->project);
            memcpy(work->key_text[i], work->project, len);
        } else {
            len = os_key(view->member->type, e->picks[view->pick],
                         work->key_text[i]);
        }
        place->keys[i] = (struct ist_bytes){work->key_text[i], len};
    }
}

static void remember(struct os_list_work *work, const struct ist_place *place)
{
    work->last = *place;
    for (size_t i = 0; i < work->order.n_keys; i++) {
        memcpy(work->last_text[i], place->keys[i].data, place->keys[i].size);
        work->last.keys[i].data = work->last_text[i];
    }
    memcpy(work->last_id, place->id.data, place->id.size);
    work->last.id.data = work->last_id;
    work->has_last = true;
}

/* Is it behind the one before it?  If not, the service does not sort as we
 * do, and the list must be read in another way. The same one again is a page
 * that shifted. */
static bool in_order(struct os_list_work *work, const struct ist_place *place)
{
    int cmp =
        work->has_last ? ist_order_cmp(&work->order, &work->last, place) : -1;

    if (cmp > 0) {
        work->out_of_order = true;
        return false;
    }
    if (cmp < 0)
        remember(work, place);
    return true;
}

static int refuse(struct os_list_work *work, int outcome)
{
    work->list->n_refused++;
    if (!work->refusal)
        work->refusal = outcome;
    return 0;
}

static int keep(struct os_list_work *work, const struct ist_place *place,
                const struct ist_json_element *e)
{
    struct ist_json_slice body = work->wrapper_pick == SIZE_MAX
                                     ? e->bytes
                                     : e->picks[work->wrapper_pick];
    const struct ist_bytes bytes = {body.data, body.size};
    int rc;

    if (!os_top_wants(&work->top, place))
        return 0;
    rc = os_top_add(&work->top, place, &bytes);
    if (rc != -ENOBUFS)
        return rc;
    return os_fail(&work->get.op.err, work->service, os_get_path(&work->get),
                   OS_E_TOO_LARGE,
                   "the records wanted are over %zu bytes; ask for fewer at "
                   "a time",
                   work->top.memory);
}

static int on_element(void *arg, const struct ist_json_element *e)
{
    struct os_list_work *work = arg;
    struct ist_place place;
    size_t id_len;

    work->list->n_scanned++;
    if (e->refusal)
        return refuse(work, e->refusal == IST_JSON_TOO_LARGE ? OS_E_TOO_LARGE
                                                             : OS_E_BAD_ANSWER);
    if (!take_id(work, e, &id_len))
        return refuse(work, OS_E_BAD_ANSWER);
    take_place(work, e, id_len, &place);
    if (work->native && !in_order(work, &place))
        return -EAGAIN;
    if (!matches(work, e))
        return 0;
    if (work->list->has_after &&
        !os_is_behind(&work->order, &place, &work->list->after,
                      work->list->ties))
        return 0;
    return keep(work, &place, e);
}

/* --- Pages --- */

static void on_begin(struct os_get *get)
{
    struct os_list_work *work = work_of(get);

    if (work->splitting)
        ist_json_split_reset(&work->split);
    else
        ist_json_split_init(&work->split, &work->want, on_element, work);
    work->splitting = true;
}

static int bad_json(struct os_list_work *work, int rc)
{
    return os_fail(&work->get.op.err, work->service, os_get_path(&work->get),
                   OS_E_BAD_ANSWER, "answered %s (at byte %" PRIu64 ")",
                   ist_json_outcome_name(rc), work->split.error_at);
}

static int on_data(struct os_get *get, const void *data, size_t size)
{
    struct os_list_work *work = work_of(get);
    int rc = ist_json_split_feed(&work->split, data, size);

    if (rc == 0)
        return 0;
    if (work->out_of_order) {
        /* Whoever waits for the page knows what to do. */
        return ist_err_set(&get->op.err, -ECANCELED, "not in order");
    }
    /* Of our own callback: it said what it was. */
    if (get->op.err.code == rc || rc == -ENOMEM)
        return rc;
    return bad_json(work, rc);
}

/* The address of the next page, "" when this one was the last. */
struct next {
    char text[2048];
    bool found, bad;
};

static void take_next(struct next *next, struct ist_json_slice v)
{
    if (ist_json_type(v) == IST_JSON_ABSENT ||
        ist_json_type(v) == IST_JSON_NULL)
        return;
    next->found = true;
    next->bad = !ist_json_text(v, next->text, sizeof(next->text), NULL);
}

static int on_link(void *arg, const struct ist_json_element *e)
{
    if (!e->refusal && ist_json_text_is(e->picks[0], "next"))
        take_next(arg, e->picks[1]);
    return 0;
}

static void find_next(const struct os_list_work *work, struct next *next)
{
    static const char *const picks[] = {"rel", "href"};
    struct ist_json_slice v;

    *next = (struct next){.found = false};
    if (work->resource->unpaged)
        return;
    v = ist_json_split_sibling(&work->split, 0);
    if (work->service->paging != OS_PAGING_LINKS)
        take_next(next, v);
    else if (ist_json_type(v) == IST_JSON_ARRAY)
        ist_json_each(v, picks, IST_COUNT(picks), on_link, next);
}

/* FNV-1a: markers are few, and a clash only ends a list too early with an
 * error. */
static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (; *text; text++)
        h = (h ^ (unsigned char) *text) * UINT64_C(1099511628211);
    return h;
}

static bool seen_before(struct os_list_work *work, const char *marker)
{
    uint64_t h = hash(marker);

    for (size_t i = 0; i < work->n_seen; i++) {
        if (work->seen[i] == h)
            return true;
    }
    work->seen[work->n_seen++] = h;
    return false;
}

static int bad_next(struct os_list_work *work, const char *why)
{
    return os_fail(&work->list->op.err, work->service, os_get_path(&work->get),
                   OS_E_BAD_ANSWER, "its link to the next page %s", why);
}

/* Moves to the next page: 0, or an outcome with the list's op.err. */
static int follow(struct os_list_work *work, const struct next *next)
{
    const char *base =
        work->cloud->endpoints[os_service_index(work->service)].base;
    IST_CLEANUP(ist_sb_fini) struct ist_sb marker;

    ist_sb_init(&marker, MARKER_MAX - 1);
    if (next->bad)
        return bad_next(work, "is no address");
    if (!base || !os_url_same_origin(base, next->text))
        return bad_next(work, "points to another host; is the service behind "
                              "a proxy that it does not know of?");
    if (!os_url_parameter(next->text, "marker", &marker) || marker.rc)
        return bad_next(work, "has no usable marker");
    if (work->n_seen >= work->cloud->conf->pages_max)
        return os_fail(&work->list->op.err, work->service,
                       os_get_path(&work->get), OS_E_TOO_LARGE,
                       "the list has more than %" PRIu64
                       " pages (openstack.pages_max)",
                       work->cloud->conf->pages_max);
    if (seen_before(work, ist_sb_text(&marker)))
        return bad_next(work, "leads back to a page that was read before");
    memcpy(work->marker, ist_sb_text(&marker), marker.len + 1);
    work->marker_is_ours = false;
    return 0;
}

/* --- The end --- */

static void work_free(struct os_list_work *work)
{
    if (!work)
        return;
    if (work->splitting)
        ist_json_split_fini(&work->split);
    os_get_fini(&work->get);
    os_top_fini(&work->top);
    ist_sb_fini(&work->query);
    free(work->seen);
    free(work);
}

static int refusal_said(struct os_list_work *work)
{
    struct os_list *list = work->list;

    return os_fail(&list->op.err, work->service, os_get_path(&work->get),
                   work->refusal, "%" PRIu64 " records were left out: %s",
                   list->n_refused,
                   work->refusal == OS_E_TOO_LARGE
                       ? "too large (openstack.record_max)"
                       : "without a usable id, or with a member twice");
}

/* 'whole': all that there is has been seen. If not, only a list in the
 * service's order has the right records, as far as it came. */
static void finish(struct os_list_work *work, int rc, bool whole)
{
    struct os_list *list = work->list;

    if (!whole && !work->native)
        os_top_clear(&work->top);
    os_top_sort(&work->top);
    if (rc == 0)
        leave_trail(work);
    while (work->top.n > list->limit)
        os_record_free(&work->top.records[--work->top.n]);
    list->records = work->top.records;
    list->n_records = work->top.n;
    list->is_whole = rc == 0;
    if (rc == 0 && work->refusal)
        rc = refusal_said(work);
    ist_op_finish(&list->op, rc);
}

/* From the start, in the way that needs no trust. */
static void restart(struct os_list_work *work)
{
    if (work->out_of_order) {
        work->native = false;
        *unsorted(work) = true;
    }
    work->restarted = true;
    work->out_of_order = work->has_last = work->marker_is_ours = false;
    work->marker[0] = '\0';
    work->n_seen = 0;
    work->refusal = 0;
    work->list->n_refused = 0;
    os_top_clear(&work->top);
    work->top.in_order = work->native;
    ask_page(work);
}

static bool marker_unknown(const struct os_list_work *work)
{
    return work->marker_is_ours &&
           (work->get.status == 400 || work->get.status == 404);
}

static void forget_trail(struct os_list_work *work)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;

    ist_sb_init(&text, 0);
    signature(work, &text);
    os_trail_forget(&work->cloud->trails, ist_sb_text(&text));
}

static void page_failed(struct os_list_work *work, const struct ist_op *op)
{
    if (work->out_of_order || marker_unknown(work)) {
        forget_trail(work);
        restart(work);
        return;
    }
    work->list->op.err = op->err;
    finish(work, op->rc, false);
}

static bool enough(const struct os_list_work *work)
{
    return work->native && work->top.n >= n_wanted(work->list);
}

static void page_done(struct os_list_work *work)
{
    int rc = ist_json_split_end(&work->split);
    struct next next;

    if (rc) {
        bad_json(work, rc);
        work->list->op.err = work->get.op.err;
        finish(work, OS_E_BAD_ANSWER, false);
        return;
    }
    find_next(work, &next);
    if (!next.found || enough(work)) {
        work->list->has_more = next.found && work->top.n < work->list->limit;
        finish(work, 0, true);
        return;
    }
    rc = follow(work, &next);
    if (rc)
        finish(work, rc, false);
    else
        ask_page(work);
}

static void on_page(struct ist_op *op)
{
    struct os_get *get = IST_CONTAINER(op, struct os_get, op);
    struct os_list_work *work = work_of(get);

    work->list->n_pages += get->n_asked;
    if (work->list->op.state == IST_OP_CANCELLING) {
        work->list->op.err = op->err;
        finish(work, op->rc, false);
        return;
    }
    if (op->rc)
        page_failed(work, op);
    else
        page_done(work);
}

static void ask_page(struct os_list_work *work)
{
    struct os_get *get = &work->get;
    struct os_list *list = work->list;

    os_get_fini(get);
    *get = (struct os_get){
        .cloud = work->cloud,
        .service = work->service,
        .version = list->version ? list->version : work->resource->version,
        .version_is_firm = list->version != NULL,
        .answer_max = work->cloud->conf->answer_max,
        .target = target,
        .begin = on_begin,
        .data = on_data,
    };
    ist_op_prepare(&get->op, list->op.loop, &list->op, 0, on_page);
    os_get_start(get);
}

static int prepare(struct os_list_work *work)
{
    struct os_list *list = work->list;
    size_t memory =
        list->memory ? list->memory : (size_t) work->cloud->conf->list_max;
    int rc = prepare_picks(work);

    if (rc == 0)
        rc = prepare_project(work);
    if (rc)
        return rc;
    prepare_want(work);
    work->native = can_sort(work);
    work->seen = calloc(work->cloud->conf->pages_max, sizeof(*work->seen));
    rc = os_top_init(&work->top, &work->order, list->limit + SLACK, memory);
    if (rc || !work->seen)
        return ist_err_set(&list->op.err, -ENOMEM, "out of memory");
    work->top.in_order = work->native;
    return 0;
}

static bool sound(const struct os_list *list)
{
    return list->limit >= 1 && list->limit <= OS_LIMIT_MAX &&
           list->n_sort <= IST_ORDER_KEYS_MAX &&
           list->n_filters <= OS_FILTERS_MAX;
}

void os_list_start(struct os_cloud *cloud, struct os_list *list)
{
    const struct os_resource *resource = os_resource_find(list->kind);
    struct os_list_work *work;
    int rc;

    list->records = NULL;
    list->n_records = 0;
    list->n_pages = 0;
    list->has_more = list->is_whole = false;
    list->n_scanned = list->n_refused = 0;
    ist_op_begin(&list->op, NULL);
    if (!resource || !sound(list)) {
        ist_op_fail(&list->op, resource ? OS_E_BAD_CALL : OS_E_UNSUPPORTED,
                    resource ? "list %.60s: out of range"
                             : "there is no kind of resource named %.60s",
                    list->kind);
        return;
    }
    work = calloc(1, sizeof(*work));
    if (!work) {
        ist_op_fail(&list->op, -ENOMEM, "out of memory");
        return;
    }
    list->work = work;
    work->cloud = cloud;
    work->list = list;
    work->resource = resource;
    work->kind = ist_kind_find(resource->kind);
    work->service = os_service_find(work->kind->service);
    ist_sb_init(&work->query, 0);
    rc = prepare(work);
    if (rc)
        ist_op_finish(&list->op, rc);
    else
        ask_page(work);
}

void os_list_fini(struct os_list *list)
{
    work_free(list->work);
    list->work = NULL;
    list->records = NULL;
    list->n_records = 0;
}
