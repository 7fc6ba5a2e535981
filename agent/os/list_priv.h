/* A list at work, shared by what prepares and asks (list_query.c), what looks
 * at each record (list_record.c), and what goes from page to page (list.c). */
#ifndef OS_LIST_PRIV_H
#define OS_LIST_PRIV_H

#include "os/cloud_priv.h"

#include "codec/json.h"
#include "os/get.h"
#include "os/key.h"
#include "os/top.h"

#define OS_LIST_ID_MAX     IST_ORDER_ID_MAX
#define OS_LIST_MARKER_MAX 512
#define OS_LIST_PATH_MAX   160
#define OS_LIST_PICKS_MAX  (2 + IST_ORDER_KEYS_MAX + OS_FILTERS_MAX)
/* Records kept over the limit: a page that shifts while we read may bring one
 * twice. */
#define OS_LIST_SLACK     16
#define OS_LIST_LINKS_MAX (16U * 1024)

/* A member that is looked at: its place among the picks, or the project. */
struct os_list_view {
    const struct ist_member *member;
    size_t pick;
    bool is_project;
};

struct os_list_work {
    struct os_cloud *cloud;
    struct os_list *list;
    const struct ist_kind *kind;
    const struct os_resource *resource;
    const struct os_service *service;
    struct os_get get;

    /* What is picked of each record. */
    const char *picks[OS_LIST_PICKS_MAX];
    size_t n_picks, wrapper_pick;
    struct os_list_view id, keys[IST_ORDER_KEYS_MAX], filters[OS_FILTERS_MAX];
    char links_path[96];
    const char *siblings[1];
    struct ist_json_want want;
    bool splitting;

    struct ist_order order;
    struct os_top top;
    bool native;         /* The service sorts. */
    bool restarted;      /* From the start: may happen once. */
    bool out_of_order;   /* It did not sort as we do. */
    bool local_filter;   /* Some filter the service does not know. */
    struct ist_sb query; /* All but limit and marker. */
    bool marker_is_ours; /* It comes from a trail. */
    uint64_t *seen;      /* Hashes of markers. */
    size_t n_seen, seen_size;
    int refusal; /* Of a record: OS_E_TOO_LARGE or OS_E_BAD_ANSWER. */

    /* The record before, in native order. */
    struct ist_place last;
    bool has_last;

    /* Text, of which little is used: not cleared, but for the first byte. */
    char project[OS_PROJECT_MAX + 1];
    char marker[OS_LIST_MARKER_MAX]; /* Encoded; "": from the start. */

    /* Not cleared. */
    struct ist_json_split split; /* Valid while splitting. */
    char paths[OS_LIST_PICKS_MAX][OS_LIST_PATH_MAX]; /* Of the picks. */
    char last_text[IST_ORDER_KEYS_MAX][OS_KEY_MAX], last_id[OS_LIST_ID_MAX + 1];
    /* The record that is being looked at. */
    char key_text[IST_ORDER_KEYS_MAX][OS_KEY_MAX], id_text[OS_LIST_ID_MAX + 1];
};

static inline struct os_list_work *os_list_work_of(struct os_get *get)
{
    return IST_CONTAINER(get, struct os_list_work, get);
}

/* What is picked of each record, and whether the service can sort as asked. 0,
 * or an outcome with the list's op.err. */
int os_list_plan(struct os_list_work *);

/* How many records are wanted now. */
size_t os_list_n_wanted(const struct os_list *);

/* For os_get: writes the path and query of the next page. */
void os_list_target(struct os_get *, struct ist_sb *out);

/* Places that pages ended at, for later lists of the same kind (trail.h). */
void os_list_leave_trail(struct os_list_work *);
void os_list_forget_trail(struct os_list_work *);

/* Did the service, asked for this kind, turn out not to sort as we do? */
bool *os_list_unsorted(const struct os_list_work *);

/* For ist_json_split: looks at a record. */
int os_list_on_element(void *work, const struct ist_json_element *);

#endif
