#include "events/place.h"

#include "base/log.h"

#include <stdio.h>

#define LATE_MS 1000

static void arm(struct events_place *place);

static int apply(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct events_place *place =
        IST_CONTAINER(write, struct events_place, write);

    return events_place_put(place->log, txn, place->name, place->writing, err);
}

static void on_written(struct ist_op *op)
{
    struct events_place *place =
        IST_CONTAINER(op, struct events_place, write.op);

    if (op->rc == 0)
        place->written = place->writing;
    else
        ist_log_warn("events", "the place of %s is not written: %s",
                     place->name, op->err.text);
    if (!place->is_stopped)
        arm(place);
}

static void write_now(struct events_place *place)
{
    if (place->at == place->written || events_place_busy(place))
        return;
    place->writing = place->at;
    ist_op_prepare(&place->write.op, ist_tree_loop(place->tree), NULL, 0,
                   on_written);
    ist_tree_write(place->tree, &place->write, apply);
}

static void on_due(struct ist_timer *timer)
{
    write_now(IST_CONTAINER(timer, struct events_place, due));
}

static void arm(struct events_place *place)
{
    if (place->at != place->written && !events_place_busy(place) &&
        !ist_timer_armed(&place->due))
        ist_timer_arm_in(&place->due, ist_tree_loop(place->tree), LATE_MS,
                         on_due);
}

void events_place_open(struct events_place *place, struct ist_tree *tree,
                       struct events_log *log, const char *name)
{
    *place = (struct events_place){.tree = tree, .log = log};
    snprintf(place->name, sizeof(place->name), "%s", name);
    place->at = place->written = events_place_get(log, name);
}

void events_place_move(struct events_place *place, uint64_t id)
{
    place->at = id;
    arm(place);
}

/* One that cannot be written any more costs doubles, no events. */
void events_place_stop(struct events_place *place)
{
    if (place->is_stopped)
        return;
    place->is_stopped = true;
    ist_timer_disarm(&place->due);
    write_now(place);
}

bool events_place_busy(const struct events_place *place)
{
    return place->write.op.state != IST_OP_IDLE;
}
