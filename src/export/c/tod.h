/* tod.h - decodes bundles (.tod): a day of lightmaps in one file. C99 or C++, nothing but the C library.
 * In one source file of a program define TOD_IMPLEMENTATION before the include, then
 *     tod_map *map;
 *     tod_error error = tod_open(bytes, size, &map);        // a whole file in memory; it may be freed afterwards
 *     if (error) { puts(tod_error_string(error)); return; }
 *     float rgb[3];
 *     tod_sample(map, 0, u, v, 17.5, TOD_BILINEAR, rgb);    // lightmap 0 at half past five
 *     tod_close(map);
 * A bundle holds a vector z of quantised latents for every valid texel, and a small network F2 that turns z into the
 * colour at any hour. docs/bundle-format.md describes the bytes of the file and of memory, docs/engines.md the use.
 * Colours are linear radiance, or display values in [0, 1] where info->is_radiance is 0. Row 0 is the top row of the
 * images. Texels that are not valid are 0. Any number of threads may read an open map at the same time. A bundle may
 * come from anywhere: every length in it is checked before it is used. Options, defined before the include:
 *
 *     TOD_STATIC            keep the functions inside the file that includes the implementation
 *     TOD_MALLOC, TOD_FREE  instead of malloc and free (both, or neither)
 *     TOD_MAX_TEXELS, TOD_MAX_VALUES   lower them where a file must not ask for much memory
 *     TOD_AVX2, TOD_AVX512  vectors of 8 or 16 texels (taken by themselves where the compiler may use them);
 *     TOD_PLAIN             plain C, whatever the compiler may use
 */
#ifndef TOD_H
#define TOD_H

#include <stddef.h>
#include <stdint.h>

#ifdef TOD_STATIC
#define TOD_API static
#else
#define TOD_API extern
#endif
#ifdef __cplusplus
extern "C" {
#endif

typedef enum tod_error {
    TOD_OK = 0, TOD_ERROR_ARGUMENT, TOD_ERROR_MEMORY, TOD_ERROR_NOT_A_BUNDLE, TOD_ERROR_VERSION, TOD_ERROR_CHECKSUM,
    TOD_ERROR_HEADER, TOD_ERROR_SECTIONS, TOD_ERROR_MASK, TOD_ERROR_F2, TOD_ERROR_PLANES
} tod_error;
typedef enum tod_filter { TOD_NEAREST = 0, TOD_BILINEAR = 1 } tod_filter;

/* One of the lightmaps that stand below one another in the map. A bundle without names has one, with the name "". */
typedef struct tod_lightmap {
    const char *name; /* UTF-8 */
    int first_row, height, width;
} tod_lightmap;

typedef struct tod_info {
    int version, height, width; /* the latter two of the whole map */
    int is_radiance, hour_count;
    const double *hours; /* baked hours in [0, 24), increasing */
    int event_count;
    const double *events; /* hours at which light switches */
    int lightmap_count;   /* at least 1 */
    const tod_lightmap *lightmaps;
    int latent_dim;  /* values of z that the file has for every texel, without coarser levels */
    int latent_bits; /* bits of each: 4, 6 or 8 */
    /* Latents of the texels as docs/bundle-format.md describes them under "In memory": what a shader is given. */
    const uint32_t *index, *words;
    size_t index_count, word_count;
    size_t resident_bytes; /* all that an open map keeps */
} tod_info;

typedef struct tod_map tod_map;
/* Opens a bundle of `size` bytes; they are not needed afterwards. While it opens, about 2 bytes for each latent and 5
 * for each texel are taken. *map is NULL unless TOD_OK is returned. */
TOD_API tod_error tod_open(const void *bytes, size_t size, tod_map **map);
TOD_API void tod_close(tod_map *map); /* NULL is allowed */
TOD_API const tod_info *tod_get_info(const tod_map *map);
TOD_API const char *tod_error_string(tod_error error); /* a sentence in English */
/* The number of the lightmap with this name, or -1. */
TOD_API int tod_find_lightmap(const tod_map *map, const char *name);
/* 1 where texel (x, y) of a lightmap is valid; 0 elsewhere and outside. */
TOD_API int tod_is_valid(const tod_map *map, int lightmap, int x, int y);
/* The colour at (u, v) in [0, 1] x [0, 1], (0, 0) being the top left corner of the top left texel, at any hour (24 h
 * around). Outside, the border's texels are taken. Of the four texels around the point, TOD_BILINEAR gives the weights
 * of the invalid ones to the others, and TOD_NEAREST takes the valid one with the largest weight; without any: 0. */
TOD_API tod_error tod_sample(const tod_map *map, int lightmap, float u, float v, double hour, tod_filter filter,
                             float rgb[3]);

/* `count` of them at one hour, several times as fast: uv and rgb hold 2 and 3 numbers for each. To sort more than 32
 * texels takes 24 bytes for each, at most 3 MB. */
TOD_API tod_error tod_sample_many(const tod_map *map, int lightmap, size_t count, const float *uv, double hour,
                                  tod_filter filter, float *rgb);

/* The texels x .. x + width - 1, y .. y + height - 1 of a lightmap; row k of them goes to rgb + k * stride, with stride
 * counted in floats (0: 3 * width). Rectangles that begin at multiples of 16 are quickest. */
TOD_API tod_error tod_decode_rect(const tod_map *map, int lightmap, int x, int y, int width, int height, double hour,
                                  float *rgb, size_t stride);
/* A whole lightmap, height x width x 3. */
TOD_API tod_error tod_decode_frame(const tod_map *map, int lightmap, double hour, float *rgb);

#ifdef __cplusplus
}
#endif
#endif /* TOD_H */

#ifdef TOD_IMPLEMENTATION
#ifndef TOD_IMPLEMENTED
#define TOD_IMPLEMENTED

#include <string.h>
#ifndef TOD_MALLOC
#include <stdlib.h>
#define TOD_MALLOC(size) malloc(size)
#define TOD_FREE(pointer) free(pointer)
#endif
#ifndef TOD_MAX_TEXELS
#define TOD_MAX_TEXELS (1 << 24)
#endif
#ifndef TOD_MAX_VALUES
#define TOD_MAX_VALUES (1 << 28) /* latents of all levels, were every texel valid */
#endif

#if !defined(TOD_PLAIN) && (defined(TOD_AVX512) || (defined(__AVX512F__) && defined(__AVX2__)))
#define TOD__WIDE 16
#elif !defined(TOD_PLAIN) && (defined(TOD_AVX2) || (defined(__AVX2__) && (defined(__FMA__) || defined(_MSC_VER))))
#define TOD__WIDE 8
#elif defined(__GNUC__)
#define TOD__WIDE 4
#else
#define TOD__WIDE 1
#endif

enum {
    TOD__VERSION = 3, TOD__PREFIX_BYTES = 16, TOD__DIGEST_BYTES = 32, TOD__MAX_HEADER_BYTES = 1 << 20,
    TOD__MAX_FRAMES = 1024, TOD__MAX_WIDTH_F2 = 1024, TOD__MAX_LAYERS_F2 = 16, TOD__MAX_LEVELS = 5,
    TOD__MAX_STRIDE = 256, TOD__MAX_COUNT = 1 << 27, TOD__MAX_KEYS = 64, TOD__MAX_DEPTH = 16, /* of the header */
    TOD__GROUP = 16, TOD__BLOCKS = 16, TOD__TEXELS = 16, /* texels on a side of a group, its blocks, their texels */
    TOD__LANES = 32,          /* values of z that go through F2 together */
    TOD__ROW = 64,            /* lanes, a block more, and what is written behind it: floats from a channel to the next */
    TOD__TAPS = 1024, TOD__POINTS = 128, /* of a rectangle, collected; points whose texels are looked for together */
    TOD__FEW = 32, TOD__MANY = 1 << 17, /* taps that are not sorted; that are sorted together */
    TOD__PAD = 8,             /* hidden layers are filled up with zeros to a multiple of it */
    TOD__RGBX = 4,            /* weights from one input to the next in F2's last layer, one of them unused */
    TOD__OVER = 32            /* floats behind weights that may be read */
};
#ifdef __GNUC__
#define TOD__PREFETCH(to) __builtin_prefetch(to, 1)
#else
#define TOD__PREFETCH(to)
#endif
#if defined(__GNUC__) && !defined(__clang__)
#define TOD__UNROLL _Pragma("GCC unroll 8") /* clang does it by itself */
#else
#define TOD__UNROLL
#endif
#define TOD__EMPTY 0xFFFFFFFFu
#define TOD__PARTIAL 0x80000000u

/* Memory that is given back all at once: a list of what was taken. */
typedef struct tod__chunk { struct tod__chunk *next; double alignment; } tod__chunk;

/* Latents of every block of stride x stride texels, a map of its own. The texels are the level of stride 1. */
typedef struct tod__level {
    int stride, channels, height, width;
    int size_bits, width_bits; /* of a record's fields S and W */
    uint32_t *index, *words;
    size_t index_count, word_count;
} tod__level;

struct tod_map {
    tod_info info;
    tod__chunk *memory; /* all that the pointers here point to */
    const double *scale;     /* frame_scale */
    double *lengths, *steps; /* of the interval after each hour; from its start to its event, or -1 */
    int level_count;
    tod__level levels[TOD__MAX_LEVELS];
    int z_dim, layers, hidden; /* channels of all levels; hidden layers, their width, filled up */
    float step;     /* z = step * q - 1 */
    float *f2;      /* for each hidden layer: weight inputs x hidden, bias 1 x hidden */
    float *by_hour; /* for each baked hour: weight z_dim x 4, bias 4, weight hidden x 4, all times frame_scale */
};

/* `count` things of `size` bytes, or NULL. */
static void *tod__take_memory(tod__chunk **memory, uint64_t count, size_t size) {
    uint64_t bytes = sizeof(tod__chunk) + count * size; /* below 2^64: counts are below 2^40 */
    tod__chunk *chunk = bytes > (uint64_t)PTRDIFF_MAX ? NULL : (tod__chunk *)TOD_MALLOC((size_t)bytes);
    if (!chunk) return NULL;
    chunk->next = *memory;
    *memory = chunk;
    return chunk + 1;
}
static void *tod__zeros(tod__chunk **memory, uint64_t count, size_t size) {
    void *taken = tod__take_memory(memory, count, size);
    return taken ? memset(taken, 0, (size_t)count * size) : NULL;
}
static void tod__free(tod__chunk *memory) {
    for (tod__chunk *next; memory; memory = next) {
        next = memory->next;
        TOD_FREE(memory);
    }
}

static uint32_t tod__u16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t tod__u32(const uint8_t *p) { return tod__u16(p) | tod__u16(p + 2) << 16; }

/* IEEE half precision; the caller has seen that it is finite. */
static float tod__half(uint32_t h) {
    uint32_t bits = (h & 0x7FFF) << 13;
    float value;
    memcpy(&value, &bits, 4);
    return (h >> 15 ? -5.192296858534828e33f : 5.192296858534828e33f) * value; /* 2^112: the exponents' difference */
}

