/* Wiring, nothing else: configuration, keys, the registry of sites, the bus,
 * the desk, the view and the log with what fills them, the API, and the order
 * in which they are taken down: first the API, whose requests end the calls,
 * then the intake, the bus, the file, and the registry. */
#include "hub.h"

#include "conditions.h"
#include "metrics.h"

#include "admin/home.h"
#include "api/api.h"
#include "base/log.h"
#include "bus/amqp.h"
#include "conf/start.h"
#include "events/noc.h"
#include "events/webhook.h"
#include "facade/mapping.h"
#include "facade/pass.h"
#include "facade/roles.h"
#include "facade/token.h"
#include "facade/user.h"
#include "global/global.h"
#include "io/daemon.h"
#include "obs/health.h"
#include "obs/notify.h"
#include "obs/process.h"
#include "sites/registry.h"
#include "survey/desk.h"
#include "view/intake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RESCAN_MS 1000
#define MAPS_MAX  64 /* Of hub.db. */

struct hub_conf {
    char *state, *log_level;
    uint64_t view_max;
};

static const struct ist_row hub_rows[] = {
    {"state", IST_ROW_PATH, offsetof(struct hub_conf, state),
     "/var/lib/isthmus-hub", 1, 4000, 0,
     "Directory that 'isthmus-hub setup' made: keys, certificates, sites."},
    {"log.level", IST_ROW_STRING, offsetof(struct hub_conf, log_level), "info",
     1, 8, 0, "error, warn, info or debug."},
    {"view.max", IST_ROW_BYTES, offsetof(struct hub_conf, view_max), "16GiB",
     64U << 20, 1ULL << 40, 0,
     "Size that hub.db in the state directory may have: the sites' rows and "
     "the log of events. At the cap old events give way; when that does not "
     "help the view stands still, and says so."},
    IST_ROW_END,
};

struct hub {
    struct ist_loop loop;
    struct hub_conf conf;
    struct ist_amqp_conf bus_conf;
    struct desk_conf desk_conf;
    struct intake_conf intake_conf;
    struct events_conf events_conf;
    struct alarm_conf alarm_conf;
    struct conditions_conf conditions_conf;
    struct webhooks_conf webhooks_conf;
    struct api_conf api_conf;
    struct facade_conf facade_conf;
    struct ist_httpd_conf http_conf;

    struct admin_home home;
    struct sites *sites;
    struct ist_bus *bus, *bulk;
    struct desk desk;
    char tree_path[PATH_MAX];
    struct ist_tree *tree;
    struct view *view;
    struct events_log *events;
    struct intake *intake;
    struct alarm_engine *alarms;
    struct noc *noc;
    struct webhooks *webhooks;
    struct conditions conditions;
    struct hub_metrics metrics;
    struct ist_process process;
    struct ist_health health;
    struct ist_health_check bus_check, view_check;
    struct ist_notify notify;
    struct api api;
    struct facade facade;
    struct global global;
    struct global_conf global_conf;
    struct facade_keep *tokens, *credentials, *projects, *aliases, *users;
    struct facade_mappings *mappings;

    struct ist_daemon daemon;
    struct ist_timer rescan;
    bool http_closed, intake_closed, bus_closed, bulk_closed, sites_closed;
};

#define HUB_TABLES(h)                                                          \
    {                                                                          \
        {hub_rows, &(h)->conf}, {ist_amqp_rows, &(h)->bus_conf},               \
            {desk_rows, &(h)->desk_conf}, {intake_rows, &(h)->intake_conf},    \
            {events_rows, &(h)->events_conf}, {alarm_rows, &(h)->alarm_conf},  \
            {conditions_rows, &(h)->conditions_conf},                          \
            {webhooks_rows, &(h)->webhooks_conf}, {api_rows, &(h)->api_conf},  \
            {facade_rows, &(h)->facade_conf},                                  \
            {global_rows, &(h)->global_conf},                                  \
            {ist_httpd_rows, &(h)->http_conf},                                 \
    }

