/* Happy path: start every site's call, push rows into the merge as frames
 * arrive, grant credit where a stream runs low, and finish when the page is
 * complete; calls still open then are cancelled and count as answered.
 *
 * A call that fails takes its site out of the merge. When the deadline of the
 * sites passes, those still silent fail by it, which completes the page. The
 * others must have sent all that the page then takes of them: while a silent
 * site holds up the merge, credit for that is granted ahead of need. */
#include "survey/survey.h"

#include "base/mutant.h"
#include "codec/json.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WINDOW_MIN 3U

/* What the hub keeps for itself of the caller's time, to merge and send. */
static uint64_t margin(uint64_t left_ms)
{
    uint64_t tenth = left_ms / 10;

    return tenth < 20 ? 20 : tenth > 200 ? 200 : tenth;
}

/* A site's own deadline, from now. */
static uint64_t site_timeout(const struct survey *survey)
{
    uint64_t now = ist_loop_now(survey->op.loop), left;

    if (survey->op.deadline == UINT64_MAX)
        return 60000;
    left = survey->op.deadline > now ? survey->op.deadline - now : 1;
    return left > margin(left) ? left - margin(left) : 1;
}

/* Few sites send nearly whole pages, many send little each: of each a page
 * needs limit / n rows on average. Where rows are spread by chance, 3.5
 * deviations and a few more are enough for all sites of 99 pages in 100; where
 * they are not, credit follows. */
static uint32_t window_of(size_t limit, uint32_t n_sites)
{
    size_t mean = n_sites ? (limit + n_sites - 1) / n_sites : limit;
    size_t above = 0, window;

    while ((above + 1) * (above + 1) <= 12 * mean)
        above++;
    window = mean + above + WINDOW_MIN;
    return (uint32_t) (window < limit ? window : limit);
}

/* A page that was looked at before: what it took then, and a row in eight and
 * a few more, for rows that came meanwhile. */
static uint32_t window_again(uint32_t taken, size_t limit)
{
    size_t window = (size_t) taken + taken / 8 + WINDOW_MIN;

    return (uint32_t) (window < limit ? window : limit);
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return past_hash(hash, text, strlen(text));
}

static uint64_t hash_place(uint64_t hash, const struct ist_place *place,
                           size_t n_keys)
{
    for (size_t i = 0; i < n_keys; i++)
        hash = past_hash(hash, place->keys[i].data, place->keys[i].size);
    hash = past_hash(hash, place->id.data, place->id.size);
    return hash_text(hash, place->site);
}

/* All that decides which rows are in the page. */
static uint64_t hash_question(const struct survey *survey)
{
    uint64_t counts[] = {survey->limit, survey->n_sort, survey->n_filters,
                         survey->n_sites, survey->after != NULL};
    uint64_t hash = past_hash(0, counts, sizeof(counts));

    hash = hash_text(hash, survey->kind);
    for (size_t i = 0; i < survey->n_sort; i++) {
        hash = past_hash(hash, &survey->sort[i].descending, sizeof(bool));
        hash = hash_text(hash, survey->sort[i].name);
    }
    for (size_t i = 0; i < survey->n_filters; i++) {
        const struct survey_filter *filter = &survey->filters[i];

        hash = hash_text(hash, filter->name);
        hash = past_hash(hash, &filter->n_values, sizeof(filter->n_values));
        for (size_t j = 0; j < filter->n_values; j++)
            hash = hash_text(hash, filter->values[j]);
    }
    for (uint32_t i = 0; i < survey->n_sites; i++)
        hash = past_hash(hash, &survey->sites[i].site->peer.uid,
                         sizeof(struct ist_id));
    return survey->after ? hash_place(hash, survey->after, survey->n_sort)
                         : hash;
}

static void set_windows(struct survey *survey)
{
    const uint32_t *taken;

    survey->window = window_of(survey->limit, survey->n_sites);
    survey->question = hash_question(survey);
    taken = past_find(survey->past, survey->question, survey->n_sites);
    for (uint32_t i = 0; i < survey->n_sites; i++)
        survey->sites[i].window =
            taken ? window_again(taken[i], survey->limit) : survey->window;
}