static int tod__abs(int value) { return value < 0 ? -value : value; }
static int tod__min(int a, int b) { return a < b ? a : b; }
static int tod__max(int a, int b) { return a > b ? a : b; }
static int tod__bit_length(uint32_t value) { return value ? 1 + tod__bit_length(value >> 1) : 0; }
static int tod__popcount(uint32_t value) { /* compilers know the instruction */
    value -= value >> 1 & 0x55555555u;
    value = (value & 0x33333333u) + (value >> 2 & 0x33333333u);
    return (int)(((value + (value >> 4)) & 0x0F0F0F0Fu) * 0x01010101u >> 24);
}

/* ---- SHA-256 (FIPS 180-4) ---------------------------------------------------------------------------------------- */

static uint32_t tod__rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }
static void tod__sha_chunk(uint32_t state[8], const uint8_t *p) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
        0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
        0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
        0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
        0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
        0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
        0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2};
    uint32_t w[64] = {0}, s[8];
    for (int i = 0; i < 64; i++) w[i / 4] = w[i / 4] << 8 | p[i]; /* big-endian */
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (tod__rotate(a, 7) ^ tod__rotate(a, 18) ^ a >> 3) +
               (tod__rotate(b, 17) ^ tod__rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (tod__rotate(s[4], 6) ^ tod__rotate(s[4], 11) ^ tod__rotate(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        uint32_t t2 = (tod__rotate(s[0], 2) ^ tod__rotate(s[0], 13) ^ tod__rotate(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

static void tod__sha256(const uint8_t *data, size_t size, uint8_t digest[TOD__DIGEST_BYTES]) {
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t last[128] = {0};
    size_t done = size / 64 * 64, rest = size - done, tail = rest < 56 ? 64 : 128;
    memcpy(last, data + done, rest);
    last[rest] = 0x80;
    for (size_t i = 0; i < 8; i++) last[tail - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
    for (size_t i = 0; i < done + tail; i += 64) tod__sha_chunk(state, i < done ? data + i : last + (i - done));
    for (int i = 0; i < TOD__DIGEST_BYTES; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i & 3)));
}

/* ---- zlib streams (RFC 1950, 1951) ------------------------------------------------------------------------------- */

enum { TOD__CODE_BITS = 15, TOD__MAX_CODES = 288, TOD__MAX_DISTANCES = 32 };
typedef struct tod__inflater {
    const uint8_t *in;
    uint8_t *out;
    size_t bit, bit_end, made, size;
    int failed; /* what is read from then on means nothing */
} tod__inflater;

/* A canonical Huffman code: how many symbols have each length, and the symbols by length. */
typedef struct tod__huffman { uint16_t count[TOD__CODE_BITS + 1], symbol[TOD__MAX_CODES]; } tod__huffman;

static int tod__inflate_bits(tod__inflater *z, int count) {
    int value = 0;
    z->failed |= z->bit_end - z->bit < (size_t)count;
    for (int k = 0; k < count && !z->failed; k++, z->bit++) value |= (z->in[z->bit >> 3] >> (z->bit & 7) & 1) << k;
    return value;
}

/* From the lengths of `count` symbols' codes. A code with room left fails, but for one of a single symbol or none. */
static void tod__huffman_make(tod__inflater *z, tod__huffman *code, const uint8_t *lengths, int count) {
    uint16_t first[TOD__CODE_BITS + 2] = {0};
    int left = 1;
    memset(code->count, 0, sizeof code->count);
    for (int i = 0; i < count; i++) code->count[lengths[i]]++;
    if (code->count[0] == count) return;
    for (int i = 1; i <= TOD__CODE_BITS && left >= 0; i++) {
        left = 2 * left - code->count[i];
        first[i + 1] = (uint16_t)(first[i] + code->count[i]);
    }
    z->failed |= left && !(left == 1 << (TOD__CODE_BITS - 1) && code->count[1] == 1);
    for (int i = 0; i < count && !z->failed; i++)
        if (lengths[i]) code->symbol[first[lengths[i]]++] = (uint16_t)i;
}

static int tod__huffman_read(tod__inflater *z, const tod__huffman *code) {
    int value = 0, first = 0, index = 0;
    for (int length = 1; length <= TOD__CODE_BITS; length++) {
        int count = code->count[length];
        value = value << 1 | tod__inflate_bits(z, 1);
        if (value - count < first) return code->symbol[index + value - first];
        index += count;
        first = (first + count) << 1;
    }
    z->failed = 1;
    return 0;
}

static void tod__inflate_coded(tod__inflater *z, const tod__huffman *literals, const tod__huffman *distances) {
    for (;;) {
        int symbol = tod__huffman_read(z, literals);
        z->failed |= symbol < 256 && z->made == z->size;
        if (z->failed || symbol == 256) return;
        if (symbol < 256) {
            z->out[z->made++] = (uint8_t)symbol;
            continue;
        }
        /* Lengths 3, 4, ..., 10, then four for each further bit, and 258; distances 1, ..., 4, then two for each. */
        symbol -= 257;
        int extra = symbol < 8 || symbol > 27 ? 0 : symbol / 4 - 1, is_long = symbol > 28;
        size_t length = (size_t)(symbol < 8 ? symbol + 3 : symbol < 28 ? ((4 + (symbol & 3)) << extra) + 3 : 258);
        length += (size_t)tod__inflate_bits(z, extra);
        symbol = tod__huffman_read(z, distances);
        extra = symbol < 4 ? 0 : tod__min(symbol / 2 - 1, 15);
        size_t distance = (size_t)(symbol < 4 ? symbol + 1 : ((2 + (symbol & 1)) << extra) + 1);
        distance += (size_t)tod__inflate_bits(z, extra);
        z->failed |= is_long || symbol > 29 || distance > z->made || length > z->size - z->made;
        for (; length && !z->failed; length--, z->made++) z->out[z->made] = z->out[z->made - distance];
    }
}

/* The lengths of a part's two codes, which are coded themselves, all in one. */
static void tod__inflate_lengths(tod__inflater *z, uint8_t *lengths, int count, int length_count) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    tod__huffman code;
    memset(lengths, 0, 19);
    for (int i = 0; i < length_count; i++) lengths[order[i]] = (uint8_t)tod__inflate_bits(z, 3);
    tod__huffman_make(z, &code, lengths, 19);
    for (int i = 0, times; i < count && !z->failed; i += times) {
        int symbol = tod__huffman_read(z, &code), value = symbol > 15 ? 0 : symbol;
        if (symbol == 16) value = i ? lengths[i - 1] : -1; /* there is none before the first */
        times = symbol < 16 ? 1 : (symbol < 18 ? 3 : 11) + tod__inflate_bits(z, symbol < 18 ? symbol - 14 : 7);
        z->failed |= value < 0 || times > count - i;
        if (!z->failed) memset(lengths + i, value, (size_t)times);
    }
    z->failed |= !lengths[256];
}

/* A part of the fixed (kind 1) or a dynamic code. */
static void tod__inflate_part(tod__inflater *z, int kind) {
    tod__huffman literals, distances;
    uint8_t lengths[TOD__MAX_CODES + TOD__MAX_DISTANCES];
    int literal_count = kind == 1 ? TOD__MAX_CODES : tod__inflate_bits(z, 5) + 257;
    int distance_count = kind == 1 ? TOD__MAX_DISTANCES : tod__inflate_bits(z, 5) + 1;
    for (int i = 0; i < 320; i++) lengths[i] = (uint8_t)(i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : i < 288 ? 8 : 5);
    z->failed |= kind == 3 || (kind == 2 && (literal_count > 286 || distance_count > 30));
    if (kind == 2) tod__inflate_lengths(z, lengths, literal_count + distance_count, tod__inflate_bits(z, 4) + 4);
    if (!z->failed) tod__huffman_make(z, &literals, lengths, literal_count);
    if (!z->failed) tod__huffman_make(z, &distances, lengths + literal_count, distance_count);
    if (!z->failed) tod__inflate_coded(z, &literals, &distances);
}

/* Whether the zlib stream `in` holds exactly `size` bytes; they go to `out`. */
static int tod__inflate(const uint8_t *in, size_t in_size, uint8_t *out, size_t size) {
    if (in_size < 6 || (in[0] & 15) != 8 || in[0] >> 4 > 7 || (in[0] * 256 + in[1]) % 31 || in[1] & 32) return 0;
    tod__inflater z = {in, out, 16, 8 * (in_size - 4), 0, size, 0};
    for (int last = 0; !last && !z.failed;) {
        last = tod__inflate_bits(&z, 1);
        int kind = tod__inflate_bits(&z, 2);
        if (kind) tod__inflate_part(&z, kind);
        if (kind) continue;
        z.bit = (z.bit + 7) & ~(size_t)7;
        int length = tod__inflate_bits(&z, 16), check = tod__inflate_bits(&z, 16);
        z.failed |= (length ^ check) != 0xFFFF || (size_t)length > z.size - z.made;
        while (length-- && !z.failed) z.out[z.made++] = (uint8_t)tod__inflate_bits(&z, 8);
    }
    return !z.failed && z.made == size && (z.bit + 7) / 8 == in_size - 4; /* Adler-32 follows: SHA-256 knows better */
}

/* ---- header ------------------------------------------------------------------------------------------------------ */

/* What stands behind a key of the header: numbers (true is 1, false and null are 0) and strings that each end in 0. */
typedef struct tod__entry {
    const char *key, *strings;
    const double *numbers;
    int string_count, number_count;
} tod__entry;

/* A text that is read, and the entries found so far. What does not fit sets `failed`: what is read then is nothing. */
typedef struct tod__header {
    const char *at, *end;
    char *strings;
    int entry_count, failed;
    tod__entry entries[TOD__MAX_KEYS];
} tod__header;

static int tod__word(tod__header *t, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(t->end - t->at) < length || memcmp(t->at, word, length) != 0) return 0;
    t->at += length;
    return 1;
}

/* What stands behind a backslash: a character, or half of one beyond 16 bits. */
static uint32_t tod__escape(tod__header *t) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int c = t->at < t->end ? *t->at++ : 0;
    const char *known = c ? strchr(from, c) : NULL;
    uint32_t code = 0;
    if (known) return (uint32_t)to[known - from];
    t->failed |= c != 'u' || t->end - t->at < 4;
    for (int k = 0; k < 4 && !t->failed; k++) {
        int letter = (c = *t->at++) | 32, is_digit = c >= '0' && c <= '9';
        t->failed |= !is_digit && (letter < 'a' || letter > 'f');
        code = code << 4 | (uint32_t)(is_digit ? c - '0' : letter - 'a' + 10);
    }
    return code;
}
/* A string goes behind those before it: in UTF-8 it takes no more bytes than in the text. */
static void tod__string(tod__header *t) {
    t->failed |= !tod__word(t, "\"");
    while (!t->failed && t->at < t->end && *t->at != '"') {
        unsigned char c = (unsigned char)*t->at++;
        uint32_t code = c == '\\' ? tod__escape(t) : c;
        if (c == '\\' && code >> 10 == 0xD800 >> 10) {
            t->failed |= !tod__word(t, "\\");
            uint32_t low = t->failed ? 0 : tod__escape(t);
            t->failed |= low >> 10 != 0xDC00 >> 10;
            code = 0x10000 + ((code & 1023) << 10 | (low & 1023));
        }
        int more = c != '\\' || code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3; /* bytes */
        t->failed |= c < 32;
        *t->strings++ = (char)(more ? (0xFF00u >> (more + 1) & 0xFF) | code >> 6 * more : code);
        while (more--) *t->strings++ = (char)(0x80 | (code >> 6 * more & 63));
    }
    t->failed |= !tod__word(t, "\"");
    *t->strings++ = 0;
}

/* The digits of a number; how many there are is returned. */
static int tod__digits(tod__header *t, double *value) {
    const char *first = t->at;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) *value = *value * 10 + (*t->at - '0');
    return (int)(t->at - first);
}

