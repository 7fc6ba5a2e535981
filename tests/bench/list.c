/* The hub's side of the benchmark: the desk and surveys of the real hub, on
 * the keys and the directory of sites that its own commands have made.
 *
 *   bench_list STATE N LIMIT
 *
 * Says "ready" when the first N sites are present. Then each line of its input
 * is a number K: K merged lists are made, one after the other, and one line of
 * JSON says how long each took and what went over the bus. "K first" makes each
 * as if nobody had asked for that page before (survey/past.h). The linker puts
 * __wrap_x in the place of x: that is how the messages are weighed. */
#include "admin/home.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "bus/amqp.h"
#include "sites/registry.h"
#include "survey/survey.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITES_TOP   1000
#define SLICE_MAX   10000
#define DEADLINE_MS 10000
#define ARENA_MAX   (64U << 20)
#define LOOK_MS     50

static struct ist_loop loop;
static struct admin_home home;
static struct sites *all;
static struct ist_bus *bus;
static struct desk desk;
static struct sites_site *asked[SITES_TOP];
static uint64_t n_sites, limit;
static struct ist_timer look;

static struct survey survey;
static struct ist_arena arena;
static uint64_t began_ns, took_ns[SLICE_MAX], slice, n_done;
static bool is_first;

/* What went over the bus in this slice. */
static struct {
    uint64_t calls, call_bytes, asides, aside_bytes, answers, answer_bytes;
    uint64_t rows, received, failed;
} moved;

static const struct ist_amqp_conf amqp_conf = {
    .heartbeat_ms = 6000,
    .backoff_max_ms = 5000,
    .out_high = 8U << 20,
    .out_hard = 32U << 20,
    .body_max = 1088U << 10,
};
static const struct desk_conf desk_conf = {.calls_max = 20000,
                                           .skew_ms = 30000};

/* Weighing */

void __real_ist_bus_publish(struct ist_bus *, struct ist_bus_publish *,
                            const struct ist_bus_message *);
void __wrap_ist_bus_publish(struct ist_bus *, struct ist_bus_publish *,
                            const struct ist_bus_message *);
int __real_ist_bus_send(struct ist_bus *, const struct ist_bus_message *);
int __wrap_ist_bus_send(struct ist_bus *, const struct ist_bus_message *);

void __wrap_ist_bus_publish(struct ist_bus *on, struct ist_bus_publish *publish,
                            const struct ist_bus_message *message)
{
    moved.calls++;
    moved.call_bytes += message->size;
    __real_ist_bus_publish(on, publish, message);
}

int __wrap_ist_bus_send(struct ist_bus *on,
                        const struct ist_bus_message *message)
{
    moved.asides++;
    moved.aside_bytes += message->size;
    return __real_ist_bus_send(on, message);
}

static void (*real_deliver)(struct ist_bus_consumer *,
                            const struct ist_bus_message *);

static void weigh(struct ist_bus_consumer *consumer,
                  const struct ist_bus_message *message)
{
    moved.answers++;
    moved.answer_bytes += message->size;
    real_deliver(consumer, message);
}

/* Lists */

static void ask(void);

static void report(void)
{
    printf("{\"calls\": %" PRIu64 ", \"call_bytes\": %" PRIu64
           ", \"asides\": %" PRIu64 ", \"aside_bytes\": %" PRIu64
           ", \"answers\": %" PRIu64 ", \"answer_bytes\": %" PRIu64
           ", \"rows\": %" PRIu64 ", \"received\": %" PRIu64
           ", \"failed\": %" PRIu64 ", \"ns\": [",
           moved.calls, moved.call_bytes, moved.asides, moved.aside_bytes,
           moved.answers, moved.answer_bytes, moved.rows, moved.received,
           moved.failed);
    for (uint64_t i = 0; i < n_done; i++)
        printf("%s%" PRIu64, i ? ", " : "", took_ns[i]);
    puts("]}");
    fflush(stdout);
}

static void on_surveyed(struct ist_op *op)
{
    (void) op;
    took_ns[n_done++] = ist_clock_mono_ns() - began_ns;
    moved.rows += survey.merge.n_page;
    moved.failed += survey_failed(&survey);
    for (uint32_t i = 0; i < survey.n_sites; i++)
        moved.received += survey.sites[i].n_received;
    ist_arena_fini(&arena);
    if (n_done < slice)
        ask();
    else
        report();
}

