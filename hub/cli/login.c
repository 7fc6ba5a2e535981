#include "cli/login.h"

#include "base/clock.h"
#include "cli/say.h"
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVED_MAX 16384
#define IDENTITY  "/identity"

/* --- What was kept --- */

/* ~/.config/isthmus/login.json, or where XDG says. False: no home. */
static bool saved_path(char *ret, size_t size, bool make)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int n = config && *config ? snprintf(ret, size, "%s", config)
            : home && *home   ? snprintf(ret, size, "%s/.config", home)
                              : -1;

    if (n < 0 || (size_t) n + 32 > size)
        return false;
    if (make)
        mkdir(ret, 0700);
    strlcat(ret, "/isthmus", size);
    if (make)
        mkdir(ret, 0700);
    strlcat(ret, "/login.json", size);
    return true;
}

static char *member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? strdup(text) : NULL;
}

static bool is_over(const char *expires_at)
{
    uint64_t until;

    return !expires_at || !ist_clock_parse(expires_at, &until) ||
           until <= ist_clock_wall_ms();
}

int cli_saved_load(struct cli_saved *ret)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb text;
    char path[512];
    struct ist_err err;
    json_t *object;

    *ret = (struct cli_saved){0};
    ist_sb_init(&text, SAVED_MAX);
    if (!saved_path(path, sizeof(path), false) || access(path, F_OK))
        return CLI_OK;
    if (ist_conf_read(path, SAVED_MAX, &text, NULL, &err))
        return cli_fail(CLI_USAGE, "%s", err.text);
    object =
        json_loadb(ist_sb_text(&text), text.len, JSON_REJECT_DUPLICATES, NULL);
    explicit_bzero(text.data, text.size);
    *ret = (struct cli_saved){member(object, "url"), member(object, "cacert"),
                              member(object, "token"),
                              member(object, "expires_at")};
    json_decref(object);
    if (!ret->url || !ret->token || is_over(ret->expires_at))
        cli_saved_fini(ret);
    return CLI_OK;
}

void cli_saved_fini(struct cli_saved *saved)
{
    if (saved->token)
        explicit_bzero(saved->token, strlen(saved->token));
    free(saved->url);
    free(saved->cacert);
    free(saved->token);
    free(saved->expires_at);
    *saved = (struct cli_saved){0};
}

static int save(const struct cli_hub *hub, const char *cacert,
                const char *expires_at)
{
    char path[512], real[PATH_MAX];
    json_t *object;
    int fd, rc;

    if (!saved_path(path, sizeof(path), true))
        return cli_fail(CLI_FAILED, "there is no HOME to keep the login in");
    if (cacert && !realpath(cacert, real))
        return cli_fail(CLI_USAGE, "%s: %s", cacert, strerror(errno));
    object = json_pack("{s:s, s:s*, s:s, s:s}", "url", hub->base, "cacert",
                       cacert ? real : NULL, "token", hub->token, "expires_at",
                       expires_at);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    rc = fd < 0 || !object || json_dumpfd(object, fd, JSON_INDENT(2));
    if (fd >= 0 && close(fd))
        rc = -1;
    json_decref(object);
    return rc ? cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno)) : CLI_OK;
}

/* --- The account --- */

static const struct {
    const char *name;
    size_t at; /* Of a char * in the entry. */
} variables[] = {
    {"OS_USERNAME", offsetof(struct ist_cloud_entry, username)},
    {"OS_USER_ID", offsetof(struct ist_cloud_entry, user_id)},
    {"OS_PASSWORD", offsetof(struct ist_cloud_entry, password)},
    {"OS_USER_DOMAIN_NAME", offsetof(struct ist_cloud_entry, user_domain_name)},
    {"OS_USER_DOMAIN_ID", offsetof(struct ist_cloud_entry, user_domain_id)},
    {"OS_PROJECT_NAME", offsetof(struct ist_cloud_entry, project_name)},
    {"OS_PROJECT_ID", offsetof(struct ist_cloud_entry, project_id)},
    {"OS_PROJECT_DOMAIN_NAME",
     offsetof(struct ist_cloud_entry, project_domain_name)},
    {"OS_PROJECT_DOMAIN_ID",
     offsetof(struct ist_cloud_entry, project_domain_id)},
    {"OS_APPLICATION_CREDENTIAL_ID",
     offsetof(struct ist_cloud_entry, application_credential_id)},
    {"OS_APPLICATION_CREDENTIAL_SECRET",
     offsetof(struct ist_cloud_entry, application_credential_secret)},
    {"OS_CACERT", offsetof(struct ist_cloud_entry, cacert)},
    {"OS_AUTH_URL", offsetof(struct ist_cloud_entry, auth_url)},
};

