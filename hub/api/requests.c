/* GET /api/v1/requests/{id}: what became of a request, as a timeline. */
#include "api/api.h"
#include "api/member.h"
#include "api/problem.h"

#include <string.h>

static void put_call(struct ist_sb *out, const struct trace_call *call)
{
    ist_sb_puts(out, "{\"site\":");
    ist_sb_json(out, call->site, strlen(call->site));
    api_put_text(out, "what", call->what);
    api_put_number(out, "sent_ms", call->sent_ms);
    if (call->heard_ms)
        api_put_number(out, "first_frame_ms", call->heard_ms);
    else
        ist_sb_puts(out, ",\"first_frame_ms\":null");
    api_put_number(out, "ended_ms", call->ended_ms);
    api_put_text(out, "reason", call->reason[0] ? call->reason : NULL);
    ist_sb_putc(out, '}');
}

void api_show_request(const struct api_request *request)
{
    const struct trace *trace =
        trace_find(&request->api->desk->traces, request->word);
    struct ist_sb out;

    if (!trace) {
        api_problem_reply(request->http, API_NOT_FOUND, NULL,
                          "No request '%.60s' is known that asked a site: the "
                          "hub remembers the last %d.",
                          request->word, TRACE_REQUESTS_MAX);
        return;
    }
    ist_sb_init(&out, 0);
    ist_sb_puts(&out, "{\"id\":");
    ist_sb_json(&out, trace->id, strlen(trace->id));
    api_put_text(&out, "method", trace->status ? trace->method : NULL);
    api_put_text(&out, "path", trace->status ? trace->path : NULL);
    api_put_time(&out, "started_at", trace->wall_ms);
    if (trace->status) {
        api_put_number(&out, "status", (uint64_t) trace->status);
        api_put_number(&out, "duration_ms", trace->duration_ms);
    } else {
        ist_sb_puts(&out, ",\"status\":null,\"duration_ms\":null");
    }
    ist_sb_puts(&out, ",\"calls\":[");
    for (size_t i = 0; i < trace->n_calls; i++) {
        if (i)
            ist_sb_putc(&out, ',');
        put_call(&out, &trace->calls[i]);
    }
    ist_sb_puts(&out, "]");
    api_put_number(&out, "calls_left_out", trace->n_left_out);
    ist_sb_puts(&out, "}\n");
    api_reply_json(request->http, 200, NULL, 0, &out);
}
