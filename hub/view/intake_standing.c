/* Of each kind an array, made anew when it is asked for and anything has moved
 * since: sites move some hundred times a second at most, and may be asked about
 * thousands of times. */
#include "view/intake_priv.h"

#include "base/grow.h"

#include <stdlib.h>

void intake_standing(struct intake *intake, struct sites_site *site,
                     const struct ist_kind *kind, struct intake_standing *ret)
{
    const struct intake_site *at = site->owner;
    const struct numbers_kind *mine =
        at ? &at->numbers.kinds[view_kind_number(intake->view, kind)] : NULL;

    *ret = (struct intake_standing){.site = site,
                                    .is_present = site->state == SITES_PRESENT};
    if (!mine || !mine->known)
        return;
    ret->is_known = true;
    ret->as_of_ms = mine->as_of_ms;
}

const struct intake_standing *intake_standings(struct intake *intake,
                                               const struct ist_kind *kind,
                                               size_t *ret_n)
{
    struct intake_standings *standings =
        &intake->standings[view_kind_number(intake->view, kind)];
    struct intake_standing *all;
    struct sites_site *site = NULL;

    *ret_n = sites_count(intake->sites);
    if (standings->made_at == intake->n_moves)
        return standings->all;
    all = ist_grow(standings->all, &standings->size, *ret_n + 1, sizeof(*all));
    if (!all)
        return NULL;
    standings->all = all;
    for (size_t i = 0; i < *ret_n; i++) {
        site = sites_next(intake->sites, site);
        intake_standing(intake, site, kind, &all[i]);
    }
    standings->made_at = intake->n_moves;
    return all;
}

void intake_standings_free(struct intake *intake)
{
    for (size_t i = 0; i < VIEW_KINDS_MAX; i++)
        free(intake->standings[i].all);
}
