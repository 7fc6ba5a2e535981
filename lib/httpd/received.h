/* How many bytes has this TCP connection received in its life, read or not?
 * 0 when the kernel does not say. In a file of its own, because the kernel's
 * header that knows the answer clashes with libc's. */
#ifndef HTTPD_RECEIVED_H
#define HTTPD_RECEIVED_H

#include <stdint.h>

uint64_t ist_received(int fd);

#endif
