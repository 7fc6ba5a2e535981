/* Runs a fuzz target over the files it is given, or over those in the
 * directories it is given: the kept corpus is a regression test that needs no
 * clang. Finding no file is a failure, so that a moved corpus is noticed. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_run;

static int run_file(const char *path, size_t size)
{
    /* Of exactly that size, so that a sanitizer sees one byte too far. */
    uint8_t *data = malloc(size ? size : 1);
    FILE *file = fopen(path, "rb");
    int rc = -1;

    if (data && file && fread(data, 1, size, file) == size) {
        LLVMFuzzerTestOneInput(data, size);
        n_run++;
        rc = 0;
    } else {
        fprintf(stderr, "cannot read %s\n", path);
    }
    if (file)
        fclose(file);
    free(data);
    return rc;
}

static int run(const char *path)
{
    struct dirent *entry;
    struct stat st;
    int rc = 0;
    DIR *dir;

    if (stat(path, &st)) {
        fprintf(stderr, "no such file: %s\n", path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return run_file(path, (size_t) st.st_size);
    dir = opendir(path);
    if (!dir)
        return -1;
    while (rc == 0 && (entry = readdir(dir))) {
        char child[4096];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        rc = run(child);
    }
    closedir(dir);
    return rc;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (run(argv[i]))
            return 1;
    printf("%u inputs\n", n_run);
    return n_run ? 0 : 1;
}
