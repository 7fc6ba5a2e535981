/* A run has two phases. In the first the network, the broker, the hub and the
 * agents fail as the seed says, while lists are asked for. In the second all
 * faults have stopped and everything must work again, completely.
 *
 * What is checked, at every answer:
 *   1  it comes within its deadline, and is an answer
 *   2  its rows are exactly the merge of the sites it lists as answered
 *   3  no row comes twice in a walk from page to page
 *   4  no agent worked on more calls than the hub asked, though the broker
 *      plays old messages again
 * and in the second phase:
 *   5  every site answers, and a walk gives the sorted union of all rows */
#include "run.h"

#include "base/rand.h"
#include "cloud.h"
#include "federation.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WALL_MS     1790000000000ULL
#define SETTLE_MS   6000 /* For everybody to connect and be heard. */
#define CHAOS_MS    40000
#define QUIET_MS    30000 /* Back-off, presence, and a margin. */
#define WALK_MIN    40    /* Rows of a walk's page: some pages, not hundreds. */
#define REPLAYS_MAX 64
#define SLACK_MS    1 /* A turn of the loop after the deadline. */

struct run {
    const struct run_options *options;
    struct run_result *result;
    struct ist_loop loop;
    struct world world;
    struct federation fed;
    crypto_hash_sha256_state hash;

    struct ist_timer next_question, next_mishap;
    uint64_t chaos_until_ms;
    uint32_t n_open;
    LIST_HEAD(, question) questions;

    /* Kept by the broker, to be played again. */
    struct {
        char exchange[8], key[24];
        void *body;
        size_t size;
    } kept[REPLAYS_MAX];
    size_t n_kept;
};

/* One list that somebody asks for, page by page. */
struct question {
    struct run *run;
    struct survey survey;
    struct ist_arena arena;
    struct world_sort sort;
    struct survey_sort key;
    struct ist_place after;
    char after_text[3][48]; /* Key, site, id: outlives the page. */
    bool has_after, is_walk, is_cancelled, must_be_whole;
    uint32_t n_walked, n_total;
    uint64_t asked_ms, deadline_ms;
    LIST_ENTRY(question) sibling;
};

static void complain(struct run *run, const char *fmt, ...) IST_PRINTF(2, 3);

static void complain(struct run *run, const char *fmt, ...)
{
    va_list args;

    if (run->result->violation[0])
        return;
    va_start(args, fmt);
    vsnprintf(run->result->violation, sizeof(run->result->violation), fmt,
              args);
    va_end(args);
}

static void tell(struct run *run, const char *fmt, ...) IST_PRINTF(2, 3);

static void tell(struct run *run, const char *fmt, ...)
{
    va_list args;

    if (!run->options->trace)
        return;
    fprintf(stderr, "%8" PRIu64 " ms  ", ist_loop_now(&run->loop));
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
}

static void note(struct run *run, const void *data, size_t size)
{
    crypto_hash_sha256_update(&run->hash, data, size);
}

/* The broker, who sees everything and may play it again. */
static void on_tap(void *arg, const struct ist_bus_message *message)
{
    struct run *run = arg;
    uint64_t now = ist_loop_now(&run->loop);
    size_t i;

    run->result->n_messages++;
    note(run, &now, sizeof(now));
    note(run, message->key, strlen(message->key));
    /* The first bytes hold key id and nonce: enough to tell two runs apart. */
    note(run, message->body, message->size < 64 ? message->size : 64);
    if (ist_rand_below(64) != 0 || strcmp(message->exchange, "x.req") != 0)
        return;
    i = run->n_kept < REPLAYS_MAX ? run->n_kept++
                                  : (size_t) ist_rand_below(REPLAYS_MAX);
    free(run->kept[i].body);
    snprintf(run->kept[i].exchange, sizeof(run->kept[i].exchange), "%s",
             message->exchange);
    snprintf(run->kept[i].key, sizeof(run->kept[i].key), "%s", message->key);
    run->kept[i].body = malloc(message->size);
    memcpy(run->kept[i].body, message->body, message->size);
    run->kept[i].size = message->size;
}

static void replay(struct run *run)
{
    struct ist_bus_message message = {.user = "hub-h1", .type = "call"};
    size_t i = (size_t) ist_rand_below(run->n_kept);

    if (run->n_kept == 0)
        return;
    tell(run, "the broker plays an old message for %s", run->kept[i].key);
    message.exchange = run->kept[i].exchange;
    message.key = run->kept[i].key;
    message.body = run->kept[i].body;
    message.size = run->kept[i].size;
    run->result->n_replayed++;
    ist_mem_inject(run->fed.broker, &message);
}

/* Answers */

