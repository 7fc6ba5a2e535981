#include "rabbit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>

static struct {
    char dir[256];
    char url[128], plain[128];
    uint16_t port;
    bool is_ours, is_started;
} rabbit;

static int script(const char *verb, const char *rest, const char *end)
{
    char command[1024];

    snprintf(command, sizeof(command),
             "%s/tests/integ/broker %s %s %s </dev/null >>%s/test.log 2>&1 %s",
             IST_SOURCE_DIR, verb, rabbit.dir, rest, rabbit.dir, end);
    return system(command) == 0 ? 0 : -1;
}

static int run(const char *verb, const char *end)
{
    if (strncmp(verb, "ctl ", 4) == 0)
        return script("ctl", verb + 4, end);
    return script(verb, "", end);
}

int rabbit_do(const char *verb)
{
    return run(verb, "");
}

int rabbit_begin(const char *verb)
{
    return run(verb, "&");
}

static void stop(void)
{
    char command[300];

    script("stop", "", "");
    snprintf(command, sizeof(command), "rm -rf %s", rabbit.dir);
    if (system(command))
        fprintf(stderr, "%s remains\n", rabbit.dir);
}

static int read_env(void)
{
    char path[300], line[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/env", rabbit.dir);
    file = fopen(path, "r");
    if (!file)
        return -1;
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "BUS_URL=", 8) == 0)
            strlcpy(rabbit.url, line + 8, sizeof(rabbit.url));
        if (strncmp(line, "BUS_PLAIN_URL=", 14) == 0)
            strlcpy(rabbit.plain, line + 14, sizeof(rabbit.plain));
        if (strncmp(line, "BUS_PORT=", 9) == 0)
            rabbit.port = (uint16_t) strtoul(line + 9, NULL, 10);
    }
    fclose(file);
    return rabbit.port ? 0 : -1;
}

bool rabbit_is_missing(void)
{
    if (access("/usr/lib/rabbitmq/lib", X_OK) == 0)
        return false;
    printf("rabbitmq-server is not installed\n");
    return true;
}

int rabbit_start(void)
{
    const char *running = getenv("ISTHMUS_TEST_BROKER");

    if (rabbit.is_started)
        return 0;
    if (running) {
        strlcpy(rabbit.dir, running, sizeof(rabbit.dir));
    } else {
        strlcpy(rabbit.dir, "/tmp/isthmus-bus-XXXXXX", sizeof(rabbit.dir));
        if (!mkdtemp(rabbit.dir))
            return -1;
        atexit(stop);
        if (script("start", "", ""))
            return -1;
    }
    rabbit.is_started = true;
    return read_env();
}

const char *rabbit_url(void)
{
    return rabbit.url;
}

const char *rabbit_plain(void)
{
    return rabbit.plain;
}

uint16_t rabbit_port(void)
{
    return rabbit.port;
}

const char *rabbit_tls(const char *name)
{
    static char path[4][300];
    static unsigned next;
    char *ret = path[next++ % 4];

    snprintf(ret, sizeof(path[0]), "%s/tls/%s", rabbit.dir, name);
    return ret;
}

/* The administrator. */

static amqp_connection_state_t admin_open(void)
{
    amqp_connection_state_t conn = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(conn);

    if (amqp_socket_open(socket, "127.0.0.1", rabbit.port + 1) ||
        amqp_login(conn, "/isthmus", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN,
                   "tester", "tester")
                .reply_type != AMQP_RESPONSE_NORMAL ||
        !amqp_channel_open(conn, 1)) {
        amqp_destroy_connection(conn);
        return NULL;
    }
    return conn;
}

/* After an error the channel is closed, and whoever calls on it waits for
 * ever. */
static bool is_well(amqp_connection_state_t conn)
{
    return amqp_get_rpc_reply(conn).reply_type == AMQP_RESPONSE_NORMAL;
}

static int admin_close(amqp_connection_state_t conn)
{
    int rc = is_well(conn) ? 0 : -1;

    amqp_connection_close(conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(conn);
    return rc;
}

static amqp_table_entry_t text_entry(const char *key, const char *value)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8,
                  .value.bytes = amqp_cstring_bytes(value)}};
}

static amqp_table_entry_t number_entry(const char *key, int32_t value)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = value}};
}

static amqp_table_entry_t true_entry(const char *key)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

/* Made anew. False: the channel is closed. */
static bool queue(amqp_connection_state_t conn, const char *name,
                  amqp_table_entry_t *entries, int n_entries,
                  const char *exchange, const char *key)
{
    amqp_table_t arguments = {.num_entries = n_entries, .entries = entries};

    amqp_queue_delete(conn, 1, amqp_cstring_bytes(name), 0, 0);
    if (!is_well(conn))
        return false;
    amqp_queue_declare(conn, 1, amqp_cstring_bytes(name), 0, 1, 0, 0,
                       arguments);
    if (exchange && is_well(conn))
        amqp_queue_bind(conn, 1, amqp_cstring_bytes(name),
                        amqp_cstring_bytes(exchange), amqp_cstring_bytes(key),
                        amqp_empty_table);
    return is_well(conn);
}

static void exchange(amqp_connection_state_t conn, const char *name,
                     const char *type)
{
    amqp_exchange_declare(conn, 1, amqp_cstring_bytes(name),
                          amqp_cstring_bytes(type), 0, 1, 0, 0,
                          amqp_empty_table);
}

