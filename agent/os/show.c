/* One object by its id, straight from its own path; where a kind has none, a
 * list that is filtered by the id. */
#include "os/cloud_priv.h"

#include "codec/json.h"
#include "os/fail.h"
#include "os/get.h"
#include "os/top.h"
#include "os/url.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX IST_ORDER_ID_MAX

struct os_show_work {
    struct os_cloud *cloud;
    struct os_show *show;
    const struct os_resource *resource;
    const struct os_service *service;
    struct os_get get;
    struct ist_json_want want;
    struct ist_json_split split;
    bool splitting;
    const char *picks[1];
    bool other; /* It has another id than it was asked by. */

    /* Where there is no path for one. */
    struct os_list list;
    const char *ids[1];
};

static struct os_show_work *work_of(struct os_get *get)
{
    return IST_CONTAINER(get, struct os_show_work, get);
}

static void finish(struct os_show_work *work, int rc, const struct ist_err *err)
{
    struct ist_op *op = &work->show->op;

    if (err)
        op->err = *err;
    ist_op_finish(op, rc);
}

static int not_found(struct os_show_work *work)
{
    return os_fail(&work->show->op.err, work->service, NULL, OS_E_NOT_FOUND,
                   "there is no %s %.60s", work->resource->kind,
                   work->show->id);
}

/* --- By its own path --- */

static void target(struct os_get *get, struct ist_sb *out)
{
    struct os_show_work *work = work_of(get);

    os_url_expand(out, work->resource->show_path, work->cloud->auth.project,
                  work->show->id);
}

static int on_object(void *arg, const struct ist_json_element *e)
{
    struct os_show_work *work = arg;
    struct os_show *show = work->show;
    const struct ist_place place = {.site = "",
                                    .id = {show->id, strlen(show->id)}};
    const struct ist_bytes body = {e->bytes.data, e->bytes.size};

    if (e->refusal)
        return os_fail(
            &work->get.op.err, work->service, os_get_path(&work->get),
            e->refusal == IST_JSON_TOO_LARGE ? OS_E_TOO_LARGE : OS_E_BAD_ANSWER,
            e->refusal == IST_JSON_TOO_LARGE
                ? "the object is too large (openstack.record_max)"
                : "the object has a member twice");
    /* "/servers/detail" answers too, but with no such server. */
    if (work->want.n_picks && !ist_json_text_is(e->picks[0], show->id)) {
        work->other = true;
        return 0;
    }
    if (show->record.id)
        return 0; /* A list where one object should be: the first is enough. */
    return os_record_make(&show->record, 0, &place, &body) ? 0 : -ENOMEM;
}

static void on_begin(struct os_get *get)
{
    struct os_show_work *work = work_of(get);

    os_record_free(&work->show->record);
    work->other = false;
    if (work->splitting)
        ist_json_split_reset(&work->split);
    else
        ist_json_split_init(&work->split, &work->want, on_object, work);
    work->splitting = true;
}

static int bad_json(struct os_show_work *work, int rc)
{
    return os_fail(&work->get.op.err, work->service, os_get_path(&work->get),
                   OS_E_BAD_ANSWER, "answered %s (at byte %" PRIu64 ")",
                   ist_json_outcome_name(rc), work->split.error_at);
}

static int on_data(struct os_get *get, const void *data, size_t size)
{
    struct os_show_work *work = work_of(get);
    int rc = ist_json_split_feed(&work->split, data, size);

    if (rc == 0 || rc == -ENOMEM || get->op.err.code == rc)
        return rc;
    return bad_json(work, rc);
}

static void on_answer(struct ist_op *op)
{
    struct os_get *get = IST_CONTAINER(op, struct os_get, op);
    struct os_show_work *work = work_of(get);
    int rc = op->rc;

    if (rc == 0) {
        rc = ist_json_split_end(&work->split);
        /* What is asked by a word that is no id may answer in another shape. */
        if (rc == IST_JSON_E_ABSENT || (rc == 0 && work->other)) {
            os_record_free(&work->show->record);
            finish(work, not_found(work), NULL);
            return;
        }
        if (rc)
            rc = bad_json(work, rc);
    }
    if (rc)
        os_record_free(&work->show->record);
    if (rc == OS_E_UPSTREAM && get->status == 404)
        finish(work, not_found(work), NULL);
    else
        finish(work, rc, rc ? &op->err : NULL);
}

