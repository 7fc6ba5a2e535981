/* One easy handle of libcurl, one request after the other. While one runs,
 * libcurl calls on_progress() at least once a second: there an interrupt is
 * noticed, and there a terminal is told after a second that sites are waited
 * for. */
#include "cli/hub.h"

#include "base/clock.h"
#include "base/id.h"
#include "cli/login.h"
#include "cli/mend.h"
#include "cli/safe.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#define CONNECT_MS     5000
#define DEADLINE_MS    10000 /* The hub's own default. */
#define GRACE_MS       5000  /* For the way there and back. */
#define WAITING_MS     1000
#define HEADERS_MAX    (64U * 1024)
#define JSON_TYPE      "Content-Type: application/json"
#define WAITING_TEXT   "waiting for sites\xe2\x80\xa6"
#define WAITING_ERASER "\r                  \r"

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

void cli_hub_watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Ends as the signal would have, so that a shell's loop stops too. */
static void die_of_signal(void)
{
    signal(interrupted, SIG_DFL);
    raise(interrupted);
}

static void waiting_begin(struct cli_hub *hub)
{
    if (hub->waiting || !isatty(STDERR_FILENO) || hub->args->debug)
        return;
    hub->waiting = true;
    fputs(WAITING_TEXT, stderr);
}

static void waiting_end(struct cli_hub *hub)
{
    if (hub->waiting)
        fputs(WAITING_ERASER, stderr);
    hub->waiting = false;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down,
                       curl_off_t up_total, curl_off_t up)
{
    struct cli_hub *hub = arg;

    (void) down_total, (void) down, (void) up_total, (void) up;
    if (ist_clock_mono_ns() > hub->begun_ns + WAITING_MS * 1000000ULL)
        waiting_begin(hub);
    return interrupted != 0;
}

static size_t on_bytes(char *data, size_t size, size_t n, void *arg)
{
    struct ist_sb *sb = arg;

    ist_sb_add(sb, data, size * n);
    return sb->rc ? 0 : size * n;
}

/* More headers than fit are left out of --debug, and no failure. */
static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    ist_sb_add(arg, data, size * n);
    return size * n;
}

