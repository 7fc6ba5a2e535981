#include "facade/ask.h"

#include "facade/assertion.h"
#include "facade/outcome.h"
#include "facade/speech.h"

#include <errno.h>
#include <string.h>

#define ARENA_MAX (4U << 20)   /* A frame, or the call. */
#define KEPT_MAX  (128U << 10) /* The answer's headers. */

static bool keep_headers(struct facade_ask *ask,
                         const Isthmus__V1__RelayHead *head)
{
    Isthmus__V1__Header *all =
        ist_arena_alloc(&ask->kept, (head->n_headers + 1) * sizeof(*all));
    const Isthmus__V1__Header **at = ist_arena_alloc(
        &ask->kept, (head->n_headers + 1) * sizeof(Isthmus__V1__Header *));

    if (!all || !at)
        return false;
    for (size_t i = 0; i < head->n_headers; i++) {
        isthmus__v1__header__init(&all[i]);
        all[i].name = ist_arena_strdup(&ask->kept, head->headers[i]->name);
        all[i].value = ist_arena_strdup(&ask->kept, head->headers[i]->value);
        if (!all[i].name || !all[i].value)
            return false;
        at[i] = &all[i];
    }
    ask->headers = at;
    ask->n_headers = head->n_headers;
    return true;
}

static int on_frame(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct facade_ask *ask = IST_CONTAINER(call, struct facade_ask, call);

    if (reply->head && !ask->status) {
        ask->status = (int) reply->head->status;
        if (!facade_is_status(ask->status))
            return ist_err_set(&call->op.err, DESK_BROKEN,
                               "its answer has no status that there is");
        if (!keep_headers(ask, reply->head))
            return ist_err_set(&call->op.err, DESK_TOO_LARGE,
                               "its answer's headers are too large");
    }
    ist_sb_add(&ask->text, reply->data.data, reply->data.len);
    if (ask->text.rc)
        return ist_err_set(&call->op.err, DESK_TOO_LARGE,
                           "its answer is over the cap of one request");
    return 0;
}

static void on_called(struct ist_op *op)
{
    struct desk_call *call = IST_CONTAINER(op, struct desk_call, op);
    struct facade_ask *ask = IST_CONTAINER(call, struct facade_ask, call);

    ask->op.err = op->err;
    if (op->rc == 0 && !ask->status)
        ist_op_fail(&ask->op, DESK_BROKEN, "the site gave no answer");
    else
        ist_op_finish(&ask->op, op->rc);
}

void facade_ask_start(struct facade_ask *ask)
{
    Isthmus__V1__Call what = ISTHMUS__V1__CALL__INIT;
    Isthmus__V1__Relay asks = ISTHMUS__V1__RELAY__INIT;
    struct desk_call *call = &ask->call;

    ist_arena_init(&ask->arena, ARENA_MAX);
    ist_arena_init(&ask->kept, KEPT_MAX);
    ist_sb_init(&ask->text, ask->max);
    ist_op_begin(&ask->op, NULL);
    asks.body = (ProtobufCBinaryData){ask->body_size,
                                      (uint8_t *) (uintptr_t) ask->body};
    asks.window = (uint32_t) ask->max;
    if (!facade_pass_headers(ask->http, &ask->asked, &ask->arena, &asks) ||
        !facade_assert(ask->facade, &ask->asked, ask->method, ask->http->id,
                       &ask->arena, &asks)) {
        ist_op_fail(&ask->op, DESK_TOO_LARGE,
                    "the request's headers are too large");
        return;
    }
    what.what_case = ISTHMUS__V1__CALL__WHAT_RELAY;
    what.relay = &asks;
    *call = (struct desk_call){.site = ask->asked.site,
                               .request_id = ask->http->id,
                               .arena = &ask->arena,
                               .on_frame = on_frame,
                               .bytes = ask->max,
                               .is_passing = true};
    ist_op_prepare(&call->op, ask->op.loop, &ask->op, FACADE_ASK_MS, on_called);
    desk_call_start(ask->facade->desk, call, &what);
}

void facade_ask_fini(struct facade_ask *ask)
{
    ist_sb_fini(&ask->text);
    ist_arena_fini(&ask->arena);
    ist_arena_fini(&ask->kept);
}

int facade_ask_outcome(const struct facade_ask *ask, char *ret_text)
{
    return facade_outcome(&ask->call, ask->asked.service->name,
                          ask->asked.site->name, ask->op.rc == -ETIMEDOUT,
                          ret_text);
}

void facade_ask_reply(const struct facade_ask *ask,
                      struct ist_httpd_request *http)
{
    struct ist_httpd_header headers[FACADE_HEADERS_MAX];
    size_t n = facade_speech_headers(ask->headers, ask->n_headers, headers);

    ist_httpd_reply(http, ask->status, headers, n, ask->text.data,
                    ask->text.len);
}