static int take_variables(struct ist_cloud_entry *ret)
{
    for (size_t i = 0; i < IST_COUNT(variables); i++) {
        const char *text = getenv(variables[i].name);

        if (text && *text)
            *(char **) ((char *) ret + variables[i].at) = strdup(text);
    }
    if (ret->application_credential_id)
        ret->auth = IST_CLOUD_APPLICATION_CREDENTIAL;
    else if (!ret->password || !(ret->username || ret->user_id))
        return cli_fail(CLI_USAGE, "OS_AUTH_URL is set, but not who you are: "
                                   "OS_USERNAME, OS_PASSWORD, "
                                   "OS_USER_DOMAIN_NAME");
    return CLI_OK;
}

int cli_account_find(struct ist_cloud_entry *ret, bool *ret_found)
{
    const char *cloud = getenv("OS_CLOUD"), *url = getenv("OS_AUTH_URL");
    struct ist_err err;

    *ret = (struct ist_cloud_entry){0};
    *ret_found = (cloud && *cloud) || (url && *url);
    if (cloud && *cloud)
        return ist_clouds_load(NULL, cloud, ret, &err)
                   ? cli_fail(CLI_USAGE, "%s", err.text)
                   : CLI_OK;
    return *ret_found ? take_variables(ret) : CLI_OK;
}

char *cli_account_base(const struct ist_cloud_entry *account)
{
    const char *end = strstr(account->auth_url, IDENTITY);

    return end ? strndup(account->auth_url, (size_t) (end - account->auth_url))
               : strdup(account->auth_url);
}

/* --- Logging in --- */

/* {"id": ...} or {"name": ..., "domain": ...}; NULL: neither is known. */
static json_t *named(const char *id, const char *name, const char *domain_id,
                     const char *domain_name)
{
    if (id)
        return json_pack("{s:s}", "id", id);
    if (!name)
        return NULL;
    return json_pack("{s:s, s:o*}", "name", name, "domain",
                     domain_id || domain_name
                         ? json_pack("{s:s}", domain_id ? "id" : "name",
                                     domain_id ? domain_id : domain_name)
                         : NULL);
}

/* Keystone's API reference, "password authentication with scoped
 * authorization" and "authenticating with an application credential". */
static json_t *order_of(const struct ist_cloud_entry *a)
{
    json_t *user, *project;

    if (a->auth == IST_CLOUD_APPLICATION_CREDENTIAL)
        return json_pack(
            "{s:{s:{s:[s], s:{s:s, s:s}}}}", "auth", "identity", "methods",
            "application_credential", "application_credential", "id",
            a->application_credential_id ? a->application_credential_id : "",
            "secret",
            a->application_credential_secret ? a->application_credential_secret
                                             : "");
    user =
        named(a->user_id, a->username, a->user_domain_id, a->user_domain_name);
    project = named(a->project_id, a->project_name, a->project_domain_id,
                    a->project_domain_name);
    if (user)
        json_object_set_new(user, "password",
                            json_string(a->password ? a->password : ""));
    return json_pack("{s:{s:{s:[s], s:{s:o}}, s:o*}}", "auth", "identity",
                     "methods", "password", "password", "user", user, "scope",
                     project ? json_pack("{s:o}", "project", project) : NULL);
}

