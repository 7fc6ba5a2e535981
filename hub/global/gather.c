#include "global/gather.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whose answer it is, to what. */
static char *name_of(const struct global_gather *gather,
                     const struct global_site *site)
{
    struct global_request *request = gather->request;
    const struct facade_asked *asked = &request->asked;
    char hex[IST_ID_HEX_SIZE], *text = NULL;
    struct ist_sb name;

    ist_sb_init(&name, 2048);
    ist_sb_printf(&name, "%s %s %s", ist_id_hex(&site->site->peer.uid, hex),
                  asked->service->name, gather->target);
    if (!gather->is_common)
        ist_sb_printf(&name, " %s %s", asked->caller.project,
                      request->version ? request->version : "-");
    for (size_t i = 0; !gather->is_common && i < asked->caller.n_roles; i++)
        ist_sb_printf(&name, " %s", asked->caller.roles[i]);
    if (name.rc == 0)
        text = ist_arena_strdup(&request->arena, ist_sb_text(&name));
    ist_sb_fini(&name);
    return text;
}

/* In the memory the status and the region's address stand before the text:
 * "200 https://hub/r/global {...". */
static void write_memo(const struct global_part *part, struct ist_sb *out)
{
    ist_sb_printf(out, "%d %s ", part->status,
                  part->gather->request->asked.base);
    ist_sb_add(out, part->text, part->size);
}

/* The text with this region's address in place of the one it was got by. */
static void rebase(const char *text, const char *from, const char *to,
                   struct ist_sb *out)
{
    const char *found;

    while (strcmp(from, to) != 0 && (found = strstr(text, from))) {
        ist_sb_add(out, text, (size_t) (found - text));
        ist_sb_puts(out, to);
        text = found + strlen(from);
    }
    ist_sb_puts(out, text);
}

static bool read_memo(struct global_part *part, const struct global_memo *memo)
{
    struct global_request *request = part->gather->request;
    char *copy = ist_arena_dup(&request->arena, memo->text, memo->size);
    char *rest = copy, *status = strsep(&rest, " ");
    char *base = strsep(&rest, " ");
    uint64_t code;
    struct ist_sb out;

    if (!status || !base || !rest || !ist_parse_u64(status, 200, 599, &code))
        return false;
    ist_sb_init(&out, 0);
    rebase(rest, base, request->asked.base, &out);
    part->status = (int) code;
    part->size = out.len;
    part->text = ist_arena_dup(&request->arena, ist_sb_text(&out), out.len);
    ist_sb_fini(&out);
    return part->text != NULL;
}

static bool recall(struct global_part *part, uint64_t max_age_ms)
{
    struct global_request *request = part->gather->request;
    const struct global_memo *memo =
        part->name ? global_memory_find(&request->global->memory, part->name)
                   : NULL;
    uint64_t now = ist_loop_now(request->http->loop);

    return memo && now - memo->at_ms <= max_age_ms && read_memo(part, memo);
}

static void remember(struct global_part *part)
{
    struct global_request *request = part->gather->request;
    struct ist_sb text;

    if (!part->gather->is_remembered || !part->name ||
        (part->status != 200 && part->status != 300))
        return;
    ist_sb_init(&text, 0);
    write_memo(part, &text);
    if (text.rc == 0)
        global_memory_put(&request->global->memory, part->name,
                          ist_sb_text(&text), text.len,
                          ist_loop_now(request->http->loop));
    ist_sb_fini(&text);
}

static void fall_back(struct global_part *part)
{
    part->state = part->gather->is_remembered && recall(part, UINT64_MAX)
                      ? GLOBAL_STALE
                      : GLOBAL_FAILED;
}

static void part_over(struct global_gather *gather)
{
    if (--gather->n_waiting == 0)
        ist_op_finish(&gather->op,
                      gather->op.state == IST_OP_CANCELLING ? -ECANCELED : 0);
}