static void check_times(struct question *q)
{
    uint64_t took = ist_loop_now(&q->run->loop) - q->asked_ms;

    if (q->survey.op.rc)
        complain(q->run, "an answer ended with %d: %s", q->survey.op.rc,
                 q->survey.op.err.text);
    if (took > q->deadline_ms + SLACK_MS)
        complain(q->run, "an answer took %" PRIu64 " ms, asked within %" PRIu64,
                 took, q->deadline_ms);
}

static void check_rows(struct question *q)
{
    static const struct world_row *want[WORLD_SITES_MAX * WORLD_ROWS_MAX];
    struct run *run = q->run;
    const struct ist_merge *merge = &q->survey.merge;
    struct ist_order order = {1, {q->sort.descending}};
    bool include[WORLD_SITES_MAX] = {false}, has_more;
    uint32_t n;

    for (uint32_t i = 0; i < q->survey.n_sites; i++) {
        const struct survey_site *part = &q->survey.sites[i];

        include[world_find(&run->world, part->site->name)] =
            part->state == SURVEY_ANSWERED;
        if (part->n_skipped)
            complain(run, "site %s left rows out: %s", part->site->name,
                     part->err.text);
        if (part->state == SURVEY_FAILED && q->must_be_whole)
            complain(run, "site %s failed though nothing is broken: %s",
                     part->site->name, part->err.text);
    }
    n = world_page(&run->world, &q->sort, include,
                   q->has_after ? &q->after : NULL,
                   (uint32_t) q->survey.limit + 1, want);
    has_more = n > q->survey.limit;
    n -= has_more;
    if (has_more && !ist_merge_has_more(merge))
        complain(run, "a page of %zu rows denies that there is another",
                 merge->n_page);
    if (n != merge->n_page) {
        complain(run, "a page has %zu rows instead of %u", merge->n_page, n);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct ist_place place = world_place(want[i], &q->sort);

        if (ist_order_cmp(&order, &place, &merge->page[i].place) != 0) {
            complain(run, "row %u of a page is %s %.*s instead of %s %s", i,
                     merge->page[i].place.site,
                     (int) merge->page[i].place.id.size,
                     (const char *) merge->page[i].place.id.data, place.site,
                     want[i]->id);
            return;
        }
        note(run, want[i]->id, strlen(want[i]->id));
    }
}

/* Rows of one walk ascend strictly, so none can come twice. */
static void check_walk(struct question *q)
{
    struct ist_order order = {1, {q->sort.descending}};
    const struct ist_merge *merge = &q->survey.merge;

    if (q->has_after && merge->n_page &&
        ist_order_cmp(&order, &merge->page[0].place, &q->after) <= 0)
        complain(q->run, "a page begins before the end of the one before");
}

static void ask(struct question *q);

static void remember_place(struct question *q)
{
    const struct ist_merge *merge = &q->survey.merge;
    const struct ist_place *last = &merge->page[merge->n_page - 1].place;

    snprintf(q->after_text[0], sizeof(q->after_text[0]), "%.*s",
             (int) last->keys[0].size, (const char *) last->keys[0].data);
    snprintf(q->after_text[1], sizeof(q->after_text[1]), "%s", last->site);
    snprintf(q->after_text[2], sizeof(q->after_text[2]), "%.*s",
             (int) last->id.size, (const char *) last->id.data);
    q->after = (struct ist_place){
        .keys = {{q->after_text[0], strlen(q->after_text[0])}},
        .site = q->after_text[1],
        .id = {q->after_text[2], strlen(q->after_text[2])}};
    q->has_after = true;
}

static void question_free(struct question *q)
{
    LIST_REMOVE(q, sibling);
    q->run->n_open--;
    ist_arena_fini(&q->arena);
    free(q);
}

static void on_surveyed(struct ist_op *op)
{
    struct question *q = IST_CONTAINER(op, struct question, survey.op);
    struct run *run = q->run;
    uint32_t n_failed = survey_failed(&q->survey);
    bool go_on;

    if (q->is_cancelled) {
        question_free(q);
        return;
    }
    tell(run, "answer: %zu rows, %u of %u sites failed", q->survey.merge.n_page,
         n_failed, q->survey.n_sites);
    run->result->n_surveys++;
    run->result->n_partial += n_failed > 0;
    run->result->n_rows += q->survey.merge.n_page;
    check_times(q);
    check_walk(q);
    check_rows(q);
    q->n_walked += (uint32_t) q->survey.merge.n_page;
    go_on =
        q->is_walk && q->survey.merge.n_page == q->survey.limit &&
        (q->must_be_whole || ist_loop_now(&run->loop) < run->chaos_until_ms) &&
        run->fed.hub.node.is_up && !run->fed.hub.node.is_dying;
    if (go_on) {
        remember_place(q);
        ask(q);
        return;
    }
    if (q->must_be_whole && q->is_walk && q->n_walked != q->n_total)
        complain(run, "a walk gave %u rows of %u", q->n_walked, q->n_total);
    question_free(q);
}

