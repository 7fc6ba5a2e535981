#include "conf/clouds.h"

#include "conf/file.h"
#include "conf/yaml.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A text member: where the file has it, and where it goes. */
struct field {
    const char *section; /* "auth" or NULL for the entry itself. */
    const char *name;
    size_t offset;
    bool secret;
};

#define FIELD(section, name, secret)                                           \
    {                                                                          \
        section, #name, offsetof(struct ist_cloud_entry, name), secret         \
    }

static const struct field fields[] = {
    FIELD("auth", auth_url, false),
    FIELD("auth", username, false),
    FIELD("auth", user_id, false),
    FIELD("auth", password, true),
    FIELD("auth", user_domain_name, false),
    FIELD("auth", user_domain_id, false),
    FIELD("auth", project_name, false),
    FIELD("auth", project_id, false),
    FIELD("auth", project_domain_name, false),
    FIELD("auth", project_domain_id, false),
    FIELD("auth", application_credential_id, false),
    FIELD("auth", application_credential_name, false),
    FIELD("auth", application_credential_secret, true),
    FIELD("auth", token, true),
    FIELD(NULL, region_name, false),
    FIELD(NULL, interface, false),
    FIELD(NULL, cacert, false),
};

/* clouds.yaml and the secure.yaml over it. */
struct source {
    char *path;
    struct ist_sb bytes;
    struct ist_yaml tree;
    const struct ist_yaml_node *entry; /* Borrowed from the tree. */
    unsigned mode;
};

static char **text_at(struct ist_cloud_entry *entry, const struct field *f)
{
    return (char **) (void *) ((char *) entry + f->offset);
}

void ist_cloud_entry_fini(struct ist_cloud_entry *entry)
{
    for (size_t i = 0; i < IST_COUNT(fields); i++) {
        char **text = text_at(entry, &fields[i]);

        *text = ist_conf_secret_free(*text);
    }
    free(entry->name);
    *entry = (struct ist_cloud_entry){.name = NULL};
}

int ist_cloud_entry_copy(const struct ist_cloud_entry *from,
                         struct ist_cloud_entry *ret)
{
    struct ist_cloud_entry source = *from;
    bool is_whole = true;

    *ret = (struct ist_cloud_entry){.auth = from->auth,
                                    .insecure = from->insecure,
                                    .exposed = from->exposed};
    ret->name = strdup(from->name);
    for (size_t i = 0; i < IST_COUNT(fields); i++) {
        const char *text = *text_at(&source, &fields[i]);
        char **copy = text_at(ret, &fields[i]);

        *copy = text ? strdup(text) : NULL;
        is_whole &= !text || *copy;
    }
    if (ret->name && is_whole)
        return 0;
    ist_cloud_entry_fini(ret);
    return -ENOMEM;
}

static void source_fini(struct source *source)
{
    free(source->path);
    if (source->bytes.data)
        explicit_bzero(source->bytes.data, source->bytes.size);
    ist_sb_fini(&source->bytes);
    ist_yaml_fini(&source->tree);
}

/* --- Where the files are --- */

static bool readable(char *path)
{
    return path && access(path, R_OK) == 0;
}

/* "stem.yaml" or "stem.yml" in the directory, which ends in a slash. */
static char *in_directory(const char *dir, const char *stem)
{
    static const char *const endings[] = {"yaml", "yml"};

    for (size_t i = 0; i < IST_COUNT(endings); i++) {
        char *path;

        if (asprintf(&path, "%s%s.%s", dir, stem, endings[i]) < 0)
            return NULL;
        if (readable(path))
            return path;
        free(path);
    }
    return NULL;
}

static char *search(const char *stem)
{
    const char *home = getenv("HOME");
    char *found = in_directory("./", stem), *dir;

    if (!found && home && asprintf(&dir, "%s/.config/openstack/", home) >= 0) {
        found = in_directory(dir, stem);
        free(dir);
    }
    return found ? found : in_directory("/etc/openstack/", stem);
}

