/* A notification of a site's service, as anybody at its broker may write it.
 * The first byte picks the service. What is touched must be a kind that there
 * is, and an id that may stand in a path. */
#include "feed/notify_read.h"
#include "model/kind.h"
#include "os/rows.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

static void on_touch(void *arg, const char *kind, const char *id)
{
    size_t *n = arg;

    assert(ist_kind_find(kind));
    assert(strlen(id) <= 255 && strcmp(id, "..") != 0);
    for (; *id; id++)
        assert(strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "0123456789._:-",
                      *id));
    assert(++*n <= NOTIFY_IDS_MAX + 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct os_service *services;
    struct notify_verdict verdict;
    size_t n_services, n = 0;
    struct ist_sb scratch;

    if (size < 1)
        return 0;
    services = os_services(&n_services);
    ist_sb_init(&scratch, NOTIFY_BODY_MAX);
    verdict = notify_read(services[data[0] % n_services].name, data + 1,
                          size - 1, &scratch, on_touch, &n);
    assert(verdict.wanted || n == 0 || verdict.fault == NOTIFY_LARGE);
    ist_sb_fini(&scratch);
    return 0;
}
