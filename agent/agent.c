/* Wiring, nothing else: configuration, keys, policy, OpenStack, bus, and the
 * order in which they are taken down: say goodbye, end open answers, close the
 * bus, then what it used. */
#include "agent.h"

#include "metrics.h"

#include "base/log.h"
#include "bus/amqp.h"
#include "conf/clouds.h"
#include "conf/start.h"
#include "feed/feed.h"
#include "feed/notify.h"
#include "http/client.h"
#include "io/daemon.h"
#include "keys/keys.h"
#include "obs/notify.h"
#include "os/cloud.h"
#include "policy/policy.h"
#include "serve/audit.h"
#include "serve/bulk.h"
#include "serve/command.h"
#include "serve/guest.h"
#include "serve/serve.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_SKEW_MS 30000
#define WARM_MS      30000 /* For the first login, and until the next try. */
#define TIDY_MS      10000

struct agent_conf {
    char *site, *state, *cloud, *clouds, *policy, *projects, *log_level,
        *metrics;
    bool passthrough;
};

static const struct ist_row agent_rows[] = {
    {"site.name", IST_ROW_STRING, offsetof(struct agent_conf, site), NULL, 2,
     32, IST_ROW_REQUIRED, "The site's name, as its keys were made for."},
    {"state", IST_ROW_PATH, offsetof(struct agent_conf, state),
     "/var/lib/isthmus/agent", 1, 4000, 0,
     "Directory of the keys and of what must outlive a restart."},
    {"openstack.cloud", IST_ROW_STRING, offsetof(struct agent_conf, cloud),
     NULL, 1, 255, 0,
     "Entry of clouds.yaml to use; may be left out if there is only one."},
    {"openstack.clouds", IST_ROW_PATH, offsetof(struct agent_conf, clouds),
     NULL, 1, 4000, 0,
     "The clouds.yaml; else it is looked for as OpenStack clients do."},
    {"openstack.passthrough", IST_ROW_BOOL,
     offsetof(struct agent_conf, passthrough), "false", 0, 0, 0,
     "The site shares its Keystone with the homes of some users of the hub: "
     "they act with their own tokens and roles, and projects.yaml is not asked "
     "for them. Users of this site give the hub their tokens for it."},
    {"policy", IST_ROW_PATH, offsetof(struct agent_conf, policy),
     "/etc/isthmus/policy.yaml", 1, 4000, 0,
     "What the hub may ask. What it does not list is refused."},
    {"projects", IST_ROW_PATH, offsetof(struct agent_conf, projects), NULL, 1,
     4000, 0,
     "The projects.yaml: which projects of the hub act here, with whose "
     "credential. Without it none does."},
    {"log.level", IST_ROW_STRING, offsetof(struct agent_conf, log_level),
     "info", 1, 8, 0, "error, warn, info or debug."},
    {"metrics.listen", IST_ROW_STRING, offsetof(struct agent_conf, metrics),
     NULL, 1, 64, 0,
     "Address on loopback for a metrics page, as 127.0.0.1:9273; off without."},
    IST_ROW_END,
};

struct agent {
    struct ist_loop loop;
    struct agent_conf conf;
    struct ist_amqp_conf bus_conf;
    struct serve_conf serve_conf;
    struct os_conf os_conf;
    struct feed_conf feed_conf;
    struct notify_conf notify_conf;

    struct keys keys;
    struct policy *policy;
    struct ist_cloud_entry entry;
    struct ist_http *http;
    struct os_cloud *cloud;
    struct projects *projects;
    size_t n_old_projects; /* Closing: something under way still uses them. */
    struct serve_audit audit;
    struct ist_bus *bus;
    char seen_path[PATH_MAX];
    struct ist_seen_conf seen_conf;
    struct feed *feed;     /* NULL: it is not enabled. */
    struct notify *events; /* NULL: none are listened to. */
    struct serve serve;
    struct serve_bulk bulk;
    struct serve_guests *guests;
    struct serve_commands commands;
    struct agent_metrics metrics;