/* A page without some site is no measure: the others fill its place. */
static void remember(const struct survey *survey)
{
    uint32_t *taken;

    if (survey->show_id || survey_lacking(survey))
        return;
    taken = past_note(survey->past, survey->question, survey->n_sites);
    for (size_t i = 0; taken && i < survey->merge.n_page; i++)
        taken[survey->merge.page[i].source]++;
}

/* The end */

static void finish_if_over(struct survey *survey)
{
    if (survey->n_running > 0 || !survey->over)
        return;
    ist_timer_disarm(&survey->ahead);
    remember(survey);
    ist_op_finish(&survey->op, 0);
}

/* The page is decided: whoever has not failed by now has answered. */
static void close_page(struct survey *survey)
{
    uint64_t now = ist_loop_now(survey->op.loop);

    if (survey->over)
        return;
    survey->over = true;
    for (uint32_t i = 0; i < survey->n_sites; i++) {
        struct survey_site *part = &survey->sites[i];

        if (part->state != SURVEY_WAITING)
            continue;
        part->state = SURVEY_ANSWERED;
        part->latency_ms = now - part->call.sent_ms;
        ist_op_cancel(&part->call.op, -ECANCELED);
    }
}

static void site_failed(struct survey_site *part, const struct ist_op *op)
{
    part->state = SURVEY_FAILED;
    part->err = op->err;
    part->failure = part->call.failure;
    snprintf(part->err.site, sizeof(part->err.site), "%s", part->site->name);
    ist_merge_fail(&part->survey->merge, part->index);
}

/* "Not here" is an answer: of a survey for one object, none but one site has
 * it. */
static bool says_not_here(const struct survey_site *part, int rc)
{
    return part->survey->show_id && rc == DESK_FAILED &&
           part->call.failure == ISTHMUS__V1__FAILURE__CODE__NOT_FOUND;
}

/* Tops up every stream that may run dry before the page is full. */
static void grant(struct survey *survey)
{
    for (uint32_t i = 0; i < survey->n_sites; i++) {
        struct survey_site *part = &survey->sites[i];
        size_t ahead = part->n_granted - part->n_received +
                       ist_merge_backlog(&survey->merge, i);
        uint32_t more;

        if (part->state != SURVEY_WAITING || ahead > part->window / 2 ||
            part->n_granted >= survey->limit)
            continue;
        more = (uint32_t) survey->limit - part->n_granted;
        if (more > survey->window)
            more = survey->window;
        part->n_granted += more;
        desk_call_credit(&part->call, more);
    }
}

/* Records like those that it has sent, for which there is room while all sites
 * take as much. */
static size_t n_affordable(const struct survey_site *part)
{
    const struct survey *survey = part->survey;
    size_t room = survey->arena->cap - survey->arena->used;
    size_t each = part->call.held / part->n_received + 1;

    return room / (survey->n_sites + 1) / each;
}

static void on_quarter(struct ist_timer *timer)
{
    struct survey *survey = IST_CONTAINER(timer, struct survey, ahead);

    ist_timer_arm_in(timer, survey->op.loop, survey->quarter_ms, on_quarter);
    for (uint32_t i = 0; i < survey->n_sites; i++) {
        struct survey_site *part = &survey->sites[i];
        size_t more = survey->limit - part->n_granted;

        if (part->state != SURVEY_WAITING || part->n_received == 0 ||
            part->n_received < part->n_granted)
            continue;
        if (more > n_affordable(part))
            more = n_affordable(part);
        part->n_granted += (uint32_t) more;
        if (more)
            desk_call_credit(&part->call, (uint32_t) more);
    }
}

