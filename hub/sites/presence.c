/* What a site says of itself: taken over with care, for it is the site's. */
#include "sites/registry_priv.h"

#include <stdio.h>
#include <string.h>

/* A site's own words: cut to size, and nothing that a terminal would obey. */
static void take_text(char *to, size_t size, const char *from)
{
    size_t i;

    for (i = 0; i < size - 1 && from[i]; i++)
        to[i] = from[i] >= 0x20 && from[i] < 0x7F ? from[i] : '?';
    to[i] = '\0';
}

static unsigned take_version(struct sites_site *site, const char *version)
{
    char text[sizeof(site->version)];

    take_text(text, sizeof(text), version);
    if (strcmp(text, site->version) == 0)
        return 0;
    memcpy(site->version, text, sizeof(text));
    return SITES_CHANGE_VERSION;
}

static unsigned take_policy(struct sites_site *site,
                            const Isthmus__V1__Presence *presence)
{
    static const char *const modes[] = {"active", "read-only", "frozen"};
    const char *mode = "unknown";
    uint8_t digest[32] = {0};

    for (size_t i = 0; i < IST_COUNT(modes); i++) {
        if (strcmp(presence->policy_mode, modes[i]) == 0)
            mode = modes[i];
    }
    if (presence->policy_digest.len == sizeof(digest))
        memcpy(digest, presence->policy_digest.data, sizeof(digest));
    if (strcmp(mode, site->policy_mode) == 0 &&
        memcmp(digest, site->policy_digest, sizeof(digest)) == 0)
        return 0;
    snprintf(site->policy_mode, sizeof(site->policy_mode), "%s", mode);
    memcpy(site->policy_digest, digest, sizeof(digest));
    return SITES_CHANGE_POLICY;
}

static unsigned take_projects(struct sites_site *site,
                              const Isthmus__V1__Presence *presence)
{
    uint8_t digest[32] = {0};

    if (presence->projects_digest.len == sizeof(digest))
        memcpy(digest, presence->projects_digest.data, sizeof(digest));
    if (memcmp(digest, site->projects_digest, sizeof(digest)) == 0)
        return 0;
    memcpy(site->projects_digest, digest, sizeof(digest));
    return SITES_CHANGE_PROJECTS;
}

static unsigned take_services(struct sites_site *site,
                              const Isthmus__V1__Presence *presence)
{
    char names[SITES_SERVICES_MAX][32] = {{0}};
    size_t n = presence->n_services;

    if (n > SITES_SERVICES_MAX)
        n = SITES_SERVICES_MAX;
    for (size_t i = 0; i < n; i++)
        take_text(names[i], sizeof(names[i]), presence->services[i]);
    if (n == site->n_services &&
        memcmp(names, site->services, sizeof(names)) == 0)
        return 0;
    memcpy(site->services, names, sizeof(names));
    site->n_services = n;
    return SITES_CHANGE_SERVICES;
}

static void take_feed(struct sites_site *site,
                      const Isthmus__V1__FeedState *feed)
{
    size_t n = feed ? feed->n_kinds : 0;

    site->feed_epoch = feed ? feed->epoch : 0;
    site->feed_next_sequence = feed ? feed->next_sequence : 0;
    site->n_feed = n < SITES_FEEDS_MAX ? n : SITES_FEEDS_MAX;
    for (size_t i = 0; i < site->n_feed; i++) {
        const Isthmus__V1__KindPosition *from = feed->kinds[i];
        struct sites_feed *to = &site->feed[i];

        take_text(to->kind, sizeof(to->kind), from->kind);
        to->position = from->position;
        to->notified = from->notified;
        to->read_ms = from->read_ms;
        take_text(to->trouble, sizeof(to->trouble), from->trouble);
    }
}

void sites_presence(struct sites *sites, struct sites_site *site,
                    const Isthmus__V1__Presence *presence, uint64_t issued_ms)
{
    unsigned changes = SITES_CHANGE_HEARD;

    if (site->state == SITES_REMOVED)
        return;
    sites_heard(sites, site);
    site->heard_ms = ist_loop_wall(sites_loop(sites));
    site->clock_offset_ms = (int64_t) (issued_ms - site->heard_ms);
    site->started_ms = presence->started_ms;
    site->open_calls = presence->open_calls;
    changes |= take_version(site, presence->version);
    changes |= take_policy(site, presence);
    changes |= take_services(site, presence);
    changes |= take_projects(site, presence);
    take_feed(site, presence->feed);
    if (presence->leaving)
        ist_timer_disarm(&site->silence);
    else
        sites_await_presence(site);
    sites_set_state(site, presence->leaving ? SITES_ABSENT : SITES_PRESENT,
                    changes);
}

void sites_listen_anew(struct sites *sites)
{
    struct sites_site *site = NULL;

    while ((site = sites_next(sites, site))) {
        if (site->state == SITES_PRESENT)
            sites_await_presence(site);
    }
}
