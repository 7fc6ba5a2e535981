#include "events/webhook_priv.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct ist_row webhooks_rows[] = {
    {"webhooks.max", IST_ROW_U64, offsetof(struct webhooks_conf, max), "100", 1,
     1000, 0, "Webhooks at once; one more is refused."},
    {"webhooks.timeout", IST_ROW_MS, offsetof(struct webhooks_conf, timeout_ms),
     "15s", 1000, 300000, 0, "How long a receiver may take for one delivery."},
    {"webhooks.give_up", IST_ROW_MS, offsetof(struct webhooks_conf, give_up_ms),
     "3d", 1000, 30ULL * 24 * 3600 * 1000, 0,
     "A webhook whose receiver has taken nothing for so long is disabled."},
    {"webhooks.networks", IST_ROW_STRING,
     offsetof(struct webhooks_conf, networks), NULL, 1, 4000, 0,
     "Networks beside the public ones that webhooks may lead to, with commas: "
     "10.1.0.0/16,2001:db8::/32. Loopback, private and link-local addresses "
     "are refused otherwise."},
    {"webhooks.ca_file", IST_ROW_PATH, offsetof(struct webhooks_conf, ca_file),
     NULL, 1, 4096, 0,
     "Certificates that receivers are checked by, PEM; the system's without "
     "it."},
    {"webhooks.http", IST_ROW_BOOL, offsetof(struct webhooks_conf, http),
     "false", 0, 0, 0,
     "Allow http:// without TLS, too: everybody on the way can read it."},
    IST_ROW_END,
};

static struct hook *find(const struct webhooks *hooks, uint64_t id)
{
    struct hook *hook;

    TAILQ_FOREACH(hook, &hooks->all, link)
    {
        if (hook->pub.id == id)
            return hook;
    }
    return NULL;
}

static void tell(const struct webhooks *hooks, uint64_t id, const char *action,
                 enum events_severity severity, const char *text)
{
    char subject[24];

    snprintf(subject, sizeof(subject), "%" PRIu64, id);
    events_post(hooks->log,
                &(struct events_item){.site = "hub",
                                      .time_ms = ist_loop_wall(hooks->loop),
                                      .severity = severity,
                                      .service = "hub",
                                      .kind = "webhook",
                                      .action = action,
                                      .subject = subject,
                                      .project = "",
                                      .text = text});
}

void hook_name_place(uint64_t id, char buf[EVENTS_PLACE_NAME_SIZE])
{
    snprintf(buf, EVENTS_PLACE_NAME_SIZE, "webhook-%" PRIu64, id);
}

/* One hook */

bool hook_is_busy(const struct hook *hook)
{
    return hook->call.op.state != IST_OP_IDLE ||
           hook->save.op.state != IST_OP_IDLE ||
           events_place_busy(&hook->place);
}

static void hook_free(struct hook *hook)
{
    ist_timer_disarm(&hook->turn);
    ist_http_call_fini(&hook->call);
    events_filter_fini(&hook->pub.want.filter);
    ist_sb_fini(&hook->body);
    ist_sb_fini(&hook->signature);
    ist_sb_fini(&hook->record);
    sodium_memzero(&hook->pub, sizeof(hook->pub));
    free(hook);
}

static void on_settle(struct ist_timer *timer)
{
    hook_settle(IST_CONTAINER(timer, struct hook, turn));
}

/* A place has nobody to tell when it is written: it is looked at again. */
void hook_settle(struct hook *hook)
{
    struct webhooks *hooks = hook->hooks;

    if (!hook->is_gone)
        return;
    if (hook_is_busy(hook)) {
        ist_timer_arm_in(&hook->turn, hooks->loop, 10, on_settle);
        return;
    }
    hooks->n_gone--;
    hook_free(hook);
}

static struct hook *hook_add(struct webhooks *hooks, const struct webhook *pub)
{
    char place[EVENTS_PLACE_NAME_SIZE];
    struct hook *hook = calloc(1, sizeof(*hook));

    if (!hook)
        return NULL;
    hook->pub = *pub;
    hook->hooks = hooks;
    ist_sb_init(&hook->body, 0);
    ist_sb_init(&hook->signature, 0);
    ist_sb_init(&hook->record, 0);
    hook_name_place(pub->id, place);
    events_place_open(&hook->place, hooks->tree, hooks->log, place);
    TAILQ_INSERT_TAIL(&hooks->all, hook, link);
    hooks->n++;
    return hook;
}

static MDB_val key_of(const uint64_t *id)
{
    return (MDB_val){.mv_size = sizeof(*id),
                     .mv_data = (void *) (uintptr_t) id};
}

