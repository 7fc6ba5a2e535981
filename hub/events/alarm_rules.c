/* What raises which alarm, and what is to be done about it: rows only. A new
 * type is a row here, a section of isthmus-alarms(7), and a rule or somebody
 * who says the condition. */
#include "events/alarm_priv.h"

#include "model/kind.h"

#include <string.h>

#define HOUR_MS 3600000ULL

static const struct alarm_row types[ALARM_TYPES] = {
    [ALARM_BUS_UNREACHABLE] =
        {"bus-unreachable", ALARM_CRITICAL, 0,
         "See whether RabbitMQ runs and can be reached from the hub: "
         "'systemctl status rabbitmq-server', then the hub's journal for why "
         "the connection fails."},
    [ALARM_BUS_BLOCKED] =
        {"bus-blocked", ALARM_MAJOR, 0,
         "The broker is short of memory or disk: 'rabbitmq-diagnostics "
         "alarms' says of which. Free it; the hub goes on by itself."},
    [ALARM_SITE_UNREACHABLE] =
        {"site-unreachable", ALARM_CRITICAL, 0,
         "Ask the site's admin whether the site is up, its agent runs "
         "('systemctl status isthmus-agent') and its link to the bus is open."},
    [ALARM_SERVICE_UNAVAILABLE] =
        {"service-unavailable", ALARM_MAJOR, 0,
         "Its agent cannot read this OpenStack service: see with 'isthmus site "
         "show SITE' what it answers, and have the site's admin look at it."},
    [ALARM_FEED_STALE] =
        {"feed-stale", ALARM_MINOR, 0,
         "The site is there, but what the hub knows of it is old: look for "
         "service-unavailable at the site, and at the hub's and the agent's "
         "journal for why the feed does not move."},
    [ALARM_FEED_INTERRUPTED] =
        {"feed-interrupted", ALARM_WARNING, 0,
         "Events of this site come late. They follow when the site is heard "
         "again; when it is and they do not, look at the agent's journal."},
    [ALARM_EVENTS_LOST] =
        {"events-lost", ALARM_WARNING, HOUR_MS,
         "Some events of this site will not come any more; what the site has "
         "is read again by itself. If it happens often, give the agent's "
         "outbox more room."},
    [ALARM_RESOURCE_ERROR] =
        {"resource-error", ALARM_MINOR, 0,
         "Look at the resource with 'isthmus KIND show ID'. Clear the alarm "
         "when its owner is content with that state."},
    [ALARM_CERTIFICATE_EXPIRING] =
        {"certificate-expiring", ALARM_WARNING, 0,
         "Put a new certificate in place before the old one ends, and restart "
         "what uses it: afterwards nobody connects any more."},
    [ALARM_DELEGATION_EXPIRING] =
        {"delegation-expiring", ALARM_WARNING, 0,
         "Have the site's admin renew its online keys ('isthmus-agent keys "
         "--renew') "
         "and add the new bundle here: afterwards the site's messages are "
         "refused."},
    [ALARM_CLOCK_SKEW] =
        {"clock-skew", ALARM_MINOR, 0,
         "Have the clocks of hub and site set by NTP ('chronyc tracking'): far "
         "enough apart, messages are refused."},
    [ALARM_STORE_FULL] =
        {"store-full", ALARM_MAJOR, 0,
         "hub.db is near its cap: raise view.max, or keep fewer events with "
         "events.keep."},
    [ALARM_QUEUE_BACKLOG] =
        {"queue-backlog", ALARM_MINOR, 0,
         "A reader of the log of events does not keep up: see whether what it "
         "delivers to is slow or away."},
    [ALARM_WEBHOOK_DEAD] =
        {"webhook-dead", ALARM_MAJOR, 0,
         "Nobody takes the deliveries of this webhook, and it was given up: "
         "have its owner mend the receiver, then enable it again."},
    [ALARM_TOO_MANY] =
        {"too-many-alarms", ALARM_MAJOR, 0,
         "Clear or mend some of the open alarms, or raise alarms.max: new ones "
         "are only counted here. The log of events has what raised them."},
};

#define ANY EVENTS_INFO, EVENTS_CRITICAL