static int read_token_file(const char *path, char *token, size_t size)
{
    struct stat st;
    ssize_t len = 0, n = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return cli_fail(CLI_USAGE, "ISTHMUS_TOKEN_FILE %s: %s", path,
                        strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
        cli_say("warning: %s can be read by others (mode %03o)", path,
                (unsigned) st.st_mode & 0777);
    while (n > 0 && (size_t) len < size - 1) {
        n = read(fd, token + len, size - 1 - (size_t) len);
        len += n > 0 ? n : 0;
    }
    close(fd);
    if (n < 0)
        return cli_fail(CLI_USAGE, "ISTHMUS_TOKEN_FILE %s: %s", path,
                        strerror(errno));
    token[len] = '\0';
    token[strcspn(token, "\r\n")] = '\0';
    return 0;
}

/* Printable ASCII only: it goes into a header. */
static bool is_token(const char *token)
{
    size_t len = strlen(token);

    for (size_t i = 0; i < len; i++) {
        if (token[i] < 0x21 || token[i] > 0x7e)
            return false;
    }
    return len > 0 && len < CLI_TOKEN_MAX;
}

static int find_token(struct cli_hub *hub)
{
    const char *token = getenv("ISTHMUS_TOKEN");
    const char *file = getenv("ISTHMUS_TOKEN_FILE");
    char buf[CLI_TOKEN_MAX + 1];

    if (!(token && *token) && file && *file) {
        int rc = read_token_file(file, buf, sizeof(buf));

        if (rc)
            return rc;
        token = buf;
    }
    if (!token || !*token)
        return 0; /* The hub says whether it wants one. */
    if (!is_token(token))
        return cli_fail(CLI_USAGE, "the token is empty, too long or not "
                                   "printable ASCII");
    hub->token = strdup(token);
    sodium_memzero(buf, sizeof(buf));
    return hub->token ? 0 : cli_fail(CLI_FAILED, "out of memory");
}

static bool is_here(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

static char *part(CURLU *url, CURLUPart what)
{
    char *text = NULL;

    return curl_url_get(url, what, &text, 0) == CURLUE_OK ? text : NULL;
}

static int check_url(struct cli_hub *hub, CURLU *url, const char *text)
{
    char *scheme = part(url, CURLUPART_SCHEME),
         *host = part(url, CURLUPART_HOST);
    char *user = part(url, CURLUPART_USER), *query = part(url, CURLUPART_QUERY);
    int rc = 0;

    if (user)
        rc = cli_fail(CLI_USAGE, "the hub's address must not hold a user or a "
                                 "password");
    else if (!scheme || !host || query ||
             (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        rc = cli_fail(CLI_USAGE,
                      "'%s' is no address of a hub: write "
                      "https://hub.example.net",
                      text);
    else if (strcmp(scheme, "http") == 0 && hub->token && !is_here(host))
        cli_say("warning: the token goes to %s in clear: use https", host);
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_free(query);
    return rc;
}

static const char *asked_url(const struct cli_hub *hub)
{
    return hub->args->url ? hub->args->url : getenv("ISTHMUS_URL");
}

static int find_base(struct cli_hub *hub, const char *fallback)
{
    const char *text = asked_url(hub);
    CURLU *url;
    char *whole;
    int rc;

    if (!text || !*text)
        text = fallback;
    if (!text)
        return cli_fail(CLI_USAGE, "which hub? Set ISTHMUS_URL, or give --url");
    url = curl_url();
    if (!url || curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK) {
        curl_url_cleanup(url);
        return cli_fail(CLI_USAGE, "the hub's address is no URL: write "
                                   "https://hub.example.net");
    }
    rc = check_url(hub, url, text);
    curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0);
    whole = part(url, CURLUPART_URL);
    if (rc == 0 && whole) {
        size_t len = strlen(whole);

        while (len && whole[len - 1] == '/')
            len--;
        hub->base = strndup(whole, len);
    }
    curl_free(whole);
    curl_url_cleanup(url);
    if (rc == 0 && !hub->base)
        rc = cli_fail(CLI_FAILED, "out of memory");
    return rc;
}

static int add_header(struct cli_hub *hub, const char *header)
{
    struct curl_slist *list = curl_slist_append(hub->headers, header);

    if (!list)
        return -ENOMEM;
    hub->headers = list;
    return 0;
}

static int make_headers(struct cli_hub *hub)
{
    struct ist_sb sb;
    int rc = add_header(hub, "Accept: application/json");

    if (rc || !hub->token)
        return rc;
    ist_sb_init(&sb, 0);
    ist_sb_printf(&sb, "Authorization: Bearer %s", hub->token);
    rc = sb.rc ? sb.rc : add_header(hub, ist_sb_text(&sb));
    if (sb.data)
        sodium_memzero(sb.data, sb.size);
    ist_sb_fini(&sb);
    return rc;
}

static void set_options(struct cli_hub *hub)
{
    CURL *curl = hub->curl;

    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) hub->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "isthmus/" IST_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, hub->headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, hub->error);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &hub->answer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &hub->answer_headers);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, hub);
    if (hub->ca)
        curl_easy_setopt(curl, CURLOPT_CAINFO, hub->ca);
}

static int find_ca(struct cli_hub *hub, const char *fallback)
{
    const char *ca =
        hub->args->ca_file ? hub->args->ca_file : getenv("ISTHMUS_CACERT");

    if (!ca || !*ca)
        ca = fallback;
    hub->ca = ca ? strdup(ca) : NULL;
    return ca && !hub->ca ? cli_fail(CLI_FAILED, "out of memory") : 0;
}

static int begin(struct cli_hub *hub, const struct cli_args *args)
{
    *hub = (struct cli_hub){.args = args};
    ist_sb_init(&hub->answer, CLI_ANSWER_MAX);
    ist_sb_init(&hub->answer_headers, HEADERS_MAX);
    hub->timeout_ms =
        (args->deadline_ms ? args->deadline_ms : DEADLINE_MS) + GRACE_MS;
    if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT))
        return cli_fail(CLI_FAILED, "cannot start libcurl or libsodium");
    return 0;
}

/* Where the hub is, by whichever says so, is settled: get ready to ask. */
static int connect_to(struct cli_hub *hub, const char *url, const char *ca)
{
    int rc = find_base(hub, url);

    if (rc == 0)
        rc = find_ca(hub, ca);
    if (rc)
        return rc;
    hub->curl = curl_easy_init();
    if (!hub->curl || make_headers(hub))
        return cli_fail(CLI_FAILED, "out of memory");
    set_options(hub);
    cli_hub_watch_signals();
    return 0;
}

