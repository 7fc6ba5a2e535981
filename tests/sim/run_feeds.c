/* A run with feeds: servers are made, changed and deleted at the sites while
 * the network, the broker, the hub and the agents fail as the seed says; then
 * all faults stop.
 *
 * What is checked at the end:
 *   1  the view holds exactly the servers that the sites have, byte by byte
 *   2  each site's news stand in the log once, in order, without a hole that is
 *      not told by a gap
 *   3  a row that changed was told: the last news of a server that is gone says
 *      so, of one that changed after it was first stated there is one */
#include "run.h"

#include "base/rand.h"
#include "cloud.h"
#include "federation.h"

#include <assert.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WALL_MS   1790000000000ULL
#define SETTLE_MS 40000 /* To connect, and to state what there is. */
#define CHAOS_MS  120000
#define QUIET_MS  120000 /* Back-off, polling, and a resync. */

struct run {
    const struct run_options *options;
    struct run_result *result;
    struct ist_loop loop;
    struct world world;
    struct federation fed;
    crypto_hash_sha256_state hash;
    struct ist_timer next_change, next_mishap;
    char state[64];
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

static void on_tap(void *arg, const struct ist_bus_message *message)
{
    struct run *run = arg;
    uint64_t now = ist_loop_now(&run->loop);

    run->result->n_messages++;
    crypto_hash_sha256_update(&run->hash, (void *) &now, sizeof(now));
    crypto_hash_sha256_update(&run->hash, (void *) message->key,
                              strlen(message->key));
}

/* What happens */

static void on_change_due(struct ist_timer *timer)
{
    struct run *run = IST_CONTAINER(timer, struct run, next_change);
    uint32_t site = (uint32_t) ist_rand_below(run->world.n_sites);
    const char *id = world_change(&run->world, site);
    struct sim_agent *agent = &run->fed.agents[site];

    run->result->n_changes++;
    /* Half of the changes are notified; the others are found by polling. */
    if (agent->feed && ist_rand_below(2))
        feed_touch(agent->feed, "server", id);
    ist_timer_arm_in(timer, &run->loop, 1 + ist_rand_below(600), on_change_due);
}

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

/* The site's machine is set up anew: its feed begins another epoch. */
static void lose_a_feed(struct run *run)
{
    uint32_t i = (uint32_t) ist_rand_below(run->world.n_sites);
    char path[128];

    if (!run->fed.agents[i].node.is_up || run->fed.agents[i].node.is_dying)
        return;
    tell(run, "agent %s dies, and its file with it", run->world.sites[i].name);
    federation_crash_agent(&run->fed, i, 5000 + ist_rand_below(5000));
    while (run->fed.agents[i].node.is_up &&
           ist_loop_step(&run->loop, ist_loop_now(&run->loop) + 1000))
        ;
    snprintf(path, sizeof(path), "%s/%s/feed.db", run->state,
             run->world.sites[i].name);
    unlink(path);
    snprintf(path, sizeof(path), "%s/%s/feed.db-lock", run->state,
             run->world.sites[i].name);
    unlink(path);
}

static void on_mishap_due(struct ist_timer *timer)
{
    static void (*const mishaps[])(struct run *) = {
        crash_an_agent, crash_an_agent, crash_an_agent,   cut_a_link,
        cut_a_link,     crash_the_hub,  crash_the_broker, lose_a_feed,
    };
    struct run *run = IST_CONTAINER(timer, struct run, next_mishap);

    mishaps[ist_rand_below(IST_COUNT(mishaps))](run);
    ist_timer_arm_in(timer, &run->loop, 1 + ist_rand_below(12000),
                     on_mishap_due);
}

static struct ist_mem_faults draw_faults(void)
{
    return (struct ist_mem_faults){
        .lose = (uint32_t) ist_rand_below(ist_rand_below(2) ? 2000 : 1),
        .duplicate = (uint32_t) ist_rand_below(ist_rand_below(2) ? 6000 : 1),
        .nack = (uint32_t) ist_rand_below(ist_rand_below(2) ? 1 : 1000),
        .reorder = (uint32_t) ist_rand_below(ist_rand_below(4) ? 1 : 1000),
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
        .hang = (uint32_t) ist_rand_below(ist_rand_below(2) ? 500 : 1),
        .error = (uint32_t) ist_rand_below(ist_rand_below(2) ? 2000 : 1),
    };
}

/* The view against the world */

static void check_site(struct run *run, const struct world_site *site)
{
    IST_CLEANUP(ist_arena_fini) struct ist_arena arena;
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    char *names[] = {(char *) (uintptr_t) site->name};
    struct view_query query = {.kind = ist_kind_find("server"),
                               .sort = {{.name = "id"}},
                               .n_sort = 1,
                               .sites = names,
                               .n_sites = 1,
                               .limit = 1000};
    struct view_page page;
    struct ist_err err;

    ist_arena_init(&arena, 8U << 20);
    ist_sb_init(&text, 0);
    if (view_page(run->fed.hub.view, &query, &arena, &page, &err)) {
        complain(run, "the view cannot be read: %s", err.text);
        return;
    }
    run->result->n_rows += page.n_rows;
    if (page.n_rows != site->n_rows)
        complain(run, "site %s has %u servers, the view has %zu", site->name,
                 site->n_rows, page.n_rows);
    for (size_t i = 0; i < page.n_rows; i++) {
        struct view_row *row = &page.rows[i];
        char id[40];
        const struct world_row *want;

        snprintf(id, sizeof(id), "%.*s", (int) row->place.id.size,
                 (const char *) row->place.id.data);
        want = world_row(site, id);
        ist_sb_reset(&text);
        if (want)
            sim_cloud_put(&text, want);
        if (!want)
            complain(run, "site %s: %s is only in the view", site->name, id);
        else if (row->body.size != text.len ||
                 memcmp(row->body.data, text.data, text.len) != 0)
            complain(run, "site %s: %s is %.*s in the view", site->name, id,
                     (int) row->body.size, (const char *) row->body.data);
    }
}

/* The log: each site's news, in its own numbering. */

struct reading {
    struct run *run;
    struct {
        uint64_t epoch, next,
            told_to; /* told_to: behind a gap that was told. */
    } sites[WORLD_SITES_MAX];
};

static bool on_item(void *arg, const struct events_item *item)
{
    struct reading *reading = arg;
    struct run *run = reading->run;
    int i = world_find(&run->world, item->site);

    if (i < 0)
        return true;
    if (strcmp(item->origin, "hub") == 0) {
        if (strcmp(item->kind, "feed") == 0 &&
            strcmp(item->action, "gap") == 0) {
            run->result->n_gaps++;
            reading->sites[i].told_to = UINT64_MAX;
        }
        return true;
    }
    run->result->n_news++;
    if (item->epoch < reading->sites[i].epoch)
        complain(run, "site %s: its log goes back in time", item->site);
    if (item->epoch > reading->sites[i].epoch) {
        reading->sites[i].epoch = item->epoch;
        reading->sites[i].next = 1;
    }
    if (item->sequence < reading->sites[i].next)
        complain(run, "site %s: news %" PRIu64 " came twice", item->site,
                 item->sequence);
    if (item->sequence > reading->sites[i].next && !reading->sites[i].told_to)
        complain(run,
                 "site %s: news %" PRIu64 " to %" PRIu64
                 " are missing and nobody says so",
                 item->site, reading->sites[i].next, item->sequence - 1);
    reading->sites[i].told_to = 0;
    reading->sites[i].next = item->sequence + 1;
    return true;
}

static void check_log(struct run *run)
{
    static struct reading reading;
    uint64_t at = 0, last;
    struct ist_err err;

    memset(&reading, 0, sizeof(reading));
    reading.run = run;
    for (;;) {
        if (events_log_read(run->fed.hub.log, at, 1000, on_item, &reading,
                            &last, &err)) {
            complain(run, "the log cannot be read: %s", err.text);
            return;
        }
        if (last == at)
            return;
        at = last;
    }
}

static void move_clock(struct run *run, uint64_t ms)
{
    uint64_t until = ist_loop_now(&run->loop) + ms;

    while (ist_loop_step(&run->loop, until))
        ;
}

static void play(struct run *run)
{
    static const struct ist_mem_faults none = {.delay_max_ms = 2,
                                               .connect_max_ms = 10};
    static const struct sim_cloud_faults healthy = {.delay_min_ms = 1,
                                                    .delay_max_ms = 20};
    struct ist_mem_faults faults;
    struct sim_cloud_faults cloud_faults;

    move_clock(run, SETTLE_MS);
    faults = draw_faults();
    cloud_faults = draw_cloud_faults();
    sim_cloud_set(&run->world, &cloud_faults);
    ist_mem_broker_faults(run->fed.broker, &faults);
    ist_timer_arm_in(&run->next_change, &run->loop, 1, on_change_due);
    ist_timer_arm_in(&run->next_mishap, &run->loop, 1, on_mishap_due);
    move_clock(run, CHAOS_MS);
    ist_timer_disarm(&run->next_change);
    ist_timer_disarm(&run->next_mishap);
    ist_mem_broker_faults(run->fed.broker, &none);
    sim_cloud_set(&run->world, &healthy);
    tell(run, "everything works again");
    move_clock(run, QUIET_MS);
    if (!run->fed.hub.view) {
        complain(run, "the hub did not come back");
        return;
    }
    for (uint32_t i = 0; i < run->world.n_sites; i++)
        check_site(run, &run->world.sites[i]);
    check_log(run);
}

static int unlink_it(const char *path, const struct stat *st, int flag,
                     struct FTW *ftw)
{
    (void) st, (void) flag, (void) ftw;
    return remove(path);
}

void run_feeds(const struct run_options *options, struct run_result *result)
{
    static struct run run;
    static const struct sim_cloud_faults healthy = {.delay_min_ms = 1,
                                                    .delay_max_ms = 20};

    memset(&run, 0, sizeof(run));
    *result = (struct run_result){0};
    run.options = options;
    run.result = result;
    snprintf(run.state, sizeof(run.state), "/tmp/isthmus-sim-XXXXXX");
    if (!mkdtemp(run.state))
        abort();
    crypto_hash_sha256_init(&run.hash);
    ist_rand_plant(options->seed);
    ist_loop_init_virtual(&run.loop, WALL_MS);
    world_draw(&run.world, options->n_sites);
    sim_cloud_set(&run.world, &healthy);
    federation_open(&run.fed, &run.loop, &run.world, run.state);
    ist_mem_broker_tap(run.fed.broker, on_tap, &run);
    play(&run);
    federation_close(&run.fed);
    crypto_hash_sha256_final(&run.hash, result->hash);
    ist_loop_fini(&run.loop);
    ist_rand_unplant();
    nftw(run.state, unlink_it, 16, FTW_DEPTH | FTW_PHYS);
}