    struct os_probe warm_up;
    struct ist_timer warm_again, tidy;

    struct ist_daemon daemon;
    struct ist_notify notify;
    bool events_closed, feed_closed, bus_closed, cloud_closed, projects_closed,
        guests_closed, http_closed, page_closed;
};

#define AGENT_TABLES(a)                                                        \
    {                                                                          \
        {agent_rows, &(a)->conf}, {ist_amqp_rows, &(a)->bus_conf},             \
            {serve_rows, &(a)->serve_conf}, {os_rows, &(a)->os_conf},          \
            {feed_rows, &(a)->feed_conf}, {notify_rows, &(a)->notify_conf},    \
    }

/* Configuration */

static struct ist_start start = {.program = "isthmus-agent",
                                 .fallback = "/etc/isthmus/agent.yaml"};

static int load(struct agent *agent)
{
    const struct ist_conf_table tables[] = AGENT_TABLES(agent);
    int rc = ist_start_load(&start, tables, IST_COUNT(tables));

    return rc ? rc : ist_start_log_level(&start, agent->conf.log_level);
}

static void unload(struct agent *agent)
{
    const struct ist_conf_table tables[] = AGENT_TABLES(agent);

    ist_conf_free(tables, IST_COUNT(tables));
}

static void tell(struct agent *agent, const char *action, const char *text)
{
    if (agent->feed)
        feed_tell(agent->feed, &(struct feed_news){.service = "agent",
                                                   .kind = "agent",
                                                   .action = action,
                                                   .subject = agent->conf.site,
                                                   .text = text});
}

static int open_projects(struct agent *agent, struct ist_err *err);
static void on_projects_known(void *arg);

static void reload_policy(struct agent *agent)
{
    struct policy *fresh;
    struct ist_err err;

    fresh = policy_load(agent->conf.policy, &err);
    if (!fresh) {
        ist_log_error("agent", "the old policy stays in force: %s", err.text);
        return;
    }
    if (agent->feed)
        feed_policy(agent->feed, fresh);
    policy_free(agent->policy);
    agent->policy = agent->serve.policy = fresh;
    tell(agent, "policy_changed", "the site's policy was read again");
    ist_log_info("agent", "policy %s is in force", agent->conf.policy);
    serve_presence(&agent->serve, false);
}

static void on_old_projects_closed(void *arg)
{
    ((struct agent *) arg)->n_old_projects--;
}

/* What is under way goes on as it was begun. */
static void reload_projects(struct agent *agent)
{
    struct projects *old = agent->projects;
    struct ist_err err;

    if (!agent->conf.projects)
        return;
    if (open_projects(agent, &err)) {
        ist_log_error("agent", "the old projects stay in force: %s", err.text);
        agent->projects = old;
        return;
    }
    agent->serve.projects = agent->projects;
    projects_resolve(agent->projects, on_projects_known, agent);
    agent->n_old_projects++;
    projects_close(old, on_old_projects_closed, agent);
    ist_log_info("agent", "projects %s are in force", agent->conf.projects);
    serve_presence(&agent->serve, false);
}

static void reload(void *arg)
{
    reload_policy(arg);
    reload_projects(arg);
}

/* At the start the agent logs in and asks the services once, so that the
 * first call need not wait for it, and presence can name them. */

static void warm_up(struct ist_timer *timer);

static void on_warm(struct ist_op *op)
{
    struct agent *agent = IST_CONTAINER(op, struct agent, warm_up.op);

    if (op->rc == -ECANCELED || agent->serve.is_stopped)
        return;
    if (agent->warm_up.n_services == 0) {
        ist_log_warn("agent", "OpenStack cannot be used at present: %s",
                     op->rc ? op->err.text : "it offers no known service");
        ist_timer_arm_in(&agent->warm_again, &agent->loop, WARM_MS, warm_up);
    } else if (agent->bus->is_up) {
        serve_presence(&agent->serve, false);
    }
}

