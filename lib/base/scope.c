#include "base/scope.h"

#include <stdlib.h>

void ist_freep(void *pp)
{
    free(*(void **) pp);
}
