/* A node that dies goes through one function, agent_end() or hub_end(), called
 * again by a timer until nothing of it is left on the loop; then it is freed,
 * and made anew when its time has come. */
#include "federation.h"

#include "../unit/identity.h"
#include "base/rand.h"
#include "cloud.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define POLL_MS 1

static const struct serve_conf serve_conf = {
    .calls_max = 64,
    .answer_memory = 1U << 20,
    .skew_ms = 30000,
    .presence_ms = 5000,
};
static const struct desk_conf desk_conf = {.calls_max = 20000,
                                           .skew_ms = 30000};
static const struct os_conf os_conf = {
    .answer_max = 1U << 20,
    .record_max = 64U << 10,
    .list_max = 1U << 20,
    .pages_max = 100,
    .login_ms = 10000,
    .login_wait_ms = 1000,
    .versions_ms = 3600000,
};

static const struct feed_conf feed_conf = {
    .enabled = true,
    .poll_ms = 10000,
    .audit_ms = 20000,
    .settle_ms = 100,
    .outbox_max = 4U << 20,
};
static const struct intake_conf intake_conf = {.batch_max = 256,
                                               .held_max = 64U << 20,
                                               .skew_ms = 30000,
                                               .resync_ms = 5000};
static const struct events_conf events_conf = {.keep_ms = 86400000,
                                               .keep_items = 1000000};

#define TREE_MAX (64ULL << 20)

/* Keys, made once */

static struct ist_self hub_keys, agent_keys[WORLD_SITES_MAX];

void federation_make_keys(uint32_t n)
{
    ist_rand_plant(1); /* The same in every process: they are in the trace. */
    hub_keys.role = IST_ROLE_HUB;
    memset(hub_keys.uid.b, 0xFF, sizeof(hub_keys.uid.b));
    ist_self_make_keys(&hub_keys);
    for (uint32_t i = 0; i < n; i++) {
        agent_keys[i].role = IST_ROLE_SITE;
        memset(agent_keys[i].uid.b, 1, sizeof(agent_keys[i].uid.b));
        agent_keys[i].uid.b[15] = (uint8_t) i;
        ist_self_make_keys(&agent_keys[i]);
    }
    ist_rand_unplant();
}

/* Agents */

static void agent_start(struct sim_agent *agent);

static void on_agent_bus_closed(struct ist_bus *bus)
{
    ((struct sim_agent *) bus->owner)->node.bus_closed = true;
}

static void on_agent_up(struct ist_bus *bus)
{
    struct sim_agent *agent = bus->owner;

    serve_up(&agent->serve);
    if (agent->feed)
        feed_up(agent->feed);
}

static void on_agent_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct sim_agent *agent = bus->owner;

    (void) err;
    serve_down(&agent->serve);
    if (agent->feed)
        feed_down(agent->feed);
}

static void on_agent_drained(struct ist_bus *bus)
{
    struct sim_agent *agent = bus->owner;

    serve_drained(&agent->serve);
    if (agent->feed)
        feed_drained(agent->feed);
}

static const struct ist_bus_events agent_events = {
    .up = on_agent_up,
    .down = on_agent_down,
    .drained = on_agent_drained,
    .closed = on_agent_bus_closed,
};

static struct policy *allow_reading(void)
{
    static char path[64];
    struct ist_err err;
    FILE *file;

    if (!path[0]) {
        int fd;

        snprintf(path, sizeof(path), "/tmp/isthmus-sim-XXXXXX");
        fd = mkstemp(path);
        file = fd < 0 ? NULL : fdopen(fd, "w");
        if (!file)
            abort();
        fputs("mode: active\nrules:\n  - {allow: read, what: \"*\"}\n", file);
        fclose(file);
    }
    return policy_load(path, &err);
}

static void open_feed(struct sim_agent *agent)
{
    struct federation *fed = agent->node.fed;
    struct ist_err err;
    char dir[128];

    snprintf(dir, sizeof(dir), "%s/%s", fed->state, agent->site->name);
    mkdir(dir, 0700);
    agent->feed = feed_open(fed->loop, dir, agent->cloud, agent->policy,
                            agent->node.bus, &agent->self, &agent->hub,
                            agent->site->name, &feed_conf, &err);
    if (!agent->feed) {
        fprintf(stderr, "sim: %s: %s\n", agent->site->name, err.text);
        abort();
    }
    agent->serve.feed = agent->feed;
}

