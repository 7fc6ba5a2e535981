/* What op.c and loop.c share. */
#ifndef IO_LOOP_PRIV_H
#define IO_LOOP_PRIV_H

struct ist_loop;

/* There is something in loop->finished: run it in the next turn. */
void ist_loop_defer(struct ist_loop *);

/* Runs 'done' of every op in loop->finished (io/op.c). */
void ist_op_drain(struct ist_loop *);

#endif
