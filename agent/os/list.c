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
#include "os/list_priv.h"

#include "base/grow.h"
#include "os/fail.h"
#include "os/url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void ask_page(struct os_list_work *work);

/* --- Pages --- */

static void on_begin(struct os_get *get)
{
    struct os_list_work *work = os_list_work_of(get);

    if (work->splitting)
        ist_json_split_reset(&work->split);
    else
        ist_json_split_init(&work->split, &work->want, os_list_on_element,
                            work);
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
    struct os_list_work *work = os_list_work_of(get);
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

static bool seen_before(const struct os_list_work *work, uint64_t h)
{
    for (size_t i = 0; i < work->n_seen; i++) {
        if (work->seen[i] == h)
            return true;
    }
    return false;
}

/* Most lists have one page, and no marker. */
static int note_seen(struct os_list_work *work, uint64_t h)
{
    uint64_t *seen =
        ist_grow(work->seen, &work->seen_size, work->n_seen + 1, sizeof(*seen));

    if (!seen)
        return ist_err_set(&work->list->op.err, -ENOMEM, "out of memory");
    work->seen = seen;
    seen[work->n_seen++] = h;
    return 0;
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
    uint64_t h;

    ist_sb_init(&marker, OS_LIST_MARKER_MAX - 1);
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
    h = hash(ist_sb_text(&marker));
    if (seen_before(work, h))
        return bad_next(work, "leads back to a page that was read before");
    if (note_seen(work, h))
        return -ENOMEM;
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
        os_list_leave_trail(work);
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
        *os_list_unsorted(work) = true;
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

static void page_failed(struct os_list_work *work, const struct ist_op *op)
{
    if (work->out_of_order || marker_unknown(work)) {
        os_list_forget_trail(work);
        restart(work);
        return;
    }
    work->list->op.err = op->err;
    finish(work, op->rc, false);
}

static bool enough(const struct os_list_work *work)
{
    return work->native && work->top.n >= os_list_n_wanted(work->list);
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
    struct os_list_work *work = os_list_work_of(get);

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
        .request_id = list->request_id,
        .answer_max = work->cloud->conf->answer_max,
        .target = os_list_target,
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
    int rc = os_list_plan(work);

    if (rc)
        return rc;
    rc = os_top_init(&work->top, &work->order, list->limit + OS_LIST_SLACK,
                     memory);
    if (rc)
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
    work = malloc(sizeof(*work));
    if (!work) {
        ist_op_fail(&list->op, -ENOMEM, "out of memory");
        return;
    }
    memset(work, 0, offsetof(struct os_list_work, project));
    work->project[0] = work->marker[0] = '\0';
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