/* A number to within a few ulp, without the C library's: that one depends on the locale. */
static double tod__number(tod__header *t) {
    double sign = tod__word(t, "-") ? -1 : 1, value = 0, power = 0, scale = 1;
    t->failed |= !tod__digits(t, &value);
    double places = tod__word(t, ".") ? tod__digits(t, &value) : 0;
    if (tod__word(t, "e") || tod__word(t, "E")) {
        int is_small = tod__word(t, "-") - tod__word(t, "+") > 0;
        t->failed |= !tod__digits(t, &power);
        power = is_small ? -power : power;
    }
    power -= places;
    for (places = power < 0 ? -power : power; places >= 1 && scale - scale == 0; places--) scale *= 10;
    value = power < 0 ? value / scale : value * scale;
    t->failed |= !(value - value == 0); /* not finite */
    return sign * value;
}

/* Reads all entries of a text, those of objects in it too. Separators say nothing, but that a key may follow. */
static tod_error tod__read_entries(tod__header *t, tod__chunk **memory) {
    uint64_t room = (uint64_t)(t->end - t->at) + 16; /* a byte for each; some after a failure */
    tod__entry *entry = t->entries;
    int is_object[TOD__MAX_DEPTH + 1] = {0}, depth = 0, is_key = 0;
    t->strings = (char *)tod__zeros(memory, room, 1);
    double *number = (double *)tod__zeros(memory, room, sizeof(double));
    if (!t->strings || !number) return TOD_ERROR_MEMORY;
    t->failed |= t->at == t->end || *t->at != '{';
    while (t->at < t->end && !t->failed) {
        char c = *t->at;
        if (strchr("[]{},: \n\r\t", c) && c) {
            t->at++;
            depth += (c == '[' || c == '{') - (c == ']' || c == '}');
            t->failed |= depth > TOD__MAX_DEPTH || depth < (t->at < t->end);
            if (!t->failed && (c == '[' || c == '{')) is_object[depth] = c == '{';
            is_key = !t->failed && is_object[depth] && (c == ',' || c == '{' || is_key);
        } else if (is_key) {
            entry = &t->entries[t->entry_count++];
            entry->key = t->strings;
            tod__string(t);
            entry->strings = t->strings;
            entry->numbers = number;
            is_key = 0;
        } else if (c == '"') {
            tod__string(t);
            entry->string_count++;
        } else {
            int is_false = tod__word(t, "false") || tod__word(t, "null");
            *number++ = is_false ? 0 : tod__word(t, "true") ? 1 : tod__number(t);
            entry->number_count++;
        }
        t->failed |= t->entry_count == TOD__MAX_KEYS;
    }
    return t->failed || depth ? TOD_ERROR_HEADER : TOD_OK;
}

/* The last entry with this key, or one of nothing. */
static const tod__entry *tod__find(const tod__header *t, const char *key) {
    static const tod__entry nothing = {"", "", NULL, 0, 0};
    for (int k = t->entry_count; k--;)
        if (strcmp(t->entries[k].key, key) == 0) return &t->entries[k];
    return &nothing;
}

/* The numbers of an entry, at most `room`, each in [least, most], and nothing else. */
static const double *tod__numbers_of(tod__header *t, const char *key, double least, double most, int room, int *count) {
    const tod__entry *entry = tod__find(t, key);
    *count = entry->number_count;
    t->failed |= entry->string_count || *count > room;
    for (int k = 0; k < *count; k++) t->failed |= !(entry->numbers[k] >= least && entry->numbers[k] <= most);
    return entry->numbers;
}

/* The one number of an entry, an integer in [least, most]. */
static int tod__integer(tod__header *t, const char *key, int least, int most) {
    int count;
    const double *number = tod__numbers_of(t, key, least, most, 1, &count);
    t->failed = t->failed || count != 1 || *number != (int)*number;
    return t->failed ? least : (int)*number;
}

/* Levels of (stride, channels): the texels themselves, then the coarser ones of version 2 by growing stride. */
static void tod__read_levels(tod_map *map, tod__header *t) {
    tod_info *info = &map->info;
    int count, bits = info->latent_bits;
    const double *coarse = tod__numbers_of(t, "coarse", 1, 1e6, 2 * (TOD__MAX_LEVELS - 1), &count);
    double latents = 0;
    map->level_count = 1 + count / 2;
    t->failed |= count % 2;
    for (int k = 0; k < map->level_count && !t->failed; k++) {
        tod__level *level = &map->levels[k];
        level->stride = k ? (int)*coarse++ : 1;
        level->channels = k ? (int)*coarse++ : info->latent_dim;
        t->failed |= (k && level->stride <= level[-1].stride) || level->stride > TOD__MAX_STRIDE ||
                     level->channels > 3 * info->hour_count;
        level->height = (info->height + level->stride - 1) / level->stride;
        level->width = (info->width + level->stride - 1) / level->stride;
        level->size_bits = tod__bit_length((uint32_t)(level->channels * bits));
        level->width_bits = tod__bit_length((uint32_t)bits);
        latents += (double)level->height * level->width * level->channels;
        map->z_dim += level->channels;
    }
    t->failed |= latents > TOD_MAX_VALUES;
}

/* The lightmaps' names, and where each lies: first row, height, width. */
static void tod__read_lightmaps(tod_map *map, tod__header *t) {
    const tod__entry *regions = tod__find(t, "regions");
    const char *name = regions->string_count ? regions->strings : "";
    const double whole[3] = {0, (double)map->info.height, (double)map->info.width}; /* without names there is one */
    const double *numbers = regions->string_count ? regions->numbers : whole;
    int count = map->info.lightmap_count = tod__max(regions->string_count, 1);
    tod_lightmap *part = (tod_lightmap *)tod__zeros(&map->memory, (uint64_t)count, sizeof *part);
    map->info.lightmaps = part;
    t->failed |= !part || regions->number_count != 3 * regions->string_count;
    for (; count && !t->failed; count--, part++, numbers += 3) {
        t->failed |= !(numbers[0] >= 0 && numbers[1] >= 1 && numbers[2] >= 1 && numbers[0] + numbers[1] <= whole[1] &&
                       numbers[2] <= whole[2]);
        if (t->failed) return;
        tod_lightmap lightmap = {name, (int)numbers[0], (int)numbers[1], (int)numbers[2]};
        *part = lightmap;
        name += strlen(name) + 1;
    }
}

/* Everything but the sections' sizes. */
static void tod__read_fields(tod_map *map, tod__header *t) {
    const double below_24 = 23.999999999999996;
    tod_info *info = &map->info;
    int blocks = tod__find(t, "blocks")->key[0] ? tod__integer(t, "blocks", 0, 1) : 0, scale_count;
    info->height = tod__integer(t, "height", 1, TOD_MAX_TEXELS);
    info->width = tod__integer(t, "width", 1, TOD_MAX_TEXELS / info->height);
    info->latent_dim = tod__integer(t, "latent_dim", 1, TOD__MAX_COUNT);
    info->latent_bits = tod__integer(t, "latent_bits", 4, 8);
    info->is_radiance = tod__integer(t, "is_radiance", 0, 1);
    map->hidden = tod__integer(t, "hidden_f2", 1, TOD__MAX_WIDTH_F2);
    map->layers = tod__integer(t, "layers_f2", 1, TOD__MAX_LAYERS_F2);
    info->hours = tod__numbers_of(t, "hours", 0, below_24, TOD__MAX_FRAMES, &info->hour_count);
    info->events = tod__numbers_of(t, "events", 0, below_24, TOD__MAX_FRAMES, &info->event_count);
    map->scale = tod__numbers_of(t, "frame_scale", 0, 1.7e308, TOD__MAX_FRAMES, &scale_count);
    t->failed |= info->latent_bits & 1 || info->hour_count < 1 || scale_count != info->hour_count;
    for (int k = 0; k < info->hour_count && !t->failed; k++)
        t->failed |= !(map->scale[k] > 0 && (!k || info->hours[k] > info->hours[k - 1]));
    if (!t->failed) tod__read_levels(map, t);
    t->failed |= blocks != (info->version >= 3) || (blocks && map->level_count > 1);
    if (!t->failed) tod__read_lightmaps(map, t);
}

/* The interval in which each event lies, and where in it. */
static tod_error tod__place_events(tod_map *map) {
    int count = map->info.hour_count;
    map->lengths = (double *)tod__zeros(&map->memory, (uint64_t)count, sizeof(double));
    map->steps = (double *)tod__zeros(&map->memory, (uint64_t)count, sizeof(double));
    if (!map->lengths || !map->steps) return TOD_ERROR_MEMORY;
    for (int t = 0; t < count; t++) {
        map->lengths[t] = (t + 1 < count ? map->info.hours[t + 1] : map->info.hours[0] + 24) - map->info.hours[t];
        map->steps[t] = -1;
    }
    for (int k = 0; k < map->info.event_count; k++) {
        int after = count - 1;
        for (int t = 0; t < count && map->info.hours[t] <= map->info.events[k]; t++) after = t;
        int before = after ? after - 1 : count - 1;
        double offset = map->info.events[k] - map->info.hours[after];
        offset += offset < 0 ? 24 : 0;
        if (offset < 1e-9 && map->lengths[before] <= map->lengths[after]) map->steps[before] = map->lengths[before];
        else map->steps[after] = offset;
    }
    return TOD_OK;
}

/* ---- planes ------------------------------------------------------------------------------------------------------ */

enum {
    TOD__CONTEXTS = 24, TOD__FEATURES = 14,
    TOD__LAG = 3, /* steps by which a plane follows the one before it */
    TOD__TOTAL_BITS = 14, TOD__TOTAL = 1 << TOD__TOTAL_BITS,
    TOD__RESIDUAL_CAP = 16, TOD__SUM_CAP = 64, TOD__MAX_CODER_LANES = 1024
};