static struct ist_start start = {.program = "isthmus-hub",
                                 .fallback = "/etc/isthmus/hub.yaml"};

static int load(struct hub *hub)
{
    const struct ist_conf_table tables[] = HUB_TABLES(hub);
    int rc = ist_start_load(&start, tables, IST_COUNT(tables));

    return rc ? rc : ist_start_log_level(&start, hub->conf.log_level);
}

static void unload(struct hub *hub)
{
    const struct ist_conf_table tables[] = HUB_TABLES(hub);

    ist_conf_free(tables, IST_COUNT(tables));
}

/* Sites */

static void on_site_changed(void *owner, struct sites_site *site,
                            unsigned changes)
{
    struct hub *hub = owner;

    desk_site_changed(&hub->desk, site, changes);
    if (hub->intake)
        intake_site_changed(hub->intake, site, changes);
    facade_mappings_site_changed(hub->mappings, site, changes);
    if (changes & SITES_CHANGE_ADDED)
        ist_log_info("hub", "site %s was added", site->name);
    if (changes & SITES_CHANGE_REMOVED)
        ist_log_info("hub", "site %s was removed", site->name);
    if (changes & SITES_CHANGE_STATE)
        ist_log_info("hub", "site %s is %s", site->name,
                     sites_state_name(site->state));
    if (changes & SITES_CHANGE_RESTART)
        ist_log_info("hub", "the agent of site %s has restarted", site->name);
}

static void on_rescan_due(struct ist_timer *timer)
{
    struct hub *hub = IST_CONTAINER(timer, struct hub, rescan);

    sites_rescan(hub->sites);
    ist_timer_arm_in(timer, &hub->loop, RESCAN_MS, on_rescan_due);
}

/* One that is not sound leaves the old one in force. */
static void reload_roles(struct hub *hub)
{
    struct facade_roles *roles;
    struct ist_err err;

    if (!hub->facade_conf.roles)
        return;
    roles = facade_roles_open(hub->facade_conf.roles, &err);
    if (!roles) {
        ist_log_error("hub", "the old roles stay in force: %s", err.text);
        return;
    }
    facade_roles_free(hub->facade.roles);
    hub->facade.roles = roles;
}

static void reload(void *arg)
{
    struct hub *hub = arg;

    sites_rescan(hub->sites);
    reload_roles(hub);
}

/* The bus */

static void on_up(struct ist_bus *bus)
{
    struct hub *hub = bus->owner;

    ist_log_info("hub", "connected to the bus");
    ist_notify_status(&hub->notify, "Connected to the bus, %zu sites",
                      sites_count(hub->sites));
    sites_listen_anew(hub->sites);
    if (hub->intake)
        intake_up(hub->intake);
    if (hub->noc)
        noc_up(hub->noc);
}

static void on_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct hub *hub = bus->owner;

    ist_log_warn("hub", "lost the bus, trying again: %s", err->text);
    ist_notify_status(&hub->notify, "No connection to the bus, trying again");
    desk_down(&hub->desk, err);
    if (hub->intake)
        intake_down(hub->intake);
}

static void on_blocked(struct ist_bus *bus, bool on)
{
    (void) bus;
    ist_log_warn("hub", on ? "the broker takes no messages at present"
                           : "the broker takes messages again");
}

static void on_bus_closed(struct ist_bus *bus)
{
    ((struct hub *) bus->owner)->bus_closed = true;
}

static void on_drained(struct ist_bus *bus)
{
    struct hub *hub = bus->owner;

    facade_drained(&hub->facade);
}

static void on_bulk_down(struct ist_bus *bus, const struct ist_err *err)
{
    struct hub *hub = bus->owner;

    ist_log_warn("hub", "lost the bus for large bodies, trying again: %s",
                 err->text);
    desk_bulk_down(&hub->desk);
}

static void on_bulk_closed(struct ist_bus *bus)
{
    ((struct hub *) bus->owner)->bulk_closed = true;
}

