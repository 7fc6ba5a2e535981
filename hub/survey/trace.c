#include "survey/trace.h"

#include "base/grow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int trace_cmp(struct trace *a, struct trace *b)
{
    return strcmp(a->id, b->id);
}

RB_GENERATE_INTERNAL(trace_ids, trace, node, trace_cmp, IST_UNUSED_STATIC)

static void drop(struct traces *traces, struct trace *trace)
{
    RB_REMOVE(trace_ids, &traces->by_id, trace);
    TAILQ_REMOVE(&traces->by_age, trace, age);
    traces->n--;
    free(trace->calls);
    free(trace);
}

static struct trace *find(const struct traces *traces, const char *id)
{
    struct trace key;

    if (strlcpy(key.id, id, sizeof(key.id)) >= sizeof(key.id))
        return NULL;
    return RB_FIND(trace_ids, (struct trace_ids *) &traces->by_id, &key);
}

const struct trace *trace_find(const struct traces *traces, const char *id)
{
    return find(traces, id);
}

static struct trace *find_or_add(struct traces *traces, const char *id)
{
    struct trace *trace = find(traces, id);

    if (trace || strlen(id) >= sizeof(trace->id) || !id[0])
        return trace;
    trace = calloc(1, sizeof(*trace));
    if (!trace)
        return NULL;
    strlcpy(trace->id, id, sizeof(trace->id));
    RB_INSERT(trace_ids, &traces->by_id, trace);
    TAILQ_INSERT_HEAD(&traces->by_age, trace, age);
    if (++traces->n > TRACE_REQUESTS_MAX)
        drop(traces, TAILQ_LAST(&traces->by_age, trace_ages));
    return trace;
}

/* Until the request is answered its first call stands for when it came. */
static void begin_at(struct trace *trace, uint64_t loop_ms, uint64_t wall_ms)
{
    if (trace->loop_ms && trace->loop_ms <= loop_ms)
        return;
    for (size_t i = 0; i < trace->n_calls; i++) {
        uint32_t more = (uint32_t) (trace->loop_ms - loop_ms);
        struct trace_call *call = &trace->calls[i];

        call->sent_ms += more;
        call->ended_ms += more;
        call->heard_ms += call->heard_ms ? more : 0;
    }
    trace->loop_ms = loop_ms;
    trace->wall_ms = wall_ms;
}

void trace_begin(struct traces *traces, const char *id, uint64_t wall_ms,
                 uint64_t now_ms)
{
    struct trace *trace = find_or_add(traces, id);

    if (trace)
        begin_at(trace, now_ms, wall_ms);
}

void trace_add(struct traces *traces, const char *id, const char *site,
               const char *what, uint64_t sent_ms, uint64_t heard_ms,
               uint64_t now_ms, const char *reason)
{
    struct trace *trace = find(traces, id);
    struct trace_call *calls, *call;

    if (!trace)
        return;
    calls = trace->n_calls < TRACE_CALLS_MAX
                ? ist_grow(trace->calls, &trace->calls_size, trace->n_calls + 1,
                           sizeof(*calls))
                : NULL;
    if (!calls) {
        trace->n_left_out++;
        return;
    }
    trace->calls = calls;
    call = &calls[trace->n_calls++];
    *call = (struct trace_call){
        .what = what,
        .sent_ms = (uint32_t) (sent_ms - trace->loop_ms),
        .heard_ms = heard_ms ? (uint32_t) (heard_ms - trace->loop_ms) : 0,
        .ended_ms = (uint32_t) (now_ms - trace->loop_ms)};
    strlcpy(call->site, site, sizeof(call->site));
    strlcpy(call->reason, reason, sizeof(call->reason));
}

void trace_answered(struct traces *traces, const char *id, const char *method,
                    const char *path, int status, uint64_t started_ms,
                    uint64_t wall_ms, uint64_t now_ms)
{
    struct trace *trace = find(traces, id);

    if (!trace)
        return;
    begin_at(trace, started_ms, wall_ms - (now_ms - started_ms));
    trace->status = status;
    trace->duration_ms = (uint32_t) (now_ms - trace->loop_ms);
    strlcpy(trace->method, method, sizeof(trace->method));
    strlcpy(trace->path, path, sizeof(trace->path));
}

void traces_init(struct traces *traces)
{
    *traces = (struct traces){0};
    RB_INIT(&traces->by_id);
    TAILQ_INIT(&traces->by_age);
}

void traces_fini(struct traces *traces)
{
    while (traces->n > 0)
        drop(traces, TAILQ_FIRST(&traces->by_age));
}