static void agent_start(struct sim_agent *agent)
{
    struct federation *fed = agent->node.fed;
    uint32_t i = (uint32_t) (agent - fed->agents);
    static char interface[] = "public", user[] = "agent", secret[] = "secret",
                domain[] = "default", project[] = "admin";
    static char url[WORLD_SITES_MAX][48];
    struct ist_http_conf http_conf = {.connections_max = 64};
    struct ist_err err;

    agent->self = agent_keys[i];
    agent->self.epoch = ++agent->node.epoch;
    agent->hub = identity_peer(&hub_keys, &agent->self);
    snprintf(url[i], sizeof(url[i]), "http://%s.sim:5000/v3",
             agent->site->name);
    agent->entry = (struct ist_cloud_entry){.auth = IST_CLOUD_PASSWORD,
                                            .name = user,
                                            .auth_url = url[i],
                                            .username = user,
                                            .password = secret,
                                            .user_domain_id = domain,
                                            .project_name = project,
                                            .project_domain_id = domain,
                                            .interface = interface};
    agent->http = ist_http_new(fed->loop, &http_conf);
    agent->cloud =
        os_cloud_new(fed->loop, agent->http, &agent->entry, &os_conf, &err);
    agent->policy = allow_reading();
    assert(agent->http && agent->cloud && agent->policy);
    agent->node.bus =
        ist_mem_new(fed->broker, agent->site->name, &agent_events, agent);
    serve_init(&agent->serve, fed->loop, agent->node.bus, &agent->self,
               &agent->hub, agent->cloud, agent->policy, agent->site->name,
               &serve_conf);
    if (fed->state)
        open_feed(agent);
    agent->node.is_up = true;
    agent->node.is_dying = agent->node.bus_closed = false;
    agent->feed_closed = !agent->feed;
    agent->cloud_closed = agent->http_closed = false;
    agent->closing = 0;
}

static void on_agent_feed_closed(void *arg)
{
    ((struct sim_agent *) arg)->feed_closed = true;
}

static void on_agent_cloud_closed(void *arg)
{
    ((struct sim_agent *) arg)->cloud_closed = true;
}

static void on_agent_http_closed(void *arg)
{
    ((struct sim_agent *) arg)->http_closed = true;
}

static void on_agent_back(struct ist_timer *timer)
{
    agent_start(IST_CONTAINER(timer, struct sim_agent, node.timer));
}

static void agent_ended(struct sim_agent *agent)
{
    agent->node.bus = ist_bus_free(agent->node.bus);
    agent->n_calls += agent->serve.counts.calls;
    serve_fini(&agent->serve);
    policy_free(agent->policy);
    agent->node.is_up = agent->node.is_dying = false;
    if (agent->node.back_in_ms)
        ist_timer_arm_in(&agent->node.timer, agent->node.fed->loop,
                         agent->node.back_in_ms, on_agent_back);
}

static void agent_end(struct ist_timer *timer)
{
    struct sim_agent *agent =
        IST_CONTAINER(timer, struct sim_agent, node.timer);

    if (agent->closing == 0 && agent->node.bus_closed && agent->feed_closed &&
        agent->serve.n_open == 0) {
        os_cloud_close(IST_TAKE(agent->cloud), on_agent_cloud_closed, agent);
        agent->closing = 1;
    }
    if (agent->closing == 1 && agent->cloud_closed) {
        ist_http_close(IST_TAKE(agent->http), on_agent_http_closed, agent);
        agent->closing = 2;
    }
    if (agent->closing == 2 && agent->http_closed) {
        agent_ended(agent);
        return;
    }
    ist_timer_arm_in(timer, agent->node.fed->loop, POLL_MS, agent_end);
}

