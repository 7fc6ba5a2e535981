/* The API's handlers as clients meet them: a real server on loopback, sites
 * that do as the test says. What goes out is parsed again, strictly. */
#include "api/api.h"

#include "api/problem.h"

#include "../json_path.h"
#include "../survey/peers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/socket.h>

#define TOKEN "0123456789abcdef0123456789abcdef"

struct client {
    int fd;
    char text[65536];
    size_t len;
    int status;
    json_t *body; /* Owned. */
};

struct box {
    struct hall *hall;
    struct ist_metrics metrics;
    struct ist_health health;
    struct api api;
    bool closed;
    struct client client;
};

#define AWAIT(box, condition)                                                  \
    do {                                                                       \
        for (int i_ = 0; i_ < 2000 && !(condition); i_++)                      \
            hall_run((box)->hall, 2);                                          \
        assert_true(condition);                                                \
    } while (0)

/* The client */

static void begin(struct box *box, const char *method, const char *target,
                  const char *token)
{
    struct client *client = &box->client;
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t) ist_httpd_port(box->api.httpd)),
        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char text[8192];
    int len = snprintf(text, sizeof(text),
                       "%s %s HTTP/1.1\r\nHost: hub\r\n"
                       "Authorization: Bearer %s\r\nConnection: close\r\n\r\n",
                       method, target, token);

    for (size_t i = 0; i < box->hall->n_peers; i++)
        box->hall->peers[i].call = NULL;
    json_decref(client->body);
    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    assert_true(client->fd >= 0);
    assert_int_equal(connect(client->fd, (void *) &to, sizeof(to)), 0);
    assert_int_equal(write(client->fd, text, (size_t) len), len);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
}

/* Until the server has said it all. */
static void finish_text(struct box *box)
{
    struct client *client = &box->client;
    ssize_t n;

    for (int i = 0; i < 2000; i++) {
        n = read(client->fd, client->text + client->len,
                 sizeof(client->text) - 1 - client->len);
        if (n == 0)
            break;
        if (n > 0)
            client->len += (size_t) n;
        else
            hall_run(box->hall, 2);
    }
    close(client->fd);
    assert_int_equal(sscanf(client->text, "HTTP/1.1 %d", &client->status), 1);
}

/* The same, and the body is JSON. */
static void finish(struct box *box)
{
    struct client *client = &box->client;
    const char *body;

    finish_text(box);
    body = strstr(client->text, "\r\n\r\n");
    assert_non_null(body);
    client->body = json_loads(body + 4, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(client->body);
}

static void get(struct box *box, const char *target)
{
    begin(box, "GET", target, TOKEN);
    finish(box);
}

/* "a.0.b" of the last answer. */
static json_t *at(const struct box *box, const char *path)
{
    return json_path(box->client.body, path);
}

static const char *text_at(const struct box *box, const char *path)
{
    const char *text = json_string_value(at(box, path));

    return text ? text : "(none)";
}

static void assert_problem(const struct box *box, int status, const char *code)
{
    assert_int_equal(box->client.status, status);
    assert_string_equal(text_at(box, "code"), code);
    assert_int_equal(json_integer_value(at(box, "status")), status);
    assert_non_null(strstr(box->client.text, "application/problem+json"));
    assert_string_not_equal(text_at(box, "detail"), "");
}

/* Set-up */

static void on_closed(void *arg)
{
    ((struct box *) arg)->closed = true;
}

static char any_port[] = "127.0.0.1:0";
static const struct ist_httpd_conf http_conf = {.listen = any_port,
                                                .connections_max = 16,
                                                .per_address_max = 16,
                                                .line_max = 8192,
                                                .header_max = 8192,
                                                .headers_max = 64,
                                                .body_max = 65536,
                                                .head_timeout_ms = 30000,
                                                .body_timeout_ms = 30000,
                                                .idle_timeout_ms = 30000};

static void open_api(struct box *box)
{
    char path[] = "/tmp/isthmus-api-XXXXXX";
    struct api_conf conf = {
        .token_file = path, .request_memory = 1U << 20, .requests_max = 100};
    struct ist_err err;
    int fd = mkstemp(path), rc;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, TOKEN "\n", sizeof(TOKEN)), sizeof(TOKEN));
    close(fd);
    rc = api_open(&box->api, &box->hall->loop, &box->hall->desk,
                  box->hall->sites, &box->metrics, &box->health, &conf,
                  &http_conf, &err);
    unlink(path);
    assert_int_equal(rc, 0);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    box->hall = hall_new_on(true, 2);
    ist_metrics_init(&box->metrics);
    ist_health_init(&box->health);
    open_api(box);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;

    assert_int_equal(box->api.n_open, 0);
    if (box->api.httpd)
        api_close(&box->api, on_closed, box);
    AWAIT(box, box->closed);
    ist_metrics_fini(&box->metrics);
    json_decref(box->client.body);
    hall_free(box->hall);
    free(box);
    return 0;
}

