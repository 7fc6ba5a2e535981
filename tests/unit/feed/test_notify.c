#include "feed/notify_priv.h"

#include "../scratch.h"
#include "base/rand.h"
#include "bus/mem.h"
#include "model/kind.h"
#include "os/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

/* The feed, which only notes what it is told. */

static struct {
    char touches[8192]; /* "kind:id kind:id" */
    size_t n_touches;
    char notified[512]; /* "+compute -compute" */
} said;

static void note(char *log, size_t size, const char *a, const char *b,
                 const char *c)
{
    size_t len = strlen(log);

    snprintf(log + len, size - len, "%s%s%s%s", len ? " " : "", a, b, c);
}

void feed_touch(struct feed *feed, const char *kind, const char *id)
{
    (void) feed;
    said.n_touches++;
    note(said.touches, sizeof(said.touches), kind, ":", id ? id : "");
}

void feed_notified(struct feed *feed, const char *service, bool on)
{
    (void) feed;
    note(said.notified, sizeof(said.notified), on ? "+" : "-", service, "");
}

static void on_touch(void *arg, const char *kind, const char *id)
{
    (void) arg;
    assert_non_null(ist_kind_find(kind));
    feed_touch(NULL, kind, id);
}

static void hush(void)
{
    memset(&said, 0, sizeof(said));
}

/* Reading */

static struct notify_verdict read_bytes(const char *service, const void *body,
                                        size_t size)
{
    /* Of its very size, so that a byte too far is found. */
    char *copy = malloc(size ? size : 1);
    struct notify_verdict verdict;
    struct ist_sb scratch;

    hush();
    memcpy(copy, body, size);
    ist_sb_init(&scratch, NOTIFY_BODY_MAX);
    verdict = notify_read(service, copy, size, &scratch, on_touch, NULL);
    for (size_t i = 0; i < scratch.size; i++)
        assert_int_equal(scratch.data[i], 0);
    ist_sb_fini(&scratch);
    free(copy);
    return verdict;
}

static char *wrap(const char *inner)
{
    struct ist_sb sb;
    char *text;

    ist_sb_init(&sb, 0);
    ist_sb_puts(&sb, "{\"oslo.version\": \"2.0\", \"oslo.message\": ");
    ist_sb_json(&sb, inner, strlen(inner));
    ist_sb_puts(&sb, "}");
    text = ist_sb_take(&sb, NULL);
    assert_non_null(text);
    return text;
}

static struct notify_verdict read_text(const char *service, const char *inner)
{
    char *body = wrap(inner);
    struct notify_verdict verdict = read_bytes(service, body, strlen(body));

    free(body);
    return verdict;
}

#define FIXTURES IST_SOURCE_DIR "/tests/fake/notifications/events.tsv"

/* One line of the fixtures: service, exchange, key, touches, message. */
struct sample {
    char *service, *exchange, *key, *touches, *message;
};

static bool next_sample(FILE *file, struct sample *ret)
{
    static char *line;
    static size_t size;
    char *at;

    if (getline(&line, &size, file) < 0) {
        free(line);
        line = NULL;
        size = 0;
        return false;
    }
    at = line;
    at[strcspn(at, "\n")] = '\0';
    ret->service = strsep(&at, "\t");
    ret->exchange = strsep(&at, "\t");
    ret->key = strsep(&at, "\t");
    ret->touches = strsep(&at, "\t");
    ret->message = at;
    assert_non_null(at);
    return true;
}

static void test_every_type(void **state)
{
    FILE *file = fopen(FIXTURES, "r");
    struct sample sample;
    size_t n = 0;

    (void) state;
    assert_non_null(file);
    while (next_sample(file, &sample)) {
        bool wanted = strcmp(sample.touches, "-") != 0;
        struct notify_verdict verdict =
            read_text(sample.service, sample.message);

        if (verdict.fault || verdict.wanted != wanted ||
            strcmp(said.touches, wanted ? sample.touches : "") != 0)
            fail_msg("%s: touched '%s', not '%s', fault %s", sample.message,
                     said.touches, sample.touches,
                     notify_fault_name(verdict.fault));
        /* Without the wrapping it is the same. */
        verdict =
            read_bytes(sample.service, sample.message, strlen(sample.message));
        assert_int_equal(verdict.fault, NOTIFY_FINE);
        assert_int_equal(verdict.wanted, wanted);
        n++;
    }
    fclose(file);
    assert_true(n > 100);
}