void federation_crash_agent(struct federation *fed, uint32_t site, uint64_t ms)
{
    struct sim_agent *agent = &fed->agents[site];

    if (!agent->node.is_up || agent->node.is_dying)
        return;
    agent->node.is_dying = true;
    agent->node.back_in_ms = ms;
    serve_stop(&agent->serve);
    agent->serve.feed = NULL;
    if (agent->feed)
        feed_close(IST_TAKE(agent->feed), on_agent_feed_closed, agent);
    ist_bus_close(agent->node.bus);
    agent_end(&agent->node.timer);
}

/* The hub */

static void on_hub_bus_closed(struct ist_bus *bus)
{
    ((struct sim_hub *) bus->owner)->node.bus_closed = true;
}

static void on_hub_up(struct ist_bus *bus)
{
    struct sim_hub *hub = bus->owner;

    if (hub->intake)
        intake_up(hub->intake);
}

static void on_hub_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct sim_hub *hub = bus->owner;

    desk_down(&hub->desk, err);
    if (hub->intake)
        intake_down(hub->intake);
}

static const struct ist_bus_events hub_events = {
    .up = on_hub_up,
    .down = on_hub_down,
    .closed = on_hub_bus_closed,
};

static void on_site_changed(void *owner, struct sites_site *site,
                            unsigned changes)
{
    struct sim_hub *hub = owner;

    desk_site_changed(&hub->desk, site, changes);
    if (hub->intake)
        intake_site_changed(hub->intake, site, changes);
}

static void open_view(struct sim_hub *hub)
{
    struct federation *fed = hub->node.fed;
    char path[128];
    struct ist_tree_conf conf = {
        .path = path, .size_max = TREE_MAX, .maps_max = 64};
    struct ist_err err;

    snprintf(path, sizeof(path), "%s/hub.db", fed->state);
    hub->tree = ist_tree_open(fed->loop, &conf, &err);
    if (hub->tree)
        hub->view = view_open(hub->tree, &err);
    if (hub->view)
        hub->log = events_log_open(hub->tree, &events_conf, &err);
    if (hub->log)
        hub->intake = intake_open(fed->loop, hub->node.bus, &hub->desk,
                                  hub->sites, &hub->self, hub->tree, hub->view,
                                  hub->log, &intake_conf, &err);
    if (!hub->intake) {
        fprintf(stderr, "sim: the hub: %s\n", err.text);
        abort();
    }
}

static void close_view(struct sim_hub *hub)
{
    hub->log = events_log_free(hub->log);
    hub->view = view_free(hub->view);
    hub->tree = ist_tree_free(hub->tree);
}

static void hub_start(struct sim_hub *hub)
{
    struct federation *fed = hub->node.fed;
    struct ist_err err;

    hub->self = hub_keys;
    hub->self.epoch = ++hub->node.epoch;
    hub->sites =
        sites_new(fed->loop, NULL, &hub->self, on_site_changed, hub, &err);
    assert(hub->sites);
    for (uint32_t i = 0; i < fed->world->n_sites; i++) {
        struct ist_delegation delegation = identity_delegation(&agent_keys[i]);

        sites_admit(hub->sites, fed->world->sites[i].name, &delegation);
    }
    hub->node.bus = ist_mem_new(fed->broker, "hub-h1", &hub_events, hub);
    desk_init(&hub->desk, fed->loop, hub->node.bus, hub->sites, &hub->self,
              "h1", &desk_conf);
    if (fed->state)
        open_view(hub);
    hub->node.is_up = true;
    hub->node.is_dying = hub->node.bus_closed = hub->sites_closed = false;
    hub->intake_closed = !hub->intake;
    hub->closing = 0;
}

static void on_hub_back(struct ist_timer *timer)
{
    hub_start(IST_CONTAINER(timer, struct sim_hub, node.timer));
}

static void on_intake_closed(void *arg)
{
    ((struct sim_hub *) arg)->intake_closed = true;
}

static void on_sites_closed(void *owner)
{
    ((struct sim_hub *) owner)->sites_closed = true;
}