static void ask(struct question *q)
{
    struct survey *survey = &q->survey;
    size_t limit = survey->limit;

    ist_arena_fini(&q->arena);
    ist_arena_init(&q->arena, 8U << 20);
    q->asked_ms = ist_loop_now(&q->run->loop);
    *survey = (struct survey){.limit = limit};
    ist_op_prepare(&survey->op, &q->run->loop, NULL, q->deadline_ms,
                   on_surveyed);
    survey->kind = "server";
    survey->sort = &q->key;
    survey->n_sort = 1;
    survey->after = q->has_after ? &q->after : NULL;
    survey->arena = &q->arena;
    survey_start(survey, &q->run->fed.hub.desk, NULL, 0);
}

static struct question *question_new(struct run *run)
{
    struct question *q = calloc(1, sizeof(*q));

    if (!q)
        abort();
    q->run = run;
    q->sort.by_name = ist_rand_below(2) != 0;
    q->sort.descending = ist_rand_below(2) != 0;
    q->key.name = q->sort.by_name ? "name" : "created_at";
    q->key.descending = q->sort.descending;
    LIST_INSERT_HEAD(&run->questions, q, sibling);
    run->n_open++;
    return q;
}

static void ask_something(struct run *run)
{
    static const uint64_t deadlines[] = {100, 500, 2000, 10000};
    struct question *q;

    if (!run->fed.hub.node.is_up || run->fed.hub.node.is_dying)
        return;
    q = question_new(run);
    q->deadline_ms = deadlines[ist_rand_below(IST_COUNT(deadlines))];
    q->is_walk = ist_rand_below(4) == 0;
    q->survey.limit = q->is_walk
                          ? WALK_MIN + ist_rand_below(200)
                          : 1 + ist_rand_below(ist_rand_below(2) ? 200 : 4);
    tell(run, "asks for %zu by %s within %" PRIu64 " ms", q->survey.limit,
         q->key.name, q->deadline_ms);
    ask(q);
}

static void on_hub_dies(void *arg)
{
    struct run *run = arg;
    struct question *q;

    LIST_FOREACH(q, &run->questions, sibling)
    {
        q->is_cancelled = true;
        ist_op_cancel(&q->survey.op, -ECANCELED);
    }
}

/* Mishaps */

static void crash_an_agent(struct run *run)
{
    uint32_t i = (uint32_t) ist_rand_below(run->world.n_sites);

    tell(run, "agent %s dies", run->world.sites[i].name);
    federation_crash_agent(&run->fed, i, 1 + ist_rand_below(15000));
}

static void crash_the_hub(struct run *run)
{
    tell(run, "the hub dies");
    federation_crash_hub(&run->fed, 1 + ist_rand_below(5000));
}

static void crash_the_broker(struct run *run)
{
    tell(run, "the broker dies");
    ist_mem_broker_crash(run->fed.broker, 1 + ist_rand_below(5000));
}

static void cut_a_link(struct run *run)
{
    uint32_t i = (uint32_t) ist_rand_below(run->world.n_sites);

    if (!run->fed.agents[i].node.is_up || run->fed.agents[i].node.is_dying)
        return;
    tell(run, "the link of %s is cut", run->world.sites[i].name);
    ist_mem_cut(run->fed.agents[i].node.bus, 1 + ist_rand_below(20000));
}

static void on_mishap_due(struct ist_timer *timer)
{
    static void (*const mishaps[])(struct run *) = {
        crash_an_agent, crash_an_agent, cut_a_link,       cut_a_link,
        replay,         replay,         replay,           replay,
        replay,         crash_the_hub,  crash_the_broker,
    };
    struct run *run = IST_CONTAINER(timer, struct run, next_mishap);

    mishaps[ist_rand_below(IST_COUNT(mishaps))](run);
    if (ist_loop_now(&run->loop) < run->chaos_until_ms)
        ist_timer_arm_in(timer, &run->loop, 1 + ist_rand_below(3000),
                         on_mishap_due);
}

static void on_question_due(struct ist_timer *timer)
{
    struct run *run = IST_CONTAINER(timer, struct run, next_question);

    ask_something(run);
    if (ist_loop_now(&run->loop) < run->chaos_until_ms)
        ist_timer_arm_in(timer, &run->loop, 1 + ist_rand_below(9000),
                         on_question_due);
}

