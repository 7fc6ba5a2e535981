/* A program of several words: "isthmus-hub WORD [OPTIONS]". */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

struct ist_program_word {
    const char *word;
    int (*run)(int argc, char **argv); /* argv[0] is the word. */
    const char *help;                  /* One line. */
};

/* Borrowed, with all it points to. */
struct ist_program {
    const char *name;
    const char *about;                    /* A sentence or two for the help. */
    const char *see;                      /* Its man pages: "isthmus-hub(8)". */
    const struct ist_program_word *words; /* Ended by one without 'word'. */
};

/* Runs the word that argv[1] is, and returns what that returns; "--version",
 * "help", "--help" and "-h" are known besides. 2, with advice on stderr, when
 * there is no such word or none at all. */
int ist_program_run(const struct ist_program *, int argc, char **argv);

#endif
