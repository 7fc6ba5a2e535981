/* Commands over the in-memory bus: recorded before they are acknowledged,
 * answered once, and never again, also after a restart. */
#include "serve/command.h"

#include "../identity.h"
#include "bus/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WALL 1790000000000ULL

struct box {
    struct ist_loop loop;
    struct ist_mem_broker *broker;
    struct ist_self hub, site;
    struct ist_peer to_site, to_hub;
    struct policy policy;
    char dir[64], path[96];

    struct ist_bus *agent_bus;
    struct ist_seen_conf seen_conf;
    struct serve serve;
    struct serve_commands commands;

    struct ist_bus *hub_bus;
    struct ist_bus_consumer results;
    unsigned n_results;
    struct ist_sb wire; /* The last command sealed. */
};

static void settle(struct box *box)
{
    uint64_t until = ist_loop_now(&box->loop) + 1000;

    while (ist_loop_step(&box->loop, until))
        ;
}

static void on_result(struct ist_bus_consumer *consumer,
                      const struct ist_bus_message *message)
{
    struct box *box = IST_CONTAINER(consumer, struct box, results);

    assert_string_equal(message->key, "res.hkg");
    box->n_results++;
    ist_bus_ack(box->hub_bus, consumer, message->tag);
}

static const struct ist_bus_events no_events = {0};

static void start_agent(struct box *box)
{
    static const struct serve_conf conf = {.calls_max = 10,
                                           .answer_memory = 1 << 20,
                                           .skew_ms = 30000,
                                           .presence_ms = 5000};

    box->seen_conf =
        (struct ist_seen_conf){.path = box->path, .skew_ms = 30000};
    box->agent_bus = ist_mem_new(box->broker, "hkg", &no_events, box);
    serve_init(&box->serve, &box->loop, box->agent_bus, &box->site,
               &box->to_hub, NULL, &box->policy, "hkg", &conf);
    serve_commands_init(&box->commands, &box->serve, &box->seen_conf);
    settle(box);
}

static void stop_agent(struct box *box)
{
    serve_commands_stop(&box->commands);
    serve_stop(&box->serve);
    settle(box);
    assert_int_equal(box->commands.n_open, 0);
    ist_bus_close(box->agent_bus);
    settle(box);
    ist_bus_free(box->agent_bus);
    serve_fini(&box->serve);
    serve_commands_fini(&box->commands);
}

static int setup(void **state)
{
    struct box *box = calloc(1, sizeof(*box));

    snprintf(box->dir, sizeof(box->dir), "/tmp/isthmus-command-XXXXXX");
    assert_non_null(mkdtemp(box->dir));
    snprintf(box->path, sizeof(box->path), "%s/seen.db", box->dir);
    ist_loop_init_virtual(&box->loop, WALL);
    identity_make(&box->hub, IST_ROLE_HUB, 5);
    identity_make(&box->site, IST_ROLE_SITE, 5);
    box->to_site = identity_peer(&box->site, &box->hub);
    box->to_hub = identity_peer(&box->hub, &box->site);
    ist_sb_init(&box->wire, 0);
    box->broker = ist_mem_broker_new(&box->loop);
    ist_mem_exchange(box->broker, "x.req", "topic");
    ist_mem_exchange(box->broker, "x.rep", "topic");
    ist_mem_exchange(box->broker, "x.evt", "topic");
    ist_mem_exchange(box->broker, "x.cmd", "direct");
    ist_mem_queue(box->broker, "site.hkg.req", 0, 0);
    ist_mem_queue(box->broker, "site.hkg.cmd", 0, 0);
    ist_mem_queue(box->broker, "hub.res", 0, 0);
    ist_mem_bind(box->broker, "site.hkg.cmd", "x.cmd", "hkg");
    ist_mem_bind(box->broker, "hub.res", "x.rep", "res.*");
    box->hub_bus = ist_mem_new(box->broker, "hub-h1", &no_events, box);
    box->results = (struct ist_bus_consumer){
        .queue = "hub.res", .ack = true, .prefetch = 10, .deliver = on_result};
    ist_bus_consume(box->hub_bus, &box->results);
    start_agent(box);
    *state = box;
    return 0;
}

static int teardown(void **state)
{
    struct box *box = *state;
    char command[128];

    stop_agent(box);
    ist_bus_close(box->hub_bus);
    settle(box);
    ist_bus_free(box->hub_bus);
    ist_mem_broker_free(box->broker);
    settle(box);
    ist_sb_fini(&box->wire);
    ist_loop_fini(&box->loop);
    snprintf(command, sizeof(command), "rm -rf %s", box->dir);
    free(box);
    return system(command);
}

