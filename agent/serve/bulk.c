#include "serve/bulk.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>

#define PATIENCE_MS 2000U
#define PENALTY_MS  30000U
#define IDLE_MS     60000U

/* Closing */

static void leave(struct serve_seat *seat)
{
    LIST_REMOVE(seat, link);
    seat->bulk = NULL;
    seat->state = SERVE_SEAT_NONE;
}

static void turn_out(struct serve_bulk *bulk)
{
    struct serve_seat *seat;

    while ((seat = LIST_FIRST(&bulk->seats))) {
        bool was_taken = seat->state == SERVE_SEAT_TAKEN;

        leave(seat);
        if (was_taken)
            seat->lost(seat);
        else
            seat->settled(seat);
    }
}

static void hang_up(struct serve_bulk *bulk)
{
    if (bulk->state != BULK_OPENING && bulk->state != BULK_OPEN)
        return;
    bulk->state = BULK_CLOSING;
    ist_timer_disarm(&bulk->timer);
    ist_bus_close(bulk->bus);
    turn_out(bulk);
}

static void give_up(struct serve_bulk *bulk, const char *why)
{
    ist_log_warn("serve",
                 "no connection for large bodies: they go with the rest: %s",
                 why);
    bulk->not_before_ms = ist_loop_now(bulk->serve->loop) + PENALTY_MS;
    hang_up(bulk);
}

static void on_idle(struct ist_timer *timer)
{
    hang_up(IST_CONTAINER(timer, struct serve_bulk, timer));
}

/* Its events */

static void maybe_open(struct serve_bulk *bulk)
{
    struct serve_seat *seat, *next;

    if (bulk->state != BULK_OPENING || !bulk->is_placed || !bulk->bus->is_up)
        return;
    bulk->state = BULK_OPEN;
    ist_timer_disarm(&bulk->timer);
    LIST_FOREACH_SAFE(seat, &bulk->seats, link, next)
    {
        seat->state = SERVE_SEAT_TAKEN;
        seat->settled(seat);
    }
    if (LIST_EMPTY(&bulk->seats))
        ist_timer_arm_in(&bulk->timer, bulk->serve->loop, IDLE_MS, on_idle);
}

static void on_up(struct ist_bus *bus)
{
    maybe_open(bus->owner);
}

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct serve_bulk *bulk = bus->owner;

    give_up(bulk, err->text);
}

static void on_drained(struct ist_bus *bus)
{
    serve_drained(((struct serve_bulk *) bus->owner)->serve);
}

static void on_closed(struct ist_bus *bus)
{
    struct serve_bulk *bulk = bus->owner;

    bulk->bus = ist_bus_free(bus);
    bulk->state = BULK_CLOSED;
}

static const struct ist_bus_events events = {
    .up = on_up,
    .down = on_down,
    .drained = on_drained,
    .closed = on_closed,
};

static void on_placed(struct ist_bus_consumer *consumer)
{
    struct serve_bulk *bulk =
        IST_CONTAINER(consumer, struct serve_bulk, pieces);

    bulk->is_placed = true;
    maybe_open(bulk);
}

/* It is not there at a broker that was set up by an older hub. */
static void on_refused(struct ist_bus_consumer *consumer,
                       const struct ist_err *err)
{
    give_up(IST_CONTAINER(consumer, struct serve_bulk, pieces), err->text);
}

static void on_piece(struct ist_bus_consumer *consumer,
                     const struct ist_bus_message *message)
{
    serve_take(IST_CONTAINER(consumer, struct serve_bulk, pieces)->serve,
               message);
}

/* Opening */

static void on_impatient(struct ist_timer *timer)
{
    give_up(IST_CONTAINER(timer, struct serve_bulk, timer),
            "the broker does not answer in time");
}

static bool may_open(const struct serve_bulk *bulk)
{
    return bulk->state == BULK_CLOSED && !bulk->is_stopped &&
           ist_loop_now(bulk->serve->loop) >= bulk->not_before_ms;
}

static void open_bus(struct serve_bulk *bulk)
{
    struct ist_err err = {0};

    bulk->is_placed = false;
    bulk->bus = bulk->dial(bulk->dial_arg, &events, bulk, &err);
    if (!bulk->bus) {
        give_up(bulk, err.text);
        return;
    }
    bulk->state = BULK_OPENING;
    bulk->pieces = (struct ist_bus_consumer){.queue = bulk->queue,
                                             .newest_first = true,
                                             .deliver = on_piece,
                                             .placed = on_placed,
                                             .refused = on_refused};
    ist_bus_consume(bulk->bus, &bulk->pieces);
    ist_timer_arm_in(&bulk->timer, bulk->serve->loop, PATIENCE_MS,
                     on_impatient);
}

void serve_bulk_join(struct serve_bulk *bulk, struct serve_seat *seat)
{
    seat->state = SERVE_SEAT_NONE;
    if (!bulk)
        return;
    if (may_open(bulk))
        open_bus(bulk);
    if (bulk->state != BULK_OPENING && bulk->state != BULK_OPEN)
        return;
    if (bulk->state == BULK_OPEN)
        ist_timer_disarm(&bulk->timer);
    seat->state =
        bulk->state == BULK_OPEN ? SERVE_SEAT_TAKEN : SERVE_SEAT_WAITS;
    seat->bulk = bulk;
    LIST_INSERT_HEAD(&bulk->seats, seat, link);
}

void serve_bulk_leave(struct serve_seat *seat)
{
    struct serve_bulk *bulk = seat->bulk;

    if (!bulk)
        return;
    leave(seat);
    if (LIST_EMPTY(&bulk->seats) && bulk->state == BULK_OPEN)
        ist_timer_arm_in(&bulk->timer, bulk->serve->loop, IDLE_MS, on_idle);
}

void serve_bulk_init(struct serve_bulk *bulk, struct serve *serve,
                     serve_bulk_dial_fn *dial, void *dial_arg)
{
    *bulk =
        (struct serve_bulk){.serve = serve, .dial = dial, .dial_arg = dial_arg};
    LIST_INIT(&bulk->seats);
    snprintf(bulk->queue, sizeof(bulk->queue), "site.%s.bulk", serve->site);
    serve->bulk = bulk;
}

void serve_bulk_stop(struct serve_bulk *bulk)
{
    bulk->is_stopped = true;
    hang_up(bulk);
}

bool serve_bulk_is_closed(const struct serve_bulk *bulk)
{
    return bulk->state == BULK_CLOSED;
}
