#include "api/reading.h"

#include "api/tenant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How a site is to be served. */
enum source {
    LIVE,  /* It is asked. */
    VIEW,  /* By the view, whose rows are young enough. */
    STALE, /* By the view, since it could not be asked. */
    NONE,  /* It could not, and the view knows nothing of it. */
};

struct api_part {
    struct sites_site *site;
    enum source source;
    bool is_known;   /* By the view. */
    uint64_t age_ms; /* Of its rows there. */
    uint64_t latency_ms;
    const struct survey_site *told; /* By the survey; NULL: it was not asked. */
    const char *why;                /* It could not be asked; in the arena. */
};

/* The rows of some sites from the view */

static bool is_by_view(const struct api_part *part)
{
    return part->source == VIEW || part->source == STALE;
}

static size_t count_by_view(const struct api_reading *reading)
{
    size_t n = 0;

    for (size_t i = 0; i < reading->n_parts; i++)
        n += is_by_view(&reading->parts[i]);
    return n;
}

static char **names_by_view(struct api_reading *reading, size_t n_names)
{
    char **names = ist_arena_alloc(reading->arena, n_names * sizeof(*names));
    size_t n = 0;

    for (size_t i = 0; names && i < reading->n_parts; i++) {
        if (is_by_view(&reading->parts[i]))
            names[n++] = reading->parts[i].site->name;
    }
    return names;
}

static struct view_filter *filters_of(struct api_reading *reading,
                                      const char **id, size_t *ret_n)
{
    const struct api_query *query = reading->query;
    struct view_filter *filters = ist_arena_alloc(
        reading->arena, (query->n_filters + 1) * sizeof(*filters));

    for (size_t i = 0; filters && i < query->n_filters; i++)
        filters[i] = (struct view_filter){query->filters[i].name,
                                          query->filters[i].values,
                                          query->filters[i].n_values};
    *ret_n = query->n_filters;
    if (filters && *id)
        filters[(*ret_n)++] = (struct view_filter){"id", (char *const *) id, 1};
    return filters;
}

/* Of a tenant, the map of its projects is walked: the cheapest way there is.
 */
static void take_projects(struct view_query *ask)
{
    for (size_t i = 0; i < ask->n_filters; i++) {
        if (strcmp(ask->filters[i].name, "project") == 0) {
            ask->projects = ask->filters[i].values;
            ask->n_projects = ask->filters[i].n_values;
        }
    }
}

static int read_view(struct api_reading *reading, struct view_page *ret,
                     struct ist_err *err)
{
    const struct api_query *query = reading->query;
    struct view_query ask = {.kind = reading->kind,
                             .n_sort = reading->show_id ? 0 : query->n_sort,
                             .after = query->has_after ? &query->after : NULL,
                             .limit = reading->show_id ? reading->n_parts
                                                       : query->limit,
                             .n_sites = count_by_view(reading)};
    bool is_all = ask.n_sites == sites_count(reading->api->sites);

    *ret = (struct view_page){0};
    if (ask.n_sites == 0)
        return 0;
    if (!is_all) /* Else none has to be looked for. */
        ask.sites = names_by_view(reading, ask.n_sites);
    ask.filters = filters_of(reading, &reading->show_id, &ask.n_filters);
    if (!(is_all || ask.sites) || !ask.filters)
        return ist_err_set(err, -ENOMEM, "out of the request's memory");
    for (size_t i = 0; i < ask.n_sort; i++) {
        ask.sort[i].name = query->sort[i].name;
        ask.sort[i].descending = query->sort[i].descending;
    }
    take_projects(&ask);
    return view_page(reading->api->view, &ask, reading->arena, ret, err);
}

/* One answer of both */

static struct ist_order order_of(const struct api_reading *reading)
{
    struct ist_order order = {
        .n_keys = reading->show_id ? 0 : reading->query->n_sort};

    for (size_t i = 0; i < order.n_keys; i++)
        order.descending[i] = reading->query->sort[i].descending;
    return order;
}

static int merge(struct api_reading *reading, const struct view_page *page,
                 const struct ist_merge *live)
{
    struct ist_order order = order_of(reading);
    size_t limit = reading->show_id ? reading->n_parts : reading->query->limit;
    size_t n_live = live ? live->n_page : 0, i = 0, j = 0, n = 0;
    struct ist_row_out *rows = ist_arena_alloc(
        reading->arena, (page->n_rows + n_live + 1) * sizeof(*rows));

    if (!rows)
        return -ENOMEM;
    while (n < limit && (i < page->n_rows || j < n_live)) {
        bool from_view =
            j == n_live ||
            (i < page->n_rows && ist_order_cmp(&order, &page->rows[i].place,
                                               &live->page[j].place) < 0);

        if (from_view) {
            rows[n++] = (struct ist_row_out){.place = page->rows[i].place,
                                             .body = page->rows[i].body};
            i++;
        } else {
            rows[n++] = live->page[j++];
        }
    }
    reading->rows = rows;
    reading->n_rows = n;
    reading->has_more = i < page->n_rows || j < n_live || page->has_more ||
                        (live && ist_merge_has_more(live));
    return 0;
}

