/* Configuration rows: a module that can be configured owns a table of these
 * and hands it up; lib/conf reads files by them. Here, at the bottom, so that
 * every module can own rows without knowing how they are read. */
#ifndef BASE_ROW_H
#define BASE_ROW_H

#include <stddef.h>
#include <stdint.h>

enum ist_row_type {
    IST_ROW_STRING, /* char *, owned by the configuration. */
    IST_ROW_PATH,   /* The same; a relative one counts from the file. */
    IST_ROW_U64,    /* uint64_t, a plain number. */
    IST_ROW_MS,     /* uint64_t, milliseconds; written with a unit. */
    IST_ROW_BYTES,  /* uint64_t, bytes; written with a unit. */
    IST_ROW_BOOL,   /* bool; true or false. */
};

enum ist_row_flags {
    IST_ROW_RELOAD = 1,   /* A reload changes it; else a restart does. */
    IST_ROW_SECRET = 2,   /* Shown as "***". */
    IST_ROW_REQUIRED = 4, /* Has no default. */
};

struct ist_row {
    const char *name; /* "survey.deadline": dots are levels of the file. */
    enum ist_row_type type;
    size_t offset;        /* In the module's configuration struct. */
    const char *fallback; /* As it would be written in the file; or NULL. */
    uint64_t min, max;    /* Of the parsed number; length of a string. */
    unsigned flags;
    const char *help; /* One sentence; for a cap, what happens at it. */
};

#define IST_ROW_END                                                            \
    {                                                                          \
        NULL, IST_ROW_STRING, 0, NULL, 0, 0, 0, NULL                           \
    }

#endif
