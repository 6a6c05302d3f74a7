/* The least that making an environment takes: its folders and its hard links.

       limit LIST TARGET WORKERS

   LIST is what limit.py writes: records that end with a NUL byte, each a letter and a
   name. They are carried out in order:

       D name   make the folder TARGET/name; it is the current one from now on
       S name   links come from this folder now
       L name   link the file of this name from there to the current folder
       P        a new part begins

   What comes before the first part is done first, by one process; then each part by a
   process of its own (by the same one if WORKERS is 1). Nothing is checked, no file is
   written, and no more is read than LIST. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int enter(int at, const char *name) {
    int folder = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        fail(name);
    return folder;
}

/* Carry out records up to the next part, and return where that begins. */
static char *work(char *record, const char *end, int root) {
    int source = -1, folder = -1;
    for (; record < end && *record != 'P'; record += strlen(record) + 1) {
        char *name = record + 1;
        if (*record == 'D') {
            if (folder >= 0)
                close(folder);
            if (mkdirat(root, name, 0777))
                fail(name);
            folder = enter(root, name);
        } else if (*record == 'S') {
            if (source >= 0)
                close(source);
            source = enter(AT_FDCWD, name);
        } else if (linkat(source, name, folder, name, 0)) {
            fail(name);
        }
    }
    if (source >= 0)
        close(source);
    if (folder >= 0)
        close(folder);
    return record;
}

static char *skip(char *record, const char *end) {
    while (record < end && *record != 'P')
        record += strlen(record) + 1;
    return record;
}

static char *read_all(const char *path, size_t *size) {
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status))
        fail(path);
    *size = status.st_size;
    char *content = malloc(*size + 1);
    if (!content || read(file, content, *size) != (ssize_t)*size)
        fail(path);
    content[*size] = 0;
    close(file);
    return content;
}

int main(int count, char **words) {
    if (count != 4) {
        fputs("usage: limit LIST TARGET WORKERS\n", stderr);
        return 2;
    }
    size_t size;
    char *record = read_all(words[1], &size);
    const char *end = record + size;
    int alone = atoi(words[3]) < 2, status, bad = 0;
    if (mkdir(words[2], 0777))
        fail(words[2]);
    int root = enter(AT_FDCWD, words[2]);
    record = work(record, end, root);
    while (record < end) {
        char *part = record + 2; /* after "P" and its NUL */
        if (alone) {
            record = work(part, end, root);
            continue;
        }
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (!child) {
            work(part, end, root);
            _exit(0);
        }
        record = skip(part, end);
    }
    while (wait(&status) > 0)
        bad |= status;
    return bad != 0;
}
