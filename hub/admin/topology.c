/* One table, several readers. Each row of it holds its names as patterns with
 * words to replace; nothing of the layout is known elsewhere. */
#include "admin/topology.h"

#include "base/sb.h"

#include <stdbool.h>
#include <string.h>

/* For whom a row is made. */
enum scope {
    SHARED, /* Once. */
    HUB,    /* For each hub process. */
    SITE,
    NOC,
    RUNTIME, /* By a hub, when it needs it. */
};

static const char *const scope_names[] = {"shared", "hub", "site", "noc",
                                          "run time"};

/* Of a queue. Text or number. */
struct argument {
    const char *name, *text;
    long long number;
};

struct exchange {
    const char *name, *type, *purpose;
};

struct queue {
    enum scope scope;
    const char *name;
    struct argument arguments[9];
    const char *purpose;
};

struct binding {
    enum scope scope;
    const char *exchange, *queue, *key;
};

struct user {
    enum scope scope;
    const char *name, *configure, *write, *read;
    int connections, channels;
    const char *purpose;
};

/* On the exchanges where many write, who may use which keys. {username} is
 * the broker's own word. */
struct topic {
    enum scope scope;
    const char *exchange, *write, *read;
};

#define MIB  (1024LL * 1024)
#define GIB  (1024 * MIB)
#define WEEK (7LL * 24 * 3600 * 1000)

#define REFUSE_WHEN_FULL                                                       \
    {                                                                          \
        "x-overflow", "reject-publish", 0                                      \
    }
/* What cannot be delivered is not lost: it lies in dead.cmd. */
#define QUORUM_WITH_DEAD_LETTERS                                               \
    {"x-queue-type", "quorum", 0}, {"x-delivery-limit", NULL, 5},              \
        {"x-dead-letter-exchange", "x.dead", 0},                               \
    {                                                                          \
        "x-dead-letter-strategy", "at-least-once", 0                           \
    }
#define STREAM                                                                 \
    {"x-queue-type", "stream", 0}, {"x-max-age", "24h", 0},                    \
        {"x-max-length-bytes", NULL, 2 * GIB},                                 \
    {                                                                          \
        "x-stream-max-segment-size-bytes", NULL, 50 * MIB                      \
    }

static const struct exchange exchanges[] = {
    {"x.req", "topic", "queries to sites"},
    {"x.cmd", "direct", "commands to sites"},
    {"x.rep", "topic", "answers and results to hubs"},
    {"x.evt", "topic", "events and presence of sites"},
    {"x.noc", "topic", "what hubs publish for the NOC"},
    {"x.dead", "fanout", "commands that could not be delivered"},
};

static const struct queue queues[] = {
    {SHARED,
     "hub.res",
     {QUORUM_WITH_DEAD_LETTERS,
      {"x-max-length", NULL, 100000},
      {"x-max-length-bytes", NULL, 256 * MIB},
      REFUSE_WHEN_FULL},
     "results of commands, for all hubs"},
    {SHARED,
     "dead.cmd",
     {{"x-queue-type", "quorum", 0},
      {"x-message-ttl", NULL, WEEK},
      {"x-max-length", NULL, 100000}},
     "dead letters: an alarm when it is not empty"},
    {SHARED, "evt.stream", {STREAM}, "events of all sites, read by offset"},
    {SHARED, "noc.stream", {STREAM}, "what NOC consoles read"},
    {SITE,
     "site.<s>.req",
     {{"x-message-ttl", NULL, 30000},
      {"x-max-length", NULL, 2000},
      REFUSE_WHEN_FULL},
     "queries to that site"},
    {SITE,
     "site.<s>.cmd",
     {QUORUM_WITH_DEAD_LETTERS,
      {"x-single-active-consumer", "true", 0},
      {"x-max-length", NULL, 10000},
      {"x-max-length-bytes", NULL, 64 * MIB},
      REFUSE_WHEN_FULL},
     "commands to that site"},
    {SITE,
     "site.<s>.bulk",
     {{"x-message-ttl", NULL, 60000},
      {"x-max-length", NULL, 2000},
      {"x-max-length-bytes", NULL, 256 * MIB},
      REFUSE_WHEN_FULL},
     "large bodies, to that site"},
    {RUNTIME,
     "hub.<h>.<n>.rep",
     {{NULL, NULL, 0}},
     "answers to one connection of a hub"},
    {RUNTIME,
     "hub.<h>.<n>.alive",
     {{"x-message-ttl", NULL, 15000}, {"x-max-length", NULL, 20000}},
     "presence of sites"},
    {RUNTIME,
     "hub.<h>.<n>.bulk",
     {{NULL, NULL, 0}},
     "large bodies, to one connection of a hub"},
};