static void warm_up(struct ist_timer *timer)
{
    struct agent *agent = IST_CONTAINER(timer, struct agent, warm_again);

    os_probe_fini(&agent->warm_up);
    agent->warm_up = (struct os_probe){0};
    ist_op_prepare(&agent->warm_up.op, &agent->loop, NULL, WARM_MS, on_warm);
    os_probe_start(agent->cloud, &agent->warm_up);
}

/* Memory of large answers goes back to the system once all is quiet. */
static void on_tidy(struct ist_timer *timer)
{
    struct agent *agent = IST_CONTAINER(timer, struct agent, tidy);

    if (agent->serve.n_open == 0) {
        ist_seal_trim();
        malloc_trim(0);
    }
    ist_timer_arm_in(timer, &agent->loop, TIDY_MS, on_tidy);
}

/* The bus */

static void on_up(struct ist_bus *bus)
{
    struct agent *agent = bus->owner;

    ist_log_info("agent", "connected to the bus");
    ist_notify_status(&agent->notify, "Connected to the bus");
    serve_up(&agent->serve);
    if (agent->feed)
        feed_up(agent->feed);
}

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct agent *agent = bus->owner;

    ist_log_warn("agent", "lost the bus, trying again: %s", err->text);
    ist_notify_status(&agent->notify, "No connection to the bus, trying again");
    serve_down(&agent->serve);
    if (agent->feed)
        feed_down(agent->feed);
}

static void on_blocked(struct ist_bus *bus, bool on)
{
    (void) bus;
    ist_log_warn("agent", on ? "the broker takes no messages at present"
                             : "the broker takes messages again");
}

static void on_drained(struct ist_bus *bus)
{
    struct agent *agent = bus->owner;

    serve_drained(&agent->serve);
    if (agent->feed)
        feed_drained(agent->feed);
}

static void on_bus_closed(struct ist_bus *bus)
{
    struct agent *agent = bus->owner;

    agent->bus_closed = true;
}

static const struct ist_bus_events bus_events = {
    .up = on_up,
    .down = on_down,
    .blocked = on_blocked,
    .drained = on_drained,
    .closed = on_bus_closed,
};

/* What the configuration leaves open comes with the hub's bundle. */
static struct ist_bus *open_bus(struct agent *agent, bool is_joint,
                                const struct ist_bus_events *events,
                                void *owner, struct ist_err *err)
{
    struct ist_amqp_conf conf = agent->bus_conf;
    char name[64];

    if (!conf.url)
        conf.url = agent->keys.bus_url;
    if (!conf.ca)
        conf.ca = agent->keys.bus_ca;
    if (!conf.certificate)
        conf.certificate = agent->keys.bus_certificate;
    if (!conf.key)
        conf.key = agent->keys.bus_key;
    conf.joint = is_joint;
    snprintf(name, sizeof(name), "isthmus-agent %s%s", agent->conf.site,
             is_joint ? " bulk" : "");
    return ist_amqp_new(&agent->loop, &conf, name, events, owner, err);
}

static struct ist_bus *dial_bulk(void *arg, const struct ist_bus_events *events,
                                 void *owner, struct ist_err *err)
{
    return open_bus(arg, true, events, owner, err);
}

static void on_heard(void *arg)
{
    keys_heard(arg);
}

/* Going down */

static void on_events_closed(void *arg)
{
    ((struct agent *) arg)->events_closed = true;
}

static void on_feed_closed(void *arg)
{
    ((struct agent *) arg)->feed_closed = true;
}

static void on_cloud_closed(void *arg)
{
    ((struct agent *) arg)->cloud_closed = true;
}

static void on_projects_closed(void *arg)
{
    ((struct agent *) arg)->projects_closed = true;
}

static void on_guests_closed(void *arg)
{
    ((struct agent *) arg)->guests_closed = true;
}

static void on_http_closed(void *arg)
{
    ((struct agent *) arg)->http_closed = true;
}

static void on_page_closed(void *arg)
{
    ((struct agent *) arg)->page_closed = true;
}