int cli_hub_take_token(struct cli_hub *hub, char *token)
{
    if (!token || !is_token(token)) {
        free(token);
        return cli_fail(CLI_FAILED, "the hub gave no token");
    }
    hub->token = token;
    curl_slist_free_all(hub->headers);
    hub->headers = NULL;
    if (make_headers(hub))
        return cli_fail(CLI_FAILED, "out of memory");
    curl_easy_setopt(hub->curl, CURLOPT_HTTPHEADER, hub->headers);
    return 0;
}

int cli_hub_init_bare(struct cli_hub *hub, const struct cli_args *args,
                      const struct ist_cloud_entry *account)
{
    char *base = cli_account_base(account);
    int rc = begin(hub, args);

    if (rc == 0)
        rc = connect_to(hub, base, account->cacert);
    free(base);
    return rc;
}

/* The token that was kept is for that hub and no other. */
static int use_saved(struct cli_hub *hub, struct cli_saved *saved)
{
    int rc = connect_to(hub, saved->url, saved->cacert);

    if (rc == 0 && strcmp(hub->base, saved->url) == 0)
        rc = cli_hub_take_token(hub, IST_TAKE(saved->token));
    return rc;
}

static int use_account(struct cli_hub *hub)
{
    struct ist_cloud_entry account;
    bool is_there;
    char *base;
    int rc = cli_account_find(&account, &is_there);

    if (rc == 0 && !is_there)
        return connect_to(hub, NULL, NULL);
    if (rc)
        return rc;
    base = cli_account_base(&account);
    rc = connect_to(hub, base, account.cacert);
    if (rc == 0)
        rc = cli_login_as(hub, &account, NULL);
    free(base);
    ist_cloud_entry_fini(&account);
    return rc;
}

/* A token that is given, else one that was kept, else one for the account. */
int cli_hub_init(struct cli_hub *hub, const struct cli_args *args)
{
    struct cli_saved saved;
    int rc = begin(hub, args);

    if (rc == 0)
        rc = find_token(hub);
    if (rc)
        return rc;
    if (hub->token)
        return connect_to(hub, NULL, NULL);
    rc = cli_saved_load(&saved);
    if (rc == 0)
        rc = saved.token ? use_saved(hub, &saved) : use_account(hub);
    cli_saved_fini(&saved);
    return rc;
}

void cli_hub_fini(struct cli_hub *hub)
{
    for (struct curl_slist *item = hub->headers; item; item = item->next)
        sodium_memzero(item->data, strlen(item->data));
    curl_slist_free_all(hub->headers);
    curl_easy_cleanup(hub->curl);
    if (hub->token)
        sodium_memzero(hub->token, strlen(hub->token));
    free(hub->token);
    free(hub->base);
    free(hub->ca);
    ist_sb_fini(&hub->answer);
    ist_sb_fini(&hub->answer_headers);
}

/* As keystoneauth does: enough to tell two tokens apart, and no more. */
static void debug_request(struct cli_hub *hub, const char *method,
                          const char *url)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof(hash) + 1] = "";

    if (!hub->args->debug)
        return;
    if (hub->token) {
        crypto_hash_sha256(hash, (const unsigned char *) hub->token,
                           strlen(hub->token));
        ist_hex(hash, sizeof(hash), hex);
    }
    cli_say("REQ: curl -g -i -X %s '%s' -H \"Accept: application/json\" "
            "-H \"User-Agent: isthmus/" IST_VERSION "\"%s%s%s",
            method, url, *hex ? " -H \"Authorization: Bearer {SHA256}" : "",
            hex, *hex ? "\"" : "");
}

static void debug_answer(struct cli_hub *hub, long status)
{
    struct ist_sb line;
    const char *at = ist_sb_text(&hub->answer_headers);

    if (!hub->args->debug)
        return;
    ist_sb_init(&line, 0);
    ist_sb_printf(&line, "RESP: [%ld]", status);
    while (*at) {
        size_t len = strcspn(at, "\r\n");

        if (len && memchr(at, ':', len)) {
            ist_sb_putc(&line, ' ');
            cli_safe(&line, at, len, "");
        }
        at += len + strspn(at + len, "\r\n");
    }
    ist_sb_puts(&line, "\nRESP BODY: ");
    cli_safe(&line, ist_sb_text(&hub->answer), hub->answer.len, "");
    ist_sb_putc(&line, '\n');
    fputs(ist_sb_text(&line), stderr);
    ist_sb_fini(&line);
}