static const struct binding bindings[] = {
    {SHARED, "x.rep", "hub.res", "res.*"},
    {SHARED, "x.evt", "evt.stream", "*.*.*.#"}, /* Presence is two words. */
    {SHARED, "x.noc", "noc.stream", "#"},
    {SHARED, "x.dead", "dead.cmd", ""},
    {SITE, "x.req", "site.<s>.req", "site.<s>"},
    {SITE, "x.cmd", "site.<s>.cmd", "<s>"},
    {SITE, "x.req", "site.<s>.bulk", "bulk.<s>"},
    {RUNTIME, "x.rep", "hub.<h>.<n>.rep", "<h>-<n>.*"},
    {RUNTIME, "x.evt", "hub.<h>.<n>.alive", "*.alive"},
    {RUNTIME, "x.rep", "hub.<h>.<n>.bulk", "<h>-<n>b.*"},
};

/* Nobody has the default exchange: with it one may write to every queue. */
#define HUB_OWN "hub\\.<h>\\.[a-z0-9.-]+"

static const struct user users[] = {
    {HUB, "hub-<h>", "^" HUB_OWN "$", "^(x\\.(req|cmd|noc)|" HUB_OWN ")$",
     "^(x\\.(rep|evt)|evt\\.stream|dead\\.cmd|hub\\.res|" HUB_OWN ")$", 64, 512,
     "a hub process"},
    {SITE, "<s>", "^$", "^x\\.(rep|evt)$", "^site\\.<s>\\.(req|cmd|bulk)$", 6,
     16, "a site's agent"},
    {NOC, "noc-<noc>", "^$", "^$", "^noc\\.stream$", 6, 16, "a NOC console"},
};

static const struct topic topics[] = {
    {SITE, "x.rep", "^[a-z0-9-]+\\.{username}$", "^$"},
    {SITE, "x.evt", "^{username}\\.", "^$"},
};

/* Patterns */

/* The word that is replaced by a name of that scope; NULL: none. */
static const char *word_of(enum scope scope)
{
    static const char *const words[] = {NULL, "<h>", "<s>", "<noc>", NULL};

    return words[scope];
}

/* A pattern with its word replaced. NULL 'name' leaves it. */
static json_t *filled(const char *pattern, enum scope scope, const char *name)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    const char *word = name ? word_of(scope) : NULL, *at;

    ist_sb_init(&text, 4096);
    while (word && (at = strstr(pattern, word)) != NULL) {
        ist_sb_add(&text, pattern, (size_t) (at - pattern));
        ist_sb_puts(&text, name);
        pattern = at + strlen(word);
    }
    ist_sb_puts(&text, pattern);
    return text.rc ? NULL : json_string(ist_sb_text(&text));
}

/* Rows as JSON, in RabbitMQ's form. All give new references, or NULL. */

static json_t *arguments_json(const struct argument *arguments)
{
    json_t *all = json_object();

    for (; arguments->name; arguments++) {
        json_t *value = !arguments->text ? json_integer(arguments->number)
                        : strcmp(arguments->text, "true") == 0
                            ? json_true()
                            : json_string(arguments->text);

        if (json_object_set_new(all, arguments->name, value) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static json_t *exchange_json(const struct exchange *row)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:{}}", "name", row->name,
                     "vhost", TOPOLOGY_VHOST, "type", row->type, "durable", 1,
                     "auto_delete", 0, "internal", 0, "arguments");
}

static json_t *queue_json(const struct queue *row, const char *name)
{
    return json_pack("{s:o, s:s, s:b, s:b, s:o}", "name",
                     filled(row->name, row->scope, name), "vhost",
                     TOPOLOGY_VHOST, "durable", 1, "auto_delete", 0,
                     "arguments", arguments_json(row->arguments));
}

static json_t *binding_json(const struct binding *row, const char *name)
{
    return json_pack("{s:s, s:s, s:o, s:s, s:o, s:{}}", "source", row->exchange,
                     "vhost", TOPOLOGY_VHOST, "destination",
                     filled(row->queue, row->scope, name), "destination_type",
                     "queue", "routing_key", filled(row->key, row->scope, name),
                     "arguments");
}

static json_t *user_json(const struct user *row, const char *name)
{
    /* No password: only a certificate lets it in. */
    return json_pack("{s:o, s:s, s:s, s:[], s:{s:i, s:i}}", "name",
                     filled(row->name, row->scope, name), "password_hash", "",
                     "hashing_algorithm", "rabbit_password_hashing_sha256",
                     "tags", "limits", "max-connections", row->connections,
                     "max-channels", row->channels);
}

static json_t *permission_json(const struct user *row, const char *name)
{
    return json_pack("{s:o, s:s, s:o, s:o, s:o}", "user",
                     filled(row->name, row->scope, name), "vhost",
                     TOPOLOGY_VHOST, "configure",
                     filled(row->configure, row->scope, name), "write",
                     filled(row->write, row->scope, name), "read",
                     filled(row->read, row->scope, name));
}

static json_t *topic_json(const struct topic *row, const struct user *user,
                          const char *name)
{
    return json_pack("{s:o, s:s, s:s, s:s, s:s}", "user",
                     filled(user->name, user->scope, name), "vhost",
                     TOPOLOGY_VHOST, "exchange", row->exchange, "write",
                     row->write, "read", row->read);
}

/* Definitions */

/* Appends to a member of 'all' that is an array, made when missing. Steals
 * 'value'. */
