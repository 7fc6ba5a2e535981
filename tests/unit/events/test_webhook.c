#include "events/webhook.h"

#include "../scratch.h"
#include "base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

struct box {
    char dir[SCRATCH_SIZE];
    struct ist_loop loop;
    struct ist_tree *tree;
    struct events_log *log;
    struct events_conf events_conf;
    struct webhooks_conf conf;
    struct webhooks *hooks;
    struct ist_err err;
    struct webhook_order order;
    bool ordered;
    struct ist_write write;
    struct ist_timer tick;
    bool (*is_so)(struct box *);
    uint64_t limit;
    bool found;
    int listener; /* Listens only where a test says so. */
    unsigned port;
    /* Of the log. */
    size_t n_disabled;
};

/* The loop is the real one: deliveries go over sockets. */
static void on_tick(struct ist_timer *timer)
{
    struct box *box = IST_CONTAINER(timer, struct box, tick);

    box->found = box->is_so(box);
    if (box->found || ist_loop_now(&box->loop) >= box->limit)
        ist_loop_stop(&box->loop);
    else
        ist_timer_arm_in(timer, &box->loop, 2, on_tick);
}

static bool wait_for(struct box *box, bool (*is_so)(struct box *), uint64_t ms)
{
    box->is_so = is_so;
    box->limit = ist_loop_now(&box->loop) + ms;
    ist_timer_arm_in(&box->tick, &box->loop, 0, on_tick);
    ist_loop_run(&box->loop);
    return box->found;
}

static void open_hooks(struct box *box)
{
    box->hooks = webhooks_open(box->tree, box->log, &box->conf, &box->err);
    if (!box->hooks)
        fail_msg("%s", box->err.text);
}

static bool is_idle(struct box *box)
{
    return !webhooks_busy(box->hooks);
}

static void close_hooks(struct box *box)
{
    webhooks_stop(box->hooks);
    assert_true(wait_for(box, is_idle, 5000));
    box->hooks = webhooks_free(box->hooks);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct ist_tree_conf conf = {.size_max = 64U << 20, .maps_max = 16};
    socklen_t len = sizeof(to);

    *state = box;
    signal(SIGPIPE, SIG_IGN);
    scratch_make(box->dir);
    conf.path = scratch_path(box->dir, "hub.db");
    ist_loop_init(&box->loop);
    box->tree = ist_tree_open(&box->loop, &conf, &box->err);
    box->events_conf =
        (struct events_conf){.keep_ms = 3600000, .keep_items = 1000};
    box->log = events_log_open(box->tree, &box->events_conf, &box->err);
    assert_non_null(box->log);
    box->conf =
        (struct webhooks_conf){.max = 3,
                               .timeout_ms = 2000,
                               .give_up_ms = 1000,
                               .networks = (char *) (uintptr_t) "127.0.0.1/32",
                               .http = true};
    /* A port where nobody answers, and that nobody else takes meanwhile. */
    box->listener =
        socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(box->listener, (struct sockaddr *) &to, sizeof(to)),
                     0);
    getsockname(box->listener, (struct sockaddr *) &to, &len);
    box->port = ntohs(to.sin_port);
    open_hooks(box);
    return 0;
}

static bool is_written(struct box *box)
{
    return !events_log_busy(box->log);
}

static int teardown(void **state)
{
    struct box *box = *state;

    close_hooks(box);
    assert_true(wait_for(box, is_written, 5000));
    box->log = events_log_free(box->log);
    box->tree = ist_tree_free(box->tree);
    ist_loop_fini(&box->loop);
    scratch_drop(box->dir);
    close(box->listener);
    free(box);
    return 0;
}

static void on_order(struct webhook_order *order)
{
    IST_CONTAINER(order, struct box, order)->ordered = true;
}

static bool is_ordered(struct box *box)
{
    return box->ordered;
}

static int carry_out(struct box *box)
{
    box->ordered = false;
    box->order.done = on_order;
    webhooks_order(box->hooks, &box->order);
    assert_false(box->ordered);
    assert_true(wait_for(box, is_ordered, 5000));
    return box->order.rc;
}

static int add(struct box *box, const char *kind)
{
    box->order =
        (struct webhook_order){.deed = WEBHOOK_ADD, .want = {.batch_max = 1}};
    snprintf(box->order.want.url, sizeof(box->order.want.url),
             "http://127.0.0.1:%u/x?y=1", box->port);
    assert_int_equal(
        events_filter_set(&box->order.want.filter, "kind", kind, &box->err), 0);
    return carry_out(box);
}

static int deed(struct box *box, enum webhook_deed what, uint64_t id)
{
    box->order = (struct webhook_order){.deed = what, .id = id};
    return carry_out(box);
}

static int apply(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct box *box = IST_CONTAINER(write, struct box, write);
    const struct events_item item = {.site = "hkg",
                                     .origin = "hkg",
                                     .epoch = 7,
                                     .sequence = 1,
                                     .severity = EVENTS_INFO,
                                     .service = "compute",
                                     .kind = "server",
                                     .action = "created",
                                     .subject = "a",
                                     .project = "p",
                                     .text = "x"};

    return events_log_append(box->log, txn, &item, ist_clock_wall_ms(), err);
}