static const int32_t tod__thresholds[TOD__CONTEXTS - 1] = {
    70,   93,   122,  162,  213,  282,  372,  491,  648,   855,   1129,  1490,
    1966, 2594, 3423, 4516, 5960, 7864, 10377, 13692, 18067, 23840, 31457};

typedef struct tod__coder {
    const uint8_t *word, *words_end;
    uint32_t states[TOD__MAX_CODER_LANES];
    uint32_t lanes;
    int bits;
    int16_t *weights; /* planes x features */
    uint16_t frequency[TOD__CONTEXTS][256], start[TOD__CONTEXTS][256];
    uint8_t symbol[TOD__CONTEXTS][TOD__TOTAL]; /* of every slot */
    int failed;
} tod__coder;

/* The texels of a level as its planes are decoded. Every plane has a border, where nothing is valid: two columns to the
 * left of a row, which are to the right of the row above, two rows above and one below. */
typedef struct tod__planes {
    size_t row, size;   /* texels from one row to the next, and from one plane to the next */
    uint8_t *valid;     /* 0 or 1 */
    uint8_t *values;    /* planes x size; of a texel that is not valid, what its place stands for */
    uint8_t *residuals; /* planes x size, absolute; 0 where not valid */
    uint32_t *sums;     /* of a texel's residuals over the planes decoded so far; 0 where not valid */
} tod__planes;

static tod_error tod__read_coder(tod__coder *coder, tod__chunk **memory, const uint8_t *data, size_t size, int planes,
                                 uint64_t values) {
    uint32_t alphabet = 1u << coder->bits;
    size_t weights = (size_t)planes * TOD__FEATURES, raw_bytes = 2 * (weights + TOD__CONTEXTS * alphabet);
    uint8_t *raw = (uint8_t *)tod__zeros(memory, raw_bytes, 1);
    coder->weights = (int16_t *)tod__zeros(memory, weights, sizeof(int16_t));
    if (!raw || !coder->weights) return TOD_ERROR_MEMORY;
    for (coder->lanes = 1; coder->lanes < TOD__MAX_CODER_LANES && (uint64_t)coder->lanes * 4096 < values;)
        coder->lanes *= 2;
    size_t table_bytes = size < 6 ? size : tod__u32(data + 2), rest = size - 6 - table_bytes;
    if (size < 6 || tod__u16(data) != coder->lanes || table_bytes > size - 6) return TOD_ERROR_PLANES;
    data += 6;
    /* No symbol is certain, so that a stream of so many bytes cannot hold more than so many of them. */
    if (rest < 4 * coder->lanes || rest % 2 || (double)values * 8.805e-5 > 8.0 * (double)rest ||
        !tod__inflate(data, table_bytes, raw, raw_bytes))
        return TOD_ERROR_PLANES;
    for (size_t i = 0; i < weights; i++, raw += 2) coder->weights[i] = (int16_t)(uint16_t)tod__u16(raw);
    for (int k = 0; k < TOD__CONTEXTS; k++) {
        uint32_t sum = 0;
        for (uint32_t u = 0, f; u < alphabet; u++, raw += 2, sum += f) {
            f = tod__u16(raw);
            if (f >= TOD__TOTAL || sum + f > TOD__TOTAL) return TOD_ERROR_PLANES;
            coder->frequency[k][u] = (uint16_t)f;
            coder->start[k][u] = (uint16_t)sum;
            memset(coder->symbol[k] + sum, (int)u, f);
        }
        if (sum != TOD__TOTAL) return TOD_ERROR_PLANES;
    }
    data += table_bytes;
    coder->words_end = data + rest;
    for (uint32_t k = 0; k < coder->lanes; k++, data += 4) coder->states[k] = tod__u32(data);
    coder->word = data;
    return TOD_OK;
}

/* Decodes texel i of plane d; whether it is valid is returned. */
static uint32_t tod__decode_value(tod__planes *p, tod__coder *coder, int d, size_t i, uint32_t lane) {
    uint8_t *v = p->values + (size_t)d * p->size + i, *r = p->residuals + (size_t)d * p->size + i;
    const uint8_t *valid = p->valid + i, *rn = r - p->row, *vn = v - p->row, *valid_n = valid - p->row;
    const uint32_t *s = p->sums + i, *sn = s - p->row;
    const int16_t *weight = coder->weights + (size_t)d * TOD__FEATURES;
    int32_t f[TOD__FEATURES], alphabet = 1 << coder->bits, expected = 0, context = 0;
    if (!*valid) {
        *v = valid[-1] ? v[-1] : vn[0];
        return 0;
    }
    int w = valid[-1] || !valid_n[0] ? v[-1] : vn[0], n = valid_n[0] ? vn[0] : w, nw = valid_n[-1] ? vn[-1] : n;
    int ne = valid_n[1] ? vn[1] : n, ww = valid[-2] ? v[-2] : w, nn = *(valid_n - p->row) ? *(vn - p->row) : n;
    int missing = !valid[-1] + !valid_n[0] + !valid_n[-1] + !valid_n[1];
    int prediction = tod__max(tod__min(w, n), tod__min(tod__max(w, n), w + n - nw));
    f[0] = tod__abs(w - nw), f[1] = tod__abs(n - nw), f[2] = tod__abs(n - ne);
    f[3] = r[-1], f[4] = rn[0], f[5] = rn[-1] + rn[1];
    f[6] = tod__abs(ww - w) + tod__abs(nn - n);
    f[7] = d > 0 ? *(r - p->size) : 0, f[8] = d > 1 ? *(r - 2 * p->size) : 0;
    for (int k = 0; k < 9; k++) expected += tod__min(f[k], TOD__RESIDUAL_CAP) * weight[k];
    uint32_t around = s[-1] + sn[0] + sn[-1] + sn[1] - (uint32_t)(f[3] + f[4] + f[5]); /* without this plane's */
    f[9] = tod__min((int)s[0], TOD__SUM_CAP);
    f[10] = tod__min((int)(s[1] + s[p->row]), TOD__SUM_CAP);
    f[11] = tod__min((int)around, TOD__SUM_CAP);
    f[12] = 1 + (missing == 3), f[13] = missing == 4;
    for (int k = 9; k < TOD__FEATURES; k++) expected += f[k] * weight[k];
    for (int k = 0; k < TOD__CONTEXTS - 1; k++) context += tod__thresholds[k] <= expected;
    uint32_t state = coder->states[lane], slot = state & (TOD__TOTAL - 1);
    int u = coder->symbol[context][slot];
    state = coder->frequency[context][u] * (state >> TOD__TOTAL_BITS) + slot - coder->start[context][u];
    if (state < 1u << 16 && coder->word < coder->words_end) {
        state = state << 16 | tod__u16(coder->word);
        coder->word += 2;
    }
    coder->failed |= state < 1u << 16;
    coder->states[lane] = state;
    *v = (uint8_t)((prediction + u) & (alphabet - 1));
    *r = (uint8_t)tod__min(u, alphabet - u);
    p->sums[i] += *r;
    return 1;
}

/* Every value in its order: step by step, plane by plane, row by row. */
static int tod__decode_steps(tod__planes *p, tod__coder *coder, const tod__level *level) {
    int planes = level->channels, height = level->height, width = level->width;
    int keys = width + 2 * (height - 1), steps = keys + TOD__LAG * (planes - 1); /* keys: values of x + 2 y */
    for (int step = 0; step < steps && !coder->failed; step++) {
        uint32_t lane = 0;
        int first = step < keys ? 0 : (step - keys) / TOD__LAG + 1, last = tod__min(planes - 1, step / TOD__LAG);
        for (int d = first; d <= last; d++) {
            int key = step - TOD__LAG * d, y = key < width ? 0 : (key - width) / 2 + 1;
            for (; y <= tod__min(height - 1, key / 2); y++) {
                size_t i = (size_t)(y + 2) * p->row + 2 + (size_t)(key - 2 * y);
                lane = (lane + tod__decode_value(p, coder, d, i, lane)) & (coder->lanes - 1);
            }
        }
    }
    for (uint32_t k = 0; k < coder->lanes; k++) coder->failed |= coder->states[k] != 1u << 16;
    return !coder->failed && coder->word == coder->words_end;
}

/* Decodes the planes of a level. */
static tod_error tod__read_planes(tod__planes *p, tod__chunk **memory, const tod_map *map, const tod__level *level,
                                  const uint8_t *mask, const uint8_t *data, size_t size) {
    tod__coder *coder = (tod__coder *)tod__zeros(memory, 1, sizeof *coder);
    uint64_t planes = (uint64_t)level->channels, values = 0;
    p->row = (size_t)level->width + 2;
    p->size = ((size_t)level->height + 3) * p->row;
    p->valid = (uint8_t *)tod__zeros(memory, p->size, 1);
    p->sums = (uint32_t *)tod__zeros(memory, p->size, sizeof(uint32_t));
    if (!coder || !p->valid || !p->sums) return TOD_ERROR_MEMORY;
    coder->bits = map->info.latent_bits;
    for (size_t i = 0, width = (size_t)map->info.width; i < width * (size_t)map->info.height; i++) {
        size_t x = i % width / (size_t)level->stride, y = i / width / (size_t)level->stride;
        uint8_t *valid = p->valid + (y + 2) * p->row + 2 + x, is_valid = mask[i >> 3] >> (7 - (i & 7)) & 1;
        values += is_valid && !*valid ? planes : 0;
        *valid |= is_valid;
    }
    if (!values) return TOD_ERROR_MASK;
    tod_error error = tod__read_coder(coder, memory, data, size, level->channels, values);
    if (error) return error;
    p->values = (uint8_t *)tod__zeros(memory, (uint64_t)p->size * planes, 1);
    p->residuals = (uint8_t *)tod__zeros(memory, (uint64_t)p->size * planes, 1);
    if (!p->values || !p->residuals) return TOD_ERROR_MEMORY;
    memset(p->values, 1 << (coder->bits - 1), (size_t)(p->size * planes)); /* what the border stands for */
    return tod__decode_steps(p, coder, level) ? TOD_OK : TOD_ERROR_PLANES;
}

/* Writes fields of bits one after another into zeros, or only counts them where there are no words. */
typedef struct tod__writer { uint32_t *words; uint64_t bit; } tod__writer;

static void tod__put(tod__writer *to, int count, uint32_t value) {
    if (count && to->words) {
        uint32_t *word = to->words + (to->bit >> 5);
        uint64_t window = (uint64_t)value << (to->bit & 31);
        word[0] |= (uint32_t)window;
        if (window >> 32) word[1] |= (uint32_t)(window >> 32);
    }
    to->bit += (uint32_t)count;
}

/* A channel of a group that is packed: smallest value and bits of each block, and, behind them, of the group. */
typedef struct tod__range { uint8_t low[TOD__BLOCKS + 1], bits[TOD__BLOCKS + 1]; } tod__range;

