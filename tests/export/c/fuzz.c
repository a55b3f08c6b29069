/* Opens anything and decodes from what opens. The checksum is made right first, so that damage reaches the parsers.
 *
 * With clang's fuzzer: the command is in docs/engines.md. Without (TOD_DAMAGE): bytes of the given bundles are changed
 * in turn, and they are cut off; how many opened is printed.
 */
#define TOD_MAX_TEXELS (1 << 14)
#define TOD_MAX_VALUES (1 << 18)
#define TOD_IMPLEMENTATION
#include "tod.h"

static int opened;

int LLVMFuzzerTestOneInput(const uint8_t *body, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *body, size_t size) {
    uint8_t *bytes = (uint8_t *)malloc(size + 32);
    float *rgb;
    tod_map *map;
    if (size) memcpy(bytes, body, size);
    tod__sha256(bytes, size, bytes + size);
    if (tod_open(bytes, size + 32, &map) == TOD_OK) {
        const tod_info *info = tod_get_info(map);
        const tod_lightmap *last = &info->lightmaps[info->lightmap_count - 1];
        const float uv[8] = {0.0f, 0.0f, 0.5f, 0.4f, 1.0f, 1.0f, 1.5f, -0.5f};
        opened++;
        rgb = (float *)malloc(sizeof(float) * 3 * ((size_t)last->height * (size_t)last->width + 4));
        tod_decode_frame(map, info->lightmap_count - 1, 5.97, rgb);
        tod_sample_many(map, info->lightmap_count - 1, 4, uv, 23.9, TOD_NEAREST, rgb);
        tod_sample_many(map, info->lightmap_count - 1, 4, uv, -3, TOD_BILINEAR, rgb);
        tod_is_valid(map, 0, 3, 3);
        free(rgb);
    }
    tod_close(map);
    free(bytes);
    return 0;
}

#ifdef TOD_DAMAGE
#include <stdio.h>

int main(int count, char **paths) {
    static uint8_t body[1 << 16];
    int k;
    for (k = 1; k < count; k++) {
        FILE *file = fopen(paths[k], "rb");
        size_t size, i;
        if (!file) return 1;
        size = fread(body, 1, sizeof body, file) - 32;
        fclose(file);
        for (i = 0; i < size; i += i < 1000 ? 7 : 101) {
            uint8_t whole = body[i];
            body[i] ^= (uint8_t)(1 << (i % 8));
            LLVMFuzzerTestOneInput(body, size);
            body[i] = (uint8_t)(i % 3 ? 0xFF : 0);
            LLVMFuzzerTestOneInput(body, size);
            body[i] = whole;
        }
        for (i = 0; i < size; i += 101) {
            uint8_t *cut = (uint8_t *)malloc(i + 1); /* of this size, so that a read past its end is seen */
            memcpy(cut, body, i);
            LLVMFuzzerTestOneInput(cut, i);
            free(cut);
        }
    }
    printf("%d opened\n", opened);
    return 0;
}
#endif
