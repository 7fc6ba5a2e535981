/* A private RabbitMQ for a test program: tests/integ/broker in a directory of
 * its own, or, with ISTHMUS_TEST_BROKER=DIR, one that runs already. And an
 * administrator's blocking connection, to make and clear what a test needs. */
#ifndef CONFORM_RABBIT_H
#define CONFORM_RABBIT_H

#include <stdbool.h>
#include <stdint.h>

/* Is there no rabbitmq-server on this machine? Then says so. */
bool rabbit_is_missing(void);

/* Started by the first call, stopped when the program ends. -1 if it cannot
 * be: then 'errno' is of no use, and the script has said why. */
int rabbit_start(void);

const char *rabbit_url(void);             /* amqps://... */
const char *rabbit_plain(void);           /* amqp://tester:tester@... */
uint16_t rabbit_port(void);               /* Of TLS; plain is the next one. */
const char *rabbit_tls(const char *name); /* Path of that file; static. */

/* "kill", "restart", "pause", "resume", or "ctl ..." with arguments: runs
 * the script and waits for it. 0 if it succeeded. */
int rabbit_do(const char *verb);
/* The same, not waiting. */
int rabbit_begin(const char *verb);

/* The objects of conform/bus.h, all empty. */
int rabbit_objects(void);
int rabbit_delete_queue(const char *queue);
int rabbit_declare_queue(const char *queue);
/* Publishes raw headers (an encoded field table, its length in front), as
 * any other program could. */
int rabbit_publish_headers(const char *exchange, const char *key,
                           const void *table, uint32_t size);

/* Shuts down every connection that this program has with the broker. */
void rabbit_cut(void);

#endif
