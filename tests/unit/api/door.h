/* The API over a real log of events, on a real server on loopback, and clients
 * that read as the test says. Each test that needs it is a program that
 * includes this once. */
#ifndef UNIT_API_DOOR_H
#define UNIT_API_DOOR_H

#include "api/api.h"
#include "events/item.h"
#include "store/tree.h"

#include "../scratch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>

#include <cmocka.h>

#define TOKEN "0123456789abcdef0123456789abcdef"

struct door {
    char dir[SCRATCH_SIZE];
    struct ist_loop loop;
    struct ist_tree *tree;
    struct events_log *log;
    struct ist_metrics metrics;
    struct ist_health health;
    struct api api;
    bool closed;
    struct ist_err err;
    /* A write in one transaction. */
    struct ist_write write;
    const struct events_item *item;
    size_t n_items, trim;
    uint64_t received_ms;
    bool writing;
};

static inline void door_run(struct door *door, uint64_t ms)
{
    uint64_t until = ist_loop_now(&door->loop) + ms;

    while (ist_loop_now(&door->loop) < until) {
        uv_run(door->loop.uv, UV_RUN_NOWAIT);
        usleep(500);
    }
}

#define DOOR_UNTIL(door, condition)                                            \
    do {                                                                       \
        for (int i_ = 0; i_ < 10000 && !(condition); i_++)                     \
            door_run((door), 1);                                               \
        if (!(condition))                                                      \
            fail_msg("waited for " #condition);                                \
    } while (0)

/* Writing the log */

static inline int door_apply(struct ist_write *write, MDB_txn *txn,
                             struct ist_err *err)
{
    struct door *door = IST_CONTAINER(write, struct door, write);
    int rc = 0;

    for (size_t i = 0; i < door->n_items && rc == 0; i++)
        rc = events_log_append(door->log, txn, door->item, door->received_ms,
                               err);
    if (rc == 0 && door->trim)
        rc =
            events_log_trim(door->log, txn, door->received_ms, door->trim, err);
    return rc;
}

static inline void door_on_written(struct ist_op *op)
{
    struct door *door = IST_CONTAINER(op, struct door, write.op);

    if (op->rc)
        fail_msg("%s", op->err.text);
    events_log_committed(door->log);
    door->writing = false;
}

static inline void door_begin_commit(struct door *door)
{
    door->writing = true;
    ist_op_prepare(&door->write.op, &door->loop, NULL, 0, door_on_written);
    ist_tree_write(door->tree, &door->write, door_apply);
}

static inline void door_commit(struct door *door)
{
    door_begin_commit(door);
    DOOR_UNTIL(door, !door->writing);
    door->n_items = door->trim = 0;
}

static inline struct events_item door_item(const char *site, const char *text)
{
    return (struct events_item){.site = site,
                                .origin = site,
                                .epoch = 7,
                                .sequence = 1,
                                .time_ms = 1700000000000ULL,
                                .severity = EVENTS_NOTICE,
                                .service = "compute",
                                .kind = "server",
                                .action = "updated",
                                .subject = "0a1b",
                                .project = "p1",
                                .text = text};
}

/* 'n' times the same, received then. */
static inline void door_put(struct door *door, const struct events_item *item,
                            size_t n, uint64_t received_ms)
{
    door->item = item;
    door->n_items = n;
    door->received_ms = received_ms;
    door_commit(door);
}

static inline void door_add(struct door *door, const char *site,
                            const char *text)
{
    struct events_item item = door_item(site, text);

    door_put(door, &item, 1, ist_loop_wall(&door->loop));
}

/* Until at most keep_items are left. */
static inline void door_trim(struct door *door)
{
    door->received_ms = ist_loop_wall(&door->loop);
    door->trim = SIZE_MAX;
    door_commit(door);
}

struct door_json {
    char *to;
    size_t size;
};

static inline bool door_on_item(void *arg, const struct events_item *item)
{
    struct door_json *json = arg;

    assert_true(item->json.size < json->size);
    memcpy(json->to, item->json.data, item->json.size);
    json->to[item->json.size] = '\0';
    return true;
}

/* The CloudEvent of one, as the log holds it. */
static inline const char *door_json(struct door *door, uint64_t id)
{
    static char text[4096];
    struct door_json json = {text, sizeof(text)};
    uint64_t last;

    assert_int_equal(events_log_read(door->log, id - 1, 1, door_on_item, &json,
                                     &last, &door->err),
                     0);
    assert_int_equal(last, id);
    return text;
}

/* Set-up */

static inline struct door *door_open(uint64_t watchers_max, uint64_t keep_items)
{
    struct door *door = calloc(1, sizeof(*door));
    struct ist_tree_conf tree = {.size_max = 128U << 20, .maps_max = 16};
    struct events_conf log = {.keep_ms = 3650ULL * 86400000,
                              .keep_items = keep_items};
    struct api_conf conf = {.request_memory = 1U << 20,
                            .requests_max = 10,
                            .watchers_max = watchers_max};
    struct ist_httpd_conf http = {.connections_max = 32,
                                  .per_address_max = 32,
                                  .line_max = 8192,
                                  .header_max = 4096,
                                  .headers_max = 64,
                                  .body_max = 65536,
                                  .head_timeout_ms = 3600000,
                                  .body_timeout_ms = 3600000,
                                  .idle_timeout_ms = 3600000};
    char listen[] = "127.0.0.1:0", path[SCRATCH_SIZE + 16];

    scratch_make(door->dir);
    assert_int_equal(ist_loop_init(&door->loop), 0);
    ist_metrics_init(&door->metrics);
    ist_health_init(&door->health);
    tree.path = scratch_path(door->dir, "hub.db");
    door->tree = ist_tree_open(&door->loop, &tree, &door->err);
    assert_non_null(door->tree);
    door->log = events_log_open(door->tree, &log, &door->err);
    assert_non_null(door->log);
    snprintf(path, sizeof(path), "%s/token", door->dir);
    scratch_write(path, TOKEN "\n");
    chmod(path, 0600);
    conf.token_file = path;
    http.listen = listen;
    if (api_open(&door->api, &door->loop, NULL, NULL, &door->metrics,
                 &door->health, &conf, &http, &door->err))
        fail_msg("%s", door->err.text);
    api_set_view(&door->api, NULL, NULL, door->log);
    return door;
}

static inline void door_on_closed(void *arg)
{
    ((struct door *) arg)->closed = true;
}

static inline void door_close(struct door *door)
{
    api_close(&door->api, door_on_closed, door);
    DOOR_UNTIL(door,
               door->closed && !door->writing && !events_log_busy(door->log));
    assert_int_equal(door->api.n_watchers, 0);
    events_log_free(door->log);
    ist_tree_free(door->tree);
    ist_metrics_fini(&door->metrics);
    ist_loop_fini(&door->loop);
    scratch_drop(door->dir);
    free(door);
}

/* Clients */

#define READER_MAX (32U << 20)

struct reader {
    int fd;
    char *text; /* Owned: all that came, NUL-terminated. */
    size_t len, body;
    int status;
    bool ended;
    /* Without its chunks; what came whole. */
    char *plain; /* Owned. */
    size_t plain_len, chunk_at;
    bool is_chunked, is_whole; /* The last chunk has come. */
};

/* 'headers' as lines, each ended. */
static inline void reader_begin(struct door *door, struct reader *reader,
                                const char *method, const char *target,
                                const char *headers)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t) ist_httpd_port(door->api.httpd)),
        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char text[8192];
    int len;

    len = snprintf(text, sizeof(text),
                   "%s %s HTTP/1.1\r\nHost: hub\r\n"
                   "Authorization: Bearer " TOKEN "\r\n%s\r\n",
                   method, target, headers);
    assert_true(len > 0 && (size_t) len < sizeof(text));
    *reader = (struct reader){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    assert_true(reader->fd >= 0);
    assert_int_equal(connect(reader->fd, (void *) &to, sizeof(to)), 0);
    assert_int_equal(write(reader->fd, text, (size_t) len), len);
    fcntl(reader->fd, F_SETFL, O_NONBLOCK);
    reader->text = calloc(1, READER_MAX);
    reader->plain = calloc(1, READER_MAX);
}

