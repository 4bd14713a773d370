// The kernels as a program of an operating system: `hosted ARTIFACT < windows > outputs`, all of them raw int8, one after
// another. It ends with 1 and a line on stderr when the artifact is refused or a window is cut short.

#include <stdio.h>
#include <stdlib.h>

#include "../model.h"

static int refuse(const char *why) {
    fprintf(stderr, "%s\n", why);
    return 1;
}

// The file's bytes in memory of its own; NULL when it cannot be read or is too large.
static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(REN_ARENA_MAX);
    *size = file && bytes ? fread(bytes, 1, REN_ARENA_MAX, file) : 0;
    if (file) {
        fclose(file);
    }
    return bytes;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        return refuse("wanted one argument, an artifact");
    }
    size_t size;
    const uint8_t *artifact = read_file(argv[1], &size);
    int error = ren_model_check(artifact, size);
    if (error != REN_OK) {
        return refuse(ren_model_error(error));
    }
    ren_model_facts facts;
    ren_model_info(artifact, &facts);
    int8_t *in = malloc(facts.input_bytes), *out = malloc(facts.output_bytes);
    uint8_t *arena = malloc(facts.arena_bytes + 1);
    if (!in || !out || !arena) {
        return refuse("no memory");
    }
    size_t got;
    while ((got = fread(in, 1, facts.input_bytes, stdin)) == facts.input_bytes) {
        ren_model_run(artifact, in, out, arena);
        if (fwrite(out, 1, facts.output_bytes, stdout) != facts.output_bytes) {
            return refuse("stdout is closed");
        }
    }
    return got ? refuse("the last window is cut short") : 0;
}
