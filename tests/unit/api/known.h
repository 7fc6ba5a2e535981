/* The API over a real view and its intake: sites that feed it, or are asked, as
 * the test says, and a client on loopback. Each test that needs it is a program
 * that includes this once. */
#ifndef UNIT_API_KNOWN_H
#define UNIT_API_KNOWN_H

#include "api/api.h"

#include "../json_path.h"
#include "../view/box.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/socket.h>

#define TOKEN "0123456789abcdef0123456789abcdef"

#define EPOCH 7

struct known {
    struct box *box;
    struct hall *hall; /* Of the box. */
    struct ist_metrics metrics;
    struct ist_health health;
    struct api api;
    bool closed;
    uint64_t positions[2]; /* Of what the sites said last, each. */
    /* The client. */
    int fd;
    char text[262144];
    size_t len;
    int status;
    json_t *body; /* Owned. */
};

#define SA(known) (&(known)->hall->peers[0])
#define SB(known) (&(known)->hall->peers[1])

/* Set-up */

static inline void known_open_api(struct known *known)
{
    char listen[] = "127.0.0.1:0", path[SCRATCH_SIZE + 16];
    struct api_conf conf = {
        .request_memory = 1U << 20, .requests_max = 100, .watchers_max = 10};
    struct ist_httpd_conf http = {.connections_max = 16,
                                  .per_address_max = 16,
                                  .line_max = 8192,
                                  .header_max = 8192,
                                  .headers_max = 64,
                                  .body_max = 65536,
                                  .head_timeout_ms = 30000,
                                  .body_timeout_ms = 30000,
                                  .idle_timeout_ms = 30000};
    struct ist_err err;

    snprintf(path, sizeof(path), "%s/token", known->box->dir);
    scratch_write(path, TOKEN "\n");
    chmod(path, 0600);
    conf.token_file = path;
    http.listen = listen;
    if (api_open(&known->api, &known->hall->loop, &known->hall->desk,
                 known->hall->sites, &known->metrics, &known->health, &conf,
                 &http, &err))
        fail_msg("%s", err.text);
    api_set_view(&known->api, known->box->view, known->box->intake,
                 known->box->log);
}

static inline int known_setup(void **state)
{
    struct known *known = calloc(1, sizeof(*known));

    known->box = box_new(true);
    known->hall = known->box->hall;
    ist_metrics_init(&known->metrics);
    ist_health_init(&known->health);
    known_open_api(known);
    *state = known;
    return 0;
}

static inline void known_on_closed(void *arg)
{
    ((struct known *) arg)->closed = true;
}

static inline int known_teardown(void **state)
{
    struct known *known = *state;

    assert_int_equal(known->api.n_open, 0);
    api_close(&known->api, known_on_closed, known);
    for (int i = 0; i < 2000 && !known->closed; i++)
        hall_run(known->hall, 2);
    assert_true(known->closed);
    box_free(known->box);
    ist_metrics_fini(&known->metrics);
    json_decref(known->body);
    free(known);
    return 0;
}

#define KNOWN_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, known_setup, known_teardown)

/* The client */

static inline void known_begin(struct known *known, const char *target)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t) ist_httpd_port(known->api.httpd)),
        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char text[8192];
    int len = snprintf(text, sizeof(text),
                       "GET %s HTTP/1.1\r\nHost: hub\r\n"
                       "Authorization: Bearer " TOKEN "\r\n"
                       "Connection: close\r\n\r\n",
                       target);

    for (size_t i = 0; i < known->hall->n_peers; i++) {
        known->hall->peers[i].call = NULL;
        known->hall->peers[i].n_calls = 0;
    }
    json_decref(IST_TAKE(known->body));
    known->len = 0;
    known->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(known->fd, (void *) &to, sizeof(to)), 0);
    assert_int_equal(write(known->fd, text, (size_t) len), len);
    fcntl(known->fd, F_SETFL, O_NONBLOCK);
}

