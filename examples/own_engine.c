/* Decodes one hour of a bundle to a picture that holds radiance (PFM).
 *
 *     gcc -O3 -march=native -Isrc/export/c examples/own_engine.c -o own_engine
 *     ./own_engine day.tod 17.5 half_past_five.pfm
 */
#define TOD_IMPLEMENTATION
#include "tod.h"
#include <stdio.h>

int main(int count, char **arguments) {
    if (count != 4) return fprintf(stderr, "usage: own_engine BUNDLE HOUR OUT.pfm\n"), 2;
    FILE *file = fopen(arguments[1], "rb");
    if (!file) return fprintf(stderr, "error: %s: cannot be read\n", arguments[1]), 2;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    void *bytes = malloc(size > 0 ? (size_t)size : 1);
    size_t read = bytes ? fread(bytes, 1, (size_t)size, file) : 0;
    fclose(file);
    tod_map *map;
    tod_error error = tod_open(bytes, read, &map);
    free(bytes);
    if (error) return fprintf(stderr, "error: %s: %s\n", arguments[1], tod_error_string(error)), 2;

    const tod_lightmap *part = &tod_get_info(map)->lightmaps[0];
    float *rgb = malloc(sizeof(float) * 3 * (size_t)part->width * (size_t)part->height);
    if (!rgb) return fprintf(stderr, "error: there is not enough memory\n"), 2;
    error = tod_decode_frame(map, 0, atof(arguments[2]), rgb);
    if (error) return fprintf(stderr, "error: HOUR: %s\n", tod_error_string(error)), 2;

    file = fopen(arguments[3], "wb");
    if (!file) return fprintf(stderr, "error: %s: cannot be written\n", arguments[3]), 2;
    fprintf(file, "PF\n%d %d\n-1.0\n", part->width, part->height); /* -1: little-endian; the bottom row comes first */
    for (int y = part->height - 1; y >= 0; y--)
        fwrite(rgb + 3 * (size_t)part->width * y, 12, (size_t)part->width, file);
    int failed = fclose(file);
    free(rgb);
    tod_close(map);
    return failed ? 2 : 0;
}
