/* One value of an answer, as text. Machine formats must be what cliff, the
 * base of OpenStack's command line, would print for the same data; cliff
 * prints by Python's rules, so these are Python's. */
#ifndef CLI_CELL_H
#define CLI_CELL_H

#include "base/sb.h"

#include <jansson.h>

/* Puts a value into a table's cell for people. */
typedef void cli_human_fn(struct ist_sb *, const json_t *);

/* By type: text as it is, "a, b" for a list, "k='v'" for an object. Foreign
 * text is escaped; a newline is ours and begins a new line in the cell. */
void cli_cell_human(struct ist_sb *, const json_t *);

/* Python's str(): "None", "True", "1.5", "{'a': [1]}". Text is not escaped,
 * text inside lists and objects is (that is Python's repr()). */
void cli_cell_str(struct ist_sb *, const json_t *);

/* Python's repr() of a float: the shortest that reads back the same. */
void cli_cell_real(struct ist_sb *, double);

/* Less, equal or greater by Python's order within one class; null is the
 * greatest. Both must be of one class, see below. */
int cli_cell_cmp(const json_t *, const json_t *);

/* Values of different classes cannot be sorted. */
enum cli_class {
    CLI_CLASS_NULL,
    CLI_CLASS_TEXT,
    CLI_CLASS_NUMBER,
    CLI_CLASS_NO
};
enum cli_class cli_cell_class(const json_t *);

#endif