/* "X-Subject-Token: isg_...\r\n" among the headers. */
static char *token_in(const char *headers)
{
    static const char name[] = "x-subject-token:";

    for (const char *line = headers; line && *line;) {
        if (strncasecmp(line, name, sizeof(name) - 1) == 0) {
            line += sizeof(name) - 1;
            line += strspn(line, " \t");
            return strndup(line, strcspn(line, "\r\n"));
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return NULL;
}

static int refused(long status, const json_t *body)
{
    const char *message = json_string_value(
        json_object_get(json_object_get(body, "error"), "message"));

    return cli_fail(status == 401 || status == 403 ? CLI_DENIED
                    : status >= 500                ? CLI_UNREACHABLE
                                                   : CLI_FAILED,
                    "the hub does not let you in: %s",
                    message ? message : "it says not why");
}

int cli_login_as(struct cli_hub *hub, const struct ist_cloud_entry *account,
                 json_t **ret)
{
    const struct cli_args *args = hub->args;
    struct cli_args quiet = *args;
    json_t *order = order_of(account), *body = NULL;
    long status = 0;
    int rc;

    if (!order)
        return cli_fail(CLI_USAGE, "the account names no user");
    quiet.debug = false; /* It would show the password. */
    hub->args = &quiet;
    rc = cli_hub_post(hub, "/identity/v3/auth/tokens", order, &status, &body);
    hub->args = args;
    json_decref(order);
    if (rc == 0 && status != 201)
        rc = refused(status, body);
    if (rc == 0)
        rc = cli_hub_take_token(hub,
                                token_in(ist_sb_text(&hub->answer_headers)));
    if (rc == 0 && ret)
        *ret = json_incref(body);
    json_decref(body);
    return rc;
}

/* --- The commands --- */

static const char *text_at(const json_t *object, const char *a, const char *b)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(object, a), b));

    return text ? text : "?";
}

static void tell(struct ist_sb *out, const struct cli_hub *hub,
                 const json_t *token)
{
    const json_t *project = json_object_get(token, "project");

    ist_sb_printf(out, "Logged in to %s as %s", hub->base,
                  text_at(token, "user", "name"));
    ist_sb_printf(out, " of %s",
                  text_at(json_object_get(token, "user"), "domain", "name"));
    if (project)
        ist_sb_printf(out, ", project %s",
                      json_string_value(json_object_get(project, "name")));
    ist_sb_printf(out, ", until %s.\n",
                  json_string_value(json_object_get(token, "expires_at")));
}

int cli_login(const struct cli_args *args, struct ist_sb *out)
{
    struct ist_cloud_entry account;
    json_t *body = NULL;
    const json_t *token;
    struct cli_hub hub;
    bool is_there;
    int rc = cli_args_check(args, CLI_FOR_ALL, "login");

    if (rc == 0)
        rc = cli_account_find(&account, &is_there);
    if (rc)
        return rc;
    if (!is_there)
        return cli_fail(CLI_USAGE, "log in as whom? Set OS_CLOUD to an entry "
                                   "of clouds.yaml, or OS_AUTH_URL, "
                                   "OS_USERNAME, OS_PASSWORD and so on");
    rc = cli_hub_init_bare(&hub, args, &account);
    if (rc == 0)
        rc = cli_login_as(&hub, &account, &body);
    token = json_object_get(body, "token");
    if (rc == 0)
        rc = save(&hub, hub.ca,
                  json_string_value(json_object_get(token, "expires_at")));
    if (rc == 0)
        tell(out, &hub, token);
    json_decref(body);
    cli_hub_fini(&hub);
    ist_cloud_entry_fini(&account);
    return rc;
}

int cli_logout(const struct cli_args *args, struct ist_sb *out)
{
    char path[512];
    int rc = cli_args_check(args, CLI_FOR_ALL, "logout");

    if (rc)
        return rc;
    if (!saved_path(path, sizeof(path), false) ||
        (unlink(path) && errno != ENOENT))
        return cli_fail(CLI_FAILED, "the login cannot be removed: %s",
                        strerror(errno));
    ist_sb_puts(out, "Logged out here.\n");
    return CLI_OK;
}
