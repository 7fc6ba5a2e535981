#include "obs/health.h"

#include <string.h>

void ist_health_init(struct ist_health *health)
{
    STAILQ_INIT(&health->checks);
}

void ist_health_add(struct ist_health *health, struct ist_health_check *check)
{
    STAILQ_INSERT_TAIL(&health->checks, check, sibling);
}

void ist_health_remove(struct ist_health *health,
                       struct ist_health_check *check)
{
    STAILQ_REMOVE(&health->checks, check, ist_health_check, sibling);
}

static bool is_on(const struct ist_health_check *check,
                  enum ist_health_page page)
{
    return page == IST_HEALTH_READY || check->vital;
}

bool ist_health_ok(const struct ist_health *health, enum ist_health_page page)
{
    char text[IST_HEALTH_TEXT_SIZE] = "";
    struct ist_health_check *check;

    STAILQ_FOREACH(check, &health->checks, sibling)
    {
        if (is_on(check, page) && !check->ok(check, text))
            return false;
    }
    return true;
}

static bool put_check(struct ist_health_check *check, struct ist_sb *out)
{
    char text[IST_HEALTH_TEXT_SIZE] = "";
    bool ok = check->ok(check, text);

    ist_sb_puts(out, "{\"name\":");
    ist_sb_json(out, check->name, strlen(check->name));
    ist_sb_printf(out, ",\"status\":\"%s\"", ok ? "ok" : "failed");
    if (text[0]) {
        ist_sb_puts(out, ",\"text\":");
        ist_sb_json(out, text, strnlen(text, sizeof(text)));
    }
    ist_sb_putc(out, '}');
    return ok;
}

bool ist_health_write(const struct ist_health *health,
                      enum ist_health_page page, struct ist_sb *out)
{
    struct ist_health_check *check;
    struct ist_sb checks;
    bool all_ok = true;

    ist_sb_init(&checks, 0);
    STAILQ_FOREACH(check, &health->checks, sibling)
    {
        if (!is_on(check, page))
            continue;
        if (checks.len)
            ist_sb_putc(&checks, ',');
        all_ok &= put_check(check, &checks);
    }
    ist_sb_printf(out, "{\"status\":\"%s\",\"checks\":[",
                  all_ok ? "ok" : "failed");
    ist_sb_add(out, ist_sb_text(&checks), checks.len);
    ist_sb_puts(out, "]}");
    if (checks.rc && !out->rc)
        out->rc = checks.rc;
    ist_sb_fini(&checks);
    return all_ok;
}