static void ask(void)
{
    static const struct survey_sort newest_first = {"created_at", true};

    if (is_first)
        past_fini(&desk.past);
    began_ns = ist_clock_mono_ns();
    ist_arena_init(&arena, ARENA_MAX);
    survey = (struct survey){.kind = "server",
                             .sort = &newest_first,
                             .n_sort = 1,
                             .limit = limit,
                             .arena = &arena};
    ist_op_prepare(&survey.op, &loop, NULL, DEADLINE_MS, on_surveyed);
    survey_start(&survey, &desk, asked, n_sites);
}

static void on_input(uv_poll_t *poll, int status, int what)
{
    char line[32] = "";
    ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

    (void) poll;
    (void) what;
    if (status < 0 || n <= 0)
        exit(0); /* The process ends here, and all it holds. */
    is_first = strstr(line, " first");
    line[strcspn(line, " \n")] = '\0';
    if (!ist_parse_u64(line, 1, SLICE_MAX, &slice)) {
        fprintf(stderr, "bench_list: how many lists is '%s'?\n", line);
        exit(1);
    }
    n_done = 0;
    memset(&moved, 0, sizeof(moved));
    ask();
}

/* Coming up */

static void die(const char *what, const struct ist_err *err)
{
    fprintf(stderr, "bench_list: %s: %s\n", what, err->text);
    exit(1);
}

static void on_down(struct ist_bus *of, const struct ist_err *err)
{
    (void) of;
    fprintf(stderr, "bench_list: lost the bus: %s\n", err->text);
    desk_down(&desk, err);
}

static const struct ist_bus_events events = {.down = on_down};

static void on_look(struct ist_timer *timer)
{
    static uv_poll_t input;

    for (uint64_t i = 0; i < n_sites; i++) {
        if (asked[i]->state == SITES_PRESENT)
            continue;
        ist_timer_arm_in(timer, &loop, LOOK_MS, on_look);
        return;
    }
    uv_poll_init(loop.uv, &input, STDIN_FILENO);
    uv_poll_start(&input, UV_READABLE, on_input);
    puts("ready");
    fflush(stdout);
}

static void open_sites(void)
{
    struct ist_err err;
    char name[16];

    all = sites_new(&loop, home.sites, &home.keys.self, NULL, NULL, &err);
    if (!all)
        die("sites", &err);
    for (uint64_t i = 0; i < n_sites; i++) {
        snprintf(name, sizeof(name), "s%03u", (unsigned) i);
        asked[i] = sites_find(all, name);
        if (!asked[i]) {
            fprintf(stderr, "bench_list: there is no site %s\n", name);
            exit(1);
        }
    }
}

static void open_bus(void)
{
    struct ist_amqp_conf conf = amqp_conf;
    struct ist_err err;

    conf.url = home.bus_url;
    conf.ca = home.bus_ca;
    conf.certificate = home.bus_certificate;
    conf.key = home.bus_key;
    bus = ist_amqp_new(&loop, &conf, "bench_list", &events, NULL, &err);
    if (!bus)
        die("bus", &err);
    desk_init(&desk, &loop, bus, all, &home.keys.self, home.word, &desk_conf);
    real_deliver = desk.replies.deliver;
    desk.replies.deliver = weigh;
}

int main(int argc, char **argv)
{
    struct ist_err err;

    if (argc != 4 || !ist_parse_u64(argv[2], 1, SITES_TOP, &n_sites) ||
        !ist_parse_u64(argv[3], 1, 1000, &limit)) {
        fputs("usage: bench_list STATE N LIMIT\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    ist_log_level_set(IST_LOG_ERROR);
    if (ist_loop_init(&loop))
        return 1;
    if (admin_home_open(argv[1], &home, &err) ||
        ist_keyfile_start(&home.keys, ist_loop_wall(&loop), &err))
        die("state", &err);
    open_sites();
    open_bus();
    ist_timer_arm_in(&look, &loop, LOOK_MS, on_look);
    ist_loop_run(&loop);
    return 1;
}
