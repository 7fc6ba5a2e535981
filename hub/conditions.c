#include "conditions.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "codec/file.h"
#include "codec/x509.h"
#include "model/kind.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS      2000
#define SITES_AT     256 /* Looked at in one tick; the others in the next. */
#define READ_MS      3600000
#define DAY_MS       86400000ULL
#define FULL_PERCENT 90
#define NOC          "noc" /* Place of the publisher for the NOC. */

const struct ist_row conditions_rows[] = {
    {"alarms.stale", IST_ROW_MS, offsetof(struct conditions_conf, stale_ms),
     "10m", 10000, 86400000, 0,
     "Age of a site's rows above which its feed counts as stale."},
    {"alarms.skew", IST_ROW_MS, offsetof(struct conditions_conf, skew_ms), "5s",
     100, 3600000, 0,
     "Difference of a site's clock from the hub's above which there is an "
     "alarm."},
    {"alarms.expiry", IST_ROW_MS, offsetof(struct conditions_conf, expiry_ms),
     "21d", 3600000, 366ULL * DAY_MS, 0,
     "How long before a certificate or delegation ends there is an alarm; it "
     "is major from 7 days before."},
    {"alarms.backlog", IST_ROW_U64,
     offsetof(struct conditions_conf, backlog_max), "10000", 10, 1000000000, 0,
     "Events that the publisher for the NOC may be behind before there is an "
     "alarm."},
    IST_ROW_END,
};

static void say(struct conditions *c, enum alarm_type type, const char *site,
                const char *object, bool on, const char *text)
{
    alarm_condition(c->alarms, &(struct alarm_condition){.type = type,
                                                         .site = site,
                                                         .object = object,
                                                         .on = on,
                                                         .text = text});
}

/* What ends some day */

static enum alarm_severity urgency(uint64_t now, uint64_t end_ms)
{
    if (now >= end_ms)
        return ALARM_CRITICAL;
    return now + 7 * DAY_MS >= end_ms ? ALARM_MAJOR : ALARM_WARNING;
}

static void say_end(struct conditions *c, enum alarm_type type,
                    const char *site, const char *object, uint64_t end_ms)
{
    uint64_t now = ist_loop_wall(c->loop);
    enum alarm_severity severity = urgency(now, end_ms);
    char text[ALARM_TEXT_SIZE], time[IST_CLOCK_TEXT_SIZE];

    snprintf(text, sizeof(text), "%s %s %s at %s",
             type == ALARM_CERTIFICATE_EXPIRING ? "the certificate for"
                                                : "the delegation of",
             *object ? object : site, now < end_ms ? "ends" : "has ended",
             ist_clock_text(end_ms, time));
    alarm_condition(c->alarms, &(struct alarm_condition){
                                   .type = type,
                                   .site = site,
                                   .object = object,
                                   .on = now + c->conf.expiry_ms >= end_ms,
                                   .severity = &severity,
                                   .text = text});
}

/* In the pool. */
static void read_end(struct conditions_certificate *certificate)
{
    IST_CLEANUP(ist_sb_fini) struct ist_sb pem;
    struct ist_x509_info info;

    ist_sb_init(&pem, IST_X509_MAX);
    certificate->read_ms = 0;
    if (certificate->path &&
        ist_file_read(certificate->path, IST_FILE_GIVEN, &pem, NULL) == 0 &&
        ist_x509_read(ist_sb_text(&pem), pem.len, &info, NULL) == 0)
        certificate->read_ms = info.not_after_ms;
}

static int read_ends(struct ist_work *work)
{
    struct conditions *c = IST_CONTAINER(work, struct conditions, reading);

    for (size_t i = 0; i < CONDITIONS_CERTIFICATES; i++)
        read_end(&c->certificates[i]);
    return 0;
}

static void on_read(struct ist_op *op)
{
    struct conditions *c = IST_CONTAINER(op, struct conditions, reading.op);

    for (size_t i = 0; i < CONDITIONS_CERTIFICATES; i++)
        c->certificates[i].not_after_ms = c->certificates[i].read_ms;
}

static void look_at_ends(struct conditions *c)
{
    uint64_t now = ist_loop_now(c->loop);

    if (!conditions_busy(c) && (!c->read_ms || now >= c->read_ms + READ_MS)) {
        c->read_ms = now;
        ist_op_prepare(&c->reading.op, c->loop, NULL, 0, on_read);
        ist_work_start(&c->reading, read_ends);
    }
    for (size_t i = 0; i < CONDITIONS_CERTIFICATES; i++) {
        const struct conditions_certificate *certificate = &c->certificates[i];

        if (certificate->not_after_ms)
            say_end(c, ALARM_CERTIFICATE_EXPIRING, ALARM_HUB,
                    certificate->which, certificate->not_after_ms);
    }
    say_end(c, ALARM_DELEGATION_EXPIRING, ALARM_HUB, "", c->own->not_after_ms);
}