static inline void reader_open(struct door *door, struct reader *reader,
                               const char *target, const char *headers)
{
    reader_begin(door, reader, "GET", target, headers);
}

static inline void reader_close(struct reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    free(reader->text);
    free(reader->plain);
    *reader = (struct reader){.fd = -1};
}

static inline void reader_head(struct reader *reader)
{
    char *end = strstr(reader->text, "\r\n\r\n");

    if (reader->body || !end)
        return;
    reader->body = reader->chunk_at = (size_t) (end - reader->text) + 4;
    assert_int_equal(sscanf(reader->text, "HTTP/1.1 %d", &reader->status), 1);
    reader->is_chunked = strcasestr(reader->text, "transfer-encoding: chunked");
}

static inline void reader_unchunk(struct reader *reader)
{
    while (reader->is_chunked && !reader->is_whole) {
        char *at = reader->text + reader->chunk_at;
        size_t size, head, rest = reader->len - reader->chunk_at;
        char *line = memmem(at, rest < 32 ? rest : 32, "\r\n", 2);

        if (!line)
            return;
        size = strtoul(at, NULL, 16);
        head = (size_t) (line - at) + 2;
        if (reader->chunk_at + head + size + 2 > reader->len)
            return;
        memcpy(reader->plain + reader->plain_len, at + head, size);
        reader->plain_len += size;
        reader->chunk_at += head + size + 2;
        reader->is_whole = size == 0;
    }
}

