/* Some sites in one process: what an agent is made of, that many times, over
 * the cloud of cloud.c. Each has its own keys and its own connections to a real
 * broker.
 *
 *   bench_sites DIR FIRST N SERVERS ROWS POLICY
 *
 * DIR/sNNN is a site's state directory. ROWS is written: what the sites have.
 * Says "ready RECORD-SIZE" when all are connected, and serves until its input
 * ends. */
#include "cloud.h"

#include "base/log.h"
#include "base/parse.h"
#include "bus/amqp.h"
#include "conf/clouds.h"
#include "http/client.h"
#include "keys/keys.h"
#include "os/cloud.h"
#include "policy/policy.h"
#include "serve/serve.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct agent {
    char name[16];
    struct keys keys;
    struct ist_cloud_entry entry;
    struct ist_http *http;
    struct os_cloud *cloud;
    struct ist_bus *bus;
    struct serve serve;
    bool has_been_up;
};

static struct ist_loop loop;
static struct policy *policy;
static struct agent *agents;
static uint32_t n_agents, n_up;
static size_t record_size;

/* The defaults of the configuration. */
static const struct ist_amqp_conf amqp_conf = {
    .heartbeat_ms = 6000,
    .backoff_max_ms = 5000,
    .out_high = 8U << 20,
    .out_hard = 32U << 20,
    .body_max = 1088U << 10,
};
static const struct serve_conf serve_conf = {
    .calls_max = 256,
    .answer_memory = 16U << 20,
    .skew_ms = 30000,
    .presence_ms = 5000,
};
static const struct os_conf os_conf = {
    .answer_max = 64U << 20,
    .record_max = 1U << 20,
    .list_max = 64U << 20,
    .pages_max = 1000,
    .login_ms = 10000,
    .login_wait_ms = 1000,
    .versions_ms = 3600000,
};

static void die(const char *what, const struct ist_err *err)
{
    fprintf(stderr, "bench_sites: %s: %s\n", what, err->text);
    exit(1);
}

static void on_up(struct ist_bus *bus)
{
    struct agent *agent = bus->owner;

    serve_up(&agent->serve);
    if (agent->has_been_up)
        return;
    agent->has_been_up = true;
    if (++n_up == n_agents) {
        printf("ready %zu\n", record_size);
        fflush(stdout);
    }
}

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct agent *agent = bus->owner;

    fprintf(stderr, "bench_sites: %s lost the bus: %s\n", agent->name,
            err->text);
    serve_down(&agent->serve);
}

static void on_drained(struct ist_bus *bus)
{
    serve_drained(&((struct agent *) bus->owner)->serve);
}

static const struct ist_bus_events events = {
    .up = on_up,
    .down = on_down,
    .drained = on_drained,
};

static void start(struct agent *agent, uint32_t number, const char *dir)
{
    static char interface[] = "public", user[] = "agent", secret[] = "secret",
                domain[] = "default", project[] = "admin";
    struct ist_http_conf http_conf = {.connections_max = 64};
    struct ist_amqp_conf bus_conf = amqp_conf;
    struct ist_err err;
    char state[PATH_MAX];

    snprintf(agent->name, sizeof(agent->name), "s%03u", number);
    snprintf(state, sizeof(state), "%s/%s", dir, agent->name);
    if (keys_open(state, &loop, &agent->keys, &err))
        die(agent->name, &err);
    agent->entry =
        (struct ist_cloud_entry){.auth = IST_CLOUD_PASSWORD,
                                 .name = agent->name,
                                 .auth_url = (char *) bench_cloud_url(number),
                                 .username = user,
                                 .password = secret,
                                 .user_domain_id = domain,
                                 .project_name = project,
                                 .project_domain_id = domain,
                                 .interface = interface};
    agent->http = ist_http_new(&loop, &http_conf);
    agent->cloud =
        os_cloud_new(&loop, agent->http, &agent->entry, &os_conf, &err);
    if (!agent->cloud)
        die(agent->name, &err);
    bus_conf.url = agent->keys.bus_url;
    bus_conf.ca = agent->keys.bus_ca;
    bus_conf.certificate = agent->keys.bus_certificate;
    bus_conf.key = agent->keys.bus_key;
    agent->bus =
        ist_amqp_new(&loop, &bus_conf, agent->name, &events, agent, &err);
    if (!agent->bus)
        die(agent->name, &err);
    serve_init(&agent->serve, &loop, agent->bus, &agent->keys.own.self,
               &agent->keys.hub, agent->cloud, policy, agent->name,
               &serve_conf);
}

/* The process ends here, and all it holds. */
static void on_input(uv_poll_t *poll, int status, int what)
{
    char buf[16];

    (void) poll;
    (void) what;
    if (status < 0 || read(STDIN_FILENO, buf, sizeof(buf)) <= 0)
        exit(0);
}

int main(int argc, char **argv)
{
    uint64_t first, n, servers;
    struct ist_err err;
    uv_poll_t input;

    if (argc != 7 || !ist_parse_u64(argv[2], 0, 999, &first) ||
        !ist_parse_u64(argv[3], 1, 1000, &n) ||
        !ist_parse_u64(argv[4], 0, 1000, &servers)) {
        fputs("usage: bench_sites DIR FIRST N SERVERS ROWS POLICY\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    ist_log_level_set(IST_LOG_ERROR);
    if (ist_loop_init(&loop))
        return 1;
    policy = policy_load(argv[6], &err);
    if (!policy)
        die("policy", &err);
    bench_cloud_init((uint32_t) first, (uint32_t) n, (uint32_t) servers);
    record_size = bench_cloud_write(argv[5]);
    n_agents = (uint32_t) n;
    agents = calloc(n_agents, sizeof(*agents));
    if (!agents)
        return 1;
    for (uint32_t i = 0; i < n_agents; i++)
        start(&agents[i], (uint32_t) first + i, argv[1]);
    uv_poll_init(loop.uv, &input, STDIN_FILENO);
    uv_poll_start(&input, UV_READABLE, on_input);
    ist_loop_run(&loop);
    return 1;
}
