/* http/client.h once more, for the benchmarks: every site's OpenStack, in
 * memory, answering at once. What it gives are whole Nova records of
 * microversion 2.93, in the pieces that libcurl would bring, so that the
 * agent's own work is all there and nobody else's is. */
#ifndef BENCH_CLOUD_H
#define BENCH_CLOUD_H

#include <stddef.h>
#include <stdint.h>

/* Of sites 'first' and on; each has so many servers. A site of the same number
 * has the same servers always. */
void bench_cloud_init(uint32_t first, uint32_t n_sites, uint32_t n_servers);

/* The auth_url of a site by its number, for clouds.yaml's place; static. */
const char *bench_cloud_url(uint32_t site);

/* Writes one line per site: the JSON array of its servers, newest first.
 * Returns the average size of a record in bytes; 0 when it cannot. */
size_t bench_cloud_write(const char *path);

#endif