static int put_record(const struct webhooks *hooks, MDB_txn *txn, uint64_t id,
                      const struct ist_sb *record, struct ist_err *err)
{
    MDB_val key = key_of(&id);
    MDB_val value = {.mv_size = record->len, .mv_data = record->data};

    return ist_tree_fault(mdb_put(txn, hooks->map, &key, &value, 0),
                          "the webhook", err);
}

/* At id 0. An id that was used is never used again: it stands in the log. */
static int put_next_id(const struct webhooks *hooks, MDB_txn *txn, uint64_t id,
                       struct ist_err *err)
{
    const uint64_t none = 0;
    MDB_val key = key_of(&none), value = key_of(&id);

    return ist_tree_fault(mdb_put(txn, hooks->map, &key, &value, 0),
                          "the webhooks", err);
}

static int apply_save(struct ist_write *write, MDB_txn *txn,
                      struct ist_err *err)
{
    struct hook *hook = IST_CONTAINER(write, struct hook, save);

    return put_record(hook->hooks, txn, hook->pub.id, &hook->record, err);
}

static void save(struct hook *hook);

static void on_saved(struct ist_op *op)
{
    struct hook *hook = IST_CONTAINER(op, struct hook, save.op);

    if (op->rc)
        ist_log_warn("webhook", "webhook %" PRIu64 " is not written: %s",
                     hook->pub.id, op->err.text);
    save(hook);
    hook_settle(hook);
}

static void save(struct hook *hook)
{
    if (!hook->is_dirty || hook->is_gone || hook->save.op.state != IST_OP_IDLE)
        return;
    hook->is_dirty = false;
    ist_sb_reset(&hook->record);
    hook_record_write(&hook->pub, &hook->record);
    if (hook->record.rc)
        return;
    ist_op_prepare(&hook->save.op, hook->hooks->loop, NULL, 0, on_saved);
    ist_tree_write(hook->hooks->tree, &hook->save, apply_save);
}

void hook_changed(struct hook *hook)
{
    hook->is_dirty = true;
    save(hook);
}

void hook_disable(struct hook *hook, const char *why)
{
    char text[WEBHOOK_TEXT_SIZE + 64];

    hook->pub.is_disabled = true;
    hook->pub.retry_ms = 0;
    snprintf(text, sizeof(text), "webhook %" PRIu64 " was disabled: %s",
             hook->pub.id, why);
    ist_log_warn("webhook", "%s", text);
    tell(hook->hooks, hook->pub.id, "disabled", EVENTS_ERROR, text);
    hook_changed(hook);
}

/* What is ordered */

static void order_end(struct webhook_order *order, int rc)
{
    struct webhooks *hooks = order->hooks;

    hooks->n_orders--;
    order->rc = rc;
    ist_sb_fini(&order->record);
    if (rc || order->deed != WEBHOOK_ADD)
        events_filter_fini(&order->want.filter);
    order->done(order);
    sodium_memzero(&order->key, sizeof(order->key));
}

static void added(struct webhook_order *order, const struct webhook *pub)
{
    struct webhooks *hooks = order->hooks;
    struct hook *hook = hook_add(hooks, pub);

    if (!hook) {
        ist_err_set(&order->err, -ENOMEM, "out of memory");
        order_end(order, -ENOMEM);
        return;
    }
    tell(hooks, pub->id, "created", EVENTS_NOTICE, "a webhook was made");
    hook_go_on(hook);
    order_end(order, 0);
}

static void dropped(struct webhook_order *order, struct hook *hook)
{
    struct webhooks *hooks = order->hooks;

    tell(hooks, order->id, "deleted", EVENTS_NOTICE, "a webhook was deleted");
    TAILQ_REMOVE(&hooks->all, hook, link);
    hooks->n--;
    hooks->n_gone++;
    hook->is_gone = true;
    hook_stop(hook);
    hook_settle(hook);
    order_end(order, 0);
}

static void enabled(struct webhook_order *order, struct hook *hook)
{
    if (hook->pub.is_disabled)
        tell(order->hooks, order->id, "enabled", EVENTS_NOTICE,
             "a webhook was enabled again");
    hook->pub.is_disabled = false;
    hook->pub.failing_ms = hook->pub.retry_ms = 0;
    hook->n_tries = 0;
    ist_timer_disarm(&hook->turn);
    hook_go_on(hook);
    order_end(order, 0);
}

static void rotated(struct webhook_order *order, struct hook *hook)
{
    hook->pub.old_key = hook->pub.want.key;
    hook->pub.old_until_ms =
        ist_loop_wall(order->hooks->loop) + WEBHOOK_OLD_KEY_MS;
    hook->pub.want.key = order->key;
    order_end(order, 0);
}