static void seal(struct box *box, const char *body, struct ist_id op)
{
    struct ist_letter letter = {.kind = IST_KIND_COMMAND,
                                .op = op,
                                .body = body,
                                .body_size = strlen(body)};

    letter.expires_ms = ist_loop_wall(&box->loop) + 60000;
    ist_sb_reset(&box->wire);
    assert_int_equal(ist_seal(&box->hub, &box->to_site,
                              ist_loop_wall(&box->loop), &letter, &box->wire),
                     0);
}

static void deliver(struct box *box)
{
    struct ist_bus_message message = {.exchange = "x.cmd",
                                      .key = "hkg",
                                      .body = box->wire.data,
                                      .size = box->wire.len,
                                      .user = "hub-h1"};

    ist_mem_inject(box->broker, &message);
    settle(box);
}

static void test_a_command_is_recorded_and_answered_once(void **state)
{
    struct box *box = *state;

    seal(box, "do", ist_id_random());
    deliver(box);
    assert_int_equal(box->commands.counts.fresh, 1);
    assert_int_equal(box->n_results, 1);
    assert_int_equal(ist_seen_rows(box->commands.seen), 1);
    deliver(box);
    assert_int_equal(box->commands.counts.fresh, 1);
    assert_int_equal(box->commands.counts.again, 1);
    assert_int_equal(box->n_results, 1);
    assert_int_equal(ist_mem_queue_length(box->broker, "site.hkg.cmd"), 0);
}

static void test_a_replay_is_refused_across_a_restart(void **state)
{
    struct box *box = *state;

    seal(box, "do", ist_id_random());
    deliver(box);
    assert_int_equal(box->commands.counts.fresh, 1);
    stop_agent(box);
    box->site.epoch++;
    memset(box->to_hub.window, 0, sizeof(box->to_hub.window));
    box->to_hub.epoch = box->to_hub.sequence_high = 0;
    start_agent(box);
    deliver(box);
    assert_int_equal(box->commands.counts.fresh, 0);
    assert_int_equal(box->commands.counts.again, 1);
    assert_int_equal(box->n_results, 1);
}

static void test_one_op_id_for_two_orders_is_a_conflict(void **state)
{
    struct box *box = *state;
    struct ist_id op = ist_id_random();

    seal(box, "do", op);
    deliver(box);
    seal(box, "undo", op);
    deliver(box);
    assert_int_equal(box->commands.counts.fresh, 1);
    assert_int_equal(box->commands.counts.conflict, 1);
    assert_int_equal(box->n_results, 1);
}

static void test_without_its_record_no_command_is_taken(void **state)
{
    struct box *box = *state;

    strlcpy(box->path, "/nonexistent/seen.db", sizeof(box->path));
    seal(box, "do", ist_id_random());
    deliver(box);
    assert_null(box->commands.seen);
    assert_int_equal(box->n_results, 0);
    /* It waits for an agent that can take it. */
    stop_agent(box);
    snprintf(box->path, sizeof(box->path), "%s/seen.db", box->dir);
    start_agent(box);
    assert_int_equal(box->commands.counts.fresh, 1);
    assert_int_equal(box->n_results, 1);
}

static void test_what_does_not_open_is_dropped_and_counted(void **state)
{
    struct box *box = *state;

    seal(box, "do", ist_id_random());
    box->wire.data[60] ^= 1;
    deliver(box);
    assert_int_equal(box->serve.counts.refused[IST_SEAL_FORGED], 1);
    assert_int_equal(ist_mem_queue_length(box->broker, "site.hkg.cmd"), 0);
    ist_sb_reset(&box->wire);
    ist_sb_puts(&box->wire, "garbage");
    deliver(box);
    assert_int_equal(box->serve.counts.refused[IST_SEAL_SHAPE], 1);
    assert_int_equal(box->n_results, 0);
    assert_int_equal(ist_seen_rows(box->commands.seen), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_command_is_recorded_and_answered_once),
        T(test_a_replay_is_refused_across_a_restart),
        T(test_one_op_id_for_two_orders_is_a_conflict),
        T(test_without_its_record_no_command_is_taken),
        T(test_what_does_not_open_is_dropped_and_counted),
    };

    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
