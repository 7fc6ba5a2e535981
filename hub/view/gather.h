/* The changes of rows that one transaction makes: of each row only the last is
 * written, and rows in the order of their keys. A server that boots is told of
 * five times in a second, and a page of the file is copied, written and flushed
 * once for each transaction that touches it: so what comes together is put
 * together first.
 *
 * In the pool. All that is given is borrowed until the flush or the reset. */
#ifndef VIEW_GATHER_H
#define VIEW_GATHER_H

#include "view/view.h"

#define VIEW_GATHER_MAX 65536 /* Changes held; then they are flushed. */

struct view_gather;

/* NULL: out of memory. */
struct view_gather *view_gather_new(struct view *);
struct view_gather *view_gather_free(struct view_gather *);

/* As view_upsert() and view_delete(), at the flush. 0 or a fault. */
int view_gather_upsert(struct view_gather *, MDB_txn *, const char *site,
                       const struct ist_kind *, const Isthmus__V1__Record *,
                       struct ist_err *err);
int view_gather_delete(struct view_gather *, MDB_txn *, const char *site,
                       const struct ist_kind *, const char *id,
                       struct ist_err *err);

/* Before anything that depends on which rows there are (view_begin(),
 * view_end()), and at the end. */
int view_gather_flush(struct view_gather *, MDB_txn *, struct ist_err *err);
/* The transaction is given up. */
void view_gather_reset(struct view_gather *);

#endif