/* As it will be, for the record. */
static struct webhook preview(const struct webhook_order *order,
                              const struct hook *hook)
{
    uint64_t now = ist_loop_wall(order->hooks->loop);
    struct webhook pub = {.id = order->id, .created_ms = now};

    if (hook)
        pub = hook->pub;
    else
        pub.want = order->want;
    if (order->deed == WEBHOOK_ENABLE) {
        pub.is_disabled = false;
        pub.failing_ms = 0;
    } else if (order->deed == WEBHOOK_ROTATE) {
        pub.old_key = pub.want.key;
        pub.old_until_ms = now + WEBHOOK_OLD_KEY_MS;
        pub.want.key = order->key;
    }
    return pub;
}

static int apply_order(struct ist_write *write, MDB_txn *txn,
                       struct ist_err *err)
{
    struct webhook_order *order =
        IST_CONTAINER(write, struct webhook_order, write);
    struct webhooks *hooks = order->hooks;
    char place[EVENTS_PLACE_NAME_SIZE];
    MDB_val key = key_of(&order->id);
    int rc;

    hook_name_place(order->id, place);
    if (order->deed == WEBHOOK_DROP) {
        rc = mdb_del(txn, hooks->map, &key, NULL);
        if (rc == MDB_NOTFOUND)
            rc = 0;
        rc = ist_tree_fault(rc, "the webhook", err);
        return rc ? rc : events_place_drop(hooks->log, txn, place, err);
    }
    rc = put_record(hooks, txn, order->id, &order->record, err);
    if (rc || order->deed != WEBHOOK_ADD)
        return rc;
    rc = put_next_id(hooks, txn, order->id + 1, err);
    return rc ? rc
              : events_place_put(hooks->log, txn, place, order->place, err);
}

static void on_ordered(struct ist_op *op)
{
    static void (*const effects[])(struct webhook_order *, struct hook *) = {
        [WEBHOOK_DROP] = dropped,
        [WEBHOOK_ENABLE] = enabled,
        [WEBHOOK_ROTATE] = rotated,
    };
    struct webhook_order *order =
        IST_CONTAINER(op, struct webhook_order, write.op);
    struct hook *hook = find(order->hooks, order->id);

    if (op->rc) {
        order->err = op->err;
        order_end(order, op->rc);
    } else if (order->deed == WEBHOOK_ADD) {
        struct webhook pub = preview(order, NULL);

        added(order, &pub);
    } else if (!hook) { /* Dropped by another order meanwhile. */
        order_end(order, -ENOENT);
    } else {
        effects[order->deed](order, hook);
    }
}

static int order_begin(struct webhooks *hooks, struct webhook_order *order)
{
    const struct hook *hook = find(hooks, order->id);
    uint64_t first;
    struct webhook pub;

    if (order->deed != WEBHOOK_ADD && !hook)
        return ist_err_set(&order->err, -ENOENT, "there is no such webhook");
    if (order->deed == WEBHOOK_ADD) {
        if (hooks->n + hooks->n_orders > hooks->conf.max)
            return ist_err_set(&order->err, -ENOSPC,
                               "there are as many webhooks as there may be "
                               "(webhooks.max, %" PRIu64 ")",
                               hooks->conf.max);
        order->id = hooks->next_id++;
        if (order->want.key.size == 0)
            events_key_random(&order->want.key);
        events_log_range(hooks->log, &first, &order->place);
    }
    if (order->deed == WEBHOOK_ROTATE)
        events_key_random(&order->key);
    pub = preview(order, hook);
    hook_record_write(&pub, &order->record);
    sodium_memzero(&pub, sizeof(pub));
    return order->record.rc
               ? ist_err_set(&order->err, order->record.rc, "out of memory")
               : 0;
}

/* One that was found wrong goes the same way, so that 'done' never comes from
 * inside this call. */
void webhooks_order(struct webhooks *hooks, struct webhook_order *order)
{
    order->hooks = hooks;
    order->place = 0;
    order->write = (struct ist_write){.apply = NULL};
    ist_sb_init(&order->record, 0);
    hooks->n_orders++;
    order->rc = hooks->is_stopped
                    ? ist_err_set(&order->err, -ECANCELED, "the hub goes down")
                    : order_begin(hooks, order);
    ist_op_prepare(&order->write.op, hooks->loop, NULL, 0, on_ordered);
    if (order->rc == 0) {
        ist_tree_write(hooks->tree, &order->write, apply_order);
    } else {
        ist_op_begin(&order->write.op, NULL);
        order->write.op.err = order->err;
        ist_op_finish(&order->write.op, order->rc);
    }
}

/* All of them */

static void on_more(struct events_follower *follower)
{
    struct webhooks *hooks = IST_CONTAINER(follower, struct webhooks, follower);
    struct hook *hook;

    TAILQ_FOREACH(hook, &hooks->all, link)
    hook_go_on(hook);
}

static bool is_next_id(const MDB_val *key, const MDB_val *value, uint64_t *ret)
{
    uint64_t id = 0;

    if (key->mv_size == sizeof(id))
        memcpy(&id, key->mv_data, sizeof(id));
    if (id == 0 && value->mv_size == sizeof(*ret))
        memcpy(ret, value->mv_data, sizeof(*ret));
    return id == 0;
}

