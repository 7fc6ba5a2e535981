#include "base/program.h"

#include "base/scope.h"

#include <stdio.h>
#include <string.h>

static int help(const struct ist_program *program)
{
    const struct ist_program_word *word;
    size_t width = 0;

    for (word = program->words; word->word; word++) {
        if (strlen(word->word) > width)
            width = strlen(word->word);
    }
    printf("Usage: %s WORD [OPTIONS]\n\n%s\n\n", program->name, program->about);
    for (word = program->words; word->word; word++)
        printf("  %-*s  %s\n", (int) width, word->word, word->help);
    printf("\n%s WORD --help says more. See %s.\n", program->name,
           program->see);
    return 0;
}

static int version(const struct ist_program *program)
{
    printf("%s " IST_VERSION "\n", program->name);
    return 0;
}

static const struct {
    const char *word;
    int (*run)(const struct ist_program *);
} common[] = {
    {"--version", version},
    {"help", help},
    {"--help", help},
    {"-h", help},
};

int ist_program_run(const struct ist_program *program, int argc, char **argv)
{
    const struct ist_program_word *word;

    for (word = program->words; argc > 1 && word->word; word++) {
        if (strcmp(argv[1], word->word) == 0)
            return word->run(argc - 1, argv + 1);
    }
    for (size_t i = 0; argc > 1 && i < IST_COUNT(common); i++) {
        if (strcmp(argv[1], common[i].word) == 0)
            return common[i].run(program);
    }
    if (argc > 1)
        fprintf(stderr, "%s: there is no '%s'\n", program->name, argv[1]);
    fprintf(stderr, "%s: try '%s --help'\n", program->name, program->name);
    return 2;
}
