/* Fingerprints for people: six words of a list of 256, the first six bytes of
 * SHA-256 of a public key. Two admins read them to each other; 48 bits are
 * enough against a key made to resemble another while they do. */
#ifndef CODEC_WORDS_H
#define CODEC_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define IST_WORDS_SIZE 64 /* Of the text, with the NUL. */

/* "amber-river-..." into 'buf' of IST_WORDS_SIZE bytes; returned. */
char *ist_words(const uint8_t key[32], char *buf);

/* One of the list; the lists's words are all different. For tests. */
const char *ist_words_nth(uint8_t index);

#endif