/* Lists */

static void test_a_list_is_the_merge(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers?sort=name&limit=3", TOKEN);
    peer_rows(&box->hall->peers[0], 0, true, 1, 1);
    peer_rows(&box->hall->peers[1], 0, true, 1, 1);
    finish(box);
    assert_int_equal(box->client.status, 200);
    assert_int_equal(json_array_size(at(box, "items")), 2);
    assert_string_equal(text_at(box, "items.0.site"), "sa");
    assert_string_equal(text_at(box, "items.1.id"), "sb-1");
    assert_true(json_is_null(at(box, "next")));
    assert_string_equal(text_at(box, "sites.1.state"), "answered");
    assert_true(json_is_null(at(box, "sites.1.reason")));
}

static void test_next_leads_on(void **state)
{
    struct box *box = *state;
    char next[4096];

    begin(box, "GET", "/api/v1/servers?sort=name&limit=2", TOKEN);
    peer_rows(&box->hall->peers[0], 0, false, 1, 2);
    peer_rows(&box->hall->peers[1], 0, true, 9, 1);
    finish(box);
    assert_int_equal(json_array_size(at(box, "items")), 2);
    assert_non_null(strstr(box->client.text, "rel=\"next\""));
    snprintf(next, sizeof(next), "%s", text_at(box, "next"));
    begin(box, "GET", next, TOKEN);
    AWAIT(box, box->hall->peers[0].call);
    assert_string_equal(box->hall->peers[0].call->list->after->id, "sa-2");
    peer_rows(&box->hall->peers[0], 0, true, 3, 1);
    peer_rows(&box->hall->peers[1], 0, true, 9, 1);
    finish(box);
    assert_string_equal(text_at(box, "items.0.id"), "sa-3");
}

static void test_a_failed_site_is_listed_with_its_reason(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers?sort=name", TOKEN);
    peer_rows(&box->hall->peers[0], 0, true, 1, 1);
    peer_failure(&box->hall->peers[1], 0, ISTHMUS__V1__FAILURE__CODE__UPSTREAM,
                 "nova answered 500");
    finish(box);
    assert_int_equal(box->client.status, 200);
    assert_string_equal(text_at(box, "sites.1.state"), "failed");
    assert_string_equal(text_at(box, "sites.1.reason"), "nova answered 500");
}

static void test_partial_deny_gives_no_part(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers?sort=name&partial=deny", TOKEN);
    peer_rows(&box->hall->peers[0], 0, true, 1, 1);
    peer_failure(&box->hall->peers[1], 0, ISTHMUS__V1__FAILURE__CODE__UPSTREAM,
                 "nova answered 500");
    finish(box);
    assert_problem(box, 504, "partial");
    assert_int_equal(json_array_size(at(box, "sites")), 1);
    assert_string_equal(text_at(box, "sites.0.site"), "sb");
}

static void test_fields_choose_members(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers?sort=name&site=sb&fields=id,absent",
          TOKEN);
    assert_int_equal(box->hall->peers[0].n_calls, 0);
    peer_rows(&box->hall->peers[1], 0, true, 1, 1);
    finish(box);
    assert_int_equal(json_object_size(at(box, "items.0")), 2);
    assert_string_equal(text_at(box, "items.0.id"), "sb-1");
}

static void answer_with_rows_left_out(struct box *box, const char *target)
{
    static char why[] = "3 records were left out: too large";
    struct rows rows;

    begin(box, "GET", target, TOKEN);
    rows_init(&rows, 0, true);
    rows_add(&rows, 1, "a");
    rows.reply.skipped = 3;
    rows.reply.skipped_why = why;
    peer_reply(&box->hall->peers[0], &rows.reply);
    peer_rows(&box->hall->peers[1], 0, true, 1, 1);
    finish(box);
}

static void test_rows_left_out_are_told(void **state)
{
    struct box *box = *state;

    answer_with_rows_left_out(box, "/api/v1/servers?sort=name");
    assert_int_equal(box->client.status, 200);
    assert_int_equal(json_array_size(at(box, "items")), 2);
    assert_string_equal(text_at(box, "sites.0.state"), "answered");
    assert_int_equal(json_integer_value(at(box, "sites.0.skipped")), 3);
    assert_string_equal(text_at(box, "sites.0.reason"),
                        "3 records were left out: too large");
    assert_null(at(box, "sites.1.skipped"));
    answer_with_rows_left_out(box, "/api/v1/servers?sort=name&partial=deny");
    assert_problem(box, 504, "partial");
    assert_int_equal(json_array_size(at(box, "sites")), 1);
}

