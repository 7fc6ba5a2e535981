/* A hub and many agents in one process, on the in-memory broker and the
 * virtual clock: the real objects of both, only the HTTP client below the
 * agents answers as a cloud. They can be crashed and come back. */
#ifndef SIM_FEDERATION_H
#define SIM_FEDERATION_H

#include "bus/mem.h"
#include "feed/feed.h"
#include "os/cloud.h"
#include "policy/policy.h"
#include "serve/serve.h"
#include "sites/registry.h"
#include "survey/survey.h"
#include "view/intake.h"
#include "world.h"

struct federation;

/* One process that can die and come back. */
struct sim_node {
    struct federation *fed;
    bool is_up;    /* Running, though perhaps without a connection. */
    bool is_dying; /* Ends as soon as nothing of it is left on the loop. */
    bool bus_closed;
    uint64_t epoch;
    struct ist_bus *bus;
    struct ist_timer timer;
    uint64_t back_in_ms; /* After it has ended; 0: stays away. */
};

struct sim_agent {
    struct sim_node node;
    const struct world_site *site;
    struct ist_self self;
    struct ist_peer hub;
    struct ist_http *http;
    struct ist_cloud_entry entry;
    struct os_cloud *cloud;
    struct policy *policy;
    struct feed *feed; /* NULL: this federation has none. */
    struct serve serve;
    bool feed_closed, cloud_closed, http_closed;
    unsigned closing;
    uint64_t n_calls; /* Of its former lives. */
};

struct sim_hub {
    struct sim_node node;
    struct ist_self self;
    struct sites *sites;
    struct desk desk;
    /* NULL: this federation has no feeds. */
    struct ist_tree *tree;
    struct view *view;
    struct events_log *log;
    struct intake *intake;
    bool intake_closed, sites_closed;
    unsigned closing;
};

struct federation {
    struct ist_loop *loop;
    struct ist_mem_broker *broker;
    const struct world *world;
    const char *state; /* Folder for feeds and view; NULL: without. */
    struct sim_hub hub;
    struct sim_agent agents[WORLD_SITES_MAX];
    uint64_t n_asked; /* Calls that the hub sent, all lives. */

    /* Called when the hub dies: what waits for it must be cancelled. */
    void (*hub_dies)(void *arg);
    void *arg;
};

/* Keys are made once per process: they are not what is tested here. */
void federation_make_keys(uint32_t n);

/* Starts everything; the clock has not moved yet. With a 'state' (an empty
 * folder, borrowed) the agents have feeds and the hub a view. */
void federation_open(struct federation *, struct ist_loop *,
                     const struct world *, const char *state);

/* Takes everything down, moving the clock as it must, and frees it. */
void federation_close(struct federation *);

/* Dies now; comes back after 'ms' (0: not at all) as a new process with a
 * higher epoch. Nothing happens to one that is dying or away. */
void federation_crash_agent(struct federation *, uint32_t site, uint64_t ms);
void federation_crash_hub(struct federation *, uint64_t ms);

/* Calls that agents began to work on, all lives. */
uint64_t federation_calls(const struct federation *);

#endif
