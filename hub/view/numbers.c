#include "view/numbers.h"

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
    numbers->sequence = 0;
    for (size_t i = 0; i < VIEW_KINDS_MAX; i++) {
        struct numbers_kind *kind = &numbers->kinds[i];

        kind->position = 0;
        kind->lacking = kind->known;
        kind->stating = 0;
    }
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

bool numbers_end(struct numbers_kind *kind, uint64_t now_ms)
{
    if (!kind->stating)
        return false;
    kind->stating = 0;
    kind->known = 1;
    kind->lacking = 0;
    kind->as_of_ms = now_ms;
    return true;
}