static const struct ist_bus_events bulk_events = {
    .drained = on_drained,
    .down = on_bulk_down,
    .closed = on_bulk_closed,
};

static const struct ist_bus_events bus_events = {
    .drained = on_drained,
    .up = on_up,
    .down = on_down,
    .blocked = on_blocked,
    .closed = on_bus_closed,
};

/* Going down */

static void on_http_closed(void *arg)
{
    ((struct hub *) arg)->http_closed = true;
}

static void on_intake_closed(void *arg)
{
    ((struct hub *) arg)->intake_closed = true;
}

static void on_sites_closed(void *arg)
{
    ((struct hub *) arg)->sites_closed = true;
}

static bool stop_serving(void *arg)
{
    struct hub *hub = arg;

    ist_notify_stopping(&hub->notify);
    ist_timer_disarm(&hub->rescan);
    hub->api.stopping = true;
    intake_stop(hub->intake);
    desk_down(&hub->desk, NULL);
    return true;
}

static bool requests_over(void *arg)
{
    struct hub *hub = arg;

    if (hub->api.n_open || hub->desk.n_open)
        return false;
    api_close(&hub->api, on_http_closed, hub);
    return true;
}

static bool http_over(void *arg)
{
    struct hub *hub = arg;

    if (!hub->http_closed)
        return false;
    conditions_stop(&hub->conditions);
    alarm_stop(hub->alarms);
    noc_stop(hub->noc);
    webhooks_stop(hub->webhooks);
    facade_keep_stop(hub->tokens);
    facade_keep_stop(hub->credentials);
    facade_keep_stop(hub->projects);
    facade_keep_stop(hub->aliases);
    facade_keep_stop(hub->users);
    intake_close(IST_TAKE(hub->intake), on_intake_closed, hub);
    return true;
}

static bool intake_over(void *arg)
{
    struct hub *hub = arg;

    if (!hub->intake_closed || conditions_busy(&hub->conditions) ||
        alarm_busy(hub->alarms) || noc_busy(hub->noc) ||
        webhooks_busy(hub->webhooks) || events_log_busy(hub->events) ||
        hub->facade.n_logins || facade_keep_busy(hub->tokens) ||
        facade_keep_busy(hub->credentials) || facade_keep_busy(hub->projects) ||
        facade_keep_busy(hub->aliases) || facade_keep_busy(hub->users) ||
        facade_mappings_busy(hub->mappings))
        return false;
    global_fini(&hub->global);
    hub->facade.roles = facade_roles_free(hub->facade.roles);
    hub->facade.passes = facade_passes_free(hub->facade.passes);
    hub->mappings = facade_mappings_free(hub->mappings);
    hub->projects = facade_keep_free(hub->projects);
    hub->aliases = facade_keep_free(hub->aliases);
    hub->users = facade_keep_free(hub->users);
    hub->tokens = facade_keep_free(hub->tokens);
    hub->credentials = facade_keep_free(hub->credentials);
    hub->webhooks = webhooks_free(hub->webhooks);
    hub->noc = noc_free(hub->noc);
    hub->alarms = alarm_free(hub->alarms);
    hub->events = events_log_free(hub->events);
    hub->view = view_free(hub->view);
    hub->tree = ist_tree_free(hub->tree);
    desk_fini(&hub->desk);
    ist_bus_close(hub->bulk);
    ist_bus_close(hub->bus);
    return true;
}

static bool bus_over(void *arg)
{
    struct hub *hub = arg;

    if (!hub->bus_closed || !hub->bulk_closed)
        return false;
    hub->bulk = ist_bus_free(hub->bulk);
    hub->bus = ist_bus_free(hub->bus);
    sites_close(IST_TAKE(hub->sites), on_sites_closed);
    return true;
}

static bool sites_over(void *arg)
{
    return ((struct hub *) arg)->sites_closed;
}

static ist_daemon_stage_fn *const stages[] = {
    stop_serving, requests_over, http_over, intake_over, bus_over, sites_over,
};

/* Coming up */