static void hub_end(struct ist_timer *timer)
{
    struct sim_hub *hub = IST_CONTAINER(timer, struct sim_hub, node.timer);

    if (hub->closing == 0 && hub->intake_closed && hub->desk.n_open == 0) {
        hub->node.fed->n_asked += hub->desk.counts.sent;
        if (hub->tree)
            close_view(hub);
        desk_fini(&hub->desk);
        ist_bus_close(hub->node.bus);
        hub->closing = 1;
    }
    if (hub->closing == 1 && hub->node.bus_closed) {
        hub->node.bus = ist_bus_free(hub->node.bus);
        sites_close(IST_TAKE(hub->sites), on_sites_closed);
        hub->closing = 2;
    }
    if (hub->closing == 2 && hub->sites_closed) {
        hub->node.is_up = hub->node.is_dying = false;
        if (hub->node.back_in_ms)
            ist_timer_arm_in(timer, hub->node.fed->loop, hub->node.back_in_ms,
                             on_hub_back);
        return;
    }
    ist_timer_arm_in(timer, hub->node.fed->loop, POLL_MS, hub_end);
}

void federation_crash_hub(struct federation *fed, uint64_t ms)
{
    struct sim_hub *hub = &fed->hub;

    if (!hub->node.is_up || hub->node.is_dying)
        return;
    hub->node.is_dying = true;
    hub->node.back_in_ms = ms;
    if (fed->hub_dies)
        fed->hub_dies(fed->arg);
    if (hub->intake)
        intake_close(IST_TAKE(hub->intake), on_intake_closed, hub);
    desk_down(&hub->desk, NULL);
    hub_end(&hub->node.timer);
}

/* The whole */

static void make_broker(struct federation *fed)
{
    static const char *const exchanges[] = {"x.req", "x.rep", "x.evt"};

    fed->broker = ist_mem_broker_new(fed->loop);
    for (size_t i = 0; i < IST_COUNT(exchanges); i++)
        ist_mem_exchange(fed->broker, exchanges[i], "topic");
    for (uint32_t i = 0; i < fed->world->n_sites; i++) {
        char queue[48], key[48];

        snprintf(queue, sizeof(queue), "site.%s.req",
                 fed->world->sites[i].name);
        snprintf(key, sizeof(key), "site.%s", fed->world->sites[i].name);
        ist_mem_queue(fed->broker, queue, 30000, 2000);
        ist_mem_bind(fed->broker, queue, "x.req", key);
    }
    if (fed->state) {
        static const struct ist_mem_queue_args stream = {.stream = true};

        ist_mem_queue_with(fed->broker, "evt.stream", &stream);
        ist_mem_bind(fed->broker, "evt.stream", "x.evt", "*.*.*.#");
    }
}

void federation_open(struct federation *fed, struct ist_loop *loop,
                     const struct world *world, const char *state)
{
    *fed = (struct federation){.loop = loop, .world = world, .state = state};
    make_broker(fed);
    fed->hub.node.fed = fed;
    hub_start(&fed->hub);
    for (uint32_t i = 0; i < world->n_sites; i++) {
        fed->agents[i].node.fed = fed;
        fed->agents[i].site = &world->sites[i];
        agent_start(&fed->agents[i]);
    }
}

static bool is_anyone_left(const struct federation *fed)
{
    for (uint32_t i = 0; i < fed->world->n_sites; i++) {
        if (fed->agents[i].node.is_up)
            return true;
    }
    return fed->hub.node.is_up;
}

/* Those that are away come back no more; those that die stay dead. */
static void send_away(struct sim_node *node)
{
    node->back_in_ms = 0;
    if (!node->is_up)
        ist_timer_disarm(&node->timer);
}

void federation_close(struct federation *fed)
{
    for (uint32_t i = 0; i < fed->world->n_sites; i++) {
        federation_crash_agent(fed, i, 0);
        send_away(&fed->agents[i].node);
    }
    federation_crash_hub(fed, 0);
    send_away(&fed->hub.node);
    while (is_anyone_left(fed)) {
        bool moved = ist_loop_step(fed->loop, UINT64_MAX);

        assert(moved);
        (void) moved;
    }
    fed->broker = ist_mem_broker_free(fed->broker);
    while (ist_loop_step(fed->loop, UINT64_MAX))
        ;
}

uint64_t federation_calls(const struct federation *fed)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < fed->world->n_sites; i++)
        n +=
            fed->agents[i].n_calls +
            (fed->agents[i].node.is_up ? fed->agents[i].serve.counts.calls : 0);
    return n;
}
