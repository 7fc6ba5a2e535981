/* The hub as its client sees it: GET and an object of JSON. Only http and
 * https, no redirects; the token comes from the environment or a file and is
 * shown nowhere. */
#ifndef CLI_HUB_H
#define CLI_HUB_H

#include "base/sb.h"
#include "cli/args.h"

#include <curl/curl.h>
#include <jansson.h>

/* Bytes of one answer, unpacked; more is a failure of that command. */
#define CLI_ANSWER_MAX (64U << 20)

/* Bytes of a token; longer ones are refused. */
#define CLI_TOKEN_MAX 8192

struct cli_hub {
    const struct cli_args *args; /* Borrowed. */
    CURL *curl;
    struct curl_slist *headers;
    char *base;  /* "https://hub.example.net" */
    char *token; /* Or NULL; wiped at the end. */
    char *ca;    /* The file of certificates to trust; NULL: the system's. */
    uint64_t timeout_ms;
    uint64_t begun_ns; /* Of the request that runs. */
    bool waiting;      /* The line that says so stands on the terminal. */
    struct ist_sb answer, answer_headers;
    char error[CURL_ERROR_SIZE];
};

/* Says what is wrong and returns enum cli_exit, as all of these. Always needs
 * the fini. */
int cli_hub_init(struct cli_hub *, const struct cli_args *);
/* The same without a token: that of an account is to be asked for. */
struct ist_cloud_entry;
int cli_hub_init_bare(struct cli_hub *, const struct cli_args *,
                      const struct ist_cloud_entry *);
/* The hub's token from now on; it is taken. NULL fails. */
int cli_hub_take_token(struct cli_hub *, char *token);
void cli_hub_fini(struct cli_hub *);

/* 'path' begins with a '/'. 0 when an answer came, whatever its status: then
 * *ret is the caller's, an object, or NULL when the body was none. */
int cli_hub_get(struct cli_hub *, const char *path, long *ret_status,
                json_t **ret);

/* The same for a POST of that object. */
int cli_hub_post(struct cli_hub *, const char *path, const json_t *order,
                 long *ret_status, json_t **ret);

/* The pieces of an answer of 200, as they come, for as long as it lasts; those
 * of another status are put into words. Non-zero from 'fn' ends it.
 * '*ret_lost': the connection could not be made or broke; 'quiet' then says
 * nothing, for the caller tries again. An interrupt ends it, and the program
 * goes on. */
typedef int cli_piece_fn(void *arg, const char *data, size_t size);
int cli_hub_stream(struct cli_hub *, const char *path, cli_piece_fn *,
                   void *arg, bool quiet, bool *ret_lost);
bool cli_hub_interrupted(void);
/* SIGINT and SIGTERM only count as interrupts from now on. */
void cli_hub_watch_signals(void);

/* Says in words what an answer of 300 and above means. */
int cli_hub_problem(long status, const json_t *body);

/* Appends "?name=value" or "&name=value", percent-encoded; nothing when
 * 'value' is NULL. */
void cli_hub_query(struct ist_sb *path, const char *name, const char *value);

/* Appends what the caller accepts: partial, deadline, age. */
void cli_hub_accept(struct ist_sb *path, const struct cli_args *);

/* Appends text as one segment of a path. */
void cli_hub_segment(struct ist_sb *path, const char *text);

#endif
