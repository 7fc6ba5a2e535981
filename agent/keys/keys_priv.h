/* What the command and the running agent share. */
#ifndef KEYS_KEYS_PRIV_H
#define KEYS_KEYS_PRIV_H

#include "base/arena.h"
#include "codec/bundle.h"
#include "codec/keyfile.h"

#define KEYS_ARENA (512 * 1024)

/* Reads DIR/hub.bundle as it was verified at its import (its times may have
 * run out). -ENOENT: none was imported. */
int keys_read_hub(const struct ist_keyfile *, struct ist_arena *,
                  struct ist_bundle_hub *ret, struct ist_err *err);

/* Judges and reads a hub's bundle from any file, at 'now_ms' (0: whenever). */
int keys_parse_hub(const struct ist_keyfile *, const char *path, bool given,
                   uint64_t now_ms, struct ist_arena *,
                   struct ist_bundle_hub *ret, struct ist_err *err);

int keys_path(const struct ist_keyfile *, const char *name, char *path,
              struct ist_err *err);

#endif