static const struct alarm_rule rules[] = {
    {"site", "unreachable", ANY, ALARM_RAISE, ALARM_SITE_UNREACHABLE,
     ALARM_ABOUT_SITE},
    {"site", "reachable", ANY, ALARM_CLEAR, ALARM_SITE_UNREACHABLE,
     ALARM_ABOUT_SITE},
    {"site", "removed", ANY, ALARM_CLEAR_SITE, ALARM_TYPES, ALARM_ABOUT_SITE},
    {"feed", "interrupted", ANY, ALARM_RAISE, ALARM_FEED_INTERRUPTED,
     ALARM_ABOUT_SITE},
    {"feed", "resumed", ANY, ALARM_CLEAR, ALARM_FEED_INTERRUPTED,
     ALARM_ABOUT_SITE},
    {"feed", "gap", ANY, ALARM_RAISE, ALARM_EVENTS_LOST, ALARM_ABOUT_SITE},
    {"webhook", "disabled", EVENTS_WARNING, EVENTS_CRITICAL, ALARM_RAISE,
     ALARM_WEBHOOK_DEAD, ALARM_ABOUT_SUBJECT},
    {"webhook", "disabled", EVENTS_INFO, EVENTS_NOTICE, ALARM_CLEAR,
     ALARM_WEBHOOK_DEAD, ALARM_ABOUT_SUBJECT},
    {"webhook", "enabled", ANY, ALARM_CLEAR, ALARM_WEBHOOK_DEAD,
     ALARM_ABOUT_SUBJECT},
    {"webhook", "deleted", ANY, ALARM_CLEAR, ALARM_WEBHOOK_DEAD,
     ALARM_ABOUT_SUBJECT},
    {NULL, "state_changed", EVENTS_ERROR, EVENTS_CRITICAL, ALARM_RAISE,
     ALARM_RESOURCE_ERROR, ALARM_ABOUT_RESOURCE},
    {NULL, "state_changed", EVENTS_INFO, EVENTS_WARNING, ALARM_CLEAR,
     ALARM_RESOURCE_ERROR, ALARM_ABOUT_RESOURCE},
    {NULL, "deleted", ANY, ALARM_CLEAR, ALARM_RESOURCE_ERROR,
     ALARM_ABOUT_RESOURCE},
};

const struct alarm_cause alarm_causes[] = {
    {ALARM_BUS_UNREACHABLE, true},
    {ALARM_SITE_UNREACHABLE, false},
};
const size_t alarm_n_causes = IST_COUNT(alarm_causes);

static const char *const severities[ALARM_SEVERITIES] = {"warning", "minor",
                                                         "major", "critical"};

const char *alarm_severity_name(enum alarm_severity severity)
{
    return severities[severity];
}

int alarm_severity_parse(const char *name)
{
    for (int i = 0; i < ALARM_SEVERITIES; i++) {
        if (strcmp(severities[i], name) == 0)
            return i;
    }
    return -1;
}

const struct alarm_row *alarm_row(enum alarm_type type)
{
    return &types[type];
}

int alarm_type_parse(const char *name)
{
    for (int i = 0; i < ALARM_TYPES; i++) {
        if (strcmp(types[i].name, name) == 0)
            return i;
    }
    return -1;
}

/* Resources are the sites' to speak of, all else is the hub's. An alarm's own
 * events raise nothing: "alarm" is neither. */
static bool is_of_kind(const struct alarm_rule *rule,
                       const struct events_item *item)
{
    if (!rule->kind)
        return ist_kind_find(item->kind) != NULL;
    return strcmp(rule->kind, item->kind) == 0 &&
           strcmp(item->origin, ALARM_HUB) == 0;
}

const struct alarm_rule *alarm_rule_find(const struct events_item *item)
{
    for (size_t i = 0; i < IST_COUNT(rules); i++) {
        const struct alarm_rule *rule = &rules[i];

        if (strcmp(rule->action, item->action) == 0 &&
            item->severity >= rule->at_least &&
            item->severity <= rule->at_most && is_of_kind(rule, item))
            return rule;
    }
    return NULL;
}