/* Writes the record of group (gx, gy), from a new word on; the group's entry in the index is returned. */
static uint32_t tod__pack_group(const tod__level *level, int bits, const tod__planes *p, int gx, int gy, tod__range *of,
                                tod__writer *to) {
    enum { ALL = TOD__BLOCKS }; /* behind the blocks: the group */
    size_t place[TOD__BLOCKS * TOD__TEXELS];
    uint32_t valid[TOD__BLOCKS] = {0}, size[ALL + 1] = {0}, entry = (uint32_t)(to->bit / 32);
    int dim = level->channels, count = 0;
    for (int k = 0; k < TOD__BLOCKS * TOD__TEXELS; k++) {
        int x = gx * TOD__GROUP + (k >> 4 & 3) * 4 + (k & 3), y = gy * TOD__GROUP + (k >> 6) * 4 + (k >> 2 & 3);
        place[k] = (size_t)(y + 2) * p->row + 2 + (size_t)x;
        int is_valid = x < level->width && y < level->height && p->valid[place[k]];
        valid[k >> 4] |= (uint32_t)is_valid << (k & 15);
        count += is_valid;
    }
    if (!count) return TOD__EMPTY;
    int is_full = count == TOD__BLOCKS * TOD__TEXELS;
    for (int c = 0; c < dim; c++) {
        const uint8_t *plane = p->values + (size_t)c * p->size;
        uint8_t *low = of[c].low, high[ALL + 1] = {0};
        memset(low, 255, sizeof of[c].low);
        for (int k = 0; k < TOD__BLOCKS * TOD__TEXELS; k++) {
            if (!(valid[k >> 4] >> (k & 15) & 1)) continue;
            low[k >> 4] = (uint8_t)tod__min(low[k >> 4], plane[place[k]]);
            high[k >> 4] = (uint8_t)tod__max(high[k >> 4], plane[place[k]]);
        }
        for (int j = 0; j <= ALL; j++) {
            of[c].bits[j] = (uint8_t)(high[j] > low[j] ? tod__bit_length((uint32_t)(high[j] - low[j])) : 0);
            size[j] += of[c].bits[j];
            low[ALL] = (uint8_t)tod__min(low[ALL], low[j]);
            high[ALL] = (uint8_t)tod__max(high[ALL], high[j]);
        }
    }
    for (int j = 0; j < TOD__BLOCKS; j++) tod__put(to, level->size_bits, size[j]);
    for (int j = 0; j < TOD__BLOCKS && !is_full; j++) tod__put(to, TOD__TEXELS, valid[j]);
    for (int c = 0; c < dim; c++) {
        tod__put(to, bits, of[c].low[ALL]);
        tod__put(to, level->width_bits, of[c].bits[ALL]);
    }
    for (int j = 0; j < TOD__BLOCKS; j++) {
        for (int c = 0; c < dim && valid[j]; c++) {
            tod__put(to, of[c].bits[ALL], (uint32_t)(of[c].low[j] - of[c].low[ALL]));
            tod__put(to, tod__bit_length(of[c].bits[ALL]), of[c].bits[j]);
        }
    }
    for (int k = 0; k < TOD__BLOCKS * TOD__TEXELS; k++)
        for (int c = 0; c < dim && valid[k >> 4] >> (k & 15) & 1; c++)
            tod__put(to, of[c].bits[k >> 4], p->values[(size_t)c * p->size + place[k]] - (uint32_t)of[c].low[k >> 4]);
    to->bit = (to->bit + 31) & ~(uint64_t)31;
    return is_full ? entry : entry | TOD__PARTIAL;
}

/* Packs a level: once to count words, once to write them. */
static tod_error tod__pack(tod_map *map, tod__level *level, tod__chunk **memory, const tod__planes *p) {
    int across = (level->width + TOD__GROUP - 1) / TOD__GROUP, down = (level->height + TOD__GROUP - 1) / TOD__GROUP;
    tod__range *ranges = (tod__range *)tod__zeros(memory, (uint64_t)level->channels, sizeof *ranges);
    tod__writer to = {NULL, 0};
    level->index_count = (size_t)across * (size_t)down;
    level->index = (uint32_t *)tod__zeros(&map->memory, level->index_count, sizeof(uint32_t));
    if (!ranges || !level->index) return TOD_ERROR_MEMORY;
    for (int pass = 0; pass < 2; pass++, to.words = level->words, to.bit = 0) {
        for (int k = 0; k < across * down; k++)
            level->index[k] = tod__pack_group(level, map->info.latent_bits, p, k % across, k / across, ranges, &to);
        if (pass) continue;
        level->word_count = (size_t)(to.bit / 32 + 2); /* two words of zeros, so that all may be read in pairs */
        if (level->word_count >= TOD__PARTIAL) return TOD_ERROR_MEMORY;
        level->words = (uint32_t *)tod__zeros(&map->memory, level->word_count, sizeof(uint32_t));
        if (!level->words) return TOD_ERROR_MEMORY;
    }
    map->info.resident_bytes += sizeof(uint32_t) * (level->index_count + level->word_count);
    return TOD_OK;
}

/* ---- F2, and the texels that go through it ----------------------------------------------------------------------- */

static size_t tod__hour_floats(const tod_map *map) { return ((size_t)(map->z_dim + map->hidden) + 1) * TOD__RGBX; }

/* Half floats -> the arrays of a map. map->hidden is the width in the file, and then the one filled up with zeros. */
static tod_error tod__read_f2(tod_map *map, const uint8_t *data, size_t size) {
    size_t h = (size_t)map->hidden, z = (size_t)map->z_dim, hours = (size_t)map->info.hour_count;
    size_t padded = (h + TOD__PAD - 1) / TOD__PAD * TOD__PAD, layers = (size_t)map->layers, inputs = z, used = z;
    uint64_t halves = (uint64_t)(z + 1) * h + (uint64_t)(layers - 1) * (h + 1) * h + (z + h + 1) * 3 * hours;
    if (halves * 2 != size) return TOD_ERROR_F2;
    for (size_t i = 0; i < size; i += 2)
        if ((data[i + 1] & 0x7C) == 0x7C) return TOD_ERROR_F2; /* not finite */
    map->hidden = (int)padded;
    size_t own = (z + 1) * padded + (layers - 1) * (padded + 1) * padded + TOD__OVER;
    size_t by_hour = hours * tod__hour_floats(map);
    float *line = map->f2 = (float *)tod__zeros(&map->memory, own, sizeof(float));
    map->by_hour = (float *)tod__zeros(&map->memory, by_hour, sizeof(float));
    if (!map->f2 || !map->by_hour) return TOD_ERROR_MEMORY;
    map->info.resident_bytes += sizeof(float) * (own + by_hour);
    for (; layers; layers--, inputs = padded, used = h)
        for (size_t row = 0; row <= inputs; row++, line += padded) /* the last one is the bias */
            for (size_t i = 0; i < h && (row < used || row == inputs); i++, data += 2)
                line[i] = tod__half(tod__u16(data));
    for (size_t row = 0; row <= z + h; row++) {
        for (size_t t = 0; t < hours; t++) {
            line = map->by_hour + t * tod__hour_floats(map) + (row < z ? row : row == z + h ? z : row + 1) * TOD__RGBX;
            for (int i = 0; i < 3; i++, data += 2) line[i] = (float)map->scale[t] * tod__half(tod__u16(data));
        }
    }
    return TOD_OK;
}

/* F2's last layer at any hour. Colours fade from one baked hour to the next, and so does what makes them. */
static void tod__blend_hours(const tod_map *map, double hour, float *to) {
    const double near = 1e-6; /* hours that are the same one */
    int count = map->info.hour_count, first = count - 1; /* before the first hour the last one goes on */
    size_t floats = tod__hour_floats(map);
    hour -= 24 * (double)(int64_t)(hour / 24);
    hour += hour < 0 ? 24 : 0;
    for (int k = 0; k < count && map->info.hours[k] <= hour + near; k++) first = k;
    double offset = hour - map->info.hours[first];
    offset += offset < -near ? 24 : 0;
    if (offset < 2 * near && offset > -2 * near) offset = 0;
    double share = offset / map->lengths[first];
    share = share > 1 ? 1 : share;
    if (map->steps[first] >= 0) /* a frame that is baked at the event itself stays on its own side of it */
        share = offset > map->steps[first] - near && offset > 0;
    const float *a = map->by_hour + (size_t)first * floats, *b = map->by_hour + (size_t)((first + 1) % count) * floats;
    for (size_t i = 0; i < floats; i++) to[i] = (float)(1 - share) * a[i] + (float)share * b[i];
}

#if TOD__WIDE > 4
#include <immintrin.h>
#if TOD__WIDE == 16
typedef __m512 tod__v;
typedef __m512i tod__vi;
#define TOD__MM(name) _mm512_##name
#define TOD__SI(name) _mm512_##name##_si512
#define TOD__GATHER(from, at) _mm512_i32gather_epi32(at, from, 1)
#define TOD__RELU(v) _mm512_maskz_max_ps(0xFFFF, v, _mm512_setzero_ps()) /* gcc 12 warns of the plain one */
#else
typedef __m256 tod__v;
typedef __m256i tod__vi;
#define TOD__MM(name) _mm256_##name
#define TOD__SI(name) _mm256_##name##_si256
#define TOD__GATHER(from, at) _mm256_i32gather_epi32((const int *)(from), at, 1)
#define TOD__RELU(v) _mm256_max_ps(v, _mm256_setzero_ps())
#endif
#define TOD__LOAD(from) TOD__MM(loadu_ps)(from)
#define TOD__STORE(to, v) TOD__MM(storeu_ps)(to, v)
#define TOD__SPREAD(x) TOD__MM(set1_ps)(x)
#define TOD__MADD(x, y, sum) TOD__MM(fmadd_ps)(x, y, sum)
#else
#if TOD__WIDE == 4 /* vectors of gcc and clang, on any processor */
typedef float tod__v __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t tod__vi __attribute__((vector_size(16)));
static const tod__v tod__zero = {0, 0, 0, 0};
#define TOD__SPREAD(x) ((x) - tod__zero)
#define TOD__RELU(v) ((tod__v)((tod__vi)(v) & ((v) > tod__zero)))
#else
typedef float tod__v;
#define TOD__SPREAD(x) (x)
#define TOD__RELU(v) ((v) > 0 ? (v) : 0)
#endif
#define TOD__LOAD(from) (*(const tod__v *)(from))
#define TOD__STORE(to, v) (*(tod__v *)(to) = (v))
#define TOD__MADD(x, y, sum) ((sum) + (x) * (y))
#endif

/* out[k][.] = max(0, sum over i of w[i][k] x[i][.]) for `rows` k and two vectors side by side in x; each step is the
 * distance from one i, or of `out` from one k, to the next. Eight sums keep the processor busy. */
