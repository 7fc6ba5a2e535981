#include "serve/audit.h"

#include "base/clock.h"
#include "base/log.h"
#include "codec/file.h"

#include <string.h>

static void put(struct ist_sb *out, const char *name, const char *text,
                size_t len)
{
    if (out->data[out->len - 1] != '{')
        ist_sb_putc(out, ',');
    ist_sb_printf(out, "\"%s\":", name);
    ist_sb_json(out, text, len);
}

static void put_text(struct ist_sb *out, const char *name, const char *text)
{
    put(out, name, text, strlen(text));
}

/* --- To the disk --- */

/* In the pool. */
static int write_lines(struct ist_work *work)
{
    struct serve_audit *audit = IST_CONTAINER(work, struct serve_audit, work);

    return ist_file_append(audit->path, audit->writing.data,
                           audit->writing.len);
}

static void write_next(struct serve_audit *audit);

static void on_written(struct ist_op *op)
{
    struct ist_work *work = IST_CONTAINER(op, struct ist_work, op);
    struct serve_audit *audit = IST_CONTAINER(work, struct serve_audit, work);

    audit->is_writing = false;
    audit->has_failed = op->rc != 0;
    if (op->rc) {
        /* They are told to the journal at least. */
        ist_log_error("audit", "%s takes no lines: %s; lost there: %s",
                      audit->path, strerror(-op->rc),
                      ist_sb_text(&audit->writing));
    }
    ist_sb_reset(&audit->writing);
    write_next(audit);
}

static void write_next(struct serve_audit *audit)
{
    struct ist_sb swap = audit->writing;

    if (audit->is_writing || audit->next.len == 0)
        return;
    audit->writing = audit->next;
    audit->next = swap;
    audit->is_writing = true;
    ist_op_prepare(&audit->work.op, audit->loop, NULL, 0, on_written);
    ist_work_start(&audit->work, write_lines);
}

/* --- A line --- */

bool serve_audit_add(struct serve_audit *audit,
                     const struct serve_asserted *word, enum policy_verb verb,
                     const char *kind, const char *reason)
{
    const Isthmus__V1__Assertion *said = word->assertion;
    size_t before = audit->next.len;
    char time[IST_CLOCK_TEXT_SIZE];
    struct ist_sb *out = &audit->next;

    if (!said || before > SERVE_AUDIT_MAX)
        return false;
    if (audit->has_failed && !reason) /* And this line tries again. */
        reason = "the lines before it could not be written";
    ist_sb_putc(out, '{');
    put_text(out, "time", ist_clock_text(ist_loop_wall(audit->loop), time));
    put_text(out, "verdict", reason ? "denied" : "allowed");
    put_text(out, "verb", policy_verb_name(verb));
    put_text(out, "kind", kind);
    put_text(out, "method", said->method);
    put_text(out, "service", said->service);
    put(out, "path", said->target, strcspn(said->target, "?"));
    put_text(out, "user", said->user);
    put_text(out, "project", said->project_name);
    put_text(out, "request_id", said->request_id);
    if (reason)
        put_text(out, "reason", reason);
    ist_sb_puts(out, "}\n");
    if (out->rc) { /* Not half a line. */
        out->len = before;
        out->rc = 0;
        return false;
    }
    write_next(audit);
    return !audit->has_failed;
}

/* --- Life --- */

void serve_audit_init(struct serve_audit *audit, struct ist_loop *loop,
                      const char *path)
{
    *audit = (struct serve_audit){.loop = loop};
    strlcpy(audit->path, path, sizeof(audit->path));
    ist_sb_init(&audit->next, 2 * SERVE_AUDIT_MAX);
    ist_sb_init(&audit->writing, 2 * SERVE_AUDIT_MAX);
}

bool serve_audit_busy(const struct serve_audit *audit)
{
    return audit->is_writing;
}

void serve_audit_fini(struct serve_audit *audit)
{
    ist_sb_fini(&audit->next);
    ist_sb_fini(&audit->writing);
}