static int failed(struct cli_hub *hub, CURLcode code)
{
    const char *why = *hub->error ? hub->error : curl_easy_strerror(code);

    switch (code) {
    case CURLE_WRITE_ERROR:
        return cli_fail(CLI_FAILED, "the answer is larger than %u MiB",
                        CLI_ANSWER_MAX >> 20);
    case CURLE_OUT_OF_MEMORY:
        return cli_fail(CLI_FAILED, "out of memory");
    case CURLE_SSL_CACERT_BADFILE:
        return cli_fail(CLI_USAGE, "%s", why);
    case CURLE_OPERATION_TIMEDOUT:
        return cli_fail(CLI_UNREACHABLE, "hub %s: no answer in time",
                        hub->base);
    default:
        return cli_fail(CLI_UNREACHABLE, "hub %s: %s", hub->base, why);
    }
}

static json_t *parse(const struct ist_sb *text)
{
    const size_t flags = JSON_ALLOW_NUL;
    json_t *body = json_loadb(ist_sb_text(text), text->len, flags, NULL);
    struct ist_sb mended;

    if (body)
        return body;
    ist_sb_init(&mended, 0);
    cli_mend(&mended, ist_sb_text(text), text->len);
    body = json_loadb(ist_sb_text(&mended), mended.len, flags, NULL);
    ist_sb_fini(&mended);
    return body;
}

static int ask(struct cli_hub *hub, const char *method, const char *path,
               long *ret_status, json_t **ret)
{
    struct ist_sb url;
    CURLcode code;
    json_t *body;

    ist_sb_init(&url, 0);
    ist_sb_printf(&url, "%s%s", hub->base, path);
    ist_sb_reset(&hub->answer);
    ist_sb_reset(&hub->answer_headers);
    hub->error[0] = '\0';
    debug_request(hub, method, ist_sb_text(&url));
    curl_easy_setopt(hub->curl, CURLOPT_URL, ist_sb_text(&url));
    hub->begun_ns = ist_clock_mono_ns();
    code = curl_easy_perform(hub->curl);
    ist_sb_fini(&url);
    waiting_end(hub);
    if (interrupted)
        die_of_signal();
    if (hub->args->timing)
        cli_say("%s %s: %.3f s", method, path,
                (double) (ist_clock_mono_ns() - hub->begun_ns) / 1e9);
    if (code != CURLE_OK)
        return failed(hub, code);
    curl_easy_getinfo(hub->curl, CURLINFO_RESPONSE_CODE, ret_status);
    debug_answer(hub, *ret_status);
    body = parse(&hub->answer);
    if (body && !json_is_object(body)) {
        json_decref(body);
        body = NULL;
    }
    *ret = body;
    return 0;
}

int cli_hub_get(struct cli_hub *hub, const char *path, long *ret_status,
                json_t **ret)
{
    return ask(hub, "GET", path, ret_status, ret);
}