/* Objects */

static void answer_show(struct box *box, size_t i)
{
    struct rows rows;

    rows_init(&rows, 0, true);
    rows_add(&rows, 1, "x")->n_keys = 0;
    peer_reply(&box->hall->peers[i], &rows.reply);
}

static void say_not_found(struct box *box, size_t i)
{
    peer_failure(&box->hall->peers[i], 0, ISTHMUS__V1__FAILURE__CODE__NOT_FOUND,
                 "none here");
}

static void test_an_object_is_shown_from_where_it_is(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers/x", TOKEN);
    say_not_found(box, 0);
    answer_show(box, 1);
    finish(box);
    assert_int_equal(box->client.status, 200);
    assert_string_equal(text_at(box, "site"), "sb");
}

static void test_an_object_at_two_sites_is_a_choice(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers/x", TOKEN);
    answer_show(box, 0);
    answer_show(box, 1);
    finish(box);
    assert_int_equal(box->client.status, 300);
    assert_string_equal(text_at(box, "choices.1.href"),
                        "/api/v1/servers/x?site=sb");
}

static void test_an_object_nowhere_is_404(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers/x", TOKEN);
    say_not_found(box, 0);
    say_not_found(box, 1);
    finish(box);
    assert_problem(box, 404, "not_found");
}

/* A read never says 404 of what only could not be asked for. */
static void test_an_object_perhaps_at_a_failed_site_is_503(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers/x", TOKEN);
    say_not_found(box, 0);
    peer_failure(&box->hall->peers[1], 0, ISTHMUS__V1__FAILURE__CODE__TIMEOUT,
                 "nova is slow");
    finish(box);
    assert_problem(box, 503, "unreachable");
    assert_non_null(strstr(box->client.text, "Retry-After"));
}

/* Refusals */

static void test_what_is_refused_at_once(void **state)
{
    static const struct {
        const char *method, *target, *token;
        int status;
        const char *code;
    } rows[] = {
        {"GET", "/api/v1/servers", "wrong", 401, "unauthorized"},
        {"GET", "/api/v1/nothing", "wrong", 401, "unauthorized"},
        {"GET", "/api/v1/nothing", TOKEN, 404, "not_found"},
        {"GET", "/api/v1/servers/", TOKEN, 404, "not_found"},
        {"GET", "/api/v1/servers/a/b", TOKEN, 404, "not_found"},
        {"DELETE", "/api/v1/servers", TOKEN, 405, "method_not_allowed"},
        {"GET", "/api/v1/servers?limit=0", TOKEN, 400, "bad_parameter"},
        {"GET", "/api/v1/servers?x=1", TOKEN, 400, "bad_parameter"},
        {"GET", "/api/v1/servers?site=sc", TOKEN, 400, "bad_parameter"},
        {"GET", "/api/v1/servers?marker=x", TOKEN, 400, "bad_parameter"},
        {"GET", "/api/v1/servers/x?limit=1", TOKEN, 400, "bad_parameter"},
        {"GET", "/api/v1/sites?x=1", TOKEN, 400, "bad_parameter"},
        {"GET", "/api/v1/sites/sc", TOKEN, 404, "not_found"},
        {"GET", "/api/v1/sites/sa?x=1", TOKEN, 400, "bad_parameter"},
    };
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        begin(box, rows[i].method, rows[i].target, rows[i].token);
        finish(box);
        assert_problem(box, rows[i].status, rows[i].code);
    }
    assert_int_equal(box->hall->peers[0].n_calls, 0);
}

