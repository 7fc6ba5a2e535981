/* The alarms as clients meet them: a real server on loopback. */
#include "api/api.h"
#include "events/alarm.h"
#include "store/tree.h"

#include "../json_path.h"
#include "../scratch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>

#include <cmocka.h>

#define TOKEN "0123456789abcdef0123456789abcdef"

struct box {
    char dir[SCRATCH_SIZE];
    struct ist_loop loop;
    struct ist_tree *tree;
    struct events_log *log;
    struct alarm_engine *alarms;
    struct ist_metrics metrics;
    struct ist_health health;
    struct api api;
    bool closed;
    int status;
    json_t *body; /* Owned. */
};

static void run(struct box *box, uint64_t ms)
{
    uint64_t until = ist_loop_now(&box->loop) + ms;

    while (ist_loop_now(&box->loop) < until) {
        uv_run(box->loop.uv, UV_RUN_NOWAIT);
        usleep(500);
    }
}

/* Raises one: their ids are 1, 2, and so on. */
static void say(struct box *box, enum alarm_type type, const char *site,
                const char *object)
{
    alarm_condition(box->alarms,
                    &(struct alarm_condition){.type = type,
                                              .site = site,
                                              .object = object,
                                              .on = true,
                                              .text = "it \"is\" so"});
}

static void open_alarms(struct box *box)
{
    struct ist_tree_conf tree = {.path = scratch_path(box->dir, "hub.db"),
                                 .size_max = 64U << 20,
                                 .maps_max = 16};
    struct events_conf log = {.keep_ms = 3600000, .keep_items = 100000};
    struct alarm_conf conf = {.max = 1000,
                              .keep_ms = 86400000,
                              .keep_items = 100,
                              .linger_ms = 0,
                              .flaps = 3,
                              .flap_ms = 600000,
                              .resources = true};
    struct ist_err err;

    box->tree = ist_tree_open(&box->loop, &tree, &err);
    assert_non_null(box->tree);
    box->log = events_log_open(box->tree, &log, &err);
    assert_non_null(box->log);
    box->alarms = alarm_open(box->tree, box->log, &conf, &err);
    assert_non_null(box->alarms);
}

static void open_api(struct box *box)
{
    struct api_conf conf = {.request_memory = 1U << 20, .requests_max = 10};
    struct ist_httpd_conf http = {.connections_max = 16,
                                  .per_address_max = 16,
                                  .line_max = 4096,
                                  .header_max = 4096,
                                  .headers_max = 64,
                                  .body_max = 65536,
                                  .head_timeout_ms = 5000,
                                  .body_timeout_ms = 5000,
                                  .idle_timeout_ms = 5000};
    char listen[] = "127.0.0.1:0", path[128];
    struct ist_err err;
    FILE *file;

    snprintf(path, sizeof(path), "%s", scratch_path(box->dir, "token"));
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(TOKEN "\n", file);
    fclose(file);
    chmod(path, 0600);
    conf.token_file = path;
    http.listen = listen;
    if (api_open(&box->api, &box->loop, NULL, NULL, &box->metrics, &box->health,
                 &conf, &http, &err))
        fail_msg("%s", err.text);
    api_set_alarms(&box->api, box->alarms);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    scratch_make(box->dir);
    assert_int_equal(ist_loop_init(&box->loop), 0);
    ist_metrics_init(&box->metrics);
    ist_health_init(&box->health);
    open_alarms(box);
    open_api(box);
    *state = box;
    return 0;
}

static void on_closed(void *arg)
{
    ((struct box *) arg)->closed = true;
}

static int teardown(void **state)
{
    struct box *box = *state;

    api_close(&box->api, on_closed, box);
    alarm_stop(box->alarms);
    for (int i = 0; i < 1000 && (!box->closed || alarm_busy(box->alarms) ||
                                 events_log_busy(box->log));
         i++)
        run(box, 2);
    alarm_free(box->alarms);
    events_log_free(box->log);
    ist_tree_free(box->tree);
    ist_metrics_fini(&box->metrics);
    ist_loop_fini(&box->loop);
    json_decref(box->body);
    scratch_drop(box->dir);
    free(box);
    return 0;
}

/* One request; the body of the answer is JSON. */
static void ask(struct box *box, const char *method, const char *target,
                const char *body)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t) ist_httpd_port(box->api.httpd)),
        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    static char text[262144];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t len = 0;
    ssize_t n;
    int size = snprintf(text, sizeof(text),
                        "%s %s HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer "
                        "%s\r\nConnection: close\r\nContent-Length: "
                        "%zu\r\n\r\n%s",
                        method, target, TOKEN, strlen(body), body);

    assert_int_equal(connect(fd, (void *) &to, sizeof(to)), 0);
    assert_int_equal(write(fd, text, (size_t) size), size);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 2000; i++) {
        n = read(fd, text + len, sizeof(text) - 1 - len);
        if (n == 0)
            break;
        if (n > 0)
            len += (size_t) n;
        else
            run(box, 2);
    }
    close(fd);
    text[len] = '\0';
    assert_int_equal(sscanf(text, "HTTP/1.1 %d", &box->status), 1);
    json_decref(box->body);
    box->body =
        json_loads(strstr(text, "\r\n\r\n") + 4, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(box->body);
}