static bool say_goodbye(void *arg)
{
    struct agent *agent = arg;

    ist_timer_disarm(&agent->warm_again);
    ist_timer_disarm(&agent->tidy);
    ist_op_cancel(&agent->warm_up.op, -ECANCELED);
    agent_metrics_close(&agent->metrics, on_page_closed, agent);
    ist_notify_stopping(&agent->notify);
    if (agent->bus->is_up)
        serve_presence(&agent->serve, true);
    serve_stop(&agent->serve);
    serve_bulk_stop(&agent->bulk);
    serve_commands_stop(&agent->commands);
    if (agent->events)
        notify_close(IST_TAKE(agent->events), on_events_closed, agent);
    else
        agent->events_closed = true;
    return true;
}

static bool answers_over(void *arg)
{
    struct agent *agent = arg;

    if (agent->serve.n_open || agent->commands.n_open || !agent->page_closed ||
        !agent->events_closed || !serve_bulk_is_closed(&agent->bulk) ||
        serve_audit_busy(&agent->audit) || ist_op_active(&agent->warm_up.op) ||
        keys_busy(&agent->keys))
        return false;
    agent->serve.feed = NULL;
    if (agent->feed)
        feed_close(IST_TAKE(agent->feed), on_feed_closed, agent);
    else
        agent->feed_closed = true;
    return true;
}

static bool feed_over(void *arg)
{
    struct agent *agent = arg;

    if (!agent->feed_closed)
        return false;
    ist_bus_close(agent->bus);
    return true;
}

static bool bus_over(void *arg)
{
    struct agent *agent = arg;

    if (!agent->bus_closed)
        return false;
    agent->bus = ist_bus_free(agent->bus);
    projects_close(IST_TAKE(agent->projects), on_projects_closed, agent);
    serve_guests_close(IST_TAKE(agent->guests), on_guests_closed, agent);
    os_cloud_close(IST_TAKE(agent->cloud), on_cloud_closed, agent);
    return true;
}

static bool cloud_over(void *arg)
{
    struct agent *agent = arg;

    if (!agent->cloud_closed || !agent->projects_closed ||
        !agent->guests_closed || agent->n_old_projects > 0)
        return false;
    ist_http_close(IST_TAKE(agent->http), on_http_closed, agent);
    return true;
}

static bool http_over(void *arg)
{
    return ((struct agent *) arg)->http_closed;
}

static ist_daemon_stage_fn *const stages[] = {
    say_goodbye, answers_over, feed_over, bus_over, cloud_over, http_over,
};

/* Coming up: the parts in order; the first that cannot be had ends it. */

static int open_identity(struct agent *agent, struct ist_err *err)
{
    int rc = keys_open(agent->conf.state, &agent->loop, &agent->keys, err);

    if (rc)
        return rc;
    if (strcmp(agent->keys.own.name, agent->conf.site) != 0)
        return ist_err_set(err, -EINVAL,
                           "site.name is '%s', but the keys in %s are of "
                           "site '%s'",
                           agent->conf.site, agent->conf.state,
                           agent->keys.own.name);
    return 0;
}

static int open_policy(struct agent *agent, struct ist_err *err)
{
    agent->policy = policy_load(agent->conf.policy, err);
    return agent->policy ? 0 : err->code;
}

static int open_openstack(struct agent *agent, struct ist_err *err)
{
    static const struct ist_http_conf http_conf = {
        .connect_timeout_ms = 5000,
        .idle_timeout_ms = 30000,
        .connections_max = 64,
        .per_host_max = 16,
        .headers_max = 64U * 1024,
    };
    int rc = ist_clouds_load(agent->conf.clouds, agent->conf.cloud,
                             &agent->entry, err);

    if (rc)
        return rc;
    if (agent->entry.exposed)
        ist_log_warn("agent", "everybody on this machine may read the secrets "
                              "of clouds.yaml: chmod 600 it");
    agent->http = ist_http_new(&agent->loop, &http_conf);
    if (!agent->http)
        return ist_err_set(err, -ENOMEM, "out of memory");
    agent->cloud = os_cloud_new(&agent->loop, agent->http, &agent->entry,
                                &agent->os_conf, err);
    return agent->cloud ? 0 : err->code;
}