int cli_hub_post(struct cli_hub *hub, const char *path, const json_t *order,
                 long *ret_status, json_t **ret)
{
    char *text = json_dumps(order, JSON_COMPACT);
    struct curl_slist type = {(char *) (uintptr_t) JSON_TYPE, hub->headers};
    int rc;

    if (!text)
        return cli_fail(CLI_FAILED, "out of memory");
    curl_easy_setopt(hub->curl, CURLOPT_HTTPHEADER, &type);
    curl_easy_setopt(hub->curl, CURLOPT_POSTFIELDS, text);
    rc = ask(hub, "POST", path, ret_status, ret);
    curl_easy_setopt(hub->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(hub->curl, CURLOPT_HTTPHEADER, hub->headers);
    free(text);
    return rc;
}

/* Streams */

struct stream {
    struct cli_hub *hub;
    cli_piece_fn *fn;
    void *arg;
    int rc; /* Of the function. */
};

static size_t on_piece(char *data, size_t size, size_t n, void *arg)
{
    struct stream *stream = arg;
    long status = 0;

    curl_easy_getinfo(stream->hub->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return on_bytes(data, size, n, &stream->hub->answer);
    stream->rc = stream->fn(stream->arg, data, size * n);
    return stream->rc ? 0 : size * n;
}

bool cli_hub_interrupted(void)
{
    return interrupted != 0;
}

/* The hub gives a sign of life every 15 s. */
static void set_streaming(struct cli_hub *hub, struct stream *stream)
{
    curl_easy_setopt(hub->curl, CURLOPT_TIMEOUT_MS, 0L);
    curl_easy_setopt(hub->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(hub->curl, CURLOPT_LOW_SPEED_TIME, 45L);
    curl_easy_setopt(hub->curl, CURLOPT_WRITEFUNCTION, on_piece);
    curl_easy_setopt(hub->curl, CURLOPT_WRITEDATA, stream);
    hub->begun_ns = UINT64_MAX / 2; /* Nobody is waited for. */
}

static int end_of_stream(struct cli_hub *hub, const struct stream *stream,
                         CURLcode code, bool quiet, bool *ret_lost)
{
    long status = 0;
    json_t *body;
    int rc;

    curl_easy_getinfo(hub->curl, CURLINFO_RESPONSE_CODE, &status);
    if (interrupted)
        return CLI_OK;
    if (stream->rc == -EPIPE)
        return CLI_FAILED;
    if (stream->rc)
        return cli_fail(CLI_FAILED, "cannot go on: %s", strerror(-stream->rc));
    *ret_lost = code != CURLE_OK || status == 502 || status == 503;
    if (*ret_lost && quiet)
        return CLI_UNREACHABLE;
    if (code != CURLE_OK)
        return status == 200 ? CLI_UNREACHABLE : failed(hub, code);
    if (status == 200)
        return CLI_OK;
    body = parse(&hub->answer);
    rc = cli_hub_problem(status, body);
    json_decref(body);
    return rc;
}

int cli_hub_stream(struct cli_hub *hub, const char *path, cli_piece_fn *fn,
                   void *arg, bool quiet, bool *ret_lost)
{
    struct stream stream = {.hub = hub, .fn = fn, .arg = arg};
    struct ist_sb url;
    CURLcode code;

    *ret_lost = false;
    ist_sb_init(&url, 0);
    ist_sb_printf(&url, "%s%s", hub->base, path);
    ist_sb_reset(&hub->answer);
    ist_sb_reset(&hub->answer_headers);
    hub->error[0] = '\0';
    debug_request(hub, "GET", ist_sb_text(&url));
    curl_easy_setopt(hub->curl, CURLOPT_URL, ist_sb_text(&url));
    set_streaming(hub, &stream);
    code = curl_easy_perform(hub->curl);
    ist_sb_fini(&url);
    return end_of_stream(hub, &stream, code, quiet, ret_lost);
}

static int exit_of(long status)
{
    switch (status) {
    case 401:
    case 403:
        return CLI_DENIED;
    case 502:
    case 503:
    case 504:
        return CLI_UNREACHABLE;
    default:
        return CLI_FAILED;
    }
}

static void say_sites(const json_t *body)
{
    json_t *site;
    size_t i;

    json_array_foreach(json_object_get(body, "sites"), i, site)
    {
        const char *name = json_string_value(json_object_get(site, "site"));
        const char *why = json_string_value(json_object_get(site, "reason"));

        if (name)
            cli_say("site %s: %s", name, why ? why : "failed");
    }
}

int cli_hub_problem(long status, const json_t *body)
{
    const char *title = json_string_value(json_object_get(body, "title"));
    const char *detail = json_string_value(json_object_get(body, "detail"));
    const char *hint =
        status == 401 ? " (is ISTHMUS_TOKEN set and still valid?)" : "";

    say_sites(body);
    if (status >= 200 && status < 300)
        return cli_fail(CLI_FAILED, "the hub's answer is not JSON as agreed");
    if (!title && !detail)
        return cli_fail(exit_of(status), "the hub answered %ld%s", status,
                        hint);
    return cli_fail(exit_of(status), "%s%s%s (%ld)%s", title ? title : "",
                    title && detail ? ": " : "", detail ? detail : "", status,
                    hint);
}

static void encode(struct ist_sb *sb, const char *text, const char *plain)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char) *text;

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
            (c >= 'a' && c <= 'z') || strchr(plain, c))
            ist_sb_putc(sb, (char) c);
        else
            ist_sb_printf(sb, "%%%02X", c);
    }
}

void cli_hub_query(struct ist_sb *path, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    ist_sb_putc(path, strchr(ist_sb_text(path), '?') ? '&' : '?');
    ist_sb_puts(path, name);
    ist_sb_putc(path, '=');
    encode(path, value, "-._~,:");
}

void cli_hub_accept(struct ist_sb *path, const struct cli_args *args)
{
    char number[24];

    cli_hub_query(path, "partial", args->partial);
    if (args->deadline_ms) {
        snprintf(number, sizeof(number), "%llu",
                 (unsigned long long) args->deadline_ms);
        cli_hub_query(path, "deadline", number);
    }
    cli_hub_query(path, "max_age", args->max_age);
    cli_hub_query(path, "consistent", args->consistent ? "true" : NULL);
}

void cli_hub_segment(struct ist_sb *path, const char *text)
{
    encode(path, text, "-._~:");
}