static void get(struct box *box, const char *target)
{
    ask(box, "GET", target, "");
}

/* "items.0.ack.by" of the last answer. */
static json_t *at(struct box *box, const char *path)
{
    return json_path(box->body, path);
}

static const char *text_at(struct box *box, const char *path)
{
    const char *text = json_string_value(at(box, path));

    return text ? text : "(none)";
}

static size_t n_items(struct box *box, const char *target)
{
    get(box, target);
    assert_int_equal(box->status, 200);
    return json_array_size(at(box, "items"));
}

static void test_an_alarm_says_it_all(void **state)
{
    struct box *box = *state;

    assert_int_equal(n_items(box, "/api/v1/alarms"), 0);
    assert_true(json_is_null(at(box, "next")));
    say(box, ALARM_SERVICE_UNAVAILABLE, "hkg", "compute");
    assert_int_equal(n_items(box, "/api/v1/alarms"), 1);
    assert_string_equal(text_at(box, "items.0.id"), "1");
    assert_string_equal(text_at(box, "items.0.type"), "service-unavailable");
    assert_string_equal(text_at(box, "items.0.severity"), "major");
    assert_string_equal(text_at(box, "items.0.state"), "open");
    assert_string_equal(text_at(box, "items.0.site"), "hkg");
    assert_string_equal(text_at(box, "items.0.object"), "compute");
    assert_string_equal(text_at(box, "items.0.text"), "it \"is\" so");
    assert_true(json_is_null(at(box, "items.0.cleared_at")));
    assert_true(json_is_null(at(box, "items.0.ack")));
    assert_true(json_is_null(at(box, "items.0.folded_under")));
    assert_true(strlen(text_at(box, "items.0.remedy")) > 20);
    assert_int_equal(json_integer_value(at(box, "counts.new.major")), 1);
    get(box, "/api/v1/alarms/1");
    assert_int_equal(box->status, 200);
    assert_string_equal(text_at(box, "runbook"),
                        "isthmus-alarms(7)#service-unavailable");
    get(box, "/api/v1/alarms/2");
    assert_int_equal(box->status, 404);
    get(box, "/api/v1/alarms/first");
    assert_int_equal(box->status, 404);
}

static void test_what_is_folded_is_counted(void **state)
{
    struct box *box = *state;

    say(box, ALARM_SERVICE_UNAVAILABLE, "hkg", "compute");
    say(box, ALARM_SERVICE_UNAVAILABLE, "lon", "compute");
    say(box, ALARM_SITE_UNREACHABLE, "hkg", "");
    assert_int_equal(n_items(box, "/api/v1/alarms?site=hkg"), 1);
    assert_int_equal(json_integer_value(at(box, "items.0.folded")), 1);
    assert_int_equal(json_integer_value(at(box, "counts.folded.major")), 1);
    assert_int_equal(n_items(box, "/api/v1/alarms?site=hkg&folded=true"), 2);
    assert_string_equal(text_at(box, "items.1.folded_under"), "3");
}

static void test_filters_and_pages(void **state)
{
    struct box *box = *state;
    char object[16], next[256];

    say(box, ALARM_SITE_UNREACHABLE, "lon", "");
    for (int i = 0; i < 9; i++) {
        snprintf(object, sizeof(object), "server/%d", i);
        say(box, ALARM_RESOURCE_ERROR, "hkg", object);
    }
    assert_int_equal(n_items(box, "/api/v1/alarms?severity=critical"), 1);
    assert_int_equal(n_items(box, "/api/v1/alarms?severity=minor"), 10);
    assert_int_equal(n_items(box, "/api/v1/alarms?severity=major"), 1);
    assert_int_equal(n_items(box, "/api/v1/alarms?type=resource-error"), 9);
    assert_int_equal(n_items(box, "/api/v1/alarms?site=lon,sjc"), 1);
    assert_int_equal(n_items(box, "/api/v1/alarms?limit=4&type=resource-error"),
                     4);
    snprintf(next, sizeof(next), "%s", text_at(box, "next"));
    assert_string_equal(text_at(box, "items.0.object"), "server/8");
    assert_int_equal(n_items(box, next), 4);
    assert_string_equal(text_at(box, "items.0.object"), "server/4");
    snprintf(next, sizeof(next), "%s", text_at(box, "next"));
    assert_int_equal(n_items(box, next), 1);
    assert_true(json_is_null(at(box, "next")));
}

