#include "api/reading.h"

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
    struct api_reading *reading;
    struct sites_site *site;
    enum source source;
    struct intake_currency is;
    struct intake_wait wait; /* With 'consistent'. */
    struct survey_site told; /* What became of it. */
};

/* The rows of some sites from the view */

static char **names_of(struct api_reading *reading, enum source a,
                       enum source b, size_t *ret_n)
{
    char **names = ist_arena_alloc(reading->arena,
                                   (reading->n_sites + 1) * sizeof(*names));
    size_t n = 0;

    for (size_t i = 0; names && i < reading->n_sites; i++) {
        enum source source = reading->parts[i].source;

        if (source == a || source == b)
            names[n++] = reading->sites[i]->name;
    }
    *ret_n = n;
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
                             .limit = reading->show_id ? reading->n_sites
                                                       : query->limit};

    *ret = (struct view_page){0};
    ask.sites = names_of(reading, VIEW, STALE, &ask.n_sites);
    ask.filters = filters_of(reading, &reading->show_id, &ask.n_filters);
    if (!ask.sites || !ask.filters)
        return ist_err_set(err, -ENOMEM, "out of the request's memory");
    if (ask.n_sites == 0)
        return 0;
    if (ask.n_sites == sites_count(reading->api->sites))
        ask.sites = NULL; /* All: none has to be looked for. */
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
    size_t limit = reading->show_id ? reading->n_sites : reading->query->limit;
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

/* What became of each site, in the place where a survey says so. */
static int tell_sites(struct api_reading *reading)
{
    struct survey_site *sites = ist_arena_zalloc(
        reading->arena, (reading->n_sites + 1) * sizeof(*sites));

    if (!sites)
        return -ENOMEM;
    for (size_t i = 0; i < reading->n_sites; i++) {
        const struct api_part *part = &reading->parts[i];

        sites[i] = part->told;
        sites[i].site = part->site;
        if (part->source == VIEW || part->source == STALE)
            sites[i].age_ms = part->is.age_ms;
        if (part->source == VIEW)
            sites[i].state = SURVEY_ANSWERED;
        else if (part->source == STALE)
            sites[i].state = SURVEY_STALE;
        else if (part->source == NONE)
            sites[i].state = SURVEY_FAILED;
    }
    reading->survey.sites = sites;
    reading->survey.n_sites = (uint32_t) reading->n_sites;
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

/* Sites that failed live: what the view last knew of them is better than
 * nothing, and it is said how old it is. */
static void fall_back(struct api_part *part)
{
    part->source = part->is.known ? STALE : NONE;
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
    for (size_t i = 0, asked = 0; i < reading->n_sites; i++) {
        struct api_part *part = &reading->parts[i];

        if (part->source != LIVE)
            continue;
        part->told = reading->survey.sites[asked++];
        if (part->told.state == SURVEY_FAILED && reading->query->has_max_age)
            fall_back(part);
    }
    finish(reading, &reading->survey.merge);
}

static void ask_sites(struct api_reading *reading)
{
    struct survey *survey = &reading->survey;
    const struct api_query *query = reading->query;
    struct sites_site **live = ist_arena_alloc(
        reading->arena, (reading->n_sites + 1) * sizeof(struct sites_site *));
    size_t n = 0;

    for (size_t i = 0; live && i < reading->n_sites; i++) {
        if (reading->parts[i].source == LIVE)
            live[n++] = reading->sites[i];
    }
    if (n == 0) {
        finish(reading, NULL);
        return;
    }
    ist_op_prepare(&survey->op, reading->op.loop, &reading->op, 0, on_surveyed);
    survey->kind = reading->kind->name;
    survey->show_id = reading->show_id;
    survey->sort = query->sort;
    survey->n_sort = query->n_sort;
    survey->filters = query->filters;
    survey->n_filters = query->n_filters;
    survey->limit = reading->show_id ? 1 : query->limit;
    survey->after = query->has_after ? &query->after : NULL;
    survey->arena = reading->arena;
    survey_start(survey, reading->api->desk, live, n);
}

/* Consistent reads */

static void on_waited(struct ist_op *op)
{
    struct api_part *part = IST_CONTAINER(op, struct api_part, wait.op);
    struct api_reading *reading = part->reading;

    intake_currency(reading->api->intake, part->site, reading->kind, &part->is);
    part->told.latency_ms = ist_loop_now(op->loop) - reading->started_ms;
    if (op->rc == 0) {
        part->source = VIEW;
        part->is.age_ms = 0;
    } else {
        part->told.err = op->err;
        fall_back(part);
    }
    if (--reading->n_waiting == 0)
        finish(reading, NULL);
}

/* A little before the caller's own deadline, as a survey does it. */
static void wait_for_sites(struct api_reading *reading)
{
    uint64_t timeout = reading->query->deadline_ms * 9 / 10;

    reading->started_ms = ist_loop_now(reading->op.loop);
    reading->n_waiting = reading->n_sites;
    for (size_t i = 0; i < reading->n_sites; i++) {
        struct api_part *part = &reading->parts[i];

        part->wait.site = part->site;
        part->wait.kind = reading->kind;
        ist_op_prepare(&part->wait.op, reading->op.loop, &reading->op, timeout,
                       on_waited);
        intake_wait_start(reading->api->intake, &part->wait);
    }
    if (reading->n_sites == 0)
        finish(reading, NULL);
}

/* Beginning */

static bool choose_sites(struct api_reading *reading, struct sites_site **sites,
                         size_t n)
{
    struct sites_site *site = NULL;

    reading->n_sites = sites ? n : sites_count(reading->api->sites);
    reading->sites = sites;
    if (!sites) {
        reading->sites =
            ist_arena_alloc(reading->arena, (reading->n_sites + 1) *
                                                sizeof(struct sites_site *));
        for (size_t i = 0; reading->sites && i < reading->n_sites; i++)
            reading->sites[i] = site = sites_next(reading->api->sites, site);
    }
    reading->parts = ist_arena_zalloc(
        reading->arena, (reading->n_sites + 1) * sizeof(*reading->parts));
    return reading->sites && reading->parts;
}

static void judge(struct api_part *part)
{
    struct api_reading *reading = part->reading;
    const struct api_query *query = reading->query;

    if (!reading->api->view)
        return;
    intake_currency(reading->api->intake, part->site, reading->kind, &part->is);
    if (query->has_max_age && part->is.known &&
        part->is.age_ms <= query->max_age_ms)
        part->source = VIEW;
}

/* The view's rows are old enough to serve, but the site is away: that is said.
 */
static void mark_away(struct api_part *part)
{
    if (part->source != VIEW || part->site->state == SITES_PRESENT)
        return;
    part->source = STALE;
    ist_err_set(&part->told.err, DESK_ABSENT, "%s", part->is.why);
}

void api_reading_start(struct api_reading *reading, struct sites_site **sites,
                       size_t n)
{
    ist_op_begin(&reading->op, NULL);
    if (!choose_sites(reading, sites, n)) {
        ist_op_fail(&reading->op, -ENOMEM,
                    "the question is over the cap of one request");
        return;
    }
    for (size_t i = 0; i < reading->n_sites; i++) {
        reading->parts[i].reading = reading;
        reading->parts[i].site = reading->sites[i];
        judge(&reading->parts[i]);
        mark_away(&reading->parts[i]);
    }
    if (reading->query->consistent && reading->api->intake)
        wait_for_sites(reading);
    else
        ask_sites(reading);
}
