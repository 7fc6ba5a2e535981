#include "feed/entry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SHOWN_MAX 80 /* Characters of a name in a sentence, about. */

static void begin(struct feed_entry *entry, const struct ist_kind *kind,
                  Isthmus__V1__Change__Op op)
{
    isthmus__v1__event__init(&entry->event);
    isthmus__v1__change__init(&entry->change);
    entry->event.change = &entry->change;
    entry->event.service = (char *) (uintptr_t) kind->service;
    entry->event.kind = (char *) (uintptr_t) kind->name;
    entry->change.op = op;
}

/* What an event says of a row. */
static void tell(struct feed_entry *entry, const char *action, const char *id,
                 const struct feed_facts *facts)
{
    entry->event.action = (char *) (uintptr_t) action;
    entry->event.subject = (char *) (uintptr_t) id;
    entry->event.project = (char *) (uintptr_t) facts->project;
    entry->event.text = entry->text;
}

/* Its name, cut between two characters; else its id. */
static int shown(const struct feed_facts *facts, const char *id,
                 const char **ret)
{
    size_t len;

    *ret = facts->name[0] ? facts->name : id;
    len = strlen(*ret);
    if (len > SHOWN_MAX) {
        len = SHOWN_MAX;
        while (len > 0 && ((unsigned char) (*ret)[len] & 0xC0) == 0x80)
            len--;
    }
    return (int) len;
}

/* "ERROR", "error_deleting", "enabled/down". */
static Isthmus__V1__Event__Severity severity_of(const char *state)
{
    const char *second = strchr(state, '/');

    if (strncasecmp(state, "error", 5) == 0)
        return ISTHMUS__V1__EVENT__SEVERITY__ERROR;
    if (second && strcasecmp(second + 1, "down") == 0)
        return ISTHMUS__V1__EVENT__SEVERITY__WARNING;
    return ISTHMUS__V1__EVENT__SEVERITY__INFO;
}

static void say(struct feed_entry *entry, const char *action, const char *id,
                const struct feed_facts *facts)
{
    const char *name;
    int len = shown(facts, id, &name);

    snprintf(entry->text, sizeof(entry->text), "%s %.*s was %s",
             entry->event.kind, len, name, action);
    tell(entry, action, id, facts);
}

static void say_state(struct feed_entry *entry, const char *id,
                      const struct feed_facts *facts, const char *before)
{
    const char *name;
    int len = shown(facts, id, &name);

    snprintf(entry->text, sizeof(entry->text),
             "%s %.*s is now %.60s (it was %.60s)", entry->event.kind, len,
             name, facts->state, before[0] ? before : "without a status");
    tell(entry, "state_changed", id, facts);
    entry->event.severity = severity_of(facts->state);
}

void feed_entry_border(struct feed_entry *entry, const struct ist_kind *kind,
                       Isthmus__V1__Change__Op op)
{
    begin(entry, kind, op);
}

void feed_entry_upsert(struct feed_entry *entry, const struct ist_kind *kind,
                       const struct os_record *record,
                       const struct feed_row *row,
                       const struct feed_facts *before)
{
    begin(entry, kind, ISTHMUS__V1__CHANGE__OP__UPSERT);
    isthmus__v1__record__init(&entry->record);
    entry->change.record = &entry->record;
    entry->record.keys = (ProtobufCBinaryData *) (uintptr_t) row->keys;
    entry->record.n_keys = row->n_keys;
    entry->record.id = (char *) (uintptr_t) record->id;
    entry->record.body = (ProtobufCBinaryData){
        record->body.size, (uint8_t *) (uintptr_t) record->body.data};
    if (!before)
        say(entry, "created", record->id, &row->facts);
    else if (strcmp(before->state, row->facts.state) != 0 &&
             row->facts.state[0])
        say_state(entry, record->id, &row->facts, before->state);
    else
        say(entry, "updated", record->id, &row->facts);
}

void feed_entry_delete(struct feed_entry *entry, const struct ist_kind *kind,
                       const char *id, const struct feed_facts *before)
{
    begin(entry, kind, ISTHMUS__V1__CHANGE__OP__DELETE);
    say(entry, "deleted", id, before);
}