static int open_projects(struct agent *agent, struct ist_err *err)
{
    if (!agent->conf.projects)
        return 0;
    agent->projects =
        projects_open(&agent->loop, agent->http, &agent->os_conf,
                      &(struct projects_conf){.path = agent->conf.projects,
                                              .clouds = agent->conf.clouds,
                                              .own = &agent->entry,
                                              .state = agent->conf.state},
                      err);
    return agent->projects ? 0 : err->code;
}

/* Where commands will be recorded. */
static int name_record(struct agent *agent, struct ist_err *err)
{
    if ((size_t) snprintf(agent->seen_path, sizeof(agent->seen_path),
                          "%s/seen.db",
                          agent->conf.state) >= sizeof(agent->seen_path))
        return ist_err_set(err, -ENAMETOOLONG, "state: the path is too long");
    agent->seen_conf = (struct ist_seen_conf){.path = agent->seen_path,
                                              .skew_ms = SEEN_SKEW_MS};
    return 0;
}

/* The hub asks which they are when it hears that they are others. */
static void on_projects_known(void *arg)
{
    serve_presence(&((struct agent *) arg)->serve, false);
}

static int open_serve(struct agent *agent, struct ist_err *err)
{
    char path[512];
    int rc;

    agent->bus = open_bus(agent, false, &bus_events, agent, err);
    if (!agent->bus)
        return err->code;
    serve_init(&agent->serve, &agent->loop, agent->bus, &agent->keys.own.self,
               &agent->keys.hub, agent->cloud, agent->policy, agent->conf.site,
               &agent->serve_conf);
    agent->serve.projects = agent->projects;
    if (agent->conf.passthrough) {
        agent->guests = serve_guests_new(&agent->loop, agent->http,
                                         &agent->os_conf, &agent->entry);
        if (!agent->guests)
            return ist_err_set(err, -ENOMEM, "out of memory");
    }
    agent->serve.guests = agent->guests;
    serve_bulk_init(&agent->bulk, &agent->serve, dial_bulk, agent);
    rc = snprintf(path, sizeof(path), "%s/audit.log", agent->conf.state);
    if (rc < 0 || (size_t) rc >= sizeof(path))
        return ist_err_set(err, -ENAMETOOLONG, "state: the path is too long");
    serve_audit_init(&agent->audit, &agent->loop, path);
    agent->serve.audit = &agent->audit;
    projects_resolve(agent->projects, on_projects_known, agent);
    agent->serve.heard = on_heard;
    agent->serve.heard_arg = &agent->keys;
    serve_commands_init(&agent->commands, &agent->serve, &agent->seen_conf);
    return 0;
}

static int open_feed(struct agent *agent, struct ist_err *err)
{
    if (!agent->feed_conf.enabled)
        return 0;
    agent->feed =
        feed_open(&agent->loop, agent->conf.state, agent->cloud, agent->policy,
                  agent->bus, &agent->keys.own.self, &agent->keys.hub,
                  agent->conf.site, &agent->feed_conf, err);
    agent->serve.feed = agent->feed;
    tell(agent, "started", "the site's agent has started");
    return agent->feed ? 0 : err->code;
}

/* They only serve the feed. */
static int open_events(struct agent *agent, struct ist_err *err)
{
    if (!agent->feed || !agent->notify_conf.transport_url_file)
        return 0;
    agent->events = notify_open(&agent->loop, &agent->notify_conf,
                                agent->conf.site, agent->feed, err);
    return agent->events ? 0 : err->code;
}

static int open_page(struct agent *agent, struct ist_err *err)
{
    return agent_metrics_open(
        &agent->metrics, &agent->loop, agent->conf.metrics, &agent->serve,
        &agent->commands, agent->bus, agent->feed, agent->events, err);
}

static int open_all(struct agent *agent, struct ist_err *err)
{
    static int (*const parts[])(struct agent *, struct ist_err *) = {
        open_identity, open_policy, open_openstack, open_projects, name_record,
        open_serve,    open_feed,   open_events,    open_page,
    };

    for (size_t i = 0; i < IST_COUNT(parts); i++) {
        int rc = parts[i](agent, err);

        if (rc)
            return rc;
    }
    return 0;
}

