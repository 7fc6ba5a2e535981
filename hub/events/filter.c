#include "events/filter.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const events_filter_names[] = {"site",    "type",     "kind",
                                           "project", "severity", NULL};

void events_filter_fini(struct events_filter *filter)
{
    free(filter->site);
    free(filter->type);
    free(filter->kind);
    free(filter->project);
    *filter = (struct events_filter){0};
}

static char **slot(struct events_filter *filter, const char *name)
{
    static const struct {
        const char *name;
        size_t offset;
    } rows[] = {
        {"site", offsetof(struct events_filter, site)},
        {"type", offsetof(struct events_filter, type)},
        {"kind", offsetof(struct events_filter, kind)},
        {"project", offsetof(struct events_filter, project)},
    };

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (strcmp(rows[i].name, name) == 0)
            return (char **) (void *) ((char *) filter + rows[i].offset);
    }
    return NULL;
}

static int set_severity(struct events_filter *filter, const char *value,
                        struct ist_err *err)
{
    int severity = value && *value ? events_severity_parse(value) : EVENTS_INFO;

    if (severity < 0)
        return ist_err_set(err, -EINVAL,
                           "severity: must be info, notice, warning, error or "
                           "critical");
    filter->severity = (enum events_severity) severity;
    return 0;
}

static int check(const char *name, const char *value, struct ist_err *err)
{
    const char *at = value, *item;
    size_t len;

    if (strlen(value) > EVENTS_FILTER_MAX)
        return ist_err_set(err, -EINVAL, "%s: takes at most %d bytes", name,
                           EVENTS_FILTER_MAX);
    for (const char *c = value; *c; c++) {
        if ((unsigned char) *c < 0x20 || *c == 0x7f)
            return ist_err_set(err, -EINVAL, "%s: has a control character",
                               name);
    }
    while (ist_parse_item(&at, &item, &len)) {
        if (len == 0)
            return ist_err_set(err, -EINVAL,
                               "%s: has an empty value: leave it out to ask "
                               "for all",
                               name);
    }
    return 0;
}

int events_filter_set(struct events_filter *filter, const char *name,
                      const char *value, struct ist_err *err)
{
    char **text = slot(filter, name), *copy = NULL;
    int rc;

    if (strcmp(name, "severity") == 0)
        return set_severity(filter, value, err);
    if (!text)
        return ist_err_set(err, -ENOENT, "there is no filter '%.40s'", name);
    if (value && *value) {
        rc = check(name, value, err);
        if (rc)
            return rc;
        copy = strdup(value);
        if (!copy)
            return ist_err_set(err, -ENOMEM, "out of memory");
    }
    free(*text);
    *text = copy;
    return 0;
}

const char *events_filter_get(const struct events_filter *filter,
                              const char *name)
{
    char **text = slot((struct events_filter *) (uintptr_t) filter, name);

    if (text)
        return *text;
    return filter->severity > EVENTS_INFO
               ? events_severity_name(filter->severity)
               : NULL;
}

/* '*' goes back to the last star only, so that no pattern is expensive. */
static bool is_like(const char *pattern, size_t len, const char *text)
{
    const char *end = pattern + len, *star = NULL, *from = NULL;

    while (*text) {
        if (pattern < end && *pattern == '*') {
            star = pattern++;
            from = text;
        } else if (pattern < end && (*pattern == '?' || *pattern == *text)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++from;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

static bool is_equal(const char *pattern, size_t len, const char *text)
{
    return strncmp(pattern, text, len) == 0 && text[len] == '\0';
}

static bool any_of(const char *list, const char *text,
                   bool fits(const char *, size_t, const char *))
{
    const char *item;
    size_t len;

    if (!list)
        return true;
    while (ist_parse_item(&list, &item, &len)) {
        if (fits(item, len, text))
            return true;
    }
    return false;
}

char *events_type(const struct events_item *item, char *buf)
{
    snprintf(buf, EVENTS_TYPE_SIZE, "%s.%s", item->kind, item->action);
    return buf;
}

static bool type_fits(const struct events_filter *filter,
                      const struct events_item *item)
{
    char type[EVENTS_TYPE_SIZE], whole[EVENTS_TYPE_SIZE + 32];

    if (!filter->type)
        return true;
    events_type(item, type);
    if (any_of(filter->type, type, is_like))
        return true;
    snprintf(whole, sizeof(whole), "io.isthmus.%s.v1", type);
    return any_of(filter->type, whole, is_like);
}

bool events_filter_match(const struct events_filter *filter,
                         const struct events_item *item)
{
    return item->severity >= filter->severity &&
           any_of(filter->site, item->site, is_equal) &&
           any_of(filter->kind, item->kind, is_equal) &&
           any_of(filter->project, item->project, is_equal) &&
           type_fits(filter, item);
}

void events_gap_put(struct ist_sb *out, uint64_t from, uint64_t to,
                    uint64_t wall_ms)
{
    char time[IST_CLOCK_TEXT_SIZE];

    ist_sb_printf(out,
                  "{\"specversion\":\"1.0\",\"id\":\"gap-%" PRIu64 "-%" PRIu64
                  "\",\"source\":\"/hub\",\"type\":\"io.isthmus.log.gap.v1\","
                  "\"time\":\"%s\",\"datacontenttype\":\"application/json\","
                  "\"severity\":\"warning\","
                  "\"data\":{\"from\":%" PRIu64 ",\"to\":%" PRIu64 "}}",
                  from, to, ist_clock_text(wall_ms, time), from, to);
}
