/* The results of a call, whoever has filled them: a stand-in for the client
 * leaves this to us. */
#include "http/client.h"
#include "http/field.h"

#include <assert.h>
#include <string.h>

void ist_http_call_fini(struct ist_http_call *call)
{
    assert(!call->transfer);
    ist_sb_fini(&call->header_text);
    ist_sb_fini(&call->collected);
    call->status = 0;
    call->n_received = 0;
}

const char *ist_http_header(const struct ist_http_call *call, const char *name,
                            size_t *ret_len)
{
    const char *at = ist_sb_text(&call->header_text), *end;
    size_t len = strlen(name);

    for (; (end = strstr(at, "\r\n")); at = end + 2) {
        if (!http_has_name(at, name))
            continue;
        at += len + 1;
        at += strspn(at, " \t");
        while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        *ret_len = (size_t) (end - at);
        return at;
    }
    return NULL;
}