static void on_appended(struct ist_op *op)
{
    struct box *box = IST_CONTAINER(op, struct box, write.op);

    assert_int_equal(op->rc, 0);
    events_log_committed(box->log);
}

static void happen(struct box *box)
{
    ist_op_prepare(&box->write.op, &box->loop, NULL, 0, on_appended);
    ist_tree_write(box->tree, &box->write, apply);
}

static void check(struct box *box, const char *url, int rc, const char *why)
{
    int got = webhooks_check_url(box->hooks, url, &box->err);

    if (got != rc || (rc && !strstr(box->err.text, why)))
        fail_msg("%s: %d, %s", url, got, rc ? box->err.text : "");
}

static void test_urls(void **state)
{
    struct box *box = *state;
    char longest[WEBHOOK_URL_SIZE + 8] = "https://a.example/";

    check(box, "https://hooks.example.net/isthmus?token=x", 0, "");
    check(box, "https://1.1.1.1:8443/", 0, "");
    check(box, "https://[2a00:1450::1]/", 0, "");
    check(box, "http://127.0.0.1:1/", 0, "");
    check(box, "http://localhost/", 0, "");
    check(box, "", -EINVAL, "no URL");
    check(box, "hooks.example.net", -EINVAL, "no URL");
    check(box, "ftp://hooks.example.net/", -EINVAL, "https://");
    check(box, "file:///etc/passwd", -EINVAL, "https://");
    check(box, "https://u:p@hooks.example.net/", -EINVAL, "user");
    check(box, "https://hooks.example.net/#x", -EINVAL, "'#'");
    check(box, "https://hooks.example.net/a b", -EINVAL, "printable");
    check(box, "https://hooks.example.net/\r\nX: y", -EINVAL, "printable");
    check(box, "https://127.0.0.2/", -EINVAL, "not public");
    check(box, "https://2130706434/", -EINVAL, "not public"); /* 127.0.0.2 */
    check(box, "https://0x7f.2/", -EINVAL, "not public");
    check(box, "https://169.254.169.254/latest/", -EINVAL, "not public");
    check(box, "https://[::1]/", -EINVAL, "not public");
    check(box, "https://[fe80::1]/", -EINVAL, "not public");
    check(box, "https://[::ffff:10.0.0.1]/", -EINVAL, "not public");
    memset(longest + strlen(longest), 'a',
           sizeof(longest) - 1 - strlen(longest));
    check(box, longest, -EINVAL, "longer");
    longest[WEBHOOK_URL_SIZE - 1] = '\0';
    check(box, longest, 0, "");

    close_hooks(box);
    box->conf.http = false;
    box->conf.networks = NULL;
    open_hooks(box);
    check(box, "http://hooks.example.net/", -EINVAL, "webhooks.http");
    check(box, "https://127.0.0.1/", -EINVAL, "webhooks.networks");
    check(box, "https://localhost/", -EINVAL, "webhooks.networks");
    check(box, "https://LOCALHOST./", -EINVAL, "webhooks.networks");
    check(box, "https://a.localhost/", -EINVAL, "webhooks.networks");
}

static void test_orders(void **state)
{
    struct box *box = *state;
    struct events_key key;
    const struct webhook *hook;

    assert_int_equal(add(box, "server"), 0);
    assert_int_equal(box->order.id, 1);
    key = box->order.want.key;
    assert_int_equal(add(box, "network"), 0);
    assert_int_equal(deed(box, WEBHOOK_ROTATE, 2), 0);
    assert_int_equal(deed(box, WEBHOOK_DROP, 7), -ENOENT);
    assert_int_equal(deed(box, WEBHOOK_ENABLE, 7), -ENOENT);
    assert_int_equal(deed(box, WEBHOOK_ROTATE, 7), -ENOENT);
    assert_int_equal(add(box, "volume"), 0);
    assert_int_equal(add(box, "image"), -ENOSPC);
    assert_non_null(strstr(box->order.err.text, "webhooks.max"));
    assert_int_equal(deed(box, WEBHOOK_DROP, 3), 0);
    assert_null(webhooks_find(box->hooks, 3));

    /* All of it survives. */
    close_hooks(box);
    open_hooks(box);
    hook = webhooks_after(box->hooks, 0);
    assert_int_equal(hook->id, 1);
    assert_int_equal(hook->want.key.size, key.size);
    assert_memory_equal(hook->want.key.bytes, key.bytes, key.size);
    assert_int_equal(hook->old_key.size, 0);
    assert_string_equal(events_filter_get(&hook->want.filter, "kind"),
                        "server");
    assert_null(events_filter_get(&hook->want.filter, "site"));
    assert_non_null(strstr(hook->want.url, "/x?y=1"));
    hook = webhooks_after(box->hooks, 1);
    assert_int_equal(hook->id, 2);
    assert_int_equal(hook->old_key.size, 32);
    assert_true(hook->old_until_ms >
                ist_clock_wall_ms() + WEBHOOK_OLD_KEY_MS - 60000);
    assert_memory_not_equal(hook->old_key.bytes, hook->want.key.bytes, 32);
    assert_null(webhooks_after(box->hooks, 2));
    /* An id is never given twice. */
    assert_int_equal(add(box, "image"), 0);
    assert_int_equal(box->order.id, 4);
}