static inline void known_finish(struct known *known)
{
    const char *body;
    ssize_t n = -1;

    for (int i = 0; i < 5000 && n != 0; i++) {
        n = read(known->fd, known->text + known->len,
                 sizeof(known->text) - 1 - known->len);
        if (n > 0)
            known->len += (size_t) n;
        else
            hall_run(known->hall, 2);
    }
    close(known->fd);
    known->text[known->len] = '\0';
    assert_int_equal(sscanf(known->text, "HTTP/1.1 %d", &known->status), 1);
    body = strstr(known->text, "\r\n\r\n");
    assert_non_null(body);
    known->body = json_loads(body + 4, JSON_REJECT_DUPLICATES, NULL);
    if (!known->body)
        fail_msg("no JSON: %s", known->text);
}

/* Of what nobody else is needed for. */
static inline void known_get(struct known *known, const char *target)
{
    known_begin(known, target);
    known_finish(known);
}

/* "a.0.b" of the last answer. */
static inline json_t *known_at(const struct known *known, const char *path)
{
    return json_path(known->body, path);
}

static inline const char *known_text(const struct known *known,
                                     const char *path)
{
    const char *text = json_string_value(known_at(known, path));

    return text ? text : "(none)";
}

static inline void assert_problem(const struct known *known, int status,
                                  const char *code, const char *about)
{
    if (known->status != status)
        fail_msg("%d: %s", known->status, known->text);
    assert_string_equal(known_text(known, "code"), code);
    assert_non_null(strstr(known->text, "application/problem+json"));
    if (!strstr(known_text(known, "detail"), about))
        fail_msg("says '%s', not '%s'", known_text(known, "detail"), about);
}

/* What the sites say of servers */

struct server {
    const char *id, *name, *project, *body;
};

/* As the next entries of the site's feed. */
static inline void feed_rows(struct known *known, size_t site, int op,
                             const struct server *rows, size_t n)
{
    struct said said;

    said_init(&said, EPOCH);
    for (size_t i = 0; i < n; i++) {
        say(&said, op, ++known->positions[site], 0, rows[i].id);
        if (op != UPSERT)
            continue;
        said.keys[i][0] = (ProtobufCBinaryData){strlen(rows[i].name),
                                                (uint8_t *) TEXT(rows[i].name)};
        said.keys[i][2] = (ProtobufCBinaryData){
            strlen(rows[i].project), (uint8_t *) TEXT(rows[i].project)};
        said.records[i].body = (ProtobufCBinaryData){
            strlen(rows[i].body), (uint8_t *) TEXT(rows[i].body)};
    }
    publish(&known->hall->peers[site], &said);
}

/* The begin or the end of a statement, said so long ago. */
static inline void feed_mark(struct known *known, size_t site, int op,
                             uint64_t ago_ms)
{
    struct said said;

    said_init(&said, EPOCH);
    say(&said, op, ++known->positions[site], 0, "");
    said.entries[0].time_ms = ist_loop_wall(&known->hall->loop) - ago_ms;
    publish(&known->hall->peers[site], &said);
}

/* The site was heard now, and said that this was all. */
static inline void feed_heard(struct known *known, size_t site)
{
    presence(known->box, &known->hall->peers[site], EPOCH,
             known->positions[site], 1);
}

/* All that the site has, and it says so. */
static inline void feed_whole(struct known *known, size_t site,
                              const struct server *rows, size_t n)
{
    feed_mark(known, site, BEGIN, 0);
    feed_rows(known, site, UPSERT, rows, n);
    feed_mark(known, site, END, 0);
    feed_heard(known, site);
    for (int i = 0;
         i < 2000 && !currency(known->box, &known->hall->peers[site]).current;
         i++)
        hall_run(known->hall, 2);
    assert_true(currency(known->box, &known->hall->peers[site]).current);
}

#endif