static void start_get(struct os_show_work *work)
{
    const struct ist_kind *kind = ist_kind_find(work->resource->kind);
    struct os_show *show = work->show;

    work->picks[0] = ist_kind_member(kind, "id")->path;
    work->want = (struct ist_json_want){
        .collection = work->resource->show_collection,
        .picks = work->picks,
        .n_picks = work->picks[0][0] ? 1 : 0,
        .element_max = work->cloud->conf->record_max,
    };
    work->get = (struct os_get){
        .cloud = work->cloud,
        .service = work->service,
        .version = show->version ? show->version : work->resource->version,
        .version_is_firm = show->version != NULL,
        .answer_max = work->cloud->conf->answer_max,
        .target = target,
        .begin = on_begin,
        .data = on_data,
    };
    ist_op_prepare(&work->get.op, show->op.loop, &show->op, 0, on_answer);
    os_get_start(&work->get);
}

/* --- From a list --- */

static void on_list(struct ist_op *op)
{
    struct os_list *list = IST_CONTAINER(op, struct os_list, op);
    struct os_show_work *work = IST_CONTAINER(list, struct os_show_work, list);
    struct os_show *show = work->show;
    const struct ist_place place = {.site = "",
                                    .id = {show->id, strlen(show->id)}};

    if (list->n_records == 0) {
        finish(work, op->rc ? op->rc : not_found(work),
               op->rc ? &op->err : NULL);
        return;
    }
    if (os_record_make(&show->record, 0, &place, &list->records[0].body))
        finish(work, 0, NULL);
    else
        finish(work, -ENOMEM, NULL);
}

static void start_list(struct os_show_work *work)
{
    struct os_list *list = &work->list;
    struct os_show *show = work->show;

    work->ids[0] = show->id;
    list->kind = work->resource->kind;
    list->limit = 1;
    list->version = show->version;
    list->filters[0] = (struct os_filter){"id", work->ids, 1};
    list->n_filters = 1;
    ist_op_prepare(&list->op, show->op.loop, &show->op, 0, on_list);
    os_list_start(work->cloud, list);
}

/* --- Both --- */

/* A dot segment would be another path. */
static bool sound(const char *id)
{
    size_t len = strlen(id);

    return len > 0 && len <= ID_MAX && strcmp(id, ".") != 0 &&
           strcmp(id, "..") != 0;
}

void os_show_start(struct os_cloud *cloud, struct os_show *show)
{
    const struct os_resource *resource = os_resource_find(show->kind);
    struct os_show_work *work;

    show->record = (struct os_record){.id = NULL};
    ist_op_begin(&show->op, NULL);
    if (!resource || !sound(show->id)) {
        ist_op_fail(&show->op, resource ? OS_E_NOT_FOUND : OS_E_UNSUPPORTED,
                    resource ? "there is no %.60s with that id"
                             : "there is no kind of resource named %.60s",
                    show->kind);
        return;
    }
    work = calloc(1, sizeof(*work));
    if (!work) {
        ist_op_fail(&show->op, -ENOMEM, "out of memory");
        return;
    }
    show->work = work;
    work->cloud = cloud;
    work->show = show;
    work->resource = resource;
    work->service = os_service_find(ist_kind_find(resource->kind)->service);
    if (resource->show_path)
        start_get(work);
    else
        start_list(work);
}

void os_show_fini(struct os_show *show)
{
    struct os_show_work *work = show->work;

    os_record_free(&show->record);
    if (!work)
        return;
    if (work->splitting)
        ist_json_split_fini(&work->split);
    os_get_fini(&work->get);
    os_list_fini(&work->list);
    free(work);
    show->work = NULL;
}