static bool has_failed(struct box *box)
{
    return webhooks_find(box->hooks, 1)->n_failed > 0;
}

static bool is_disabled(struct box *box)
{
    return webhooks_find(box->hooks, 1)->is_disabled;
}

static bool count_disabled(void *arg, const struct events_item *item)
{
    struct box *box = arg;

    box->n_disabled += strcmp(item->kind, "webhook") == 0 &&
                       strcmp(item->action, "disabled") == 0;
    return true;
}

static size_t told_disabled(struct box *box)
{
    uint64_t last;

    box->n_disabled = 0;
    events_log_read(box->log, 0, 1000, count_disabled, box, &last, &box->err);
    return box->n_disabled;
}

/* Tried again, then given up, which is told once and survives. */
static void test_nobody_there(void **state)
{
    struct box *box = *state;
    const struct webhook *hook;
    struct webhooks_counts counts;
    uint64_t begun = ist_clock_wall_ms();

    assert_int_equal(add(box, "server"), 0);
    happen(box);
    assert_true(wait_for(box, has_failed, 3000));
    hook = webhooks_find(box->hooks, 1);
    assert_true(hook->failing_ms >= begun);
    assert_true(hook->retry_ms > begun);
    assert_true(hook->retry_ms <= hook->failing_ms + 1000);
    assert_string_not_equal(hook->reason, "");
    webhooks_count(box->hooks, &counts);
    assert_int_equal(counts.failing, 1);
    assert_int_equal(counts.unanswered, 1);
    assert_true(wait_for(box, is_disabled, 5000));
    assert_in_range(hook->n_failed, 2, 3);
    assert_true(webhooks_behind(box->hooks, hook) >= 1);
    assert_true(wait_for(box, is_written, 3000));
    assert_int_equal(told_disabled(box), 1);
    assert_true(wait_for(box, is_idle, 3000));

    close_hooks(box);
    open_hooks(box);
    assert_true(is_disabled(box));
    assert_int_equal(deed(box, WEBHOOK_ENABLE, 1), 0);
    assert_false(is_disabled(box));
    assert_true(wait_for(box, has_failed, 3000)); /* It goes on where it was. */
}

static bool is_gone(struct box *box)
{
    return is_idle(box) && !webhooks_find(box->hooks, 1);
}

/* Deleted in the middle of a delivery to one that accepts and says nothing. */
static void test_dropped_while_it_delivers(void **state)
{
    struct box *box = *state;

    assert_int_equal(listen(box->listener, 4), 0);
    assert_int_equal(add(box, "server"), 0);
    happen(box);
    assert_false(wait_for(box, has_failed, 200));
    assert_int_equal(deed(box, WEBHOOK_DROP, 1), 0);
    assert_true(wait_for(box, is_gone, 1500));
}

static bool is_past(struct box *box)
{
    return webhooks_behind(box->hooks, webhooks_find(box->hooks, 1)) == 0;
}

/* What it does not want moves its place and nothing else. */
static void test_other_events_pass(void **state)
{
    struct box *box = *state;

    assert_int_equal(add(box, "volume"), 0);
    happen(box);
    assert_true(wait_for(box, is_written, 3000));
    assert_true(wait_for(box, is_past, 3000));
    assert_int_equal(webhooks_find(box->hooks, 1)->n_failed, 0);
}

/* A name may lead anywhere: no connection is made. */
static void test_no_connection_to_what_is_closed(void **state)
{
    struct box *box = *state;
    struct sockaddr_in from;
    socklen_t len = sizeof(from);

    close_hooks(box);
    box->conf.networks = NULL;
    box->conf.give_up_ms = 60000;
    open_hooks(box);
    assert_int_equal(listen(box->listener, 4), 0);
    assert_int_equal(add(box, "server"), 0); /* The API would refuse it. */
    happen(box);
    assert_true(wait_for(box, has_failed, 3000));
    assert_non_null(
        strstr(webhooks_find(box->hooks, 1)->reason, "may connect to"));
    assert_int_equal(
        accept4(box->listener, (struct sockaddr *) &from, &len, SOCK_NONBLOCK),
        -1);
}

static void test_bad_conf(void **state)
{
    struct box *box = *state;

    close_hooks(box);
    box->conf.networks = (char *) (uintptr_t) "10.0.0.0";
    assert_null(webhooks_open(box->tree, box->log, &box->conf, &box->err));
    assert_non_null(strstr(box->err.text, "webhooks.networks"));
    box->conf.networks = NULL;
    open_hooks(box);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_urls),
        TEST(test_orders),
        TEST(test_nobody_there),
        TEST(test_dropped_while_it_delivers),
        TEST(test_other_events_pass),
        TEST(test_no_connection_to_what_is_closed),
        TEST(test_bad_conf),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