static char *find_clouds(const char *path)
{
    const char *named = getenv("OS_CLIENT_CONFIG_FILE");

    if (path)
        return strdup(path);
    return named && *named ? strdup(named) : search("clouds");
}

/* Beside clouds.yaml first, so that a configuration in a directory of its own
 * is whole without the search. */
static char *find_secure(const char *clouds_path)
{
    char *dir = ist_conf_path(clouds_path, "./"), *found;

    if (!dir)
        return NULL;
    found = in_directory(dir, "secure");
    free(dir);
    return found ? found : search("secure");
}

/* --- Reading --- */

static int source_load(struct source *source, struct ist_err *err)
{
    struct ist_conf_report report;
    int rc = ist_conf_read(source->path, IST_CONF_FILE_MAX, &source->bytes,
                           &source->mode, err);

    if (rc)
        return rc;
    ist_conf_report_init(&report);
    report.path = source->path;
    ist_yaml_parse(&source->tree, ist_sb_text(&source->bytes),
                   source->bytes.len, IST_YAML_ALIASES, &report);
    rc = ist_conf_verdict(&report, err);
    ist_conf_report_fini(&report);
    return rc;
}

static int no_cloud(const struct source *source, const char *cloud,
                    const struct ist_yaml_node *clouds, struct ist_err *err)
{
    char quote[IST_CONF_QUOTE_SIZE];
    struct ist_conf_near near;

    if (!cloud)
        return ist_err_set(err, -EINVAL,
                           "%s: has more than one cloud; say which",
                           source->path);
    ist_conf_near_init(&near, cloud);
    for (const struct ist_yaml_link *l = clouds->first; l; l = l->next)
        ist_conf_near_try(&near, l->key);
    return ist_err_set(err, -ENOENT, "%s: no cloud named %s%s%s%s",
                       source->path, ist_conf_quote(cloud, quote),
                       near.best ? "; is it " : "", near.best ? near.best : "",
                       near.best ? "?" : "");
}

static int find_entry(struct source *source, const char *cloud,
                      const char **ret_name, struct ist_err *err)
{
    const struct ist_yaml_node *clouds =
        ist_yaml_get(source->tree.root, "clouds");

    if (!clouds || clouds->type != IST_YAML_MAP || !clouds->first)
        return ist_err_set(err, -EINVAL, "%s: has no map named clouds",
                           source->path);
    for (const struct ist_yaml_link *l = clouds->first; l; l = l->next) {
        bool only = !cloud && !clouds->first->next;

        if (!only && (!cloud || strcmp(l->key, cloud) != 0))
            continue;
        if (l->node->type != IST_YAML_MAP)
            return ist_err_set(err, -EINVAL, "%s:%u: must be a map",
                               source->path, l->line);
        source->entry = l->node;
        *ret_name = l->key;
        return 0;
    }
    return no_cloud(source, cloud, clouds, err);
}

static const struct ist_yaml_node *member(const struct source *source,
                                          const char *section, const char *name)
{
    const struct ist_yaml_node *map = source->entry;
    const struct ist_yaml_node *node;

    if (!map)
        return NULL;
    if (section)
        map = ist_yaml_get(map, section);
    node = ist_yaml_get(map, name);
    return node && !ist_yaml_is_empty(node) ? node : NULL;
}

/* The value of secure.yaml, else that of clouds.yaml. */
static int text_of(const struct source *clouds, const struct source *secure,
                   const struct field *f, const char **ret, struct ist_err *err)
{
    const struct source *source = secure;
    const struct ist_yaml_node *node = member(secure, f->section, f->name);

    if (!node) {
        source = clouds;
        node = member(clouds, f->section, f->name);
    }
    *ret = NULL;
    if (!node)
        return 0;
    if (node->type != IST_YAML_SCALAR)
        return ist_err_set(err, -EINVAL, "%s:%u: %s: must be one value",
                           source->path, node->line, f->name);
    *ret = node->text;
    return 0;
}