static inline void tod__product(int rows, const float *w, int w_step, const float *x, int x_step, int count, float *out,
                                int out_step) {
    tod__v a[8], b[8];
    TOD__UNROLL for (int k = 0; k < rows; k++) a[k] = b[k] = TOD__SPREAD(0.0f);
    for (int i = 0; i < count; i++, w += w_step, x += x_step) {
        tod__v x0 = TOD__LOAD(x), x1 = TOD__LOAD(x + TOD__WIDE);
        TOD__UNROLL for (int k = 0; k < rows; k++) {
            tod__v wk = TOD__SPREAD(w[k]);
            a[k] = TOD__MADD(wk, x0, a[k]), b[k] = TOD__MADD(wk, x1, b[k]);
        }
    }
    TOD__UNROLL for (int k = 0; k < rows; k++, out += out_step) {
        TOD__STORE(out, TOD__RELU(a[k]));
        TOD__STORE(out + TOD__WIDE, TOD__RELU(b[k]));
    }
}

/* out (outputs x lanes) = weight (inputs x outputs) applied to in (inputs x lanes), not below 0; outputs is a multiple
 * of 4. One of the inputs is 1: its weights are the bias. */
static void tod__layer(float *out, int outputs, const float *in, int inputs, const float *weight, int lanes) {
    float some[2 * TOD__WIDE];
    int o = 0;
    for (; o < outputs && lanes == 1; o += 2 * TOD__WIDE) { /* outputs take the place of lanes */
        tod__product(1, in, TOD__ROW, weight + o, outputs, inputs, some, 0);
        for (int k = 0; k < 2 * TOD__WIDE && o + k < outputs; k++) out[(o + k) * TOD__ROW] = some[k];
    }
    for (; o + 8 <= outputs && TOD__WIDE == 16; o += 8) /* there are registers for sixteen sums */
        tod__product(8, weight + o, outputs, in, TOD__ROW, inputs, out + o * TOD__ROW, TOD__ROW);
    for (; o < outputs; o += 4)
        for (int lane = 0; lane < lanes; lane += 2 * TOD__WIDE)
            tod__product(4, weight + o, outputs, in + lane, TOD__ROW, inputs, out + o * TOD__ROW + lane, TOD__ROW);
}

/* The beginning of a group's record, as it is read. */
typedef struct tod__record {
    const uint32_t *words;
    uint32_t group;
    int *base, *wide, *offset, *most; /* of channels: smallest value, bits of the blocks' differences, where they are in
                                       * a block's header, the largest number of bits there */
    uint32_t valid[TOD__BLOCKS], size[TOD__BLOCKS];
    uint32_t header[TOD__BLOCKS], payload[TOD__BLOCKS]; /* first bit of a block's header and of its texels */
} tod__record;

/* A texel whose colour is added somewhere. */
typedef struct tod__tap {
    uint32_t place; /* tod__place, or the lane once it has one */
    uint32_t to;    /* floats from the first of the colours on */
    float weight;
} tod__tap;

/* What decoding works in: the texels that go through F2 next, lane by lane. Behind z and behind each hidden layer is a
 * row of ones, for the biases. */
typedef struct tod__scratch {
    tod__record records[TOD__MAX_LEVELS];
    float *z;    /* z_dim x lanes, behind it the last hidden layer */
    float *h;    /* hidden x lanes: the layer before */
    float *hour; /* F2's last layer at the hour */
    float rgbx[TOD__RGBX * TOD__ROW];
    int lanes;   /* that are used */
    float *low;  /* of the channels of a block: z of the smallest values */
    int *narrow; /* bits of the texels' differences */
    int *varied; /* those that have some */
    tod__chunk *memory;
    float on_stack[7168];
} tod__scratch;

static tod_error tod__begin(const tod_map *map, double hour, tod__scratch *scratch) {
    size_t z_dim = (size_t)map->z_dim, hidden = (size_t)map->hidden, rows = (z_dim + 1 + 2 * (hidden + 1)) * TOD__ROW;
    size_t floats = rows + tod__hour_floats(map) + TOD__OVER, channels = z_dim + 16; /* vectors of 16 may be read */
    size_t bytes = 4 * (floats + channels * (3 + 4 * (size_t)map->level_count) + 16);
    scratch->memory = NULL, scratch->lanes = 0;
    if (!(hour > -1e9 && hour < 1e9)) return TOD_ERROR_ARGUMENT;
    float *room = scratch->on_stack;
    if (bytes > sizeof scratch->on_stack) room = (float *)tod__take_memory(&scratch->memory, bytes, 1);
    if (!room) return TOD_ERROR_MEMORY;
    scratch->z = room + (64 - ((uintptr_t)room & 63)) / sizeof(float); /* vectors within cache lines */
    scratch->h = scratch->z + (z_dim + 1 + hidden + 1) * TOD__ROW;
    scratch->hour = scratch->z + rows;
    scratch->low = scratch->z + floats;
    scratch->narrow = (int *)(void *)(scratch->low + channels);
    scratch->varied = scratch->narrow + channels;
    float *ones = scratch->z + z_dim * TOD__ROW;
    memset(scratch->z, 0, z_dim * TOD__ROW * sizeof(float)); /* lanes may be computed that nobody filled */
    for (size_t k = 0; k < TOD__ROW; k++)
        ones[k] = ones[(hidden + 1) * TOD__ROW + k] = ones[2 * (hidden + 1) * TOD__ROW + k] = 1;
    for (int k = 0; k < map->level_count; k++) {
        tod__record *record = &scratch->records[k];
        record->group = TOD__EMPTY;
        record->base = scratch->varied + channels * (size_t)(1 + 4 * k), record->wide = record->base + channels;
        record->offset = record->wide + channels, record->most = record->offset + channels;
    }
    memset(scratch->varied, 0, channels * (1 + 4 * (size_t)map->level_count) * sizeof(int));
    tod__blend_hours(map, hour, scratch->hour);
    memset(scratch->hour + tod__hour_floats(map), 0, TOD__OVER * sizeof(float));
    return TOD_OK;
}

/* Adds the colours of the first lanes to what they are for, and moves what is left to the lanes' beginning; its taps are
 * the last ones then, from the result on. */
static tod__tap *tod__flush(const tod_map *map, tod__scratch *s, tod__tap *taps, tod__tap *end, float *rgb) {
    float *last = s->z + (size_t)(map->z_dim + 1) * TOD__ROW, *in = s->z;
    const float *weight = map->f2, ceiling = map->info.is_radiance ? 3e38f : 1;
    int inputs = map->z_dim + 1, lanes = tod__min(s->lanes, TOD__LANES);
    for (int layer = 1; layer <= map->layers && lanes; layer++, inputs = map->hidden + 1) {
        float *out = (map->layers - layer) & 1 ? s->h : last;
        tod__layer(out, map->hidden, in, inputs, weight, lanes);
        weight += (size_t)inputs * (size_t)map->hidden;
        in = out;
    }
    tod__layer(s->rgbx, TOD__RGBX, s->z, map->z_dim + 1 + map->hidden, s->hour, lanes);
    tod__tap *kept = end;
    while (end > taps) {
        if ((--end)->place >= TOD__LANES) {
            end->place -= TOD__LANES, *--kept = *end;
            continue;
        }
        const float *lane = s->rgbx + end->place;
        float *to = rgb + end->to, w = end->weight;
        for (int c = 0; c < 3; c++) {
            float value = lane[c * TOD__ROW];
            to[c] += w * (value < ceiling ? value : ceiling);
        }
    }
    s->lanes = tod__max(s->lanes - TOD__LANES, 0);
    for (int c = 0; c < map->z_dim && s->lanes; c++)
        memcpy(s->z + c * TOD__ROW, s->z + c * TOD__ROW + TOD__LANES, TOD__TEXELS * sizeof(float));
    return kept;
}

/* `count` <= 25 bits of a record. */
static uint32_t tod__bits(const uint32_t *record, uint32_t bit, int count) {
    uint64_t window = record[bit >> 5] | (uint64_t)record[(bit >> 5) + 1] << 32;
    return (uint32_t)(window >> (bit & 31)) & ((1u << count) - 1);
}

/* Where texel (x, y) of a level is: 256 times its group, 16 times the block in it, and the number in the block. */
static inline uint32_t tod__place(const tod__level *level, int x, int y) {
    uint32_t across = ((uint32_t)level->width + TOD__GROUP - 1) / TOD__GROUP;
    uint32_t group = (uint32_t)(y >> 4) * across + (uint32_t)(x >> 4);
    return group << 8 | (uint32_t)((y >> 2 & 3) << 6 | (x >> 2 & 3) << 4 | (y & 3) << 2 | (x & 3));
}

/* Which texels of a block are valid, without reading more of the record. Nobody can foresee it: no branches. */
static inline uint32_t tod__valid_in(const tod__level *level, uint32_t block) {
    uint32_t entry = level->index[(int)(block >> 4)], is_full = !(entry & TOD__PARTIAL), is_empty = entry == TOD__EMPTY;
    uint32_t bit = TOD__TEXELS * ((uint32_t)level->size_bits + (block & 15));
    uint32_t word = level->words[(int)(((entry & ~TOD__PARTIAL) + (bit >> 5)) & ((is_full | is_empty) - 1))];
    return (word >> (bit & 31) | (0 - is_full)) & (is_empty - 1) & 0xFFFF;
}

/* Reads all that is before the blocks' headers of a group with a valid texel, unless it was read last. */
static tod__record *tod__read_record(const tod__level *level, int bits, uint32_t group, tod__record *of) {
    uint32_t entry = level->index[group], bit = 0, fields = 0;
    int pair = bits + level->width_bits;
    if (of->group == group) return of;
    of->group = group;
    of->words = level->words + (entry & ~TOD__PARTIAL);
    for (int j = 0; j < TOD__BLOCKS; j++, bit += (uint32_t)level->size_bits)
        of->size[j] = tod__bits(of->words, bit, level->size_bits);
    for (int j = 0; j < TOD__BLOCKS; j++, bit += entry & TOD__PARTIAL ? TOD__TEXELS : 0)
        of->valid[j] = entry & TOD__PARTIAL ? tod__bits(of->words, bit, TOD__TEXELS) : 0xFFFF;
    for (int c = 0; c < level->channels; c++, bit += (uint32_t)pair) {
        uint32_t both = tod__bits(of->words, bit, pair);
        int length = tod__bit_length(both >> bits);
        of->base[c] = (int)(both & ((1u << bits) - 1));
        of->wide[c] = (int)(both >> bits);
        of->offset[c] = (int)fields;
        of->most[c] = (1 << length) - 1;
        fields += (uint32_t)(of->wide[c] + length);
    }
    for (int j = 0; j < TOD__BLOCKS; bit += of->valid[j++] ? fields : 0) of->header[j] = bit;
    for (int j = 0; j < TOD__BLOCKS; bit += (uint32_t)tod__popcount(of->valid[j]) * of->size[j], j++)
        of->payload[j] = bit;
    return of;
}

#if TOD__WIDE >= 8
/* 25 bits and more from each of as many places on. */
static tod__vi tod__windows(const uint32_t *words, tod__vi bits) {
    tod__vi window = TOD__GATHER(words, TOD__MM(srli_epi32)(bits, 3));
    return TOD__MM(srlv_epi32)(window, TOD__SI(and)(bits, TOD__MM(set1_epi32)(7)));
}
#define TOD__INTS(from) TOD__SI(loadu)((const tod__vi *)(const void *)(from))
#define TOD__Z(value, step, low) TOD__MM(fmadd_ps)(TOD__MM(cvtepi32_ps)(value), TOD__SPREAD(step), low)
#endif