/* Takes what is there; true: there was something, or the end. */
static inline bool reader_pull(struct reader *reader)
{
    ssize_t n = read(reader->fd, reader->text + reader->len,
                     READER_MAX - 1 - reader->len);

    if (n < 0 && errno == EAGAIN)
        return false;
    reader->ended = n <= 0;
    if (n > 0) {
        reader->len += (size_t) n;
        reader->text[reader->len] = '\0';
        reader_head(reader);
        reader_unchunk(reader);
    }
    return true;
}

/* What the stream has said by now. */
static inline const char *reader_says(struct door *door, struct reader *reader)
{
    door_run(door, 1);
    while (!reader->ended && reader_pull(reader))
        ;
    return reader->plain;
}

/* Until it says that. */
static inline void reader_expect(struct door *door, struct reader *reader,
                                 const char *text)
{
    for (int i = 0; i < 5000 && !reader->ended; i++) {
        if (strstr(reader_says(door, reader), text))
            return;
    }
    if (!strstr(reader->plain, text))
        fail_msg("waited for '%s', have '%s'", text, reader->plain);
}

/* Until the server has said it all. */
static inline void reader_finish(struct door *door, struct reader *reader)
{
    for (int i = 0; i < 10000 && !reader->ended && !reader->is_whole; i++)
        reader_says(door, reader);
    assert_true(reader->ended || reader->is_whole);
}

/* One whole request; the status, and the body for reader_json(). */
static inline int reader_ask(struct door *door, struct reader *reader,
                             const char *target, const char *headers)
{
    char all[4096];

    snprintf(all, sizeof(all), "Connection: close\r\n%s", headers);
    reader_open(door, reader, target, all);
    reader_finish(door, reader);
    return reader->status;
}

/* To be given back. */
static inline json_t *reader_json(const struct reader *reader)
{
    json_t *json = json_loads(reader->is_chunked ? reader->plain
                                                 : reader->text + reader->body,
                              JSON_REJECT_DUPLICATES, NULL);

    if (!json)
        fail_msg("no JSON: %s", reader->text);
    return json;
}

static inline void assert_refused(struct door *door, const char *target,
                                  const char *headers, int status,
                                  const char *about)
{
    struct reader reader;
    json_t *json;
    const char *detail;

    if (reader_ask(door, &reader, target, headers) != status)
        fail_msg("%s: %d", target, reader.status);
    assert_non_null(strstr(reader.text, "application/problem+json"));
    json = reader_json(&reader);
    detail = json_string_value(json_object_get(json, "detail"));
    if (!detail || !strstr(detail, about))
        fail_msg("%s: says '%s', not '%s'", target, detail, about);
    json_decref(json);
    reader_close(&reader);
}

#endif
