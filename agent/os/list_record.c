/* One record of a list: its id, its place in the order, whether it is wanted.
 */
#include "os/list_priv.h"

#include "os/fail.h"

#include <errno.h>
#include <string.h>

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
    char text[6 * OS_LIST_ID_MAX + 3];
    enum ist_json_type type;

    if (work->id.is_project) {
        *ret_len = strlen(work->project);
        memcpy(work->id_text, work->project, *ret_len + 1);
        return true;
    }
    type = ist_json_type(e->picks[work->id.pick]);
    if ((type != IST_JSON_STRING && type != IST_JSON_NUMBER) ||
        !plain(e->picks[work->id.pick], text, sizeof(text), ret_len) ||
        *ret_len == 0 || *ret_len > OS_LIST_ID_MAX ||
        memchr(text, '\0', *ret_len))
        return false;
    memcpy(work->id_text, text, *ret_len + 1);
    return true;
}

static bool filter_matches(const struct os_list_work *work,
                           const struct os_list_view *view,
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
        const struct os_list_view *view = &work->keys[i];
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

int os_list_on_element(void *arg, const struct ist_json_element *e)
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