static void on_call_done(struct ist_op *op)
{
    struct survey_site *part = IST_CONTAINER(op, struct survey_site, call.op);
    struct survey *survey = part->survey;
    uint64_t until =
        part->call.heard_ms ? part->call.heard_ms : ist_loop_now(op->loop);

    survey->n_running--;
    if (part->state == SURVEY_WAITING) {
        part->latency_ms = until - part->call.sent_ms;
        if (op->rc == 0 || says_not_here(part, op->rc)) {
            part->state = SURVEY_ANSWERED;
            ist_merge_end(&survey->merge, part->index);
        } else {
            site_failed(part, op);
        }
        /* An end lets the merge take rows of others, whose streams may now
         * run dry. */
        if (ist_merge_complete(&survey->merge))
            close_page(survey);
        else
            grant(survey);
    }
    finish_if_over(survey);
}

/* Rows */

static int judge_body(void *is_sound, const struct ist_json_element *element)
{
    *(bool *) is_sound = element->refusal == IST_JSON_FINE &&
                         ist_json_type(element->bytes) == IST_JSON_OBJECT &&
                         !element->picks[0].data;
    return 0;
}

bool survey_is_body_sound(const ProtobufCBinaryData *body)
{
    static const char *const reserved[] = {"site"};
    static const struct ist_json_want want = {.collection = "",
                                              .picks = reserved,
                                              .n_picks = 1,
                                              .element_max = SIZE_MAX};
    struct ist_json_split split;
    bool is_sound = false;

    ist_json_split_init(&split, &want, judge_body, &is_sound);
    if (ist_json_split_feed(&split, body->data, body->len) == 0 &&
        ist_json_split_end(&split) != 0)
        is_sound = false;
    is_sound = is_sound && split.rc == 0;
    ist_json_split_fini(&split);
    return is_sound;
}

static bool is_record_sane(const struct survey *survey,
                           const Isthmus__V1__Record *record)
{
    size_t id_size = strlen(record->id);

    for (size_t i = 0; i < record->n_keys; i++) {
        if (record->keys[i].len > IST_ORDER_KEY_MAX)
            return false;
    }
    return record->n_keys == survey->merge.order.n_keys && id_size > 0 &&
           id_size <= IST_ORDER_ID_MAX && survey_is_body_sound(&record->body);
}

static int push_record(struct survey_site *part,
                       const Isthmus__V1__Record *record)
{
    struct survey *survey = part->survey;
    struct ist_bytes body = {record->body.data, record->body.len};
    struct ist_place place = {.site = part->site->name,
                              .id = {record->id, strlen(record->id)}};

    if (!is_record_sane(survey, record))
        return ist_err_set(&part->call.op.err, DESK_BROKEN,
                           "it sent a record that is none");
    for (size_t i = 0; i < record->n_keys; i++)
        place.keys[i] =
            (struct ist_bytes){record->keys[i].data, record->keys[i].len};
    switch (ist_merge_push(&survey->merge, part->index, &place, &body)) {
    case 0:
        return 0;
    case IST_MERGE_DISORDER:
        return ist_err_set(&part->call.op.err, DESK_BROKEN,
                           "its records came out of order");
    default:
        return ist_err_set(&part->call.op.err, DESK_TOO_LARGE,
                           "the answer is over the cap of one request");
    }
}

/* All that the page can want of it is here: what becomes of the others is not
 * its fault. */
static void site_sufficed(struct survey_site *part)
{
    part->state = SURVEY_ANSWERED;
    part->latency_ms = part->call.heard_ms - part->call.sent_ms;
    ist_merge_cut(&part->survey->merge, part->index);
    ist_op_cancel(&part->call.op, -ECANCELED);
}

static void skip(struct survey_site *part, const Isthmus__V1__Reply *reply)
{
    const char *why = reply->skipped_why;

    part->n_skipped += reply->skipped;
    ist_err_set(&part->err, 0, "%s",
                why[0] ? why : "it left rows out without a reason");
}

static int on_frame(struct desk_call *call, const Isthmus__V1__Reply *reply)
{
    struct survey_site *part = IST_CONTAINER(call, struct survey_site, call);
    struct survey *survey = part->survey;

    if (reply->skipped)
        skip(part, reply);
    part->n_received += (uint32_t) reply->n_records;
    for (size_t i = 0; i < reply->n_records; i++) {
        int rc = push_record(part, reply->records[i]);

        if (rc)
            return rc;
    }
    if (reply->last && !reply->failure)
        return 0; /* The call ends next, and the merge with it. */
    if (!reply->last && part->n_received >= survey->limit)
        site_sufficed(part);
    if (ist_merge_complete(&survey->merge))
        close_page(survey);
    else if (!reply->last)
        grant(survey);
    return 0;
}

