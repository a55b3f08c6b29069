/* tod.h for a browser: one bundle in one instance, whose memory goes when the instance goes. Build: build.sh.
 *
 * Memory only grows. What a call takes beside its results is given back when it ends, so that calls do not add up.
 */
#include <stddef.h>
#include <stdint.h>

#include "string.h"

static void *heap_take(size_t size);

#define TOD_STATIC
#define TOD_MALLOC(size) heap_take(size)
#define TOD_FREE(pointer) ((void)(pointer))
#define TOD_IMPLEMENTATION
#include "tod.h"

#define EXPORT(name) __attribute__((export_name(#name), used))

enum { PAGE_BYTES = 65536, ALIGNMENT = 16 };

extern uint8_t __heap_base; /* of the linker */
static uintptr_t heap_end;
static tod_map *map;

static void *heap_take(size_t size) {
    uintptr_t start = heap_end ? heap_end : ((uintptr_t)&__heap_base + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    uint64_t end = ((uint64_t)start + size + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) * PAGE_BYTES;
    if (end > UINTPTR_MAX) return NULL;
    if (end > have && __builtin_wasm_memory_grow(0, (size_t)((end - have + PAGE_BYTES - 1) / PAGE_BYTES)) == SIZE_MAX)
        return NULL;
    heap_end = (uintptr_t)end;
    return (void *)start;
}

/* Room for the file, for points or for colours; 0 when there is none. It is never given back. */
EXPORT(reserve) void *reserve(size_t size) { return heap_take(size); }

/* 0, or the number of an error. */
EXPORT(open) int open_bundle(const void *bytes, size_t size) { return tod_open(bytes, size, &map); }

EXPORT(sentence) const char *sentence(int error) { return tod_error_string((tod_error)error); }

EXPORT(sentence_bytes) size_t sentence_bytes(int error) { return strlen(tod_error_string((tod_error)error)); }

/* What a shader is given (src/export/shader/day.py): the packed latents of each level, and the interval after each
 * baked hour: its length, and where in it an event lies, or -1. */
EXPORT(level_count) int level_count(void) { return map->level_count; }

EXPORT(level_stride) int level_stride(int k) { return map->levels[k].stride; }

EXPORT(level_channels) int level_channels(int k) { return map->levels[k].channels; }

EXPORT(level_index) const uint32_t *level_index(int k) { return map->levels[k].index; }

EXPORT(level_index_count) size_t level_index_count(int k) { return map->levels[k].index_count; }

EXPORT(level_words) const uint32_t *level_words(int k) { return map->levels[k].words; }

EXPORT(level_word_count) size_t level_word_count(int k) { return map->levels[k].word_count; }

EXPORT(interval_lengths) const double *interval_lengths(void) { return map->lengths; }

EXPORT(interval_events) const double *interval_events(void) { return map->steps; }

EXPORT(resident_bytes) size_t resident_bytes(void) { return tod_get_info(map)->resident_bytes; }

EXPORT(is_valid) int is_valid(int lightmap, int x, int y) { return tod_is_valid(map, lightmap, x, y); }

EXPORT(decode)
int decode(int lightmap, int x, int y, int width, int height, double hour, float *rgb) {
    uintptr_t before = heap_end;
    int error = tod_decode_rect(map, lightmap, x, y, width, height, hour, rgb, 0);
    heap_end = before;
    return error;
}

EXPORT(sample)
int sample(int lightmap, size_t count, const float *uv, double hour, int filter, float *rgb) {
    uintptr_t before = heap_end;
    int error = tod_sample_many(map, lightmap, count, uv, hour, (tod_filter)filter, rgb);
    heap_end = before;
    return error;
}

/* ---- of the C library -------------------------------------------------------------------------------------------- */

void *memcpy(void *restrict to, const void *restrict from, size_t size) { return __builtin_memcpy(to, from, size); }

void *memmove(void *to, const void *from, size_t size) { return __builtin_memmove(to, from, size); }

void *memset(void *to, int value, size_t size) { return __builtin_memset(to, value, size); }

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *left = a, *right = b;
    for (; size && *left == *right; size--) left++, right++;
    return size ? *left - *right : 0;
}

size_t strlen(const char *text) {
    size_t size = 0;
    while (text[size]) size++;
    return size;
}

int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (uint8_t)*a - (uint8_t)*b;
}

char *strchr(const char *text, int c) {
    while (*text && *text != (char)c) text++;
    return *text == (char)c ? (char *)(uintptr_t)text : NULL;
}