/* z of a level at the valid texels `which` of a block, bit by bit, to as many lanes, or to one where they are the same;
 * up to 15 lanes behind them are written too. Whether they differ is returned. */
static int tod__read_block(const tod_map *map, tod__scratch *s, int k, uint32_t block, uint32_t which, float *z) {
    const tod__level *level = &map->levels[k];
    tod__record *of = tod__read_record(level, map->info.latent_bits, block >> 4, &s->records[k]);
    const uint32_t *words = of->words, j = block & 15, valid = of->valid[j], size = of->size[j];
    uint32_t first[TOD__TEXELS + 1] = {0}, bit = of->payload[j];
    float *lows = s->low, step = map->step;
    int *narrow = s->narrow, *varied = s->varied, channels = level->channels, count = 0, varied_count = 0;
#if TOD__WIDE == 16
    const tod__vi upward = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    tod__vi from = _mm512_maskz_expand_epi32((__mmask16)valid, upward); /* how many valid ones are before it */
    from = _mm512_add_epi32(_mm512_mullo_epi32(from, _mm512_set1_epi32((int)size)), _mm512_set1_epi32((int)bit));
    _mm512_storeu_si512(first, _mm512_maskz_compress_epi32((__mmask16)which, from));
    count = tod__popcount(which);
#else
    for (int i = 0; i < TOD__TEXELS; i++, bit += valid >> (i - 1) & 1 ? size : 0) {
        first[count] = bit;
        count += which >> i & 1;
    }
#endif
#if TOD__WIDE >= 8
    for (int c = 0; c < channels; c += TOD__WIDE) {
        tod__vi at = TOD__MM(add_epi32)(TOD__INTS(of->offset + c), TOD__MM(set1_epi32)((int)of->header[j]));
        tod__vi both = tod__windows(words, at), wide = TOD__INTS(of->wide + c), all = TOD__MM(set1_epi32)(-1);
        tod__vi low = TOD__SI(andnot)(TOD__MM(sllv_epi32)(all, wide), both);
        tod__vi bits = TOD__SI(and)(TOD__MM(srlv_epi32)(both, wide), TOD__INTS(of->most + c)); /* 0: of no channel */
        low = TOD__MM(add_epi32)(TOD__INTS(of->base + c), low);
        TOD__STORE(lows + c, TOD__Z(low, step, TOD__SPREAD(-1.0f)));
        TOD__SI(storeu)((tod__vi *)(void *)(narrow + c), bits);
#if TOD__WIDE == 16
        __mmask16 some = _mm512_test_epi32_mask(bits, bits);
        tod__vi channel = _mm512_add_epi32(upward, _mm512_set1_epi32(c));
        _mm512_storeu_si512(varied + varied_count, _mm512_maskz_compress_epi32(some, channel));
        varied_count += tod__popcount(some);
#else
        uint32_t some = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(bits, _mm256_setzero_si256())));
        for (; some; some &= some - 1) varied[varied_count++] = c + tod__popcount(~some & (some - 1));
#endif
    }
    for (int c = 0; c < channels; c++) /* of all texels, unless they differ */
        for (int i = 0; i < TOD__TEXELS; i += TOD__WIDE) TOD__STORE(z + c * TOD__ROW + i, TOD__SPREAD(lows[c]));
    for (int i = 0; i < count && varied_count; i += TOD__WIDE) {
        tod__vi at = TOD__INTS(first + i), window = at;
        for (int k = 0, left = 0; k < varied_count; k++) {
            int c = varied[k], bits = narrow[c];
            if (left < bits) {
                window = tod__windows(words, at);
                left = 25;
            }
            tod__vi value = TOD__SI(and)(window, TOD__MM(set1_epi32)((1 << bits) - 1));
            window = TOD__MM(srl_epi32)(window, _mm_cvtsi32_si128(bits));
            at = TOD__MM(add_epi32)(at, TOD__MM(set1_epi32)(bits));
            left -= bits;
            TOD__STORE(z + c * TOD__ROW + i, TOD__Z(value, step, TOD__SPREAD(lows[c])));
        }
    }
#else
    (void)varied, (void)narrow, (void)lows; /* channels come one after another */
    for (int c = 0; c < channels; c++) {
        int both = (int)tod__bits(words, of->header[j] + (uint32_t)of->offset[c], 12);
        int bits = both >> of->wide[c] & of->most[c];
        float low = step * (float)(of->base[c] + (both & ((1 << of->wide[c]) - 1))) - 1.0f;
        for (int i = 0; i < count; first[i++] += (uint32_t)bits)
            z[c * TOD__ROW + i] = bits ? step * (float)tod__bits(words, first[i], bits) + low : low;
        varied_count += bits;
    }
#endif
    return varied_count > 0;
}

/* z of all levels at the texels `which` of a block of the map, as tod__read_block. */
static int tod__read_texels(const tod_map *map, tod__scratch *s, uint32_t block, uint32_t which) {
    int across = (map->info.width + TOD__GROUP - 1) / TOD__GROUP, group = (int)(block >> 4);
    int left = group % across * TOD__GROUP + (int)(block & 3) * 4;
    int top = group / across * TOD__GROUP + (int)(block >> 2 & 3) * 4;
    float *z = s->z + s->lanes;
    int differ = tod__read_block(map, s, 0, block, which, z);
    for (int k = 1; k < map->level_count; k++) {
        const tod__level *level = &map->levels[k];
        z += (size_t)level[-1].channels * TOD__ROW;
        for (int i = 0, lane = 0; i < TOD__TEXELS; i++) {
            if (!(which >> i & 1)) continue;
            uint32_t place = tod__place(level, (left + (i & 3)) / level->stride, (top + (i >> 2)) / level->stride);
            tod__read_block(map, s, k, place >> 4, 1u << (place & 15), z + lane++);
        }
    }
    differ |= map->level_count > 1;
    s->lanes += differ ? tod__popcount(which) : 1;
    return differ;
}

/* Adds the colours of valid texels, sorted by blocks as far as may be, to what they are for. */
static void tod__add_taps(const tod_map *map, tod__scratch *s, tod__tap *taps, tod__tap *end, float *rgb) {
    tod__tap *pending = taps; /* the first whose lane has not gone through F2 */
    while (taps < end) {
        tod__tap *first = taps;
        uint32_t block = taps->place >> 4, which = 0;
        for (; taps < end && taps->place >> 4 == block; taps++) which |= 1u << (taps->place & 15);
        int lane = s->lanes;
        uint32_t ranked = tod__read_texels(map, s, block, which) ? which : 0;
        for (; first < taps; first++) {
            TOD__PREFETCH(rgb + first->to);
            first->place = (uint32_t)(lane + tod__popcount(ranked & ((1u << (first->place & 15)) - 1)));
        }
        if (s->lanes >= TOD__LANES) pending = tod__flush(map, s, pending, taps, rgb);
    }
    tod__flush(map, s, pending, taps, rgb);
}

static tod_error tod__read_body(tod_map *map, tod__chunk **memory, const uint8_t *bytes, const uint8_t *end) {
    const uint8_t *at = bytes + TOD__PREFIX_BYTES;
    tod__header *t = (tod__header *)tod__zeros(memory, 1, sizeof *t);
    size_t sizes[2 + TOD__MAX_LEVELS], header_bytes = tod__u32(bytes + 12), all = 0;
    char name[16] = "planes";
    if (!t) return TOD_ERROR_MEMORY;
    if (header_bytes > TOD__MAX_HEADER_BYTES || header_bytes > (size_t)(end - at)) return TOD_ERROR_HEADER;
    t->at = (const char *)at;
    t->end = t->at + header_bytes;
    at += header_bytes;
    tod_error error = tod__read_entries(t, &map->memory); /* names and hours stay */
    if (!error) tod__read_fields(map, t);
    if (!error) error = t->failed ? TOD_ERROR_HEADER : tod__place_events(map);
    if (error) return error;
    for (int k = 0; k < 2 + map->level_count; k++) { /* mask, f2, planes, planes_S of each stride S */
        int stride = k > 2 ? map->levels[k - 2].stride : 0;
        if (stride) name[6] = '_';
        for (int i = stride < 10 ? 1 : stride < 100 ? 2 : 3; i && stride; i--, stride /= 10)
            name[6 + i] = (char)('0' + stride % 10);
        sizes[k] = (size_t)tod__integer(t, k == 0 ? "mask" : k == 1 ? "f2" : name, 1, TOD__MAX_COUNT);
        all += sizes[k];
    }
    if (t->failed || all != (size_t)(end - at)) return TOD_ERROR_SECTIONS;
    map->step = 2.0f / (float)((1 << map->info.latent_bits) - 1);
    size_t mask_bytes = ((size_t)map->info.height * (size_t)map->info.width + 7) / 8;
    uint8_t *mask = (uint8_t *)tod__zeros(memory, mask_bytes, 1);
    if (!mask) return TOD_ERROR_MEMORY;
    if (!tod__inflate(at, sizes[0], mask, mask_bytes)) return TOD_ERROR_MASK;
    error = tod__read_f2(map, at + sizes[0], sizes[1]);
    at += sizes[0] + sizes[1];
    for (int k = 0; k < map->level_count && !error; at += sizes[2 + k++]) {
        tod__chunk *own = NULL;
        tod__planes planes;
        error = tod__read_planes(&planes, &own, map, &map->levels[k], mask, at, sizes[2 + k]);
        if (!error) error = tod__pack(map, &map->levels[k], &own, &planes);
        tod__free(own);
    }
    return error;
}

TOD_API tod_error tod_open(const void *bytes, size_t size, tod_map **opened) {
    static const uint8_t magic[8] = {0x89, 'T', 'O', 'D', 13, 10, 26, 10};
    const uint8_t *data = (const uint8_t *)bytes;
    uint8_t digest[TOD__DIGEST_BYTES];
    tod__chunk *own = NULL, *memory = NULL;
    if (opened) *opened = NULL;
    if (!opened || !bytes) return TOD_ERROR_ARGUMENT;
    if (size < TOD__PREFIX_BYTES + TOD__DIGEST_BYTES || memcmp(data, magic, 8) != 0) return TOD_ERROR_NOT_A_BUNDLE;
    if (tod__u32(data + 8) < 1 || tod__u32(data + 8) > TOD__VERSION) return TOD_ERROR_VERSION;
    size -= TOD__DIGEST_BYTES;
    tod__sha256(data, size, digest);
    if (memcmp(digest, data + size, sizeof digest) != 0) return TOD_ERROR_CHECKSUM;
    tod_map *map = (tod_map *)tod__zeros(&own, 1, sizeof *map);
    if (!map) return TOD_ERROR_MEMORY;
    map->memory = own;
    map->info.version = (int)tod__u32(data + 8);
    map->info.resident_bytes = sizeof *map;
    tod_error error = tod__read_body(map, &memory, data, data + size);
    tod__free(memory);
    map->info.index = map->levels[0].index, map->info.index_count = map->levels[0].index_count;
    map->info.words = map->levels[0].words, map->info.word_count = map->levels[0].word_count;
    if (error) tod_close(map);
    else *opened = map;
    return error;
}