/* The question */

struct question {
    Isthmus__V1__Call call;
    Isthmus__V1__List list;
    Isthmus__V1__Show show;
    Isthmus__V1__After after;
    Isthmus__V1__SortKey sort[IST_ORDER_KEYS_MAX], *sort_at[IST_ORDER_KEYS_MAX];
    Isthmus__V1__Filter *filters, **filters_at;
    ProtobufCBinaryData keys[IST_ORDER_KEYS_MAX];
};

static void ask_show(struct survey *survey, struct question *q)
{
    isthmus__v1__show__init(&q->show);
    q->show.kind = (char *) survey->kind;
    q->show.id = (char *) survey->show_id;
    q->call.what_case = ISTHMUS__V1__CALL__WHAT_SHOW;
    q->call.show = &q->show;
}

static void ask_after(struct survey *survey, struct question *q)
{
    const struct ist_place *place = survey->after;

    isthmus__v1__after__init(&q->after);
    for (size_t i = 0; i < survey->n_sort; i++)
        q->keys[i] = (ProtobufCBinaryData){place->keys[i].size,
                                           (uint8_t *) place->keys[i].data};
    q->after.n_keys = survey->n_sort;
    q->after.keys = q->keys;
    q->after.id = ist_arena_dup(survey->arena, place->id.data, place->id.size);
    q->list.after = &q->after;
}

static int ask_list(struct survey *survey, struct question *q)
{
    isthmus__v1__list__init(&q->list);
    q->list.kind = (char *) survey->kind;
    /* One more than a page: a stream that is not at its end with as many as
     * the page takes shows that there is a next page. It is never let send
     * that one. */
    q->list.limit = (uint32_t) survey->limit + 1;
    for (size_t i = 0; i < survey->n_sort; i++) {
        isthmus__v1__sort_key__init(&q->sort[i]);
        q->sort[i].name = (char *) survey->sort[i].name;
        q->sort[i].descending = survey->sort[i].descending;
        q->sort_at[i] = &q->sort[i];
    }
    q->list.n_sort = survey->n_sort;
    q->list.sort = q->sort_at;
    q->filters =
        ist_arena_alloc(survey->arena, survey->n_filters * sizeof(*q->filters));
    q->filters_at =
        ist_arena_alloc(survey->arena, survey->n_filters * sizeof(void *));
    if (!q->filters || !q->filters_at)
        return -ENOMEM;
    for (size_t i = 0; i < survey->n_filters; i++) {
        isthmus__v1__filter__init(&q->filters[i]);
        q->filters[i].name = (char *) survey->filters[i].name;
        q->filters[i].values = (char **) survey->filters[i].values;
        q->filters[i].n_values = survey->filters[i].n_values;
        q->filters_at[i] = &q->filters[i];
    }
    q->list.n_filters = survey->n_filters;
    q->list.filters = q->filters_at;
    if (survey->after)
        ask_after(survey, q);
    q->call.what_case = ISTHMUS__V1__CALL__WHAT_LIST;
    q->call.list = &q->list;
    return 0;
}

/* The marker's own site goes on behind its id; for the others the site's name
 * decides where rows with equal keys lie. */
static Isthmus__V1__After__Ties ties_of(const char *site, const char *marker)
{
    int cmp = strcmp(site, marker) * (IST_MUTANT("ties") ? -1 : 1);

    return cmp < 0   ? ISTHMUS__V1__AFTER__TIES__SKIP
           : cmp > 0 ? ISTHMUS__V1__AFTER__TIES__TAKE
                     : ISTHMUS__V1__AFTER__TIES__AFTER_ID;
}