static void test_of_another_service(void **state)
{
    (void) state;
    assert_false(read_text("volume", "{\"event_type\": \"port.delete.end\", "
                                     "\"payload\": {\"port_id\": \"p\"}}")
                     .wanted);
    assert_int_equal(said.n_touches, 0);
}

/* What is wrong with a message, and what is touched because of it. */
static void test_faults(void **state)
{
    static const struct {
        const char *text;
        enum notify_fault fault;
        const char *touches;
    } cases[] = {
        {"", NOTIFY_SHAPE, ""},
        {"[]", NOTIFY_SHAPE, ""},
        {"7", NOTIFY_SHAPE, ""},
        {"{", NOTIFY_SYNTAX, ""},
        {"{}", NOTIFY_SHAPE, ""},
        {"[{\"event_type\": \"image.update\", \"payload\": {\"id\": \"i\"}}]",
         NOTIFY_SHAPE, ""},
        {"{\"event_type\": 7, \"payload\": {}}", NOTIFY_SHAPE, ""},
        {"{\"event_type\": null, \"payload\": {}}", NOTIFY_SHAPE, ""},
        {"{\"event_type\": \"image.\\u0000update\", \"payload\": {}}",
         NOTIFY_SHAPE, ""},
        {"{\"event_type\": \"image.update\"}", NOTIFY_SHAPE, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": null}", NOTIFY_SHAPE,
         "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": [{\"id\": \"i\"}]}",
         NOTIFY_SHAPE, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": \"{}\"}",
         NOTIFY_SHAPE, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": {}}", NOTIFY_ID,
         "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": {\"id\": 7}}",
         NOTIFY_ID, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": {\"id\": \"\"}}",
         NOTIFY_ID, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": {\"id\": \"..\"}}",
         NOTIFY_ID, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": {\"id\": \"a/b\"}}",
         NOTIFY_ID, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": {\"id\": \"a?b\"}}",
         NOTIFY_ID, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": "
         "{\"id\": \"a\\u0000b\"}}",
         NOTIFY_ID, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": "
         "{\"id\": \"a\\r\\nb\"}}",
         NOTIFY_ID, "image:"},
        {"{\"event_type\": \"image.update\", \"payload\": "
         "{\"id\": \"\xc3\xa4\"}}",
         NOTIFY_ID, "image:"},
        /* Two ids: nobody can say which one is meant. */
        {"{\"event_type\": \"image.update\", \"payload\": "
         "{\"id\": \"a\", \"i\\u0064\": \"b\"}}",
         NOTIFY_ID, "image:"},
        {"{\"event_type\": \"image.update\", \"event_type\": \"image.send\", "
         "\"payload\": {\"id\": \"a\"}}",
         NOTIFY_TWICE, ""},
        {"{\"event_type\": \"image.update\", \"payload\": {\"id\": \"a\"}, "
         "\"payload\": {\"id\": \"b\"}}",
         NOTIFY_TWICE, ""},
        {"{\"event_type\": \"image.update\", \"payload\": {\"id\": \"a\"}} ,",
         NOTIFY_SYNTAX, ""},
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        struct notify_verdict verdict = read_text("image", cases[i].text);

        if (verdict.fault != cases[i].fault ||
            strcmp(said.touches, cases[i].touches) != 0)
            fail_msg("%s: fault %s, touched '%s'", cases[i].text,
                     notify_fault_name(verdict.fault), said.touches);
    }
}

static void test_faults_outside(void **state)
{
    static const struct {
        const char *text;
        enum notify_fault fault;
    } cases[] = {
        {"", NOTIFY_SHAPE},
        {" ", NOTIFY_SHAPE},
        {"\"{}\"", NOTIFY_SHAPE},
        {"{\"oslo.message\": {}}", NOTIFY_SHAPE},
        {"{\"oslo.message\": null}", NOTIFY_SHAPE},
        {"{\"oslo.message\": \"\"}", NOTIFY_SHAPE},
        {"{\"oslo.message\": \"{}\", \"oslo.message\": \"{}\"}", NOTIFY_TWICE},
        {"{\"oslo.message\": \"\xff\"}", NOTIFY_SYNTAX},
        {"{\"oslo.message\": \"{}\"", NOTIFY_SYNTAX},
    };

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        struct notify_verdict verdict =
            read_bytes("image", cases[i].text, strlen(cases[i].text));

        if (verdict.fault != cases[i].fault || said.n_touches)
            fail_msg("%s: fault %s", cases[i].text,
                     notify_fault_name(verdict.fault));
    }
}

static void test_depth(void **state)
{
    char text[1024] = "{\"event_type\": \"image.update\", \"payload\": ";

    (void) state;
    memset(text + strlen(text), '[', 200);
    assert_int_equal(read_text("image", text).fault, NOTIFY_DEPTH);
    assert_int_equal(said.n_touches, 0);
}

static void test_sizes(void **state)
{
    static char text[NOTIFY_BODY_MAX + 2];
    struct notify_verdict verdict;
    int head;

    (void) state;
    /* An id of 64 KiB. */
    head = snprintf(text, sizeof(text),
                    "{\"event_type\": \"image.update\", "
                    "\"payload\": {\"id\": \"");
    memset(text + head, 'a', 65536);
    strcpy(text + head + 65536, "\"}}");
    verdict = read_text("image", text);
    assert_int_equal(verdict.fault, NOTIFY_ID);
    assert_string_equal(said.touches, "image:");
    /* The longest one that is an id, and one more. */
    strcpy(text + head + 255, "\"}}");
    assert_int_equal(read_text("image", text).fault, NOTIFY_FINE);
    text[head + 255] = 'a';
    strcpy(text + head + 256, "\"}}");
    assert_int_equal(read_text("image", text).fault, NOTIFY_ID);
    /* A type of 64 KiB. */
    head = snprintf(text, sizeof(text), "{\"event_type\": \"image.");
    memset(text + head, 'a', 65536);
    strcpy(text + head + 65536, "\", \"payload\": {}}");
    assert_int_equal(read_text("image", text).fault, NOTIFY_SHAPE);
    /* As much as there may be, and a byte more. */
    memset(text, ' ', sizeof(text));
    memcpy(text, "{}", 2);
    assert_int_equal(read_bytes("volume", text, NOTIFY_BODY_MAX).fault,
                     NOTIFY_SHAPE);
    verdict = read_bytes("volume", text, NOTIFY_BODY_MAX + 1);
    assert_int_equal(verdict.fault, NOTIFY_LARGE);
    assert_string_equal(said.touches,
                        "volume: snapshot: volume-type: volume-quota:");
}

static void test_many_items(void **state)
{
    struct ist_sb sb;

    (void) state;
    ist_sb_init(&sb, 0);
    ist_sb_puts(&sb, "{\"event_type\": \"volume.attach.end\", \"payload\": "
                     "{\"volume_id\": \"v\", \"volume_attachment\": [7, {}, "
                     "{\"instance_uuid\": null}");
    for (int i = 0; i < 1000; i++)
        ist_sb_printf(&sb, ", {\"instance_uuid\": \"s%d\"}", i);
    ist_sb_puts(&sb, "]}}");
    assert_int_equal(read_text("volume", ist_sb_text(&sb)).fault, NOTIFY_FINE);
    ist_sb_fini(&sb);
    assert_true(said.n_touches <= NOTIFY_IDS_MAX + 2);
    assert_non_null(strstr(said.touches, " server:s0 "));
    assert_string_equal(said.touches + strlen(said.touches) - 8, " server:");
}

/* All that a broken or hostile sender can do to a sound message. */
static void test_mutations(void **state)
{
    FILE *file = fopen(FIXTURES, "r");
    struct sample sample;

    (void) state;
    assert_non_null(file);
    ist_rand_plant(7);
    while (next_sample(file, &sample)) {
        char *body = wrap(sample.message);
        size_t size = strlen(body);

        for (int i = 0; i < 40; i++) {
            size_t at = ist_rand_below(size);
            char was = body[at];

            read_bytes(sample.service, body, at); /* Cut off. */
            body[at] = (char) ist_rand_below(256);
            read_bytes(sample.service, body, size);
            body[at] = was;
        }
        free(body);
    }
    ist_rand_unplant();
    fclose(file);
}

/* URLs */

static void test_urls(void **state)
{
    static const struct {
        const char *oslo, *bus;
    } cases[] = {
        {"rabbit://u:p@h:5672/v", "amqp://u:p@h:5672/v"},
        {"rabbit://u:p@h", "amqp://u:p@h/"},
        {"rabbit://u:p@h/", "amqp://u:p@h/"},
        {"rabbit://u:p@h//", "amqp://u:p@h//"},
        {"RABBIT://u:p%40%2F@[::1]:1/%2Fv", "amqp://u:p%40%2F@[::1]:1/%2Fv"},
        {"rabbit://u:p@h:1,u2:p2@h2:2/v", "amqp://u:p@h:1/v,"
                                          "amqp://u2:p2@h2:2/v"},
        {"kombu://u:p@h/v?x=1", "amqp://u:p@h/v"},
        {"rabbit://u:p@h/v?x=1&ssl=True", "amqps://u:p@h/v"},
        {"rabbit://u:p@h?ssl=1", "amqps://u:p@h/"},
        {"rabbit://u:p@h/v?nossl=1&ssl=0", "amqp://u:p@h/v"},
        {"rabbit+tls://u:p@h/v", "amqps://u:p@h/v"},
    };
    static const char *const bad[] = {"",
                                      "u:hunter2@h",
                                      "fake://u:hunter2@h",
                                      "rabbit:/u:hunter2@h",
                                      "rabbits://u:hunter2@h",
                                      "amqp://u:hunter2@h"};
    struct ist_err err = {0};
    struct ist_sb sb;

    (void) state;
    for (size_t i = 0; i < IST_COUNT(cases); i++) {
        ist_sb_init(&sb, 0);
        assert_int_equal(notify_url(cases[i].oslo, &sb, &err), 0);
        assert_string_equal(ist_sb_text(&sb), cases[i].bus);
        ist_sb_fini(&sb);
    }
    for (size_t i = 0; i < IST_COUNT(bad); i++) {
        ist_sb_init(&sb, 0);
        assert_int_equal(notify_url(bad[i], &sb, &err), -EINVAL);
        assert_null(strstr(err.text, "hunter2"));
        ist_sb_fini(&sb);
    }
}

static struct ist_loop loop;
static bool closed;

static void on_closed(void *arg)
{
    closed = true;
    if (arg)
        ist_loop_stop(arg);
}

static void test_files(void **state)
{
    static const struct {
        const char *text;
        unsigned mode;
        int code;
    } bad[] = {
        {"rabbit://u:hunter2@h/v", 0644, -EPERM},
        {"", 0600, -EINVAL},
        {"rabbit://", 0600, -EINVAL},
        {"rabbit://h/v", 0600, -EINVAL},
        {"rabbit://hunter2@h/v", 0600, -EINVAL},
        {"rabbit://u:hunter2@h:x/v", 0600, -EINVAL},
        {"rabbit://u:hunter2@h/v\nrabbit://u:hunter2@h/v", 0600, -EINVAL}};
    char dir[SCRATCH_SIZE];
    struct notify_conf conf = {.queue_max = 10, .queue_ttl_ms = 1000};
    struct ist_err err = {0};
    struct notify *notify;

    (void) state;
    scratch_make(dir);
    conf.transport_url_file = (char *) scratch_path(dir, "url");
    assert_int_equal(ist_loop_init(&loop), 0);
    assert_null(notify_open(&loop, &conf, "hkg", NULL, &err));
    assert_int_equal(err.code, -ENOENT);
    for (size_t i = 0; i < IST_COUNT(bad); i++) {
        scratch_write(conf.transport_url_file, bad[i].text);
        assert_int_equal(chmod(conf.transport_url_file, bad[i].mode), 0);
        assert_int_equal(notify_check(&conf, &err), bad[i].code);
        assert_null(notify_open(&loop, &conf, "hkg", NULL, &err));
        assert_int_equal(err.code, bad[i].code);
        assert_null(strstr(err.text, "hunter2"));
        assert_non_null(strstr(err.text, "events.transport_url_file"));
    }
    scratch_write(conf.transport_url_file, "rabbit://u:p@127.0.0.1:1/v\n");
    assert_int_equal(notify_check(&conf, &err), 0);
    notify = notify_open(&loop, &conf, "hkg", NULL, &err);
    assert_non_null(notify);
    closed = false;
    notify_close(notify, on_closed, &loop);
    ist_loop_run(&loop);
    assert_true(closed);
    ist_loop_fini(&loop);
    scratch_drop(dir);
}

/* On a bus */

#define WALL_MS 1764000000000U

struct ear_world {
    struct ist_loop loop;
    struct ist_mem_broker *broker;
    struct ist_bus *bus;
    struct notify *notify;
    struct notify_conf conf;
};

static void run_ms(struct ear_world *w, uint64_t ms)
{
    uint64_t until = ist_loop_now(&w->loop) + ms;

    while (ist_loop_step(&w->loop, until))
        ;
}

static int setup(void **state)
{
    static struct ear_world w;
    static char feed; /* Any place: nobody looks there. */

    memset(&w, 0, sizeof(w));
    hush();
    ist_loop_init_virtual(&w.loop, WALL_MS);
    ist_rand_plant(3);
    w.broker = ist_mem_broker_new(&w.loop);
    w.conf = (struct notify_conf){.queue_max = 100, .queue_ttl_ms = 60000};
    ist_mem_exchange(w.broker, "nova", "topic");
    ist_mem_exchange(w.broker, "openstack", "topic");
    ist_mem_queue(w.broker, "notifications.info", 0, 0);
    ist_mem_bind(w.broker, "notifications.info", "nova", "notifications.info");
    w.notify = notify_new(&w.loop, &w.conf, "hkg", (struct feed *) &feed);
    w.bus = ist_mem_new(w.broker, "agent", &notify_bus_events, w.notify);
    notify_listen(w.notify, w.bus);
    run_ms(&w, 1000);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct ear_world *w = *state;

    closed = false;
    notify_close(w->notify, on_closed, NULL);
    run_ms(w, 1000);
    assert_true(closed);
    ist_mem_broker_free(w->broker);
    ist_rand_unplant();
    ist_loop_fini(&w->loop);
    return 0;
}

static void publish(struct ear_world *w, const char *exchange, const char *key,
                    const char *inner)
{
    char *body = wrap(inner);
    struct ist_bus_message message = {
        .exchange = exchange, .key = key, .body = body, .size = strlen(body)};

    ist_mem_inject(w->broker, &message);
    free(body);
    run_ms(w, 100);
}

#define SERVER                                                                 \
    "{\"event_type\": \"compute.instance.update\", "                           \
    "\"payload\": {\"instance_id\": \"s1\"}}"

static void test_hears(void **state)
{
    struct ear_world *w = *state;
    const struct notify_counts *counts = notify_counts(w->notify);

    assert_string_equal(said.notified, ""); /* Nothing was told yet. */
    publish(w, "nova", "notifications.info", "{\"event_type\": \"x\"}");
    assert_string_equal(said.notified, "");
    publish(w, "nova", "notifications.info", SERVER);
    assert_string_equal(said.touches, "server:s1");
    assert_string_equal(said.notified, "+compute");
    publish(w, "nova", "versioned_notifications.info",
            "{\"event_type\": \"instance.update\", \"payload\": "
            "{\"nova_object.data\": {\"uuid\": \"s2\"}}}");
    assert_string_equal(said.touches, "server:s1 server:s2");
    publish(w, "openstack", "notifications.info",
            "{\"event_type\": \"volume.create.start\", "
            "\"payload\": {\"volume_id\": \"v1\"}}");
    publish(w, "nova", "conductor", SERVER); /* A call, not for us. */
    publish(w, "nova", "notifications.info", "{");
    assert_string_equal(said.touches, "server:s1 server:s2 volume:v1");
    assert_string_equal(said.notified, "+compute +volume");
    assert_int_equal(counts->received, 5);
    assert_int_equal(counts->wanted, 3);
    assert_int_equal(counts->faults[NOTIFY_FINE], 4);
    assert_int_equal(counts->faults[NOTIFY_SYNTAX], 1);
    assert_int_equal(counts->told, 2);
    /* Others have lost nothing. */
    assert_int_equal(ist_mem_queue_length(w->broker, "notifications.info"), 3);
}

static void test_waits_for_an_exchange(void **state)
{
    struct ear_world *w = *state;

    ist_mem_exchange(w->broker, "glance", "topic");
    run_ms(w, 120000);
    publish(w, "glance", "notifications.info",
            "{\"event_type\": \"image.update\", \"payload\": {\"id\": \"i\"}}");
    assert_string_equal(said.touches, "image:i");
}

static void test_loses_the_broker(void **state)
{
    struct ear_world *w = *state;
    const struct notify_counts *counts = notify_counts(w->notify);

    publish(w, "nova", "notifications.info", SERVER);
    ist_mem_broker_crash(w->broker, 5000);
    run_ms(w, 1000);
    assert_string_equal(said.notified, "+compute -compute");
    assert_int_equal(counts->told, 0);
    run_ms(w, 60000);
    /* It has told before: it counts at once. */
    assert_string_equal(said.notified, "+compute -compute +compute");
    assert_int_equal(counts->told, 1);
    publish(w, "nova", "notifications.info", SERVER);
    assert_string_equal(said.touches, "server:s1 server:s1");
}

static void test_every_kind_has_an_exchange(void **state)
{
    size_t n;
    const struct os_service *services = os_services_known(&n);

    (void) state;
    for (size_t i = 0; i < n; i++)
        assert_non_null(services[i].exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_of_another_service),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_faults_outside),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_many_items),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_every_kind_has_an_exchange),
        cmocka_unit_test_setup_teardown(test_hears, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waits_for_an_exchange, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_loses_the_broker, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
