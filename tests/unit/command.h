/* Runs a command's function as its program would, and keeps what it says. */
#ifndef UNIT_COMMAND_H
#define UNIT_COMMAND_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND_WORDS 32
#define COMMAND_SAID  65536

struct command {
    char out[COMMAND_SAID], complaint[COMMAND_SAID];
};

static inline int command_divert(int fd, FILE *to)
{
    int kept = dup(fd);

    if (kept < 0 || dup2(fileno(to), fd) < 0)
        abort();
    return kept;
}

static inline void command_restore(int fd, int kept, FILE *from, char *said)
{
    size_t n;

    dup2(kept, fd);
    close(kept);
    rewind(from);
    n = fread(said, 1, COMMAND_SAID - 1, from);
    said[n] = '\0';
    fclose(from);
}

/* The words after the function end with NULL. getopt may change their order,
 * never the words. Returns the exit status. */
static inline int command_run(struct command *command,
                              int (*run)(int argc, char **argv), ...)
{
    char *argv[COMMAND_WORDS + 1];
    FILE *out = tmpfile(), *complaint = tmpfile();
    int argc = 0, status, kept_out, kept_complaint;
    va_list words;

    va_start(words, run);
    while ((argv[argc] = va_arg(words, char *)) != NULL) {
        if (++argc > COMMAND_WORDS)
            abort();
    }
    va_end(words);
    if (!out || !complaint)
        abort();
    fflush(stdout);
    fflush(stderr);
    kept_out = command_divert(1, out);
    kept_complaint = command_divert(2, complaint);
    status = run(argc, argv);
    fflush(stdout);
    fflush(stderr);
    command_restore(1, kept_out, out, command->out);
    command_restore(2, kept_complaint, complaint, command->complaint);
    return status;
}

#endif
