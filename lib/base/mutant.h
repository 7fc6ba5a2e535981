/* Planted bugs. The simulation plants one at a time to prove that it would
 * catch a real one; in every other build the macro is a constant false, and
 * what hangs on it is not even compiled in. */
#ifndef BASE_MUTANT_H
#define BASE_MUTANT_H

#ifdef IST_MUTANTS
#include <string.h>
extern const char *ist_mutant; /* Name of the one that lives; NULL: none. */
#define IST_MUTANT(name) (ist_mutant && strcmp(ist_mutant, (name)) == 0)
#else
#define IST_MUTANT(name) 0
#endif

#endif