static struct api_site told_by_survey(const struct api_part *part)
{
    const struct survey_site *told = part->told;

    return (struct api_site){.site = part->site,
                             .state = told->state == SURVEY_FAILED
                                          ? API_SITE_FAILED
                                          : API_SITE_ANSWERED,
                             .latency_ms = told->latency_ms,
                             .n_skipped = told->n_skipped,
                             .http = told->err.http,
                             .reason = told->err.text};
}

/* Why it is not served as one that answered. */
static const char *reason_of(const struct api_reading *reading,
                             const struct api_part *part)
{
    struct intake_currency is;

    if (part->told)
        return part->told->err.text;
    if (part->why || part->source == VIEW || !reading->api->intake)
        return part->why ? part->why : "";
    intake_currency(reading->api->intake, part->site, reading->kind,
                    reading->wall_ms, &is);
    return is.why;
}

static struct api_site told_by_view(const struct api_reading *reading,
                                    const struct api_part *part)
{
    static const enum api_site_state states[] = {[VIEW] = API_SITE_ANSWERED,
                                                 [STALE] = API_SITE_STALE,
                                                 [NONE] = API_SITE_FAILED};

    return (struct api_site){.site = part->site,
                             .state = states[part->source],
                             .latency_ms = part->told ? part->told->latency_ms
                                                      : part->latency_ms,
                             .age_ms = part->age_ms,
                             .http = part->told ? part->told->err.http : 0,
                             .reason = reason_of(reading, part)};
}

static int tell_sites(struct api_reading *reading)
{
    struct api_site *sites = ist_arena_alloc(
        reading->arena, (reading->n_parts + 1) * sizeof(*sites));

    if (!sites)
        return -ENOMEM;
    for (size_t i = 0; i < reading->n_parts; i++) {
        const struct api_part *part = &reading->parts[i];

        sites[i] = part->source == LIVE ? told_by_survey(part)
                                        : told_by_view(reading, part);
    }
    reading->sites = (struct api_sites){sites, reading->n_parts};
    return 0;
}

static void finish(struct api_reading *reading, const struct ist_merge *live)
{
    struct view_page page;
    int rc = read_view(reading, &page, &reading->op.err);

    if (rc == 0)
        rc = merge(reading, &page, live);
    if (rc == 0)
        rc = tell_sites(reading);
    if (rc == -ENOMEM)
        ist_err_set(&reading->op.err, rc, "out of the request's memory");
    ist_op_finish(&reading->op, rc);
}

static void fail_memory(struct api_reading *reading)
{
    ist_op_fail(&reading->op, -ENOMEM,
                "the question is over the cap of one request");
}

/* Sites that failed live: what the view last knew of them is better than
 * nothing, and it is said how old it is. */
static void fall_back(struct api_part *part)
{
    part->source = part->is_known ? STALE : NONE;
}

static void on_surveyed(struct ist_op *op)
{
    struct api_reading *reading =
        IST_CONTAINER(op, struct api_reading, survey.op);

    if (op->rc) {
        reading->op.err = op->err;
        ist_op_finish(&reading->op, op->rc);
        return;
    }
    /* Those that were asked, in the same order. */
    for (size_t i = 0, asked = 0; i < reading->n_parts; i++) {
        struct api_part *part = &reading->parts[i];

        if (part->source != LIVE)
            continue;
        part->told = &reading->survey.sites[asked++];
        if (part->told->state == SURVEY_FAILED && reading->query->has_max_age)
            fall_back(part);
    }
    finish(reading, &reading->survey.merge);
}

static void ask_sites(struct api_reading *reading)
{
    struct survey *survey = &reading->survey;
    const struct api_query *query = reading->query;
    struct sites_site **live = NULL;
    size_t n = 0, n_live = 0;

    for (size_t i = 0; i < reading->n_parts; i++)
        n_live += reading->parts[i].source == LIVE;
    if (n_live == 0) {
        finish(reading, NULL);
        return;
    }
    live =
        ist_arena_alloc(reading->arena, n_live * sizeof(struct sites_site *));
    if (!live) {
        fail_memory(reading);
        return;
    }
    for (size_t i = 0; i < reading->n_parts; i++) {
        if (reading->parts[i].source == LIVE)
            live[n++] = reading->parts[i].site;
    }
    ist_op_prepare(&survey->op, reading->op.loop, &reading->op, 0, on_surveyed);
    survey->kind = reading->kind->name;
    survey->show_id = reading->show_id;
    survey->request_id = reading->request_id;
    survey->as = reading->caller ? api_tenant_as : NULL;
    survey->version = "";
    survey->sort = query->sort;
    survey->n_sort = query->n_sort;
    survey->filters = query->filters;
    survey->n_filters = query->n_filters;
    survey->limit = reading->show_id ? 1 : query->limit;
    survey->after = query->has_after ? &query->after : NULL;
    survey->arena = reading->arena;
    survey_start(survey, reading->api->desk, live, n);
}