TOD_API void tod_close(tod_map *map) { tod__free(map ? map->memory : NULL); } /* the map is in it */
TOD_API const tod_info *tod_get_info(const tod_map *map) { return &map->info; }
TOD_API const char *tod_error_string(tod_error error) {
    static const char *const sentences[] = {
        "nothing went wrong",
        "an argument is out of range: a missing pointer, lightmap, texel or hour",
        "there is not enough memory",
        "this is not a bundle: it does not start as one",
        "the bundle is of a newer version: this decoder reads versions 1 to 3",
        "the bundle is truncated or damaged: its checksum does not fit",
        "the bundle's header is not understood or holds impossible values: export it again",
        "the bundle's sections do not fill the file: export it again",
        "the bundle's mask is damaged, or no texel is valid: export it again",
        "the bundle's network has the wrong size or holds values that are not finite: export it again",
        "the bundle's latents are damaged: export it again",
    };
    return (unsigned)error < sizeof sentences / sizeof *sentences ? sentences[error] : "an unknown error";
}

TOD_API int tod_find_lightmap(const tod_map *map, const char *name) {
    int k = map->info.lightmap_count - 1;
    while (k >= 0 && strcmp(map->info.lightmaps[k].name, name) != 0) k--;
    return k;
}

static const tod_lightmap *tod__lightmap(const tod_map *map, int lightmap) {
    return map && lightmap >= 0 && lightmap < map->info.lightmap_count ? &map->info.lightmaps[lightmap] : NULL;
}
TOD_API int tod_is_valid(const tod_map *map, int lightmap, int x, int y) {
    const tod_lightmap *part = tod__lightmap(map, lightmap);
    if (!part || x < 0 || y < 0 || x >= part->width || y >= part->height) return 0;
    uint32_t place = tod__place(&map->levels[0], x, y + part->first_row);
    return tod__valid_in(&map->levels[0], place >> 4) >> (place & 15) & 1;
}

/* Of every other coordinate, in [0, 1], the texel at or before it, and the weight of the one behind it. The border goes
 * on outside; so close to a centre as single precision can tell, a point is there. */
static void tod__around(const float *uv, int count, int size, int *texel, float *share) {
    const double near = size / 16777216.0, last = size - 1;
    for (int k = 0; k < count; k++) {
        double place = (double)uv[2 * k] * size - 0.5;
        place = place > 0 ? place : 0; /* also for what is not a number */
        place = place < last ? place : last;
        texel[k] = tod__min((int)(place + near), size - 1);
        place -= texel[k];
        share[k] = (float)(place * (place > near));
    }
}

/* The valid texels around at most TOD__POINTS points, `most` (1 or 4) of each, whose colours go from `to` on; how many
 * there are is returned. */
static uint32_t tod__find_taps(const tod_map *map, const tod_lightmap *part, const float *uv, int count, int most,
                               uint32_t to, tod__tap *taps) {
    const tod__level *level = &map->levels[0];
    int column[TOD__POINTS], row[TOD__POINTS];
    float right[TOD__POINTS], below[TOD__POINTS], weight[4][TOD__POINTS];
    uint32_t place[4][TOD__POINTS], found = 0;
    tod__around(uv, count, part->width, column, right);
    tod__around(uv + 1, count, part->height, row, below);
    for (int c = 0; c < 4; c++) {
        for (int k = 0; k < count; k++) {
            int x = tod__min(column[k] + (c & 1), part->width - 1), y = tod__min(row[k] + (c >> 1), part->height - 1);
            place[c][k] = tod__place(level, x, y + part->first_row);
        }
        for (int k = 0; k < count; k++) {
            float across = c & 1 ? right[k] : 1 - right[k], down = c >> 1 ? below[k] : 1 - below[k];
            uint32_t is_valid = tod__valid_in(level, place[c][k] >> 4) >> (place[c][k] & 15) & 1;
            weight[c][k] = across * down * (float)is_valid;
        }
        for (int k = 0; k < count && c && most == 1; k++) { /* the first one becomes the largest */
            int is_more = weight[c][k] > weight[0][k];
            weight[0][k] = is_more ? weight[c][k] : weight[0][k];
            place[0][k] = is_more ? place[c][k] : place[0][k];
        }
    }
    for (int k = 0; k < count; k++, to += 3) {
        float sum = 0;
        for (int c = 0; c < most; c++) sum += weight[c][k];
        for (int c = 0; c < most; c++) {
            tod__tap tap = {place[c][k], to, weight[c][k] / sum};
            taps[found] = tap;
            found += weight[c][k] > 0;
        }
    }
    return found;
}

/* Sorts taps by their blocks, so that what a block says is read once; they end where the result says. */
static tod__tap *tod__sort(tod__tap *taps, tod__tap *spare, uint32_t count, uint32_t largest) {
    for (int shift = 4; largest >> shift; shift += 8) {
        uint32_t starts[257] = {0};
        tod__tap *sorted = spare;
        for (uint32_t k = 0; k < count; k++) starts[(taps[k].place >> shift & 255) + 1]++;
        for (uint32_t k = 0; k < 256; k++) starts[k + 1] += starts[k];
        for (uint32_t k = 0; k < count; k++) {
            tod__tap *at = sorted + starts[taps[k].place >> shift & 255]++;
            TOD__PREFETCH(at + 10);
            *at = taps[k];
        }
        spare = taps;
        taps = sorted;
    }
    return taps;
}

TOD_API tod_error tod_sample_many(const tod_map *map, int lightmap, size_t count, const float *uv, double hour,
                                  tod_filter filter, float *rgb) {
    const tod_lightmap *part = tod__lightmap(map, lightmap);
    size_t most = filter == TOD_BILINEAR ? 4 : 1, room = TOD__FEW; /* taps of a point; of those that go together */
    tod__tap few[TOD__FEW + 1], *taps = few;
    tod__scratch scratch;
    if (!part || !uv || !rgb || (filter != TOD_NEAREST && filter != TOD_BILINEAR)) return TOD_ERROR_ARGUMENT;
    tod_error error = tod__begin(map, hour, &scratch);
    if (!error && count > TOD__FEW / most) {
        room = count < TOD__MANY / most ? count * most : (size_t)TOD__MANY;
        taps = (tod__tap *)tod__take_memory(&scratch.memory, 2 * (uint64_t)room + 1, sizeof *taps);
        if (!taps) error = TOD_ERROR_MEMORY;
    }
    for (uint32_t points; count && !error; uv += 2 * (size_t)points, rgb += 3 * (size_t)points, count -= points) {
        uint32_t found = 0, largest = (uint32_t)(map->info.index_count << 8) - 1;
        points = (uint32_t)(count < room / most ? count : room / most);
        memset(rgb, 0, 3 * (size_t)points * sizeof *rgb);
        for (uint32_t k = 0; k < points; k += TOD__POINTS)
            found += tod__find_taps(map, part, uv + 2 * (size_t)k, tod__min((int)(points - k), TOD__POINTS), (int)most,
                                    3 * k, taps + found);
        tod__tap *sorted = found > TOD__FEW ? tod__sort(taps, taps + room, found, largest) : taps;
        tod__add_taps(map, &scratch, sorted, sorted + found, rgb);
    }
    tod__free(scratch.memory);
    return error;
}

TOD_API tod_error tod_sample(const tod_map *map, int lightmap, float u, float v, double hour, tod_filter filter,
                             float rgb[3]) {
    const float uv[2] = {u, v};
    return tod_sample_many(map, lightmap, 1, uv, hour, filter, rgb);
}

TOD_API tod_error tod_decode_rect(const tod_map *map, int lightmap, int x, int y, int width, int height, double hour,
                                  float *rgb, size_t stride) {
    const tod_lightmap *part = tod__lightmap(map, lightmap);
    tod__scratch scratch;
    tod__tap taps[TOD__TAPS], *end = taps;
    if (!part || !rgb || x < 0 || y < 0 || width < 1 || height < 1 || x > part->width - width ||
        y > part->height - height)
        return TOD_ERROR_ARGUMENT;
    if (stride == 0) stride = 3 * (size_t)width;
    if (stride < 3 * (size_t)width || stride > UINT32_MAX / (size_t)height) return TOD_ERROR_ARGUMENT;
    tod_error error = tod__begin(map, hour, &scratch);
    if (error) return error;
    int top = y + part->first_row;
    for (int gy = top >> 4; gy <= (top + height - 1) >> 4; gy++) {
        for (int i = tod__max(gy * TOD__GROUP - top, 0); i < tod__min((gy + 1) * TOD__GROUP - top, height); i++)
            memset(rgb + (size_t)i * stride, 0, 3 * (size_t)width * sizeof *rgb); /* soon to be added to */
        for (int j = x & ~15; j < x + width || j & 15; j++) { /* column of a group + number of a block in it */
            uint32_t block = tod__place(&map->levels[0], j, gy << 4) >> 8 << 4 | (uint32_t)(j & 15);
            uint32_t which = tod__valid_in(&map->levels[0], block), to[TOD__TEXELS];
            for (int i = 0; i < TOD__TEXELS; i++) {
                int column = (j & ~15) + (j & 3) * 4 + (i & 3) - x, row = (gy << 4) + (j & 12) + (i >> 2) - top;
                to[i] = (uint32_t)row * (uint32_t)stride + 3 * (uint32_t)column;
                which &= ~((uint32_t)(column < 0 || row < 0 || column >= width || row >= height) << i);
            }
            if (!which) continue;
            uint32_t lane = (uint32_t)scratch.lanes, step = (uint32_t)tod__read_texels(map, &scratch, block, which);
            for (int i = 0; i < TOD__TEXELS; end += which >> i & 1, lane += which >> i++ & step) {
                tod__tap tap = {lane, to[i], 1};
                *end = tap;
            }
            if (scratch.lanes < TOD__LANES) continue;
            tod__tap *kept = tod__flush(map, &scratch, taps, end, rgb);
            memmove(taps, kept, (size_t)(end - kept) * sizeof *kept);
            end = taps + (end - kept);
        }
    }
    tod__flush(map, &scratch, taps, end, rgb);
    tod__free(scratch.memory);
    return TOD_OK;
}

TOD_API tod_error tod_decode_frame(const tod_map *map, int lightmap, double hour, float *rgb) {
    const tod_lightmap *part = tod__lightmap(map, lightmap);
    return part ? tod_decode_rect(map, lightmap, 0, 0, part->width, part->height, hour, rgb, 0) : TOD_ERROR_ARGUMENT;
}

#endif /* TOD_IMPLEMENTED */
#endif /* TOD_IMPLEMENTATION */