static void on_asked(struct ist_op *op)
{
    struct facade_ask *ask = IST_CONTAINER(op, struct facade_ask, op);
    struct global_part *part = IST_CONTAINER(ask, struct global_part, ask);

    if (op->rc) {
        part->outcome = facade_ask_outcome(ask, part->why);
        fall_back(part);
    } else {
        part->state = GLOBAL_ANSWERED;
        part->status = ask->status;
        part->text = ist_sb_text(&ask->text);
        part->size = ask->text.len;
        remember(part);
    }
    part_over(part->gather);
}

static void ask(struct global_part *part)
{
    struct global_gather *gather = part->gather;
    struct global_request *request = gather->request;
    struct facade_ask *ask = &part->ask;

    part->is_asked = true;
    *ask =
        (struct facade_ask){.facade = request->global->facade,
                            .asked = global_request_asked(request, part->site),
                            .method = gather->method ? gather->method : "GET",
                            .body = gather->body,
                            .body_size = gather->body_size,
                            .http = request->http,
                            .max = GLOBAL_ANSWER_MAX};
    ask->asked.target = gather->target;
    ist_op_prepare(&ask->op, gather->op.loop, &gather->op, 0, on_asked);
    facade_ask_start(ask);
}

static void begin_part(struct global_part *part)
{
    struct global_gather *gather = part->gather;

    part->name = name_of(gather, part->site);
    if (gather->fresh_ms && recall(part, gather->fresh_ms)) {
        part->state = GLOBAL_ANSWERED;
        part_over(gather);
    } else if (part->site->is_away) {
        part->outcome = 503;
        snprintf(part->why, sizeof(part->why), "site %s is away",
                 part->site->site->name);
        fall_back(part);
        part_over(gather);
    } else {
        ask(part);
    }
}

void global_gather_start(struct global_gather *gather)
{
    struct global_request *request = gather->request;

    ist_op_begin(&gather->op, NULL);
    gather->parts = ist_arena_zalloc(
        &request->arena, (request->n_sites + 1) * sizeof(*gather->parts));
    if (!gather->parts) {
        ist_op_fail(&gather->op, -ENOMEM, "out of the request's memory");
        return;
    }
    for (size_t i = 0; i < request->n_sites; i++) {
        const struct global_site *site = &request->sites[i];

        if (gather->only ? site == gather->only : site != gather->except)
            gather->parts[gather->n_parts++] =
                (struct global_part){.gather = gather, .site = site};
    }
    gather->n_waiting = gather->n_parts + 1;
    for (size_t i = 0; i < gather->n_parts; i++)
        begin_part(&gather->parts[i]);
    part_over(gather);
}

void global_gather_fini(struct global_gather *gather)
{
    for (size_t i = 0; i < gather->n_parts; i++) {
        if (gather->parts[i].is_asked)
            facade_ask_fini(&gather->parts[i].ask);
    }
    gather->n_parts = 0;
}

void global_gather_note(const struct global_gather *gather, struct ist_sb *out)
{
    static const char *const states[] = {[GLOBAL_ANSWERED] = "ok",
                                         [GLOBAL_STALE] = "stale",
                                         [GLOBAL_FAILED] = "failed"};

    for (size_t i = 0; i < gather->n_parts; i++)
        global_request_note(out, gather->parts[i].site->site->name,
                            states[gather->parts[i].state]);
}

/* The status of those in that state: 0: there are none, -1: not one. */
static int common_status(const struct global_gather *gather,
                         enum global_part_state state)
{
    int status = 0;

    for (size_t i = 0; i < gather->n_parts; i++) {
        const struct global_part *part = &gather->parts[i];
        int own = state == GLOBAL_FAILED ? part->outcome : part->status;

        if (part->state == state)
            status = status && status != own ? -1 : own;
    }
    return status;
}

int global_gather_failure(const struct global_gather *gather, char *ret,
                          size_t size)
{
    int status = common_status(gather, GLOBAL_ANSWERED);

    snprintf(ret, size, "no site answered");
    for (size_t i = 0; i < gather->n_parts; i++) {
        if (gather->parts[i].state == GLOBAL_FAILED)
            snprintf(ret, size, "%s", gather->parts[i].why);
    }
    if (status == 0)
        status = common_status(gather, GLOBAL_FAILED);
    return status > 0 ? status : 503;
}