static int open_home(struct hub *hub, struct ist_err *err)
{
    uint64_t now = ist_loop_wall(&hub->loop);
    int rc = admin_home_open(hub->conf.state, &hub->home, err);

    if (rc == 0)
        rc = ist_keyfile_check(&hub->home.keys, now, err);
    return rc ? rc : ist_keyfile_start(&hub->home.keys, now, err);
}

static int open_sites(struct hub *hub, struct ist_err *err)
{
    hub->sites = sites_new(&hub->loop, hub->home.sites, &hub->home.keys.self,
                           on_site_changed, hub, err);
    if (!hub->sites)
        return err->code;
    ist_timer_arm_in(&hub->rescan, &hub->loop, RESCAN_MS, on_rescan_due);
    return 0;
}

static int open_bus(struct hub *hub, struct ist_err *err)
{
    struct ist_amqp_conf conf = hub->bus_conf;
    char name[64];

    if (!conf.url)
        conf.url = hub->home.bus_url;
    if (!conf.ca)
        conf.ca = hub->home.bus_ca;
    if (!conf.certificate)
        conf.certificate = hub->home.bus_certificate;
    if (!conf.key)
        conf.key = hub->home.bus_key;
    snprintf(name, sizeof(name), "isthmus-hub %s", hub->home.word);
    hub->bus = ist_amqp_new(&hub->loop, &conf, name, &bus_events, hub, err);
    if (!hub->bus)
        return err->code;
    desk_init(&hub->desk, &hub->loop, hub->bus, hub->sites,
              &hub->home.keys.self, hub->home.word, &hub->desk_conf);
    conf.joint = true;
    snprintf(name, sizeof(name), "isthmus-hub %s bulk", hub->home.word);
    hub->bulk = ist_amqp_new(&hub->loop, &conf, name, &bulk_events, hub, err);
    if (!hub->bulk)
        return err->code;
    desk_bulk_init(&hub->desk, hub->bulk);
    return 0;
}

static int name_tree(struct hub *hub, struct ist_err *err)
{
    if ((size_t) snprintf(hub->tree_path, sizeof(hub->tree_path), "%s/hub.db",
                          hub->conf.state) >= sizeof(hub->tree_path))
        return ist_err_set(err, -ENAMETOOLONG, "state: the path is too long");
    return 0;
}

/* What the hub knows, and what keeps it current. */
static int open_view(struct hub *hub, struct ist_err *err)
{
    struct ist_tree_conf conf = {.path = hub->tree_path,
                                 .size_max = hub->conf.view_max,
                                 .maps_max = MAPS_MAX};
    int rc = name_tree(hub, err);

    if (rc)
        return rc;
    hub->tree = ist_tree_open(&hub->loop, &conf, err);
    if (hub->tree)
        hub->view = view_open(hub->tree, err);
    if (hub->view)
        hub->events = events_log_open(hub->tree, &hub->events_conf, err);
    if (hub->events)
        hub->intake = intake_open(&hub->loop, hub->bus, &hub->desk, hub->sites,
                                  &hub->home.keys.self, hub->tree, hub->view,
                                  hub->events, &hub->intake_conf, err);
    return hub->intake ? 0 : err->code;
}

