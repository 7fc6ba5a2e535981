/* A virtual loop, a site in memory, and a cloud that talks to it. */
#ifndef OS_TEST_WORLD_H
#define OS_TEST_WORLD_H

#include "os/cloud.h"

#include "conf/conf.h"

#include "../../fake/cloud_http.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_WALL_MS UINT64_C(1795593600000) /* 2026-11-25T08:00:00Z */

struct world {
    struct ist_loop loop;
    struct ist_http *http;
    struct fake_site *site;
    struct os_cloud *cloud;
    struct ist_cloud_entry entry;
    struct os_conf conf;
    bool done; /* Of the request that was run last. */
};

static inline void world_init(struct world *w)
{
    const struct ist_conf_table table = {os_rows, &w->conf};
    struct ist_conf_report report;
    struct ist_err err;

    memset(w, 0, sizeof(*w));
    ist_loop_init_virtual(&w->loop, WORLD_WALL_MS);
    ist_conf_report_init(&report);
    if (ist_conf_load(NULL, &table, 1, &report, &err))
        abort();
    ist_conf_report_fini(&report);
    w->http = ist_http_new(&w->loop, NULL);
    w->site = fake_site_new("hkg.test");
    w->entry = (struct ist_cloud_entry){
        .name = (char *) "hkg",
        .auth = IST_CLOUD_PASSWORD,
        .auth_url = (char *) "http://hkg.test:5000/v3/",
        .username = (char *) "admin",
        .password = (char *) "secret",
        .project_name = (char *) "admin",
        .region_name = (char *) "RegionOne",
        .interface = (char *) "public",
    };
    w->cloud = os_cloud_new(&w->loop, w->http, &w->entry, &w->conf, &err);
    if (!w->cloud)
        abort();
}

static inline void world_fini(struct world *w)
{
    os_cloud_close(w->cloud, NULL, NULL);
    ist_http_close(w->http, NULL, NULL);
    while (ist_loop_step(&w->loop, UINT64_MAX))
        ;
    fake_site_free(w->site);
    ist_loop_fini(&w->loop);
}

/* Until the op is done. Its 'done' must have been world_done. */
static bool *world_flag;

static inline void world_done(struct ist_op *op)
{
    (void) op;
    *world_flag = true;
}

static inline void world_run(struct world *w)
{
    while (!w->done) {
        if (!ist_loop_step(&w->loop, UINT64_MAX)) {
            fprintf(stderr, "nothing left to wait for\n");
            abort();
        }
    }
}

static inline void world_list(struct world *w, struct os_list *list,
                              uint64_t timeout_ms)
{
    w->done = false;
    world_flag = &w->done;
    ist_op_prepare(&list->op, &w->loop, NULL, timeout_ms, world_done);
    os_list_start(w->cloud, list);
    world_run(w);
}

/* "id id id" of what a list gave. */
static inline const char *world_ids(const struct os_list *list)
{
    static char text[65536];
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < list->n_records; i++)
        n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "",
                               list->records[i].id);
    return text;
}

#endif
