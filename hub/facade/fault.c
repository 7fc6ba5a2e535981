#include "facade/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names of faults: nova/api/openstack/wsgi.py, Fault._fault_names. */
static const struct {
    int status;
    const char *nova, *title;
} rows[] = {
    {400, "badRequest", "Bad Request"},
    {401, "unauthorized", "Unauthorized"},
    {403, "forbidden", "Forbidden"},
    {404, "itemNotFound", "Not Found"},
    {405, "badMethod", "Method Not Allowed"},
    {409, "conflictingRequest", "Conflict"},
    {413, "overLimit", "Request Entity Too Large"},
    {415, "badMediaType", "Unsupported Media Type"},
    {429, "overLimit", "Too Many Requests"},
    {500, "computeFault", "Internal Server Error"},
    {501, "notImplemented", "Not Implemented"},
    {502, "computeFault", "Bad Gateway"},
    {503, "serviceUnavailable", "Service Unavailable"},
    {504, "computeFault", "Gateway Timeout"},
};

static const char *nova_name(int status)
{
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (rows[i].status == status)
            return rows[i].nova;
    }
    return "computeFault";
}

static const char *title_of(int status)
{
    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (rows[i].status == status)
            return rows[i].title;
    }
    return "Error";
}

static void put_member(struct ist_sb *out, const char *name, const char *text)
{
    ist_sb_printf(out, "\"%s\":", name);
    ist_sb_json(out, text, strlen(text));
}

static void write_nova(struct ist_sb *out, int status, const char *message)
{
    ist_sb_printf(out, "{\"%s\":{\"code\":%d,", nova_name(status), status);
    put_member(out, "message", message);
    ist_sb_puts(out, "}}");
}

static void write_neutron(struct ist_sb *out, int status, const char *message)
{
    ist_sb_puts(out, "{\"NeutronError\":{");
    put_member(out, "type",
               status == 400   ? "BadRequest"
               : status == 404 ? "HTTPNotFound"
               : status == 503 ? "ServiceUnavailable"
                               : "HubError");
    ist_sb_putc(out, ',');
    put_member(out, "message", message);
    ist_sb_puts(out, ",\"detail\":\"\"}}");
}

static void write_glance(struct ist_sb *out, int status, const char *message)
{
    ist_sb_putc(out, '{');
    put_member(out, "message", message);
    ist_sb_printf(out, ",\"code\":\"%d %s\",", status, title_of(status));
    put_member(out, "title", title_of(status));
    ist_sb_putc(out, '}');
}

static void write_keystone(struct ist_sb *out, int status, const char *message)
{
    ist_sb_printf(out, "{\"error\":{\"code\":%d,", status);
    put_member(out, "title", title_of(status));
    ist_sb_putc(out, ',');
    put_member(out, "message", message);
    ist_sb_puts(out, "}}");
}

static void write_errors(struct ist_sb *out, int status, const char *message)
{
    ist_sb_printf(out, "{\"errors\":[{\"status\":%d,", status);
    put_member(out, "title", title_of(status));
    ist_sb_putc(out, ',');
    put_member(out, "detail", message);
    ist_sb_puts(out, "}]}");
}

void facade_fault_write(struct ist_sb *out, enum facade_shape shape, int status,
                        const char *message)
{
    static void (*const write[])(struct ist_sb *, int, const char *) = {
        [FACADE_NOVA] = write_nova,         [FACADE_NEUTRON] = write_neutron,
        [FACADE_GLANCE] = write_glance,     [FACADE_ERRORS] = write_errors,
        [FACADE_KEYSTONE] = write_keystone,
    };

    write[status == 401 ? FACADE_KEYSTONE : shape](out, status, message);
}

static bool is_read(const struct ist_httpd_request *request)
{
    return strcmp(request->method, "GET") == 0 ||
           strcmp(request->method, "HEAD") == 0;
}

static void answer(struct ist_httpd_request *request, enum facade_shape shape,
                   int status, const char *auth_url, bool again,
                   const char *message)
{
    struct ist_httpd_header headers[4] = {{"Content-Type", "application/json"},
                                          {"Cache-Control", "no-store"}};
    char where[320];
    size_t n = 2, size;
    struct ist_sb out;
    char *body;

    if (again)
        headers[n++] = (struct ist_httpd_header){"Retry-After", "15"};
    if (status == 401 && auth_url) {
        snprintf(where, sizeof(where), "Keystone uri=\"%s\"", auth_url);
        headers[n++] = (struct ist_httpd_header){"WWW-Authenticate", where};
    }
    ist_sb_init(&out, 0);
    facade_fault_write(&out, shape, status, message);
    body = ist_sb_take(&out, &size);
    ist_sb_fini(&out);
    ist_httpd_reply_take(request, status, headers, n, body, body ? size : 0);
}

void facade_fault(struct ist_httpd_request *request, enum facade_shape shape,
                  int status, const char *auth_url, const char *fmt, ...)
{
    bool again = (status == 503 || status == 504) && is_read(request);
    char message[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    answer(request, shape, status, auth_url, again, message);
}

void facade_fault_undone(struct ist_httpd_request *request,
                         enum facade_shape shape, const char *fmt, ...)
{
    char message[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    answer(request, shape, 503, NULL, true, message);
}