static bool add(json_t *all, const char *member, json_t *value)
{
    json_t *list = json_object_get(all, member);

    if (!list) {
        list = json_array();
        if (json_object_set_new(all, member, list) != 0) {
            json_decref(value);
            return false;
        }
    }
    return json_array_append_new(list, value) == 0;
}

/* All rows of a scope for one name (NULL for SHARED). */
static bool add_scope(json_t *all, enum scope scope, const char *name)
{
    bool ok = true;

    for (size_t i = 0; i < IST_COUNT(users); i++) {
        if (users[i].scope != scope)
            continue;
        ok = add(all, "users", user_json(&users[i], name)) && ok;
        ok = add(all, "permissions", permission_json(&users[i], name)) && ok;
        for (size_t j = 0; j < IST_COUNT(topics); j++) {
            if (topics[j].scope == scope)
                ok = add(all, "topic_permissions",
                         topic_json(&topics[j], &users[i], name)) &&
                     ok;
        }
    }
    for (size_t i = 0; i < IST_COUNT(queues); i++) {
        if (queues[i].scope == scope)
            ok = add(all, "queues", queue_json(&queues[i], name)) && ok;
    }
    for (size_t i = 0; i < IST_COUNT(bindings); i++) {
        if (bindings[i].scope == scope)
            ok = add(all, "bindings", binding_json(&bindings[i], name)) && ok;
    }
    return ok;
}

static bool add_exchanges(json_t *all, bool with_purpose)
{
    bool ok = true;

    for (size_t i = 0; i < IST_COUNT(exchanges); i++) {
        json_t *row = exchange_json(&exchanges[i]);

        if (with_purpose)
            ok = json_object_set_new(row, "purpose",
                                     json_string(exchanges[i].purpose)) == 0 &&
                 ok;
        ok = add(all, "exchanges", row) && ok;
    }
    return ok;
}

static bool add_names(json_t *all, enum scope scope, const char *const *names,
                      size_t n)
{
    bool ok = true;

    for (size_t i = 0; i < n; i++)
        ok = add_scope(all, scope, names[i]) && ok;
    return ok;
}

static json_t *checked(json_t *all, bool ok)
{
    if (!ok) {
        json_decref(all);
        return NULL;
    }
    return all;
}

json_t *topology_definitions(const struct topology_names *names, bool shared)
{
    json_t *all = json_object();
    bool ok = true;

    if (shared) {
        ok = add(all, "vhosts", json_pack("{s:s}", "name", TOPOLOGY_VHOST));
        ok = add_exchanges(all, false) && ok;
        ok = add_scope(all, SHARED, NULL) && ok;
    }
    ok = add_names(all, HUB, names->hubs, names->n_hubs) && ok;
    ok = add_names(all, SITE, names->sites, names->n_sites) && ok;
    ok = add_names(all, NOC, names->nocs, names->n_nocs) && ok;
    return checked(all, ok);
}

/* The table */

static bool annotate(json_t *row, enum scope scope, const char *purpose)
{
    return json_object_set_new(row, "for", json_string(scope_names[scope])) ==
               0 &&
           (!purpose ||
            json_object_set_new(row, "purpose", json_string(purpose)) == 0);
}

static bool add_queue_rows(json_t *all)
{
    bool ok = true;

    for (size_t i = 0; i < IST_COUNT(queues); i++) {
        json_t *row = queue_json(&queues[i], NULL);

        if (queues[i].scope == RUNTIME)
            ok = json_object_set_new(row, "durable", json_false()) == 0 && ok;
        ok = annotate(row, queues[i].scope, queues[i].purpose) && ok;
        ok = add(all, "queues", row) && ok;
    }
    for (size_t i = 0; i < IST_COUNT(bindings); i++) {
        json_t *row = binding_json(&bindings[i], NULL);

        ok = annotate(row, bindings[i].scope, NULL) && ok;
        ok = add(all, "bindings", row) && ok;
    }
    return ok;
}

static bool add_user_rows(json_t *all)
{
    bool ok = true;

    for (size_t i = 0; i < IST_COUNT(users); i++) {
        json_t *row = permission_json(&users[i], NULL);

        ok = annotate(row, users[i].scope, users[i].purpose) && ok;
        ok = json_object_set_new(row, "limits",
                                 json_pack("{s:i, s:i}", "max-connections",
                                           users[i].connections, "max-channels",
                                           users[i].channels)) == 0 &&
             ok;
        ok = add(all, "permissions", row) && ok;
        for (size_t j = 0; j < IST_COUNT(topics); j++) {
            if (topics[j].scope == users[i].scope)
                ok = add(all, "topic_permissions",
                         topic_json(&topics[j], &users[i], NULL)) &&
                     ok;
        }
    }
    return ok;
}

json_t *topology_table(void)
{
    json_t *all = json_pack("{s:s}", "vhost", TOPOLOGY_VHOST);
    bool ok = add_exchanges(all, true);

    ok = add_queue_rows(all) && ok;
    ok = add_user_rows(all) && ok;
    return checked(all, ok);
}