static int fill(const struct source *clouds, const struct source *secure,
                struct ist_cloud_entry *entry, struct ist_err *err)
{
    for (size_t i = 0; i < IST_COUNT(fields); i++) {
        const struct field *f = &fields[i];
        const char *text;
        int rc = text_of(clouds, secure, f, &text, err);

        if (rc)
            return rc;
        if (!text)
            continue;
        *text_at(entry, f) = strdup(text);
        if (!*text_at(entry, f))
            return ist_err_set(err, -ENOMEM, "out of memory");
        if (f->secret && member(clouds, f->section, f->name) &&
            (clouds->mode & 04))
            entry->exposed = true;
        if (f->secret && member(secure, f->section, f->name) &&
            (secure->mode & 04))
            entry->exposed = true;
    }
    return 0;
}

/* --- What the words mean --- */

static int fill_auth_type(const struct source *clouds,
                          const struct source *secure,
                          struct ist_cloud_entry *entry, struct ist_err *err)
{
    static const struct {
        const char *word;
        enum ist_cloud_auth auth;
    } words[] = {
        {"password", IST_CLOUD_PASSWORD},
        {"v3password", IST_CLOUD_PASSWORD},
        {"v3applicationcredential", IST_CLOUD_APPLICATION_CREDENTIAL},
        {"token", IST_CLOUD_TOKEN},
        {"v3token", IST_CLOUD_TOKEN},
    };
    const struct field type = {NULL, "auth_type", 0, false};
    char quote[IST_CONF_QUOTE_SIZE];
    const char *word;
    int rc = text_of(clouds, secure, &type, &word, err);

    if (rc)
        return rc;
    if (!word) {
        entry->auth = entry->application_credential_secret
                          ? IST_CLOUD_APPLICATION_CREDENTIAL
                      : entry->token && !entry->password ? IST_CLOUD_TOKEN
                                                         : IST_CLOUD_PASSWORD;
        return 0;
    }
    for (size_t i = 0; i < IST_COUNT(words); i++) {
        if (strcmp(words[i].word, word) == 0) {
            entry->auth = words[i].auth;
            return 0;
        }
    }
    return ist_err_set(err, -EINVAL,
                       "%s: cloud %s: auth_type %s is not one of password, "
                       "v3password, v3applicationcredential, token",
                       clouds->path, entry->name, ist_conf_quote(word, quote));
}

/* YAML 1.1 has many words for it; OpenStack clients take them all. */
static bool is_false(const char *word)
{
    static const char *const words[] = {"false", "no", "off", "0", "f", "n"};

    for (size_t i = 0; i < IST_COUNT(words); i++) {
        if (strcasecmp(words[i], word) == 0)
            return true;
    }
    return false;
}

static int fill_verify(const struct source *clouds, const struct source *secure,
                       struct ist_cloud_entry *entry, struct ist_err *err)
{
    const struct field verify = {NULL, "verify", 0, false};
    const struct field insecure = {NULL, "insecure", 0, false};
    const char *word;
    int rc = text_of(clouds, secure, &verify, &word, err);

    if (rc)
        return rc;
    if (word) {
        entry->insecure = is_false(word);
        return 0;
    }
    rc = text_of(clouds, secure, &insecure, &word, err);
    entry->insecure = rc == 0 && word && !is_false(word);
    return rc;
}

static int fill_interface(const struct source *clouds,
                          struct ist_cloud_entry *entry, struct ist_err *err)
{
    static const char *const words[] = {"public", "internal", "admin"};
    char quote[IST_CONF_QUOTE_SIZE];
    size_t len;

    if (!entry->interface) {
        const struct ist_yaml_node *old = member(clouds, NULL, "endpoint_type");
        bool text = old && old->type == IST_YAML_SCALAR;

        entry->interface = strdup(text ? old->text : "public");
        if (!entry->interface)
            return ist_err_set(err, -ENOMEM, "out of memory");
    }
    /* The old spelling: "publicURL". */
    len = strlen(entry->interface);
    if (len > 3 && strcmp(entry->interface + len - 3, "URL") == 0)
        entry->interface[len - 3] = '\0';
    for (size_t i = 0; i < IST_COUNT(words); i++) {
        if (strcmp(words[i], entry->interface) == 0)
            return 0;
    }
    return ist_err_set(err, -EINVAL,
                       "%s: cloud %s: interface %s is not one of public, "
                       "internal, admin",
                       clouds->path, entry->name,
                       ist_conf_quote(entry->interface, quote));
}