static int make_objects(void)
{
    amqp_table_entry_t req[] = {number_entry("x-message-ttl", 30000),
                                number_entry("x-max-length", 5),
                                text_entry("x-overflow", "reject-publish")};
    amqp_table_entry_t cmd[] = {
        text_entry("x-queue-type", "quorum"),
        true_entry("x-single-active-consumer"),
        number_entry("x-delivery-limit", 2),
        text_entry("x-dead-letter-exchange", "x.dead"),
        text_entry("x-dead-letter-strategy", "at-least-once"),
        text_entry("x-overflow", "reject-publish")};
    amqp_table_entry_t evt[] = {text_entry("x-queue-type", "stream")};
    amqp_connection_state_t conn = admin_open();

    if (!conn)
        return -1;
    exchange(conn, "x.t", "topic");
    exchange(conn, "x.d", "direct");
    exchange(conn, "x.f", "fanout");
    exchange(conn, "x.dead", "fanout");
    exchange(conn, "x.deny", "topic");
    amqp_exchange_delete(conn, 1, amqp_cstring_bytes("test.x"), 0);
    (void) (queue(conn, "q.req", req, 3, "x.t", "site.a") &&
            queue(conn, "q.work", NULL, 0, "x.d", "work") &&
            queue(conn, "q.cmd", cmd, 6, "x.d", "cmd") &&
            queue(conn, "q.evt", evt, 1, "x.t", "*.*.*.#") &&
            queue(conn, "q.f1", NULL, 0, "x.f", "") &&
            queue(conn, "q.f2", NULL, 0, "x.f", "") &&
            queue(conn, "q.dead", NULL, 0, "x.dead", ""));
    return admin_close(conn);
}

/* A broker that was just started again refuses a stream until its coordinator
 * is in office: "home node is down" (404). */
int rabbit_objects(void)
{
    int rc = make_objects();

    for (int i = 0; rc && i < 50; i++) {
        poll(NULL, 0, 200);
        rc = make_objects();
    }
    return rc;
}

int rabbit_delete_queue(const char *name)
{
    amqp_connection_state_t conn = admin_open();

    if (!conn)
        return -1;
    amqp_queue_delete(conn, 1, amqp_cstring_bytes(name), 0, 0);
    return admin_close(conn);
}

int rabbit_declare_queue(const char *name)
{
    amqp_connection_state_t conn = admin_open();

    if (!conn)
        return -1;
    queue(conn, name, NULL, 0, NULL, NULL);
    return admin_close(conn);
}

/* librabbitmq would have to build the table, recursing as it goes: instead
 * the frames are written by hand behind its login. */
int rabbit_publish_headers(const char *exchange_, const char *key,
                           const void *table, uint32_t size)
{
    amqp_connection_state_t conn = admin_open();
    unsigned char *frames, *at;
    size_t total;
    int fd, rc = -1;

    if (!conn)
        return -1;
    fd = amqp_get_sockfd(conn);
    frames = calloc(1, size + 1024);
    at = frames;
    /* basic.publish */
    *at++ = 1;
    *at++ = 0;
    *at++ = 1;
    total = 4 + 2 + 1 + strlen(exchange_) + 1 + strlen(key) + 1;
    at[0] = at[1] = at[2] = 0;
    at[3] = (unsigned char) total;
    at += 4;
    memcpy(at, "\0\x3c\0\x28\0\0", 6);
    at += 6;
    *at++ = (unsigned char) strlen(exchange_);
    at = mempcpy(at, exchange_, strlen(exchange_));
    *at++ = (unsigned char) strlen(key);
    at = mempcpy(at, key, strlen(key));
    *at++ = 0;
    *at++ = 0xce;
    /* content header: no body, only headers */
    *at++ = 2;
    *at++ = 0;
    *at++ = 1;
    total = 14 + size;
    *at++ = (unsigned char) (total >> 24);
    *at++ = (unsigned char) (total >> 16);
    *at++ = (unsigned char) (total >> 8);
    *at++ = (unsigned char) total;
    memcpy(at, "\0\x3c\0\0\0\0\0\0\0\0\0\0\x20\0", 14);
    at = mempcpy(at + 14, table, size);
    *at++ = 0xce;
    total = (size_t) (at - frames);
    for (size_t n = 0; n < total;) {
        ssize_t sent = send(fd, frames + n, total - n, MSG_NOSIGNAL);

        if (sent <= 0)
            break;
        n += (size_t) sent;
        rc = n == total ? 0 : -1;
    }
    free(frames);
    /* An answered method proves that the broker took what came before. */
    if (rc == 0)
        amqp_basic_qos(conn, 1, 0, 1, 0);
    return admin_close(conn) || rc ? -1 : 0;
}

void rabbit_cut(void)
{
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof(peer);
        uint16_t port = 0;

        if (getpeername(fd, (struct sockaddr *) &peer, &len))
            continue;
        if (peer.ss_family == AF_INET)
            port = ntohs(((struct sockaddr_in *) &peer)->sin_port);
        else if (peer.ss_family == AF_INET6)
            port = ntohs(((struct sockaddr_in6 *) &peer)->sin6_port);
        if (port == rabbit.port || port == rabbit.port + 1)
            shutdown(fd, SHUT_RDWR);
    }
}