/* RFC 9110, 15.5.6 and 9.3.2. */
static void test_methods(void **state)
{
    static const struct {
        const char *path, *allow;
    } rows[] = {
        {"/healthz", "GET, HEAD"},
        {"/api/v1/servers", "GET, HEAD"},
        {"/api/v1/events/stream", "GET, HEAD"},
        {"/api/v1/alarms/1", "GET, HEAD"},
        {"/api/v1/alarms/1/ack", "POST"},
        {"/api/v1/webhooks", "GET, HEAD, POST"},
        {"/api/v1/webhooks/1", "GET, HEAD, DELETE"},
    };
    struct box *box = *state;

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        char line[64];

        snprintf(line, sizeof(line), "\r\nAllow: %s\r\n", rows[i].allow);
        begin(box, "PUT", rows[i].path, TOKEN);
        finish(box);
        assert_problem(box, 405, "method_not_allowed");
        assert_non_null(strstr(box->client.text, line));
    }
    begin(box, "HEAD", "/api/v1/sites", TOKEN);
    finish_text(box);
    assert_int_equal(box->client.status, 200);
    assert_non_null(strstr(box->client.text, "application/json"));
    assert_string_equal(strstr(box->client.text, "\r\n\r\n"), "\r\n\r\n");
    begin(box, "HEAD", "/api/v1/sites", "wrong");
    finish_text(box);
    assert_int_equal(box->client.status, 401);
}

/* Sites */

static void test_sites_are_listed(void **state)
{
    struct box *box = *state;

    get(box, "/api/v1/sites");
    assert_int_equal(json_array_size(at(box, "items")), 2);
    assert_string_equal(text_at(box, "items.0.name"), "sa");
    assert_string_equal(text_at(box, "items.0.state"), "present");
}

/* A site's words are data, whatever they are. */
static void test_hostile_services_are_only_text(void **state)
{
    Isthmus__V1__Reply reply = ISTHMUS__V1__REPLY__INIT;
    Isthmus__V1__Service service = ISTHMUS__V1__SERVICE__INIT, *ptr = &service;
    static char name[] = "\",\"up\":true,\"", detail[] = "\x1B[2J\xFF\xC0\"\\";
    struct box *box = *state;

    service.name = name;
    service.detail = detail;
    service.latency_ms = UINT32_MAX;
    reply.last = true;
    reply.services = &ptr;
    reply.n_services = 1;
    begin(box, "GET", "/api/v1/sites/sa", TOKEN);
    peer_reply(&box->hall->peers[0], &reply);
    finish(box);
    assert_int_equal(box->client.status, 200);
    assert_string_equal(text_at(box, "services.0.name"), name);
    assert_true(json_is_false(at(box, "services.0.up")));
    assert_null(strchr(box->client.text, '\x1B'));
}

static void test_a_hostile_reason_is_only_text(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers?sort=name", TOKEN);
    peer_failure(&box->hall->peers[0], 0, ISTHMUS__V1__FAILURE__CODE__UPSTREAM,
                 "\"}]\x1B[2J\xFF");
    peer_rows(&box->hall->peers[1], 0, true, 1, 1);
    finish(box);
    assert_int_equal(json_array_size(at(box, "sites")), 2);
    assert_null(strchr(box->client.text, '\x1B'));
}

/* What is no HTTP status is none. */
static void test_a_service_s_status_is_one(void **state)
{
    static const uint32_t numbers[] = {UINT32_MAX, 7, 1000, 502};
    Isthmus__V1__Failure failure = ISTHMUS__V1__FAILURE__INIT;
    struct box *box = *state;
    struct rows rows;

    for (size_t i = 0; i < IST_COUNT(numbers); i++) {
        begin(box, "GET", "/api/v1/servers?sort=name&site=sa", TOKEN);
        rows_init(&rows, 0, true);
        failure.http = numbers[i];
        rows.reply.failure = &failure;
        peer_reply(&box->hall->peers[0], &rows.reply);
        finish(box);
        if (numbers[i] == 502)
            assert_int_equal(
                json_integer_value(at(box, "sites.0.upstream_status")), 502);
        else
            assert_null(at(box, "sites.0.upstream_status"));
    }
}

/* Endings */

static void test_a_hub_that_goes_down_is_busy(void **state)
{
    struct box *box = *state;

    box->api.stopping = true;
    get(box, "/api/v1/servers");
    assert_problem(box, 503, "busy");
}

static void refuse_all(void *arg, struct ist_httpd_request *request)
{
    api_problem_refuse(arg, request, 503, "shutting down");
}

/* The server refuses what comes while it closes: no site is to blame. */
/* The "type" of a problem leads to a place of that page. */
static void test_problems_are_explained(void **state)
{
    struct box *box = *state;
    char anchor[64];
    const char *type;

    get(box, "/api/v1/servers?limit=0");
    assert_problem(box, 400, "bad_parameter");
    type = text_at(box, "type");
    assert_memory_equal(type, "/api/docs/errors#", 17);
    snprintf(anchor, sizeof(anchor), "id=\"%s\"", type + 17);
    begin(box, "GET", "/api/docs/errors", "");
    finish_text(box);
    assert_int_equal(box->client.status, 200);
    assert_non_null(strstr(box->client.text, anchor));
}