/* What is wrong, and what tells it. */
static int open_alarms(struct hub *hub, struct ist_err *err)
{
    hub->tokens = facade_keep_open(hub->tree, &facade_token_kind, err);
    if (hub->tokens)
        hub->credentials =
            facade_keep_open(hub->tree, &facade_credential_kind, err);
    if (hub->credentials)
        hub->projects = facade_keep_open(hub->tree, &facade_mapping_kind, err);
    if (hub->projects)
        hub->aliases = facade_keep_open(hub->tree, &global_alias_kind, err);
    if (hub->aliases)
        hub->users = facade_keep_open(hub->tree, &facade_user_kind, err);
    if (!hub->users)
        return err->code;
    hub->mappings = facade_mappings_new(&hub->loop, &hub->desk, hub->projects);
    if (!hub->mappings)
        return ist_err_set(err, -ENOMEM, "out of memory");
    hub->alarms = alarm_open(hub->tree, hub->events, &hub->alarm_conf, err);
    if (!hub->alarms)
        return err->code;
    hub->conditions = (struct conditions){
        .loop = &hub->loop,
        .conf = hub->conditions_conf,
        .alarms = hub->alarms,
        .bus = hub->bus,
        .sites = hub->sites,
        .intake = hub->intake,
        .tree = hub->tree,
        .log = hub->events,
        .own = &hub->home.keys.delegation,
        .certificates = {
            {.which = "bus",
             .path = hub->bus_conf.certificate ? hub->bus_conf.certificate
                                               : hub->home.bus_certificate},
            {.which = "http",
             .path = hub->http_conf.certificate ? hub->http_conf.certificate
                                                : hub->home.http_certificate},
        }};
    conditions_start(&hub->conditions);
    return 0;
}

/* Who reads the log for others than us. */
static int open_readers(struct hub *hub, struct ist_err *err)
{
    const struct ist_keyfile *keys = &hub->home.keys;
    const struct noc_signer signer = {
        keys->self.signing_secret, keys->signed_delegation, keys->signed_size};

    hub->noc = noc_open(hub->bus, hub->tree, hub->events, &signer, err);
    if (hub->noc)
        hub->webhooks =
            webhooks_open(hub->tree, hub->events, &hub->webhooks_conf, err);
    return hub->webhooks ? 0 : err->code;
}

static bool is_bus_up(struct ist_health_check *check, char *text)
{
    struct hub *hub = IST_CONTAINER(check, struct hub, bus_check);

    snprintf(text, IST_HEALTH_TEXT_SIZE, "%s",
             hub->bus->is_blocked ? "the broker takes no messages"
             : hub->bus->is_up    ? "connected"
                                  : "no connection");
    return hub->bus->is_up && !hub->bus->is_blocked;
}

static bool is_view_written(struct ist_health_check *check, char *text)
{
    struct hub *hub = IST_CONTAINER(check, struct hub, view_check);
    const char *trouble = hub->intake ? intake_trouble(hub->intake) : "";

    snprintf(text, IST_HEALTH_TEXT_SIZE, "%s", *trouble ? trouble : "written");
    return !*trouble;
}

/* What operators look at. */
static int open_signs(struct hub *hub, struct ist_err *err)
{
    (void) err;
    hub_metrics_init(&hub->metrics, &hub->desk, hub->sites, hub->bus,
                     &hub->api);
    hub_metrics_view(&hub->metrics, hub->tree, hub->view, hub->intake,
                     hub->events);
    hub_metrics_alarms(&hub->metrics, hub->alarms, &hub->conditions);
    hub_metrics_readers(&hub->metrics, hub->noc, hub->webhooks);
    ist_process_init(&hub->process, &hub->metrics.registry);
    ist_health_init(&hub->health);
    hub->bus_check = (struct ist_health_check){.name = "bus", .ok = is_bus_up};
    ist_health_add(&hub->health, &hub->bus_check);
    hub->view_check =
        (struct ist_health_check){.name = "view", .ok = is_view_written};
    ist_health_add(&hub->health, &hub->view_check);
    ist_notify_init(&hub->notify, &hub->loop);
    return 0;
}