static const char *missing(const struct ist_cloud_entry *e)
{
    if (!e->auth_url)
        return "auth_url";
    switch (e->auth) {
    case IST_CLOUD_APPLICATION_CREDENTIAL:
        if (!e->application_credential_secret)
            return "application_credential_secret";
        if (e->application_credential_id)
            return NULL;
        if (!e->application_credential_name)
            return "application_credential_id";
        return e->user_id || e->username ? NULL : "username";
    case IST_CLOUD_TOKEN:
        return e->token ? NULL : "token";
    default:
        if (!e->username && !e->user_id)
            return "username";
        return e->password ? NULL : "password";
    }
}

static int check(const struct source *clouds, const struct ist_cloud_entry *e,
                 struct ist_err *err)
{
    const char *name = missing(e);

    if (name)
        return ist_err_set(err, -EINVAL, "%s: cloud %s: auth has no %s",
                           clouds->path, e->name, name);
    if (strncmp(e->auth_url, "http://", 7) != 0 &&
        strncmp(e->auth_url, "https://", 8) != 0)
        return ist_err_set(err, -EINVAL,
                           "%s: cloud %s: auth_url must begin with http:// or "
                           "https://",
                           clouds->path, e->name);
    return 0;
}

/* A relative cacert counts from the file, not from where we run. */
static int fill_cacert(const struct source *clouds,
                       struct ist_cloud_entry *entry, struct ist_err *err)
{
    char *path;

    if (!entry->cacert)
        return 0;
    path = ist_conf_path(clouds->path, entry->cacert);
    if (!path)
        return ist_err_set(err, -ENOMEM, "out of memory");
    free(entry->cacert);
    entry->cacert = path;
    return 0;
}

static int load_entry(struct source *clouds, struct source *secure,
                      const char *cloud, struct ist_cloud_entry *entry,
                      struct ist_err *err)
{
    const char *name = NULL;
    int rc = source_load(clouds, err);

    if (rc == 0)
        rc = find_entry(clouds, cloud, &name, err);
    if (rc)
        return rc;
    entry->name = strdup(name);
    if (!entry->name)
        return ist_err_set(err, -ENOMEM, "out of memory");
    secure->path = find_secure(clouds->path);
    if (secure->path) {
        rc = source_load(secure, err);
        if (rc)
            return rc;
        secure->entry =
            ist_yaml_get(ist_yaml_get(secure->tree.root, "clouds"), name);
    }
    rc = fill(clouds, secure, entry, err);
    if (rc == 0)
        rc = fill_auth_type(clouds, secure, entry, err);
    if (rc == 0)
        rc = fill_verify(clouds, secure, entry, err);
    if (rc == 0)
        rc = fill_interface(clouds, entry, err);
    if (rc == 0)
        rc = fill_cacert(clouds, entry, err);
    return rc ? rc : check(clouds, entry, err);
}

int ist_clouds_load(const char *path, const char *cloud,
                    struct ist_cloud_entry *ret, struct ist_err *err)
{
    IST_CLEANUP(source_fini) struct source clouds = {.path = NULL};
    IST_CLEANUP(source_fini) struct source secure = {.path = NULL};
    IST_CLEANUP(ist_cloud_entry_fini)
    struct ist_cloud_entry entry = {.name = NULL};
    int rc;

    ist_sb_init(&clouds.bytes, 0);
    ist_sb_init(&secure.bytes, 0);
    clouds.path = find_clouds(path);
    if (!clouds.path)
        return ist_err_set(err, -ENOENT,
                           "no clouds.yaml in ., ~/.config/openstack or "
                           "/etc/openstack");
    rc = load_entry(&clouds, &secure, cloud, &entry, err);
    if (rc)
        return rc;
    *ret = entry;
    entry = (struct ist_cloud_entry){.name = NULL};
    return 0;
}
