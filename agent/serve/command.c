/* Happy path: open, record (flushed to disk), acknowledge, act, send the
 * result. What was seen is acknowledged and not acted on. When the record
 * cannot be made, the command is not acknowledged: it comes again. */
#include "serve/command.h"

#include "base/log.h"
#include "codec/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_TIMEOUT_MS 30000
#define RESULT_TIMEOUT_MS 30000
#define RESULT_LIFE_MS    (24ULL * 3600 * 1000)

struct command {
    struct serve_commands *commands;
    struct ist_seen_record record;
    struct ist_bus_publish publish;
    uint64_t tag;
};

static void drop(struct command *command)
{
    command->commands->n_open--;
    free(command);
}

static void acknowledge(struct command *command)
{
    struct serve_commands *commands = command->commands;

    /* -ENOTCONN: it will come again, and be seen. */
    ist_bus_ack(commands->serve->bus, &commands->orders, command->tag);
}

static void on_result_sent(struct ist_op *op)
{
    struct command *command = IST_CONTAINER(op, struct command, publish.op);

    if (op->rc)
        ist_log_warn("serve", "result not delivered: %s", op->err.text);
    drop(command);
}

static int seal_result(struct command *command, struct ist_sb *wire)
{
    static char text[] = "this agent knows no commands";
    struct serve *serve = command->commands->serve;
    Isthmus__V1__Reply reply = ISTHMUS__V1__REPLY__INIT;
    Isthmus__V1__Failure failure = ISTHMUS__V1__FAILURE__INIT;
    struct ist_letter letter = {.kind = IST_KIND_RESULT,
                                .op = command->record.op_id};
    uint64_t now = ist_loop_wall(serve->loop);

    failure.code = ISTHMUS__V1__FAILURE__CODE__UNSUPPORTED;
    failure.text = text;
    reply.last = true;
    reply.failure = &failure;
    ist_arena_reset(&serve->packing);
    memcpy(letter.request_hash, command->record.hash,
           sizeof(letter.request_hash));
    letter.expires_ms = now + RESULT_LIFE_MS;
    letter.body = ist_pack(&reply, &serve->packing, &letter.body_size);
    return letter.body ? ist_seal(serve->self, serve->hub, now, &letter, wire)
                       : -1;
}

static void send_result(struct command *command)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb wire;
    struct serve_commands *commands = command->commands;
    struct ist_bus_message message;

    ist_sb_init(&wire, 0);
    if (seal_result(command, &wire)) {
        drop(command);
        return;
    }
    message = (struct ist_bus_message){.exchange = "x.rep",
                                       .key = commands->result_key,
                                       .body = wire.data,
                                       .size = wire.len,
                                       .type = "result",
                                       .mandatory = true,
                                       .persistent = true};
    ist_op_prepare(&command->publish.op, commands->serve->loop, NULL,
                   RESULT_TIMEOUT_MS, on_result_sent);
    ist_bus_publish(commands->serve->bus, &command->publish, &message);
}

static void tell_refused(struct serve *serve, const char *why)
{
    char text[96];

    snprintf(text, sizeof(text), "a command was refused: %s", why);
    serve_tell(serve, "command_refused", "command", why, text);
}

static void on_recorded(struct ist_op *op)
{
    struct command *command = IST_CONTAINER(op, struct command, record.op);
    struct serve_command_counts *counts = &command->commands->counts;
    uint64_t *const by_outcome[] = {
        [0] = &counts->fresh,
        [IST_SEEN_AGAIN] = &counts->again,
        [IST_SEEN_CONFLICT] = &counts->conflict,
        [IST_SEEN_LATE] = &counts->late,
        [IST_SEEN_FULL] = &counts->full,
    };

    if (op->rc < 0) {
        ist_log_error("serve", "command not recorded, left in its queue: %s",
                      op->err.text);
        drop(command);
        return;
    }
    ++*by_outcome[op->rc];
    if (op->rc == IST_SEEN_FULL) {
        ist_log_error("serve", "the record of commands is full; left in queue");
        drop(command);
        return;
    }
    acknowledge(command);
    if (op->rc == IST_SEEN_CONFLICT || op->rc == IST_SEEN_LATE)
        tell_refused(command->commands->serve,
                     op->rc == IST_SEEN_LATE ? "late" : "conflict");
    if (op->rc == 0)
        send_result(command);
    else
        drop(command);
}

/* False: it cannot be opened, and why has been said. */
static bool open_record(struct serve_commands *commands)
{
    struct ist_err err;
    uint64_t ahead;

    if (commands->seen)
        return true;
    commands->seen = ist_seen_open(commands->serve->loop, commands->conf, &err);
    if (!commands->seen) {
        ist_log_error("serve", "no order can be taken: %s", err.text);
        return false;
    }
    ahead = ist_seen_ahead_ms(commands->seen);
    if (ahead > commands->conf->skew_ms)
        ist_log_warn("serve",
                     "the clock is behind what it was by %llu s: "
                     "orders count as late until it has caught up",
                     (unsigned long long) ahead / 1000);
    return true;
}

static bool open_order(struct serve_commands *commands,
                       const struct ist_bus_message *message,
                       struct ist_letter *letter)
{
    struct serve *serve = commands->serve;
    int rc = serve_open(serve, ist_seen_now(commands->seen), message, letter);

    if (rc == 0 && letter->kind == IST_KIND_COMMAND)
        return true;
    if (rc == 0) {
        rc = IST_SEAL_KIND;
        serve->counts.refused[rc]++;
    }
    ist_log_warn("serve", "order refused: %s", ist_seal_refusal_name(rc));
    tell_refused(serve, ist_seal_refusal_name(rc));
    return false;
}

static void on_order(struct ist_bus_consumer *consumer,
                     const struct ist_bus_message *message)
{
    struct serve_commands *commands =
        IST_CONTAINER(consumer, struct serve_commands, orders);
    struct ist_letter letter;
    struct command *command;

    if (!open_record(commands))
        return; /* Not acknowledged: it comes again. */
    /* What does not verify is never given back: it would come for ever. */
    if (!open_order(commands, message, &letter)) {
        ist_bus_ack(commands->serve->bus, consumer, message->tag);
        return;
    }
    command = calloc(1, sizeof(*command));
    if (!command)
        return;
    command->commands = commands;
    command->tag = message->tag;
    command->record.sender = letter.sender;
    command->record.message = letter.message;
    command->record.op_id = letter.op;
    memcpy(command->record.hash, letter.hash, sizeof(letter.hash));
    command->record.expires_ms = letter.expires_ms;
    commands->n_open++;
    ist_op_prepare(&command->record.op, commands->serve->loop, NULL,
                   RECORD_TIMEOUT_MS, on_recorded);
    ist_seen_record(commands->seen, &command->record);
}

void serve_commands_init(struct serve_commands *commands, struct serve *serve,
                         const struct ist_seen_conf *conf)
{
    *commands = (struct serve_commands){.serve = serve, .conf = conf};
    snprintf(commands->queue, sizeof(commands->queue), "site.%s.cmd",
             serve->site);
    snprintf(commands->result_key, sizeof(commands->result_key), "res.%s",
             serve->site);
    commands->orders = (struct ist_bus_consumer){.queue = commands->queue,
                                                 .ack = true,
                                                 .prefetch = 32,
                                                 .deliver = on_order};
    ist_bus_consume(serve->bus, &commands->orders);
}

void serve_commands_stop(struct serve_commands *commands)
{
    ist_bus_cancel(commands->serve->bus, &commands->orders);
}

void serve_commands_fini(struct serve_commands *commands)
{
    commands->seen = ist_seen_free(commands->seen);
}