/* The hub itself */

static void look_at_bus(struct conditions *c)
{
    say(c, ALARM_BUS_UNREACHABLE, ALARM_HUB, "", !c->bus->is_up,
        "the hub has no connection to the bus: no site can be heard or asked");
    say(c, ALARM_BUS_BLOCKED, ALARM_HUB, "",
        c->bus->is_up && c->bus->is_blocked,
        "the broker takes no messages of the hub at present");
}

static void look_at_store(struct conditions *c)
{
    uint64_t used, max, first, last, place;

    ist_tree_room(c->tree, &used, &max);
    say(c, ALARM_STORE_FULL, ALARM_HUB, "hub.db",
        used >= max / 100 * FULL_PERCENT,
        "hub.db has nearly grown to view.max: old events give way");
    events_log_range(c->log, &first, &last);
    place = events_place_get(c->log, NOC);
    say(c, ALARM_QUEUE_BACKLOG, ALARM_HUB, NOC,
        place && place < last && last - place > c->conf.backlog_max,
        "the stream for the NOC is more than alarms.backlog events behind");
}

/* A site */

/* Of the first kind of that service that cannot be read; NULL: all can. */
static const char *trouble_of(const struct sites_site *site,
                              const char *service)
{
    for (size_t i = 0; i < site->n_feed; i++) {
        const struct ist_kind *kind = ist_kind_find(site->feed[i].kind);

        if (kind && site->feed[i].trouble[0] &&
            strcmp(kind->service, service) == 0)
            return site->feed[i].trouble;
    }
    return NULL;
}

static bool is_first_of_service(const struct ist_kind *kinds, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (strcmp(kinds[i].service, kinds[at].service) == 0)
            return false;
    }
    return true;
}

static void look_at_services(struct conditions *c,
                             const struct sites_site *site)
{
    const struct ist_kind *kinds;
    size_t n;

    kinds = ist_kinds(&n);
    for (size_t i = 0; i < n; i++) {
        const char *trouble;

        if (!is_first_of_service(kinds, i))
            continue;
        trouble = trouble_of(site, kinds[i].service);
        say(c, ALARM_SERVICE_UNAVAILABLE, site->name, kinds[i].service,
            trouble != NULL, trouble);
    }
}

static void look_at_feed(struct conditions *c, const struct sites_site *site)
{
    const struct ist_kind *kinds, *stale = NULL;
    struct intake_currency is;
    char text[ALARM_TEXT_SIZE];
    size_t n;

    kinds = ist_kinds(&n);
    for (size_t i = 0; i < n && !stale; i++) {
        intake_currency(c->intake, site, &kinds[i], ist_loop_wall(c->loop),
                        &is);
        if (is.known && is.notified && is.age_ms != UINT64_MAX &&
            is.age_ms > c->conf.stale_ms)
            stale = &kinds[i];
    }
    snprintf(text, sizeof(text),
             "what the hub knows of its %s is older than alarms.stale",
             stale ? stale->plural : "");
    say(c, ALARM_FEED_STALE, site->name, "", stale != NULL, text);
}

/* Of one that is not heard nothing new is known. */
static void look_at_site(struct conditions *c, const struct sites_site *site)
{
    int64_t offset = site->clock_offset_ms;

    if (site->state == SITES_REMOVED)
        return;
    say_end(c, ALARM_DELEGATION_EXPIRING, site->name, "",
            site->peer.not_after_ms);
    if (site->state != SITES_PRESENT)
        return;
    look_at_services(c, site);
    look_at_feed(c, site);
    say(c, ALARM_CLOCK_SKEW, site->name, "",
        (uint64_t) (offset < 0 ? -offset : offset) > c->conf.skew_ms,
        offset < 0 ? "the site's clock is behind the hub's by more than "
                     "alarms.skew"
                   : "the site's clock is ahead of the hub's by more than "
                     "alarms.skew");
}

static void look_at_sites(struct conditions *c)
{
    struct sites_site *site = NULL;
    size_t n = 0;

    while ((site = sites_next(c->sites, site)) && n < c->at + SITES_AT) {
        if (n++ >= c->at)
            look_at_site(c, site);
    }
    c->at = site ? n : 0;
}

static void on_tick(struct ist_timer *timer)
{
    struct conditions *c = IST_CONTAINER(timer, struct conditions, tick);

    look_at_bus(c);
    look_at_store(c);
    look_at_ends(c);
    look_at_sites(c);
    ist_timer_arm_in(timer, c->loop, TICK_MS, on_tick);
}

void conditions_start(struct conditions *c)
{
    ist_timer_arm_in(&c->tick, c->loop, TICK_MS, on_tick);
}

void conditions_stop(struct conditions *c)
{
    ist_timer_disarm(&c->tick);
}

bool conditions_busy(const struct conditions *c)
{
    return c->reading.op.state != IST_OP_IDLE;
}
