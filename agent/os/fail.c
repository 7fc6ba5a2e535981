#include "os/fail.h"

#include "base/utf8.h"
#include "codec/json.h"
#include "os/cloud.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

Isthmus__V1__Failure__Code os_failure_code(int rc)
{
    if (rc >= OS_E_NOT_FOUND && rc <= OS_E_UPSTREAM)
        return (Isthmus__V1__Failure__Code) rc;
    if (rc == -ETIMEDOUT)
        return ISTHMUS__V1__FAILURE__CODE__TIMEOUT;
    if (rc == -ENOMEM || rc == -ENOBUFS)
        return ISTHMUS__V1__FAILURE__CODE__TOO_LARGE;
    return ISTHMUS__V1__FAILURE__CODE__UNKNOWN;
}

/* --- A service's own words --- */

/* Foreign text: white space becomes one space, control characters and what is
 * no UTF-8 are left out, and so are the tags that Glance writes. */
static void clean(const char *text, size_t len, char *buf, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < len;) {
        size_t step = ist_utf8_len(text + i, len - i);
        unsigned char c = (unsigned char) text[i];

        if (strncmp(text + i, "<br />", len - i < 6 ? len - i : 6) == 0) {
            i += 6;
            continue;
        }
        if (step == 0 || c == 0x7f || (c < 0x20 && !strchr("\t\n\r", c))) {
            i++;
            continue;
        }
        if (c <= ' ') {
            if (n && buf[n - 1] != ' ' && n + 1 < size)
                buf[n++] = ' ';
            i++;
            continue;
        }
        if (n + step >= size)
            break;
        memcpy(buf + n, text + i, step);
        n += step;
        i += step;
    }
    while (n && buf[n - 1] == ' ')
        n--;
    buf[n] = '\0';
}

/* "*.message": the star stands for the only member, whose name is the fault's
 * ("badRequest"). */
static bool expand_star(const char *path, const char *body, size_t len,
                        char *buf, size_t size)
{
    const char *start, *end;

    if (path[0] != '*') {
        snprintf(buf, size, "%s", path);
        return true;
    }
    start = memchr(body, '"', len);
    if (!start++)
        return false;
    end = memchr(start, '"', len - (size_t) (start - body));
    if (!end || end == start || end - start > IST_JSON_KEY_MAX ||
        memchr(start, '.', (size_t) (end - start)))
        return false;
    snprintf(buf, size, "%.*s%s", (int) (end - start), start, path + 1);
    return true;
}

bool os_fail_message(const struct os_service *service, const char *body,
                     size_t len, char *buf, size_t size)
{
    struct ist_json_slice doc = {body, len}, found;
    char path[2 * IST_JSON_KEY_MAX], text[1024];
    size_t skip, text_len;

    /* Bodies may begin with space. */
    for (skip = 0; skip < len && strchr(" \t\r\n", body[skip]); skip++)
        ;
    doc.data += skip;
    doc.size -= skip;
    if (!service->message || doc.size == 0 || doc.data[0] != '{' ||
        !expand_star(service->message, doc.data, doc.size, path, sizeof(path)))
        return false;
    found = ist_json_find(doc, path);
    if (!found.data && service->message[0] == '*') {
        /* What stands before a service (keystonemiddleware) has the shape of
         * Keystone. */
        found = ist_json_find(doc, "error.message");
    }
    if (!ist_json_text(found, text, sizeof(text), &text_len))
        return false;
    clean(text, text_len, buf, size);
    return buf[0] != '\0';
}

/* --- Sentences --- */

static void front(char *buf, size_t size, const struct os_service *service,
                  const char *path)
{
    if (path)
        snprintf(buf, size, "%s: GET %.*s", service->name,
                 (int) (strcspn(path, "?") > 80 ? 80 : strcspn(path, "?")),
                 path);
    else
        snprintf(buf, size, "%s", service->name);
}

int os_fail(struct ist_err *err, const struct os_service *service,
            const char *path, int outcome, const char *fmt, ...)
{
    char where[128], text[200];
    va_list args;

    front(where, sizeof(where), service, path);
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return ist_err_set(err, outcome, "%s: %s", where, text);
}

int os_fail_transport(struct ist_err *err, const struct os_service *service,
                      const char *path, const struct ist_err *cause, int rc)
{
    const char *why = cause->code == rc ? cause->text : ist_err_name(rc);

    switch (rc) {
    case -ETIMEDOUT:
        os_fail(err, service, path, OS_E_TIMEOUT, "no answer in time");
        err->retryable = true;
        return OS_E_TIMEOUT;
    case -EMSGSIZE:
        return os_fail(err, service, path, OS_E_TOO_LARGE, "%s", why);
    case -EINVAL:
        return os_fail(err, service, path, OS_E_BAD_ANSWER,
                       "its URL in the catalog cannot be used: %s", why);
    case -ENOMEM:
    case -ECANCELED:
        return ist_err_set(err, rc, "%s", why);
    default:
        os_fail(err, service, path, OS_E_UNREACHABLE, "%s", why);
        err->retryable = rc != -EPROTO;
        return OS_E_UNREACHABLE;
    }
}

/* What a person can do about it, where that is known. */
static const char *advice(int status)
{
    switch (status) {
    case 401:
        return "; the agent's credential was refused, see clouds.yaml";
    case 403:
        return "; the agent's user may not do this at the site";
    case 413:
    case 429:
        return "; it is asked too often, try again later";
    default:
        return "";
    }
}

int os_fail_status(struct ist_err *err, const struct os_service *service,
                   const char *path, int status, const char *body, size_t size)
{
    int outcome = status == 401 ? OS_E_LOGIN : OS_E_UPSTREAM;
    char message[96];
    bool said = os_fail_message(service, body, size, message, sizeof(message));

    os_fail(err, service, path, outcome, "%d%s%s%s", status, said ? ", " : "",
            said ? message : "", advice(status));
    err->http = status;
    err->retryable = status == 413 || status == 429 || status == 502 ||
                     status == 503 || status == 504;
    return outcome;
}
