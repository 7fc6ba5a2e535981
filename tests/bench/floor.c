/* What the bus itself costs: the same fan-out and the same gather by bare
 * librabbitmq, with nothing in the messages.
 *
 *   bench_floor sites TLS PORT FIRST N REPLY-SIZE  echoes, one connection each
 *   bench_floor hub TLS PORT 0 N REQUEST-SIZE      a line K: K times, as list.c
 *
 * The way through the broker is that of Isthmus: TLS 1.3 with a certificate of
 * the client's, EXTERNAL, the topic exchanges x.req and x.rep, a queue with the
 * same arguments for each site, transient messages that expire. One request for
 * each site and one reply of each, as many bytes as Isthmus' have on average;
 * the sites shared out over as many processes. All else is left out: nothing is
 * confirmed, mandatory, sealed, packed, looked at or sorted; a message has no
 * other properties; a site consumes and publishes on one connection. The sites'
 * queues (floor.NNN) must be there. */
#include "base/clock.h"
#include "base/parse.h"
#include "base/scope.h"

#include <amqp.h>
#include <amqp_ssl_socket.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>

#define SITES_TOP 1000
#define SIZE_TOP  (1U << 20)
#define SLICE_MAX 10000
#define REP_QUEUE "hub.floor.rep"

static uint8_t body[SIZE_TOP];
static uint64_t first, n_sites, body_size, port;
static const char *tls;

static void check(int rc, const char *what)
{
    if (rc == AMQP_STATUS_OK)
        return;
    fprintf(stderr, "bench_floor: %s: %s\n", what, amqp_error_string2(rc));
    exit(1);
}

static void check_reply(amqp_rpc_reply_t reply, const char *what)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return;
    fprintf(stderr, "bench_floor: %s: %s\n", what,
            reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION
                ? amqp_error_string2(reply.library_error)
                : "the broker refuses");
    exit(1);
}

static amqp_connection_state_t dial(void)
{
    amqp_connection_state_t conn = amqp_new_connection();
    amqp_socket_t *socket = amqp_ssl_socket_new(conn);
    char ca[4096], cert[4096], key[4096];

    snprintf(ca, sizeof(ca), "%s/ca.pem", tls);
    snprintf(cert, sizeof(cert), "%s/floor.pem", tls);
    snprintf(key, sizeof(key), "%s/floor.key", tls);
    check(amqp_ssl_socket_set_cacert(socket, ca), ca);
    check(amqp_ssl_socket_set_key(socket, cert, key), cert);
    check(amqp_socket_open(socket, "localhost", (int) port), "connect");
    check_reply(amqp_login(conn, "/isthmus", 0, AMQP_DEFAULT_FRAME_SIZE, 0,
                           AMQP_SASL_METHOD_EXTERNAL, "floor"),
                "login");
    amqp_channel_open(conn, 1);
    check_reply(amqp_get_rpc_reply(conn), "channel");
    return conn;
}

static void publish(amqp_connection_state_t conn, const char *exchange,
                    const char *key)
{
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_EXPIRATION_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
        .delivery_mode = 1,
        .expiration = amqp_cstring_bytes("60000"),
    };

    check(amqp_basic_publish(conn, 1, amqp_cstring_bytes(exchange),
                             amqp_cstring_bytes(key), 0, 0, &properties,
                             (amqp_bytes_t){body_size, body}),
          "publish");
}

static void consume(amqp_connection_state_t conn, const char *queue)
{
    amqp_basic_consume(conn, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0,
                       1, 0, amqp_empty_table);
    check_reply(amqp_get_rpc_reply(conn), queue);
}

/* A message, if there is one within the time. */
static bool take(amqp_connection_state_t conn, time_t seconds)
{
    struct timeval wait = {.tv_sec = seconds};
    amqp_envelope_t envelope;
    amqp_rpc_reply_t reply;

    amqp_maybe_release_buffers(conn);
    reply = amqp_consume_message(conn, &envelope, &wait, 0);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
        reply.library_error == AMQP_STATUS_TIMEOUT)
        return false;
    check_reply(reply, "consume");
    amqp_destroy_envelope(&envelope);
    return true;
}

/* Sites */

static void serve(void)
{
    static amqp_connection_state_t conns[SITES_TOP];
    static struct epoll_event events[64];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    for (uint32_t i = 0; i < n_sites; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        char queue[16];

        conns[i] = dial();
        snprintf(queue, sizeof(queue), "floor.%03u", (unsigned) first + i);
        consume(conns[i], queue);
        epoll_ctl(epoll, EPOLL_CTL_ADD, amqp_get_sockfd(conns[i]), &event);
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, IST_COUNT(events), -1);

        for (int i = 0; i < n; i++) {
            uint32_t site = events[i].data.u32;
            char key[24];

            snprintf(key, sizeof(key), "floor-1.s%03u",
                     (unsigned) first + site);
            while (take(conns[site], 0))
                publish(conns[site], "x.rep", key);
        }
    }
}

/* The hub */

static void declare(amqp_connection_state_t conn)
{
    amqp_queue_declare(conn, 1, amqp_cstring_bytes(REP_QUEUE), 0, 0, 1, 1,
                       amqp_empty_table);
    check_reply(amqp_get_rpc_reply(conn), "declare");
    amqp_queue_bind(conn, 1, amqp_cstring_bytes(REP_QUEUE),
                    amqp_cstring_bytes("x.rep"),
                    amqp_cstring_bytes("floor-1.*"), amqp_empty_table);
    check_reply(amqp_get_rpc_reply(conn), "bind");
    consume(conn, REP_QUEUE);
}

static void gather(amqp_connection_state_t conn)
{
    for (unsigned i = 0; i < n_sites; i++) {
        char key[16];

        snprintf(key, sizeof(key), "floor.%03u", i);
        publish(conn, "x.req", key);
    }
    for (unsigned i = 0; i < n_sites; i++) {
        if (!take(conn, 30)) {
            fputs("bench_floor: an echo is missing\n", stderr);
            exit(1);
        }
    }
}

static void ask(void)
{
    static uint64_t took_ns[SLICE_MAX];
    amqp_connection_state_t conn = dial();
    uint64_t k;
    char line[32];

    declare(conn);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!ist_parse_u64(line, 1, SLICE_MAX, &k))
            exit(2);
        for (uint64_t i = 0; i < k; i++) {
            uint64_t began = ist_clock_mono_ns();

            gather(conn);
            took_ns[i] = ist_clock_mono_ns() - began;
        }
        fputs("{\"ns\": [", stdout);
        for (uint64_t i = 0; i < k; i++)
            printf("%s%" PRIu64, i ? ", " : "", took_ns[i]);
        puts("]}");
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    if (argc != 7 || !ist_parse_u64(argv[3], 1, 65535, &port) ||
        !ist_parse_u64(argv[4], 0, SITES_TOP - 1, &first) ||
        !ist_parse_u64(argv[5], 1, SITES_TOP, &n_sites) ||
        !ist_parse_u64(argv[6], 0, SIZE_TOP, &body_size)) {
        fputs("usage: bench_floor sites|hub TLS PORT FIRST N SIZE\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    tls = argv[2];
    if (strcmp(argv[1], "sites") == 0)
        serve();
    else
        ask();
    return 0;
}