static int open_api(struct hub *hub, struct ist_err *err)
{
    struct ist_httpd_conf conf = hub->http_conf;
    int rc;

    if (!conf.certificate)
        conf.certificate = hub->home.http_certificate;
    if (!conf.key)
        conf.key = hub->home.http_key;
    rc = api_open(&hub->api, &hub->loop, &hub->desk, hub->sites,
                  &hub->metrics.registry, &hub->health, &hub->api_conf, &conf,
                  err);
    if (rc == 0)
        api_set_view(&hub->api, hub->view, hub->intake, hub->events);
    api_set_alarms(&hub->api, hub->alarms);
    api_set_webhooks(&hub->api, hub->webhooks);
    facade_init(&hub->facade, &hub->loop, &hub->desk, hub->sites,
                &hub->home.keys.self, &hub->facade_conf);
    if (rc == 0 && hub->facade_conf.passthrough) {
        hub->facade.passes =
            facade_passes_new(&hub->loop, hub->facade_conf.passthrough);
        if (!hub->facade.passes)
            rc = ist_err_set(err, -ENOMEM, "out of memory");
    }
    hub->facade.tokens = hub->tokens;
    hub->facade.credentials = hub->credentials;
    hub->facade.users = hub->users;
    hub->facade.mappings = hub->mappings;
    if (rc == 0 && hub->facade_conf.roles) {
        hub->facade.roles = facade_roles_open(hub->facade_conf.roles, err);
        rc = hub->facade.roles ? 0 : err->code;
    }
    if (rc == 0)
        rc = global_init(&hub->global, &hub->facade, hub->view,
                         &hub->global_conf, err);
    hub->global.aliases = hub->aliases;
    hub->facade.global = global_begin;
    hub->facade.global_arg = &hub->global;
    if (rc == 0)
        api_set_facade(&hub->api, &hub->facade);
    if (rc == 0)
        api_count(&hub->api, &hub->metrics.api_requests,
                  &hub->metrics.api_durations);
    return rc;
}

static int open_all(struct hub *hub, struct ist_err *err)
{
    static int (*const parts[])(struct hub *, struct ist_err *) = {
        open_home,   open_sites,   open_bus,   open_view,
        open_alarms, open_readers, open_signs, open_api,
    };

    for (size_t i = 0; i < IST_COUNT(parts); i++) {
        int rc = parts[i](hub, err);

        if (rc)
            return rc;
    }
    return 0;
}

static int run(struct hub *hub)
{
    struct ist_err err;

    if (ist_loop_init(&hub->loop)) {
        fputs("isthmus-hub: no event loop to be had\n", stderr);
        return 1;
    }
    if (open_all(hub, &err)) {
        ist_log_error("hub", "cannot start: %s", err.text);
        return 1; /* The process ends here, and all it holds. */
    }
    hub->daemon = (struct ist_daemon){.name = "hub",
                                      .stages = stages,
                                      .n_stages = IST_COUNT(stages),
                                      .reload = reload,
                                      .arg = hub};
    ist_daemon_watch(&hub->daemon, &hub->loop);
    ist_log_info("hub",
                 "isthmus-hub " IST_VERSION " knows %zu sites, listens "
                 "on port %u",
                 sites_count(hub->sites), ist_httpd_port(hub->api.httpd));
    ist_notify_ready(&hub->notify, NULL, NULL);
    ist_loop_run(&hub->loop);
    ist_process_fini(&hub->process);
    hub_metrics_fini(&hub->metrics);
    ist_notify_fini(&hub->notify);
    admin_home_close(&hub->home);
    ist_loop_fini(&hub->loop);
    return 0;
}

/* Everything that can be checked without starting. */
static int check(struct hub *hub)
{
    struct ist_err err;

    if (name_tree(hub, &err) ||
        admin_home_open(hub->conf.state, &hub->home, &err)) {
        fprintf(stderr, "isthmus-hub: %s\n", err.text);
        return 1;
    }
    admin_home_close(&hub->home);
    printf("The configuration is sound. View and events are kept in %s.\n",
           hub->tree_path);
    return 0;
}

int hub_command(int argc, char **argv)
{
    static struct hub hub;
    int rc = ist_start_parse(&start, argc, argv);

    if (rc >= 0)
        return rc;
    if (load(&hub))
        return 1;
    rc = start.check ? check(&hub) : run(&hub);
    unload(&hub);
    return rc;
}

int hub_conf_command(int argc, char **argv)
{
    static struct hub hub;
    const struct ist_conf_table tables[] = HUB_TABLES(&hub);

    return ist_start_show(&start, tables, IST_COUNT(tables), argc, argv);
}
