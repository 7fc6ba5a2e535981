/* What the NOC is told of the sites: as events of the hub, and once only. What
 * was told is stored, so that a hub that starts again neither repeats it nor
 * leaves "unreachable" without its end. */
#include "view/intake_priv.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTES_MAX 256 /* Stored in one write; the others by the next. */

struct intake_note {
    char key[SITES_NAME_SIZE + 8];
    struct intake_told told;
};

void intake_told_key(char *to, size_t size, const char *name)
{
    snprintf(to, size, "%s#told", name);
}

/* Storing */

static int store(struct ist_write *write, MDB_txn *txn, struct ist_err *err)
{
    struct intake *intake = IST_CONTAINER(write, struct intake, telling.write);

    for (size_t i = 0; i < intake->telling.n; i++) {
        const struct intake_note *note = &intake->telling.notes[i];
        MDB_val key = view_val(note->key, strlen(note->key));
        MDB_val value = view_val(&note->told, sizeof(note->told));
        int rc = mdb_put(txn, intake->map, &key, &value, 0);

        if (rc)
            return ist_tree_fault(rc, "writing what was told", err);
    }
    return 0;
}

static void store_told(struct intake *intake);

static void on_stored(struct ist_op *op)
{
    struct intake *intake = IST_CONTAINER(op, struct intake, telling.write.op);

    if (op->rc && !intake->closing)
        ist_log_warn("intake", "what the NOC was told may be told again: %s",
                     op->err.text);
    free(intake->telling.notes);
    intake->telling.notes = NULL;
    store_told(intake);
}

static size_t gather(struct intake *intake, struct intake_note *notes)
{
    struct intake_site *at;
    size_t n = 0;

    LIST_FOREACH(at, &intake->known, sibling)
    {
        if (!at->told_anew || n == NOTES_MAX)
            continue;
        at->told_anew = false;
        if (at->site->state == SITES_REMOVED)
            continue;
        intake_told_key(notes[n].key, sizeof(notes[n].key), at->site->name);
        notes[n++].told = at->told;
    }
    return n;
}

static bool is_any_anew(const struct intake *intake)
{
    const struct intake_site *at;

    LIST_FOREACH(at, &intake->known, sibling)
    {
        if (at->told_anew)
            return true;
    }
    return false;
}

static void store_told(struct intake *intake)
{
    if (intake->telling.write.op.state != IST_OP_IDLE || !is_any_anew(intake))
        return;
    intake->telling.notes = calloc(NOTES_MAX, sizeof(struct intake_note));
    if (!intake->telling.notes)
        return; /* With the next change. */
    intake->telling.n = gather(intake, intake->telling.notes);
    ist_op_prepare(&intake->telling.write.op, intake->loop, NULL, 0, on_stored);
    ist_tree_write(intake->tree, &intake->telling.write, store);
}

/* Telling */

static void tell(struct intake *intake, const struct sites_site *site,
                 const char *kind, const char *action,
                 enum events_severity severity, const char *text)
{
    events_post(intake->log, &(struct events_item){.site = site->name,
                                                   .severity = severity,
                                                   .service = "isthmus",
                                                   .kind = kind,
                                                   .action = action,
                                                   .subject = site->name,
                                                   .text = text});
}

static void tell_interrupted(struct intake *intake, struct intake_site *at)
{
    char text[160];

    if (at->told.is_interrupted || at->numbers.epoch == 0)
        return;
    at->told.is_interrupted = 1;
    at->told.epoch = at->numbers.epoch;
    at->told.due = at->numbers.sequence + 1;
    snprintf(text, sizeof(text),
             "events of site %s from %" PRIu64 " on are not here yet",
             at->site->name, at->told.due);
    tell(intake, at->site, "feed", "interrupted", EVENTS_WARNING, text);
}

void intake_tell_resumed(struct intake *intake, struct intake_site *at)
{
    const struct sites_site *site = at->site;
    bool is_same = at->told.epoch == at->numbers.epoch;
    char text[200];

    if (!at->told.is_interrupted || site->state != SITES_PRESENT ||
        site->feed_epoch != at->numbers.epoch ||
        site->feed_next_sequence > at->numbers.sequence + 1)
        return;
    at->told.is_interrupted = 0;
    at->told_anew = true;
    if (is_same)
        snprintf(text, sizeof(text),
                 "events of site %s are here again: %" PRIu64
                 " came late, from %" PRIu64 " on",
                 site->name, at->numbers.sequence + 1 - at->told.due,
                 at->told.due);
    else
        snprintf(text, sizeof(text),
                 "events of site %s are here again, in a feed that began anew; "
                 "those of the old one from %" PRIu64 " on are lost",
                 site->name, at->told.due);
    tell(intake, site, "feed", "resumed", EVENTS_NOTICE, text);
    store_told(intake);
}

