/* The twin, on a virtual clock (the default) or, with CONFORM_REAL, on a real
 * loop. */
#include "bus.h"

#include "base/rand.h"
#include "bus/mem.h"

static struct ist_mem_broker *broker;

static int start(struct ist_loop *loop)
{
    const struct ist_mem_queue_args cmd = {
        .delivery_limit = 2, .dead_exchange = "x.dead", .single_active = true};
    const struct ist_mem_queue_args stream = {.stream = true};
    const struct ist_mem_faults faults = {.delay_min_ms = 0,
                                          .delay_max_ms = 3,
                                          .connect_min_ms = 1,
                                          .connect_max_ms = 20};

#ifdef CONFORM_REAL
    int rc = ist_loop_init(loop);

    if (rc)
        return rc;
#else
    ist_loop_init_virtual(loop, 1764000000000U);
    ist_rand_plant(42);
#endif
    broker = ist_mem_broker_new(loop);
    ist_mem_broker_faults(broker, &faults);
    ist_mem_exchange(broker, "x.t", "topic");
    ist_mem_exchange(broker, "x.d", "direct");
    ist_mem_exchange(broker, "x.f", "fanout");
    ist_mem_exchange(broker, "x.dead", "fanout");
    ist_mem_exchange(broker, "x.deny", "topic");
    ist_mem_queue(broker, "q.req", 30000, 5);
    ist_mem_queue(broker, "q.work", 0, 0);
    ist_mem_queue_with(broker, "q.cmd", &cmd);
    ist_mem_queue_with(broker, "q.evt", &stream);
    ist_mem_queue(broker, "q.f1", 0, 0);
    ist_mem_queue(broker, "q.f2", 0, 0);
    ist_mem_queue(broker, "q.dead", 0, 0);
    ist_mem_bind(broker, "q.req", "x.t", "site.a");
    ist_mem_bind(broker, "q.work", "x.d", "work");
    ist_mem_bind(broker, "q.cmd", "x.d", "cmd");
    ist_mem_bind(broker, "q.evt", "x.t", "*.*.*.#");
    ist_mem_bind(broker, "q.f1", "x.f", "");
    ist_mem_bind(broker, "q.f2", "x.f", "");
    ist_mem_bind(broker, "q.dead", "x.dead", "");
    ist_mem_deny(broker, "site-a", "x.deny", true);
    return 0;
}

static void stop(struct ist_loop *loop)
{
    broker = ist_mem_broker_free(broker);
    ist_loop_fini(loop);
    ist_rand_unplant();
}

static struct ist_bus *make(const char *user,
                            const struct ist_bus_events *events, void *owner)
{
    return ist_mem_new(broker, user, events, owner);
}

static void cut(struct ist_bus *bus)
{
    ist_mem_cut(bus, 5);
}

static void block(bool on)
{
    ist_mem_broker_block(broker, on);
}

const struct conform_bus conform_bus = {
    .name = "mem",
    .timeout_ms = 15000,
    .start = start,
    .stop = stop,
    .make = make,
    .cut = cut,
    .block = block,
};