static bool ask_as(struct survey *survey, struct sites_site *site,
                   struct question *q)
{
    if (!survey->as)
        return true;
    q->list.as = survey->as(survey, site);
    q->list.version = (char *) (uintptr_t) survey->version;
    return q->list.as != NULL;
}

static void start_sites(struct survey *survey, struct desk *desk,
                        struct question *q)
{
    uint64_t timeout = site_timeout(survey);

    survey->quarter_ms = timeout / 4 + 1;
    ist_timer_arm_in(&survey->ahead, survey->op.loop, survey->quarter_ms,
                     on_quarter);
    survey->n_running = survey->n_sites;
    for (uint32_t i = 0; i < survey->n_sites; i++) {
        struct survey_site *part = &survey->sites[i];

        if (survey->after)
            q->after.ties = ties_of(part->site->name, survey->after->site);
        part->call.site = part->site;
        part->call.request_id = survey->request_id;
        part->call.arena = survey->arena;
        part->call.on_frame = on_frame;
        q->list.window = part->window;
        part->n_granted = survey->show_id ? 1 : part->window;
        part->call.window = part->n_granted;
        part->call.is_sharing = survey->n_sites > 1;
        ist_op_prepare(&part->call.op, survey->op.loop, &survey->op, timeout,
                       on_call_done);
        if (ask_as(survey, part->site, q)) {
            desk_call_start(desk, &part->call, &q->call);
        } else {
            ist_op_begin(&part->call.op, NULL);
            ist_op_fail(&part->call.op, DESK_TOO_LARGE,
                        "the question is over the cap of one request");
        }
    }
}

static int select_sites(struct survey *survey, struct desk *desk,
                        struct sites_site *const *sites, size_t n)
{
    struct sites_site *site = NULL;

    survey->n_sites = (uint32_t) (sites ? n : sites_count(desk->sites));
    survey->sites = ist_arena_zalloc(survey->arena,
                                     survey->n_sites * sizeof(*survey->sites));
    if (!survey->sites)
        return -ENOMEM;
    for (uint32_t i = 0; i < survey->n_sites; i++) {
        site = sites ? sites[i] : sites_next(desk->sites, site);
        survey->sites[i].site = site;
        survey->sites[i].survey = survey;
        survey->sites[i].index = i;
    }
    return 0;
}

static int prepare(struct survey *survey, struct question *q)
{
    struct ist_order order = {.n_keys = survey->show_id ? 0 : survey->n_sort};
    size_t limit = survey->show_id ? survey->n_sites : survey->limit;

    for (size_t i = 0; i < order.n_keys; i++)
        order.descending[i] = survey->sort[i].descending;
    isthmus__v1__call__init(&q->call);
    if (survey->show_id) {
        ask_show(survey, q);
    } else {
        set_windows(survey);
        if (ask_list(survey, q))
            return -ENOMEM;
    }
    return ist_merge_init(&survey->merge, &order, limit ? limit : 1,
                          survey->n_sites, survey->arena);
}

void survey_start(struct survey *survey, struct desk *desk,
                  struct sites_site *const *sites, size_t n)
{
    struct question q;

    survey->n_running = 0;
    survey->over = false;
    survey->past = &desk->past;
    survey->ahead = (struct ist_timer){0};
    ist_op_begin(&survey->op, NULL);
    if (select_sites(survey, desk, sites, n) || prepare(survey, &q)) {
        ist_op_fail(&survey->op, -ENOMEM,
                    "the question is over the cap of one request");
        return;
    }
    if (survey->n_sites == 0) {
        ist_op_finish(&survey->op, 0);
        return;
    }
    start_sites(survey, desk, &q);
}

bool survey_site_lacks(const struct survey_site *part)
{
    return part->state == SURVEY_FAILED || part->n_skipped > 0;
}

uint32_t survey_lacking(const struct survey *survey)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < survey->n_sites; i++)
        n += survey_site_lacks(&survey->sites[i]);
    return n;
}

uint32_t survey_failed(const struct survey *survey)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < survey->n_sites; i++)
        n += survey->sites[i].state == SURVEY_FAILED;
    return n;
}