static void test_too_many_requests_are_busy(void **state)
{
    struct box *box = *state;

    box->api.n_open = box->api.conf.requests_max;
    get(box, "/api/v1/servers");
    assert_problem(box, 503, "busy");
    get(box, "/healthz"); /* Asks nobody. */
    assert_int_not_equal(box->client.status, 503);
    box->api.n_open = 0;
}

static void test_the_server_s_own_503_is_busy(void **state)
{
    struct box *box = *state;
    struct ist_httpd *server = box->api.httpd;
    struct ist_err err;

    box->api.httpd = ist_httpd_new(&box->hall->loop, &http_conf, refuse_all,
                                   NULL, NULL, &err);
    assert_non_null(box->api.httpd);
    get(box, "/api/v1/servers");
    assert_problem(box, 503, "busy");
    ist_httpd_close(box->api.httpd, NULL, NULL);
    hall_run(box->hall, 50);
    box->api.httpd = server;
}

static void test_a_client_that_leaves_ends_the_calls(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers", TOKEN);
    AWAIT(box, box->hall->peers[0].call);
    close(box->client.fd);
    AWAIT(box, box->hall->peers[0].n_cancels == 1);
    AWAIT(box, box->api.n_open == 0);
    begin(box, "GET", "/api/v1/sites/sa", TOKEN);
    AWAIT(box, box->hall->peers[0].call);
    close(box->client.fd);
    AWAIT(box, box->hall->peers[0].n_cancels == 2);
    AWAIT(box, box->api.n_open == 0);
}

static void test_a_lost_bus_is_an_answer(void **state)
{
    struct box *box = *state;

    begin(box, "GET", "/api/v1/servers", TOKEN);
    AWAIT(box, box->hall->peers[0].call);
    ist_mem_cut(box->hall->bus, 10);
    finish(box);
    assert_int_equal(box->client.status, 200);
    assert_string_equal(text_at(box, "sites.0.state"), "failed");
    AWAIT(box, box->hall->bus->is_up);
}

static void test_answers_are_counted(void **state)
{
    struct box *box = *state;
    struct ist_metric requests =
        IST_COUNTER("requests_total", "Of a test.", "method", "code");
    struct ist_metric durations =
        IST_HISTOGRAM("durations_seconds", "Of a test.", ist_metric_seconds);
    struct ist_sb page;

    ist_metrics_add(&box->metrics, &requests);
    ist_metrics_add(&box->metrics, &durations);
    api_count(&box->api, &requests, &durations);
    get(box, "/api/v1/sites");
    get(box, "/api/v1/sites");
    get(box, "/nowhere");
    begin(box, "BREW", "/api/v1/sites", TOKEN);
    finish_text(box);
    ist_sb_init(&page, 0);
    ist_metrics_write(&box->metrics, &page);
    assert_non_null(strstr(ist_sb_text(&page),
                           "requests_total{method=\"GET\",code=\"200\"} 2\n"));
    assert_non_null(strstr(ist_sb_text(&page),
                           "requests_total{method=\"GET\",code=\"404\"} 1\n"));
    assert_non_null(
        strstr(ist_sb_text(&page), "requests_total{method=\"other\",code="));
    assert_non_null(strstr(ist_sb_text(&page), "durations_seconds_count 4\n"));
    ist_sb_fini(&page);
    ist_httpd_on_answered(box->api.httpd, NULL);
    ist_metric_fini(&requests);
    ist_metric_fini(&durations);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_list_is_the_merge),
        T(test_next_leads_on),
        T(test_a_failed_site_is_listed_with_its_reason),
        T(test_partial_deny_gives_no_part),
        T(test_rows_left_out_are_told),
        T(test_fields_choose_members),
        T(test_an_object_is_shown_from_where_it_is),
        T(test_an_object_at_two_sites_is_a_choice),
        T(test_an_object_nowhere_is_404),
        T(test_an_object_perhaps_at_a_failed_site_is_503),
        T(test_what_is_refused_at_once),
        T(test_methods),
        T(test_sites_are_listed),
        T(test_hostile_services_are_only_text),
        T(test_a_hostile_reason_is_only_text),
        T(test_a_service_s_status_is_one),
        T(test_a_hub_that_goes_down_is_busy),
        T(test_problems_are_explained),
        T(test_too_many_requests_are_busy),
        T(test_the_server_s_own_503_is_busy),
        T(test_a_client_that_leaves_ends_the_calls),
        T(test_a_lost_bus_is_an_answer),
        T(test_answers_are_counted),
    };

    if (sodium_init() < 0)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