/* What the view knows of a site. */
static void look_at(const struct api_reading *reading, struct sites_site *site,
                    struct intake_standing *ret)
{
    *ret = (struct intake_standing){.site = site};
    if (reading->api->intake)
        intake_standing(reading->api->intake, site, reading->kind, ret);
}

/* Consistent reads */

struct waiting {
    struct intake_wait wait;
    struct api_reading *reading;
    struct api_part *part;
};

static void on_waited(struct ist_op *op)
{
    struct waiting *waiting = IST_CONTAINER(op, struct waiting, wait.op);
    struct api_reading *reading = waiting->reading;
    struct api_part *part = waiting->part;
    struct intake_standing standing;

    reading->wall_ms = ist_loop_wall(reading->op.loop);
    look_at(reading, part->site, &standing);
    part->is_known = standing.is_known;
    part->age_ms = intake_age(&standing, reading->wall_ms);
    part->latency_ms = ist_loop_now(op->loop) - reading->started_ms;
    if (op->rc == 0) {
        part->source = VIEW;
        part->age_ms = 0;
    } else {
        part->why = ist_arena_strdup(reading->arena, op->err.text);
        fall_back(part);
    }
    if (--reading->n_waiting == 0)
        finish(reading, NULL);
}

/* A little before the caller's own deadline, as a survey does it. */
static void wait_for_sites(struct api_reading *reading)
{
    uint64_t timeout = reading->query->deadline_ms * 9 / 10;
    struct waiting *all =
        ist_arena_zalloc(reading->arena, (reading->n_parts + 1) * sizeof(*all));

    if (!all) {
        fail_memory(reading);
        return;
    }
    reading->started_ms = ist_loop_now(reading->op.loop);
    reading->n_waiting = reading->n_parts;
    for (size_t i = 0; i < reading->n_parts; i++) {
        struct intake_wait *wait = &all[i].wait;

        all[i].reading = reading;
        all[i].part = &reading->parts[i];
        wait->site = reading->parts[i].site;
        wait->kind = reading->kind;
        ist_op_prepare(&wait->op, reading->op.loop, &reading->op, timeout,
                       on_waited);
        intake_wait_start(reading->api->intake, wait);
    }
    if (reading->n_parts == 0)
        finish(reading, NULL);
}

/* Beginning */

/* The view's rows may be young enough to serve, but the site away: that is
 * said. */
static void judge(struct api_part *part, const struct api_reading *reading,
                  const struct intake_standing *standing)
{
    const struct api_query *query = reading->query;

    *part = (struct api_part){.site = standing->site,
                              .is_known = standing->is_known,
                              .age_ms = intake_age(standing, reading->wall_ms)};
    if (query->has_max_age && part->is_known &&
        part->age_ms <= query->max_age_ms)
        part->source = standing->is_present ? VIEW : STALE;
}

static void judge_some(struct api_reading *reading, struct sites_site **sites)
{
    for (size_t i = 0; i < reading->n_parts; i++) {
        struct intake_standing standing;

        look_at(reading, sites[i], &standing);
        judge(&reading->parts[i], reading, &standing);
    }
}

/* Of all sites. */
static bool judge_all(struct api_reading *reading)
{
    const struct intake_standing *all;
    struct sites_site *site = NULL;
    size_t n = reading->n_parts;

    if (!reading->api->intake) {
        for (size_t i = 0; i < n; i++) {
            site = sites_next(reading->api->sites, site);
            judge(&reading->parts[i], reading,
                  &(struct intake_standing){.site = site});
        }
        return true;
    }
    all = intake_standings(reading->api->intake, reading->kind, &n);
    for (size_t i = 0; all && i < n; i++)
        judge(&reading->parts[i], reading, &all[i]);
    return all;
}

void api_reading_start(struct api_reading *reading, struct sites_site **sites,
                       size_t n)
{
    ist_op_begin(&reading->op, NULL);
    reading->wall_ms = ist_loop_wall(reading->op.loop);
    reading->n_parts = sites ? n : sites_count(reading->api->sites);
    reading->parts = ist_arena_alloc(
        reading->arena, (reading->n_parts + 1) * sizeof(*reading->parts));
    if (!reading->parts || (!sites && !judge_all(reading))) {
        fail_memory(reading);
        return;
    }
    if (sites)
        judge_some(reading, sites);
    if (reading->query->consistent && reading->api->intake)
        wait_for_sites(reading);
    else
        ask_sites(reading);
}
