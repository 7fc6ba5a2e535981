/* OpenStack as two tables: services, and the kinds of resources they have.
 * The code that logs in, lists and shows is the same for all rows; where a
 * service needs something of its own, the row names a function of quirks.c.
 *
 * To add a service: a row in services.c, its kinds in resources.c and in
 * model/kind.c, a reply in tests/fake; tests/conform/rows.c runs them all. */
#ifndef OS_ROWS_H
#define OS_ROWS_H

#include "base/sb.h"
#include "model/kind.h"

#include <stdbool.h>
#include <stddef.h>

/* Where a page says that there is another one. */
enum os_paging {
    OS_PAGING_LINKS,      /* "<collection>_links": [{"rel": "next", ...}] */
    OS_PAGING_NEXT,       /* "next": "/v2/images?marker=..." */
    OS_PAGING_LINKS_NEXT, /* "links": {"next": "http://..."} */
};

/* How a list is asked to be sorted. */
enum os_sorting {
    OS_SORTING_NONE,
    OS_SORTING_PAIRS, /* sort_key=a&sort_dir=desc&sort_key=b&sort_dir=asc */
    OS_SORTING_LIST,  /* sort=a:desc,b:asc */
};

/* One service: how to find it, page through it and read its complaints. One of
 * which no kinds are known has a name and types alone: it is passed on. */
struct os_service {
    const char *name;     /* "compute"; resource rows refer to it. */
    const char *types[4]; /* Catalog types, preferred first; NULL-ended. */

    /* Paths count from the endpoint without its version and project, so that
     * it does not matter which of them the catalog gives. "{project}" stands
     * for the id of the token's project. */
    const char *prefix;   /* Before the paths of resources: "/v2.1". */
    const char *versions; /* Document that tells the versions: "/v2.1/". */

    /* Name of the service in the OpenStack-API-Version header, where there
     * are microversions; and the list or object that tells them. */
    const char *microversions;
    const char *version_collection;

    enum os_paging paging;
    enum os_sorting sorting;
    const char *message; /* Path of the sentence in an error: "*.message",
                          * where "*" is whatever the only member is. */
    unsigned page_max;   /* Records of one page, at most. */

    /* Where its notifications are published, by its own default. */
    const char *exchange;

    /* Bodies are its users' own bytes: nothing in them is replaced. */
    bool is_opaque;
};

#define OS_NATIVE_MAX   6
#define OS_VOLATILE_MAX 2

/* A member by its canonical name, and what the service calls it. */
struct os_native {
    const char *member, *native;
};

struct os_query;
typedef void os_query_fn(struct ist_sb *query, const struct os_query *);
/* May this value of a filter be sent, or is it one to filter by here? */
typedef bool os_takes_fn(const char *member, const char *value);

/* One kind of resource: where it is, and what its service can do with it. */
struct os_resource {
    const char *kind;       /* "server", a name of model/kind.h. */
    const char *list_path;  /* "/servers/detail"; may hold "{project}". */
    const char *collection; /* "servers"; see codec/json.h. */
    const char *wrapper;    /* Member that holds the object itself; or NULL. */
    const char *show_path;  /* "/servers/{id}"; NULL: it is found in a list. */
    const char *show_collection; /* "server"; "" for the bare object. */
    const char *links;           /* Instead of "<collection>_links". */
    bool unpaged;                /* The list knows neither limit nor marker. */
    const char *version; /* Highest microversion that we want; NULL: none. */

    /* What the service can sort by in our order exactly: bytes of ASCII that
     * never change, so times of creation and ids, not names. */
    struct os_native sorts[OS_NATIVE_MAX];
    /* What it can filter by, leaving out nothing that we want. What it leaves
     * in is filtered here. */
    struct os_native filters[OS_NATIVE_MAX];
    os_takes_fn *takes; /* Quirk: by which values. NULL: all. */

    const char *admin_query; /* Added for an admin: "all_tenants=1". */
    os_query_fn *query;      /* Quirk: more of the query. NULL: none. */

    /* For the feed. */
    bool shown_differs; /* The object at show_path is not, byte by byte, the
                         * one in the list: one row is taken from a list. */
    bool quiet; /* A change of a row is no news: it counts what is used. */
    /* Paths of members that change by themselves: a row in which nothing else
     * is new has not changed. */
    const char *changing[OS_VOLATILE_MAX];
};

/* What a quirk may look at. */
struct os_query {
    const struct os_resource *resource;
    const char *project; /* Id asked for, else the token's. */
    bool admin;
};

const struct os_service *os_services(size_t *ret_n);
/* Only those of which kinds are known: they come first. */
const struct os_service *os_services_known(size_t *ret_n);
const struct os_service *os_service_find(const char *name);
/* Keystone's. */
const struct os_service *os_identity(void);
const struct os_resource *os_resources(size_t *ret_n);
const struct os_resource *os_resource_find(const char *kind);

/* The native name of a member in such a table, or NULL. */
const char *os_native_find(const struct os_native *, const char *member);

/* quirks.c */
os_query_fn os_quirk_limits_of_project;
os_takes_fn os_quirk_known_status;
os_takes_fn os_quirk_no_operator;

#endif
