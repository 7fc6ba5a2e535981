#include "view/numbers.h"

#include <string.h>

/* Host byte order: the file does not travel. */
#define VERSION 2U

struct head {
    uint64_t version, epoch, sequence, place;
};

struct packed {
    struct numbers_kind kind;
    uint64_t number;
};

_Static_assert(sizeof(struct head) + VIEW_KINDS_MAX * sizeof(struct packed) ==
                   NUMBERS_PACKED_MAX,
               "room for all kinds");

static bool is_used(const struct numbers_kind *kind)
{
    return kind->position || kind->as_of_ms || kind->known || kind->lacking;
}

size_t numbers_pack(const struct numbers *numbers,
                    uint8_t to[NUMBERS_PACKED_MAX])
{
    struct head head = {VERSION, numbers->epoch, numbers->sequence,
                        numbers->place};
    size_t at = sizeof(head);

    memcpy(to, &head, sizeof(head));
    for (size_t i = 0; i < VIEW_KINDS_MAX; i++) {
        struct packed packed = {numbers->kinds[i], i};

        if (!is_used(&packed.kind))
            continue;
        memcpy(to + at, &packed, sizeof(packed));
        at += sizeof(packed);
    }
    return at;
}

bool numbers_unpack(struct numbers *numbers, const void *data, size_t size)
{
    const uint8_t *at = data, *end = at + size;
    struct packed packed;
    struct head head;

    memset(numbers, 0, sizeof(*numbers));
    if (size < sizeof(head))
        return false;
    memcpy(&head, at, sizeof(head));
    if (head.version != VERSION)
        return false;
    numbers->epoch = head.epoch;
    numbers->sequence = head.sequence;
    numbers->place = head.place;
    for (at += sizeof(head); at + sizeof(packed) <= end; at += sizeof(packed)) {
        memcpy(&packed, at, sizeof(packed));
        if (packed.number < VIEW_KINDS_MAX)
            numbers->kinds[packed.number] = packed.kind;
    }
    return true;
}

bool numbers_take_epoch(struct numbers *numbers, uint64_t epoch, bool is_live,
                        bool *ret_restarted)
{
    *ret_restarted = false;
    if (epoch == numbers->epoch)
        return true;
    if (epoch < numbers->epoch && !is_live)
        return false;
    *ret_restarted = numbers->epoch != 0;
    numbers->epoch = epoch;
    numbers->sequence = numbers->place = 0;
    for (size_t i = 0; i < VIEW_KINDS_MAX; i++) {
        struct numbers_kind *kind = &numbers->kinds[i];

        kind->position = 0;
        kind->lacking = kind->known;
        kind->stating = 0;
    }
    return true;
}

bool numbers_take_places(struct numbers *numbers, uint64_t first,
                         uint64_t oldest, uint64_t n)
{
    uint64_t due = numbers->place + 1;

    if (first == 0 || n == 0)
        return true;
    if (first > due && oldest <= due)
        return false;
    if (first + n > due)
        numbers->place = first + n - 1;
    return true;
}

static enum numbers_verdict take(uint64_t *last, uint64_t number)
{
    uint64_t due = *last + 1;

    if (number < due)
        return NUMBERS_DOUBLE;
    *last = number;
    return number == due ? NUMBERS_NEXT : NUMBERS_GAP;
}

enum numbers_verdict numbers_take_sequence(struct numbers *numbers,
                                           uint64_t sequence, uint64_t *ret_due)
{
    *ret_due = numbers->sequence + 1;
    return take(&numbers->sequence, sequence);
}

enum numbers_verdict numbers_take_position(struct numbers_kind *kind,
                                           uint64_t position)
{
    enum numbers_verdict verdict = take(&kind->position, position);

    if (verdict == NUMBERS_GAP) {
        kind->lacking = 1;
        kind->stating = 0;
    }
    return verdict;
}

void numbers_begin(struct numbers_kind *kind)
{
    kind->stating = 1;
}

bool numbers_end(struct numbers_kind *kind, uint64_t said_ms)
{
    if (!kind->stating)
        return false;
    kind->stating = 0;
    kind->known = 1;
    kind->lacking = 0;
    kind->as_of_ms = said_ms;
    return true;
}