static int run(struct agent *agent)
{
    struct ist_err err;

    if (ist_loop_init(&agent->loop)) {
        fputs("isthmus-agent: no event loop to be had\n", stderr);
        return 1;
    }
    ist_notify_init(&agent->notify, &agent->loop);
    if (open_all(agent, &err)) {
        ist_log_error("agent", "cannot start: %s", err.text);
        return 1; /* The process ends here, and all it holds. */
    }
    agent->daemon = (struct ist_daemon){.name = "agent",
                                        .stages = stages,
                                        .n_stages = IST_COUNT(stages),
                                        .reload = reload,
                                        .arg = agent};
    ist_daemon_watch(&agent->daemon, &agent->loop);
    ist_log_info("agent", "isthmus-agent " IST_VERSION " serves site %s",
                 agent->conf.site);
    ist_notify_ready(&agent->notify, NULL, NULL);
    warm_up(&agent->warm_again);
    on_tidy(&agent->tidy);
    ist_loop_run(&agent->loop);
    os_probe_fini(&agent->warm_up);
    serve_fini(&agent->serve);
    serve_commands_fini(&agent->commands);
    policy_free(agent->policy);
    keys_close(&agent->keys);
    ist_cloud_entry_fini(&agent->entry);
    ist_notify_fini(&agent->notify);
    ist_loop_fini(&agent->loop);
    return 0;
}

/* Everything that can be checked without starting. */
static int check(struct agent *agent)
{
    struct policy *policy;
    struct ist_err err;

    policy = policy_load(agent->conf.policy, &err);
    if (!policy) {
        fprintf(stderr, "isthmus-agent: %s\n", err.text);
        return 1;
    }
    policy_free(policy);
    if (ist_clouds_load(agent->conf.clouds, agent->conf.cloud, &agent->entry,
                        &err)) {
        fprintf(stderr, "isthmus-agent: %s\n", err.text);
        return 1;
    }
    ist_cloud_entry_fini(&agent->entry);
    if (agent->notify_conf.transport_url_file &&
        notify_check(&agent->notify_conf, &err)) {
        fprintf(stderr, "isthmus-agent: %s\n", err.text);
        return 1;
    }
    puts("The configuration is sound.");
    return 0;
}

/* The words of the command line */

int agent_command(int argc, char **argv)
{
    static struct agent agent;
    int rc = ist_start_parse(&start, argc, argv);

    if (rc >= 0)
        return rc;
    if (load(&agent))
        return 1;
    rc = start.check ? check(&agent) : run(&agent);
    unload(&agent);
    return rc;
}

int agent_policy_command(int argc, char **argv)
{
    struct policy_verdict verdict;
    enum policy_verb verb;
    struct policy *policy;
    struct ist_err err;

    if (argc < 5 || argc > 6 || strcmp(argv[1], "test") != 0) {
        fputs("Usage: isthmus-agent policy test FILE VERB KIND [PROJECT]\n",
              stderr);
        return 2;
    }
    if (!policy_verb_parse(argv[3], &verb)) {
        fprintf(stderr, "isthmus-agent: there is no verb '%s'\n", argv[3]);
        return 2;
    }
    policy = policy_load(argv[2], &err);
    if (!policy) {
        fprintf(stderr, "isthmus-agent: %s\n", err.text);
        return 1;
    }
    verdict = policy_judge(policy, verb, argv[4], argc > 5 ? argv[5] : NULL);
    printf("%s: %s\n", verdict.allow ? "allowed" : "denied", verdict.reason);
    policy_free(policy);
    return verdict.allow ? 0 : 4;
}

int agent_conf_command(int argc, char **argv)
{
    static struct agent agent;
    const struct ist_conf_table tables[] = AGENT_TABLES(&agent);

    return ist_start_show(&start, tables, IST_COUNT(tables), argc, argv);
}