/* The mix of faults is drawn too: some runs lose much, some nothing. */
static struct ist_mem_faults draw_faults(void)
{
    return (struct ist_mem_faults){
        .lose = (uint32_t) ist_rand_below(ist_rand_below(2) ? 2000 : 1),
        .duplicate = (uint32_t) ist_rand_below(ist_rand_below(2) ? 6000 : 1),
        .nack = (uint32_t) ist_rand_below(ist_rand_below(4) ? 1 : 1000),
        .reorder = (uint32_t) ist_rand_below(ist_rand_below(2) ? 3000 : 1),
        .delay_min_ms = ist_rand_below(5),
        .delay_max_ms = 5 + ist_rand_below(100),
        .connect_min_ms = 1,
        .connect_max_ms = 1 + ist_rand_below(3000),
    };
}

static struct sim_cloud_faults draw_cloud_faults(void)
{
    return (struct sim_cloud_faults){
        .delay_min_ms = 1,
        .delay_max_ms = 10 + ist_rand_below(200),
        .hang = (uint32_t) ist_rand_below(ist_rand_below(2) ? 2000 : 1),
        .error = (uint32_t) ist_rand_below(ist_rand_below(2) ? 2000 : 1),
    };
}

static const struct sim_cloud_faults healthy_cloud = {.delay_min_ms = 1,
                                                      .delay_max_ms = 20};

static void move_clock(struct run *run, uint64_t ms)
{
    uint64_t until = ist_loop_now(&run->loop) + ms;

    while (ist_loop_step(&run->loop, until))
        ;
}

static void calm(struct run *run)
{
    static const struct ist_mem_faults none = {.delay_max_ms = 2,
                                               .connect_max_ms = 10};
    struct question *q;
    uint64_t until;
    bool everyone[WORLD_SITES_MAX];
    static const struct world_row *page[WORLD_SITES_MAX * WORLD_ROWS_MAX];

    ist_mem_broker_faults(run->fed.broker, &none);
    sim_cloud_set(&run->world, &healthy_cloud);
    move_clock(run, QUIET_MS);
    if (run->n_open)
        complain(run, "%u answers never came", run->n_open);
    q = question_new(run);
    q->must_be_whole = q->is_walk = true;
    q->deadline_ms = 10000;
    q->survey.limit = WALK_MIN + ist_rand_below(100);
    memset(everyone, true, sizeof(everyone));
    q->n_total =
        world_page(&run->world, &q->sort, everyone, NULL, UINT32_MAX, page);
    tell(run, "everything works again: walks %u rows by %zu", q->n_total,
         q->survey.limit);
    ask(q);
    until = ist_loop_now(&run->loop) + QUIET_MS;
    while (run->n_open && ist_loop_step(&run->loop, until))
        ;
    if (run->n_open)
        complain(run, "the last answer never came");
}

static void check_calls(struct run *run)
{
    uint64_t asked = run->fed.n_asked + run->fed.hub.desk.counts.sent;

    if (federation_calls(&run->fed) > asked)
        complain(run,
                 "agents worked on %" PRIu64 " calls, %" PRIu64 " were asked",
                 federation_calls(&run->fed), asked);
}

static void play(struct run *run)
{
    struct ist_mem_faults faults;
    struct sim_cloud_faults cloud_faults;

    move_clock(run, SETTLE_MS);
    faults = draw_faults();
    cloud_faults = draw_cloud_faults();
    sim_cloud_set(&run->world, &cloud_faults);
    ist_mem_broker_faults(run->fed.broker, &faults);
    run->chaos_until_ms = ist_loop_now(&run->loop) + CHAOS_MS;
    ist_timer_arm_in(&run->next_question, &run->loop, 1, on_question_due);
    ist_timer_arm_in(&run->next_mishap, &run->loop, 1, on_mishap_due);
    move_clock(run, CHAOS_MS);
    ist_timer_disarm(&run->next_question);
    ist_timer_disarm(&run->next_mishap);
    calm(run);
    check_calls(run);
}

void run_once(const struct run_options *options, struct run_result *result)
{
    static struct run run;

    memset(&run, 0, sizeof(run));
    *result = (struct run_result){0};
    run.options = options;
    run.result = result;
    LIST_INIT(&run.questions);
    crypto_hash_sha256_init(&run.hash);
    ist_rand_plant(options->seed);
    ist_loop_init_virtual(&run.loop, WALL_MS);
    world_draw(&run.world, options->n_sites);
    sim_cloud_set(&run.world, &healthy_cloud);
    federation_open(&run.fed, &run.loop, &run.world, NULL);
    run.fed.hub_dies = on_hub_dies;
    run.fed.arg = &run;
    ist_mem_broker_tap(run.fed.broker, on_tap, &run);
    play(&run);
    on_hub_dies(&run);
    federation_close(&run.fed);
    for (size_t i = 0; i < run.n_kept; i++)
        free(run.kept[i].body);
    crypto_hash_sha256_final(&run.hash, result->hash);
    ist_loop_fini(&run.loop);
    ist_rand_unplant();
}