static void test_bad_questions_are_told(void **state)
{
    static const char *const targets[] = {
        "/api/v1/alarms?state=closed",   "/api/v1/alarms?severity=bad",
        "/api/v1/alarms?type=nothing",   "/api/v1/alarms?folded=1",
        "/api/v1/alarms?limit=0",        "/api/v1/alarms?limit=1001",
        "/api/v1/alarms?marker=x",       "/api/v1/alarms?color=red",
        "/api/v1/alarms?site=a&site=b",  "/api/v1/alarms?site=",
        "/api/v1/alarms/1?fields=texts",
    };
    struct box *box = *state;

    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "");
    for (size_t i = 0; i < IST_COUNT(targets); i++) {
        get(box, targets[i]);
        if (box->status != 400)
            fail_msg("%s: %d", targets[i], box->status);
        assert_string_equal(text_at(box, "code"), "bad_parameter");
    }
}

static void test_operators_share_what_they_do(void **state)
{
    struct box *box = *state;

    say(box, ALARM_SITE_UNREACHABLE, "hkg", "");
    ask(box, "POST", "/api/v1/alarms/1/ack",
        "{\"by\": \"ann\", \"text\": \"on my w\\u00e4y\"}");
    assert_int_equal(box->status, 200);
    assert_string_equal(text_at(box, "ack.by"), "ann");
    assert_string_equal(text_at(box, "comments.0.text"), "on my w\xc3\xa4y");
    /* Twice is as good; the first stays. */
    ask(box, "POST", "/api/v1/alarms/1/ack", "{\"by\": \"bob\"}");
    assert_int_equal(box->status, 200);
    assert_string_equal(text_at(box, "ack.by"), "ann");
    get(box, "/api/v1/alarms/1");
    assert_string_equal(text_at(box, "ack.by"), "ann");

    ask(box, "POST", "/api/v1/alarms/1/unack", "");
    assert_true(json_is_null(at(box, "ack")));
    ask(box, "POST", "/api/v1/alarms/1/comment", "{\"text\": \"hello\"}");
    assert_string_equal(text_at(box, "comments.1.by"), "admin");
    ask(box, "POST", "/api/v1/alarms/1/clear", "");
    assert_string_equal(text_at(box, "state"), "cleared");
    assert_int_equal(n_items(box, "/api/v1/alarms"), 0);
    assert_int_equal(n_items(box, "/api/v1/alarms?state=cleared"), 1);
    assert_int_equal(n_items(box, "/api/v1/alarms?state=all"), 1);
}

static void test_bad_orders_are_refused(void **state)
{
    static const struct {
        const char *target, *body;
        int status;
    } rows[] = {
        {"/api/v1/alarms/1/comment", "", 400},
        {"/api/v1/alarms/1/comment", "{}", 400},
        {"/api/v1/alarms/1/comment", "{\"text\": \"\"}", 400},
        {"/api/v1/alarms/1/comment", "{\"text\": 7}", 400},
        {"/api/v1/alarms/1/comment", "{\"text\": \"a\\u0000b\"}", 400},
        {"/api/v1/alarms/1/ack", "{\"by\": \"\"}", 400},
        {"/api/v1/alarms/1/ack", "{\"by\"", 400},
        {"/api/v1/alarms/1/ack", "[]", 400},
        {"/api/v1/alarms/1/ack", "7", 400},
        {"/api/v1/alarms/9/ack", "", 404},
        {"/api/v1/alarms/1/shelve", "", 404},
        {"/api/v1/alarms/1", "", 405},
        {"/api/v1/alarms//ack", "", 400},
    };
    struct box *box = *state;

    say(box, ALARM_BUS_BLOCKED, ALARM_HUB, "");
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        ask(box, "POST", rows[i].target, rows[i].body);
        if (box->status != rows[i].status)
            fail_msg("%s %s: %d", rows[i].target, rows[i].body, box->status);
    }
    get(box, "/api/v1/alarms/1/ack");
    assert_int_equal(box->status, 405);
    assert_non_null(strstr(text_at(box, "detail"), "only POST"));
    get(box, "/api/v1/alarms/1");
    assert_true(json_is_null(at(box, "ack")));
    assert_int_equal(json_array_size(at(box, "comments")), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_alarm_says_it_all),
        TEST(test_what_is_folded_is_counted),
        TEST(test_filters_and_pages),
        TEST(test_bad_questions_are_told),
        TEST(test_operators_share_what_they_do),
        TEST(test_bad_orders_are_refused),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