static void tell_state(struct intake *intake, struct intake_site *at)
{
    enum sites_state state = at->site->state;
    char text[160];

    if (state == SITES_PRESENT && at->told.is_away) {
        at->told.is_away = 0;
        snprintf(text, sizeof(text), "site %s is there again", at->site->name);
        tell(intake, at->site, "site", "reachable", EVENTS_NOTICE, text);
    } else if (state == SITES_ABSENT && !at->told.is_away) {
        at->told.is_away = 1;
        snprintf(text, sizeof(text),
                 "site %s is not heard: its agent, its link to the bus, or the "
                 "site is down",
                 at->site->name);
        tell(intake, at->site, "site", "unreachable", EVENTS_ERROR, text);
        tell_interrupted(intake, at);
    }
}

static void tell_version(struct intake *intake, struct intake_site *at)
{
    const struct sites_site *site = at->site;
    char text[200];

    if (strcmp(at->told.version, site->version) == 0)
        return;
    snprintf(text, sizeof(text),
             "the agent of site %s is of version %s, was %s", site->name,
             site->version, at->told.version);
    if (at->told.version[0])
        tell(intake, site, "site", "version_changed", EVENTS_NOTICE, text);
    snprintf(at->told.version, sizeof(at->told.version), "%s", site->version);
}

static void tell_policy(struct intake *intake, struct intake_site *at)
{
    const struct sites_site *site = at->site;
    char text[200];

    if (strcmp(at->told.policy_mode, site->policy_mode) == 0 &&
        memcmp(at->told.policy_digest, site->policy_digest,
               sizeof(site->policy_digest)) == 0)
        return;
    snprintf(text, sizeof(text),
             "another policy is in force at site %s: %s, was %s", site->name,
             site->policy_mode, at->told.policy_mode);
    if (at->told.policy_mode[0])
        tell(intake, site, "site", "policy_changed", EVENTS_NOTICE, text);
    snprintf(at->told.policy_mode, sizeof(at->told.policy_mode), "%s",
             site->policy_mode);
    memcpy(at->told.policy_digest, site->policy_digest,
           sizeof(site->policy_digest));
}

/* Its first epoch is no restart. */
static void tell_restart(struct intake *intake, struct intake_site *at)
{
    if (at->told.version[0])
        tell(intake, at->site, "site", "agent_restarted", EVENTS_NOTICE,
             "its agent has started again");
}

static void tell_added(struct intake *intake, struct intake_site *at)
{
    tell(intake, at->site, "site", "added", EVENTS_NOTICE,
         "the site was added");
}

static void tell_removed(struct intake *intake, struct intake_site *at)
{
    tell(intake, at->site, "site", "removed", EVENTS_NOTICE,
         "the site was removed");
}

static void tell_keys(struct intake *intake, struct intake_site *at)
{
    tell(intake, at->site, "site", "keys_changed", EVENTS_NOTICE,
         "its online keys have changed");
}

void intake_tell_changes(struct intake *intake, struct intake_site *at,
                         unsigned changes)
{
    static const struct {
        unsigned change;
        void (*tell)(struct intake *, struct intake_site *);
    } rows[] = {
        {SITES_CHANGE_ADDED, tell_added},
        {SITES_CHANGE_REMOVED, tell_removed},
        {SITES_CHANGE_KEYS, tell_keys},
        {SITES_CHANGE_RESTART, tell_restart},
        {SITES_CHANGE_STATE, tell_state},
        {SITES_CHANGE_POLICY, tell_policy},
        {SITES_CHANGE_VERSION, tell_version},
    };
    struct intake_told before = at->told;

    for (size_t i = 0; i < IST_COUNT(rows); i++) {
        if (changes & rows[i].change)
            rows[i].tell(intake, at);
    }
    at->told_anew |= memcmp(&before, &at->told, sizeof(before)) != 0;
    store_told(intake);
}