static int load(struct webhooks *hooks, struct ist_err *err)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_txn *txn;
    int rc = ist_tree_read(hooks->tree, &txn, err);

    if (rc)
        return rc;
    rc = ist_tree_fault(mdb_cursor_open(txn, hooks->map, &cursor),
                        "the webhooks", err);
    while (rc == 0 && mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
        struct webhook pub;

        if (is_next_id(&key, &value, &hooks->next_id))
            continue;
        if (!hook_record_read(value.mv_data, value.mv_size, &pub))
            ist_log_error("webhook", "a webhook in hub.db cannot be read and "
                                     "is left out");
        else if (!hook_add(hooks, &pub))
            rc = ist_err_set(err, -ENOMEM, "out of memory");
    }
    if (rc == 0)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return rc;
}

struct webhooks *webhooks_open(struct ist_tree *tree, struct events_log *log,
                               const struct webhooks_conf *conf,
                               struct ist_err *err)
{
    const struct ist_http_conf http_conf = {.connect_timeout_ms =
                                                conf->timeout_ms,
                                            .idle_timeout_ms = conf->timeout_ms,
                                            .connections_max = 64,
                                            .per_host_max = 8,
                                            .headers_max = 32768};
    struct webhooks *hooks = calloc(1, sizeof(*hooks));
    struct hook *hook;

    if (!hooks) {
        ist_err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    hooks->loop = ist_tree_loop(tree);
    hooks->tree = tree;
    hooks->log = log;
    hooks->conf = *conf;
    hooks->next_id = 1;
    TAILQ_INIT(&hooks->all);
    if (events_guard_init(&hooks->guard, conf->networks, err)) {
        ist_err_wrap(err, "webhooks.networks");
        free(hooks);
        return NULL;
    }
    hooks->http = ist_http_new(hooks->loop, &http_conf);
    if (!hooks->http ||
        ist_tree_map(tree, "webhook", MDB_INTEGERKEY, &hooks->map, err) ||
        load(hooks, err)) {
        if (!hooks->http)
            ist_err_set(err, -ENOMEM, "out of memory");
        hooks->is_stopped = true;
        webhooks_free(hooks);
        return NULL;
    }
    hooks->follower.more = on_more;
    events_log_follow(log, &hooks->follower);
    TAILQ_FOREACH(hook, &hooks->all, link)
    hook_go_on(hook);
    return hooks;
}

void webhooks_stop(struct webhooks *hooks)
{
    struct hook *hook;

    if (hooks->is_stopped)
        return;
    hooks->is_stopped = true;
    events_log_unfollow(&hooks->follower);
    TAILQ_FOREACH(hook, &hooks->all, link)
    hook_stop(hook);
}

bool webhooks_busy(const struct webhooks *hooks)
{
    struct hook *hook;

    TAILQ_FOREACH(hook, &hooks->all, link)
    {
        if (hook_is_busy(hook))
            return true;
    }
    return hooks->n_orders || hooks->n_gone;
}

struct webhooks *webhooks_free(struct webhooks *hooks)
{
    struct hook *hook;

    if (!hooks)
        return NULL;
    assert(hooks->is_stopped && !webhooks_busy(hooks));
    while ((hook = TAILQ_FIRST(&hooks->all)) != NULL) {
        TAILQ_REMOVE(&hooks->all, hook, link);
        hook_free(hook);
    }
    if (hooks->http)
        ist_http_close(hooks->http, NULL, NULL);
    free(hooks);
    return NULL;
}

const struct webhook *webhooks_after(const struct webhooks *hooks, uint64_t id)
{
    const struct hook *hook;

    TAILQ_FOREACH(hook, &hooks->all, link)
    {
        if (hook->pub.id > id)
            return &hook->pub;
    }
    return NULL;
}

const struct webhook *webhooks_find(const struct webhooks *hooks, uint64_t id)
{
    struct hook *hook = find(hooks, id);

    return hook ? &hook->pub : NULL;
}

uint64_t webhooks_behind(const struct webhooks *hooks,
                         const struct webhook *pub)
{
    const struct hook *hook = IST_CONTAINER(pub, const struct hook, pub);
    uint64_t first, last;

    events_log_range(hooks->log, &first, &last);
    return last > hook->place.at ? last - hook->place.at : 0;
}

void webhooks_count(const struct webhooks *hooks, struct webhooks_counts *ret)
{
    struct hook *hook;

    *ret = hooks->counts;
    TAILQ_FOREACH(hook, &hooks->all, link)
    {
        if (hook->pub.is_disabled)
            ret->disabled++;
        else if (hook->pub.failing_ms)
            ret->failing++;
        else
            ret->active++;
    }
}
