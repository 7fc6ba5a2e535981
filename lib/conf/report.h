/* What is wrong with a file: all of it, not only the first thing. One line
 * for each complaint, "path:line: sentence". Text from the file is quoted
 * with its control characters escaped, and cut. */
#ifndef CONF_REPORT_H
#define CONF_REPORT_H

#include "base/err.h"
#include "base/sb.h"

#define IST_CONF_REPORT_MAX 100 /* Complaints; more are only counted. */

struct ist_conf_report {
    const char *path; /* Borrowed: of the file that is being read. */
    struct ist_sb text;
    unsigned n_errors, n_warnings;
};

void ist_conf_report_init(struct ist_conf_report *);
void ist_conf_report_fini(struct ist_conf_report *);

/* 'line' 0: of the file as a whole. A warning says so, and is no error. */
void ist_conf_complain(struct ist_conf_report *, unsigned line, const char *fmt,
                       ...) IST_PRINTF(3, 4);
void ist_conf_warn(struct ist_conf_report *, unsigned line, const char *fmt,
                   ...) IST_PRINTF(3, 4);

/* -EINVAL if there were errors, else 0. 'err' gets the first of them, and how
 * many follow. */
int ist_conf_verdict(const struct ist_conf_report *, struct ist_err *err);

#define IST_CONF_QUOTE_SIZE 68

/* Foreign text fit for a complaint: at most 60 bytes, escaped. 'buf' has
 * IST_CONF_QUOTE_SIZE bytes; returned. */
const char *ist_conf_quote(const char *text, char *buf);

/* Looks for the word that was meant: the candidate nearest to 'word' by edit
 * distance, NULL while none is near (3 edits, or a third of its length). */
struct ist_conf_near {
    const char *word; /* Borrowed. */
    const char *best; /* Borrowed from the candidates. */
    size_t distance;
};

void ist_conf_near_init(struct ist_conf_near *, const char *word);
void ist_conf_near_try(struct ist_conf_near *, const char *candidate);

#endif
