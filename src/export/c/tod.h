/* tod.h - decodes bundles (.tod): a day of lightmaps in one file. C99 or C++, nothing but the C library.
 *
 * In one source file of a program, before the include:
 *
 *     #define TOD_IMPLEMENTATION
 *     #include "tod.h"
 *
 * then
 *
 *     tod_map *map;
 *     tod_error error = tod_open(bytes, size, &map);        // a whole file in memory; it may be freed afterwards
 *     if (error) { puts(tod_error_string(error)); return; }
 *     float rgb[3];
 *     tod_sample(map, 0, u, v, 17.5, TOD_BILINEAR, rgb);    // lightmap 0 at half past five
 *     tod_close(map);
 *
 * A bundle holds, for every valid texel, a vector z of quantised latents, and a small network F2 that turns z into the
 * colour at any hour. Only these are in memory, packed: a texel's z is found by two dependent reads, then F2 is some
 * thousand multiply-adds. The bytes of the file and of memory are described in docs/bundle-format.md.
 *
 * Colours are linear radiance, or display values in [0, 1] where info->is_radiance is 0. Row 0 is the top row of the
 * images. Texels that are not valid are 0.
 *
 * Threads: a map does not change once it is open. Any number of threads may read it at the same time.
 *
 * A bundle may come from anywhere: every length in it is checked before it is used. Options, defined before the
 * implementation is included:
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
    TOD_OK = 0,
    TOD_ERROR_ARGUMENT,
    TOD_ERROR_MEMORY,
    TOD_ERROR_NOT_A_BUNDLE,
    TOD_ERROR_VERSION,
    TOD_ERROR_CHECKSUM,
    TOD_ERROR_HEADER,
    TOD_ERROR_SECTIONS,
    TOD_ERROR_MASK,
    TOD_ERROR_F2,
    TOD_ERROR_PLANES
} tod_error;

typedef enum tod_filter { TOD_NEAREST = 0, TOD_BILINEAR = 1 } tod_filter;

/* One of the lightmaps that stand below one another in the map. A bundle without names has one, with the name "". */
typedef struct tod_lightmap {
    const char *name; /* UTF-8 */
    int first_row;
    int height, width;
} tod_lightmap;

typedef struct tod_info {
    int version;
    int height, width; /* of the whole map */
    int is_radiance;
    int hour_count;
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

/* Opens a bundle of `size` bytes; they are not needed afterwards. While it opens, about 2 bytes for each latent and 11
 * for each texel are taken. *map is NULL unless TOD_OK is returned. */
TOD_API tod_error tod_open(const void *bytes, size_t size, tod_map **map);

/* Frees a map; NULL is allowed. */
TOD_API void tod_close(tod_map *map);

TOD_API const tod_info *tod_get_info(const tod_map *map);

/* A sentence in English. */
TOD_API const char *tod_error_string(tod_error error);

/* The number of the lightmap with this name, or -1. */
TOD_API int tod_find_lightmap(const tod_map *map, const char *name);

/* 1 where texel (x, y) of a lightmap is valid; 0 elsewhere and outside. */
TOD_API int tod_is_valid(const tod_map *map, int lightmap, int x, int y);

/* The colour at (u, v) in [0, 1] x [0, 1], (0, 0) being the top left corner of the top left texel, at any hour (24 h
 * around). Outside, the border's texels are taken. Of the four texels around the point, TOD_BILINEAR gives the weights
 * of the invalid ones to the others, and TOD_NEAREST takes the valid one with the largest weight; without any it is 0. */
TOD_API tod_error tod_sample(const tod_map *map, int lightmap, float u, float v, double hour, tod_filter filter,
                             float rgb[3]);

/* `count` of them at one hour: uv and rgb hold 2 and 3 numbers for each. Several times as fast. */
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
#if TOD__WIDE > 4
#include <immintrin.h>
#endif

#if defined(__GNUC__) || defined(__clang__) || defined(_MSC_VER)
#define TOD__RESTRICT __restrict
#else
#define TOD__RESTRICT
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TOD__VERSION = 3,
    TOD__PREFIX_BYTES = 16,
    TOD__DIGEST_BYTES = 32,
    TOD__MAX_FRAMES = 1024,
    TOD__MAX_HEADER_BYTES = 1 << 20,
    TOD__MAX_WIDTH_F2 = 1024,
    TOD__MAX_LAYERS_F2 = 16,
    TOD__MAX_COARSE = 4,
    TOD__MAX_STRIDE = 256,
    TOD__MAX_COUNT = 1 << 27, /* of any number in the header */
    TOD__MAX_DEPTH = 8,       /* of the header's lists */
    TOD__LANES = 32,          /* texels that go through F2 together: two blocks */
    TOD__TEXELS = 16,         /* of a block */
    TOD__PAD = 8,             /* hidden layers are filled up with zeros to a multiple of it */
    TOD__RGBX = 4             /* outputs of F2, one of them unused */
};

/* Latents of every block of stride x stride texels, a map of its own. The texels themselves are the level of stride 1.
 */
typedef struct tod__level {
    int stride, channels, height, width;
    int size_bits, width_bits; /* of a record's fields S and W */
    uint32_t *index, *words;
    size_t index_count, word_count;
} tod__level;

struct tod_map {
    tod_info info;
    double *hours;   /* T */
    double *events;  /* E */
    double *lengths; /* T: of the interval after each baked hour */
    double *steps;   /* T: from its start to its event, or -1 */
    tod_lightmap *lightmaps;
    char *names;
    int level_count;
    tod__level levels[1 + TOD__MAX_COARSE];
    int z_dim;      /* channels of all levels */
    int hidden;     /* width of the hidden layers, filled up */
    int layers;     /* hidden layers */
    float step;     /* z = step * q - 1 */
    float *f2;      /* for each hidden layer: weight inputs x hidden, bias */
    float *by_hour; /* T times: weight (z_dim + hidden) x 4, bias 4; frame_scale is multiplied in */
};

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* `count` things of `size` bytes, or NULL; never of 0 bytes. */
static void *tod__alloc(uint64_t count, size_t size) {
    uint64_t bytes = count * size; /* below 2^64: counts are below 2^40 */
    if (bytes > (uint64_t)PTRDIFF_MAX) return NULL;
    return TOD_MALLOC(bytes ? (size_t)bytes : 1);
}

static void *tod__alloc_zeros(uint64_t count, size_t size) {
    void *memory = tod__alloc(count, size);
    if (memory) memset(memory, 0, (size_t)(count * size));
    return memory;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static uint32_t tod__u16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }

static uint32_t tod__u32(const uint8_t *p) { return tod__u16(p) | tod__u16(p + 2) << 16; }

/* IEEE half precision; the caller has seen that it is finite. */
static float tod__half(uint32_t h) {
    uint32_t exponent = h >> 10 & 31, fraction = h & 1023, bits;
    float value;
    if (exponent) {
        bits = (exponent + 112) << 23 | fraction << 13;
        memcpy(&value, &bits, 4);
    } else {
        value = (float)fraction / 16777216.0f;
    }
    return h >> 15 ? -value : value;
}

static int tod__bit_length(uint32_t value) {
    int bits = 0;
    for (; value; value >>= 1) bits++;
    return bits;
}

static int tod__popcount(uint32_t value) {
#if defined(__GNUC__) && defined(__POPCNT__)
    return __builtin_popcount(value);
#else
    value -= value >> 1 & 0x55555555u;
    value = (value & 0x33333333u) + (value >> 2 & 0x33333333u);
    value = (value + (value >> 4)) & 0x0F0F0F0Fu;
    return (int)(value * 0x01010101u >> 24);
#endif
}

/* ---- SHA-256 (FIPS 180-4) ---------------------------------------------------------------------------------------- */

static const uint32_t tod__sha_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t tod__rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void tod__sha_chunk(uint32_t state[8], const uint8_t *p) {
    uint32_t w[64], s[8];
    int i;
    for (i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (tod__rotate(a, 7) ^ tod__rotate(a, 18) ^ a >> 3) +
               (tod__rotate(b, 17) ^ tod__rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (i = 0; i < 64; i++) {
        uint32_t t1 = s[7] + (tod__rotate(s[4], 6) ^ tod__rotate(s[4], 11) ^ tod__rotate(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + tod__sha_k[i] + w[i];
        uint32_t t2 = (tod__rotate(s[0], 2) ^ tod__rotate(s[0], 13) ^ tod__rotate(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (i = 0; i < 8; i++) state[i] += s[i];
}

static void tod__sha256(const uint8_t *data, size_t size, uint8_t digest[TOD__DIGEST_BYTES]) {
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t last[128] = {0};
    size_t done = size / 64 * 64, rest = size - done, tail = rest < 56 ? 64 : 128, i;
    for (i = 0; i < done; i += 64) tod__sha_chunk(state, data + i);
    memcpy(last, data + done, rest);
    last[rest] = 0x80;
    for (i = 0; i < 8; i++) last[tail - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
    for (i = 0; i < tail; i += 64) tod__sha_chunk(state, last + i);
    for (i = 0; i < TOD__DIGEST_BYTES; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i & 3)));
}

/* ---- zlib streams (RFC 1950, 1951) ------------------------------------------------------------------------------- */

typedef struct tod__inflater {
    const uint8_t *in, *in_end;
    uint8_t *out;
    size_t made, size;
    uint32_t bits; /* read and not yet used, the next one lowest */
    int bit_count;
    int failed;
} tod__inflater;

enum { TOD__CODE_BITS = 15, TOD__MAX_CODES = 288 };

/* A canonical Huffman code: how many symbols have each length, and the symbols by length. */
typedef struct tod__huffman {
    uint16_t count[TOD__CODE_BITS + 1];
    uint16_t symbol[TOD__MAX_CODES];
} tod__huffman;

static uint32_t tod__inflate_bits(tod__inflater *z, int count) {
    uint32_t value;
    while (z->bit_count < count) {
        if (z->in == z->in_end) {
            z->failed = 1;
            return 0;
        }
        z->bits |= (uint32_t)*z->in++ << z->bit_count;
        z->bit_count += 8;
    }
    value = z->bits & ((1u << count) - 1);
    z->bits >>= count;
    z->bit_count -= count;
    return value;
}

/* From the lengths of `count` symbols' codes. A code that has room left is refused, but for one of a single symbol. */
static int tod__huffman_make(tod__huffman *code, const uint8_t *lengths, int count) {
    uint16_t first[TOD__CODE_BITS + 1];
    int i, left = 1;
    memset(code->count, 0, sizeof code->count);
    for (i = 0; i < count; i++) code->count[lengths[i]]++;
    code->count[0] = 0;
    first[0] = first[1] = 0;
    for (i = 1; i <= TOD__CODE_BITS; i++) {
        left = 2 * left - code->count[i];
        if (left < 0) return 0;
        if (i < TOD__CODE_BITS) first[i + 1] = (uint16_t)(first[i] + code->count[i]);
    }
    for (i = 0; i < count; i++)
        if (lengths[i]) code->symbol[first[lengths[i]]++] = (uint16_t)i;
    return left == 0 || (left == 1 << (TOD__CODE_BITS - 1) && code->count[1] == 1);
}

static int tod__huffman_read(tod__inflater *z, const tod__huffman *code) {
    int length, value = 0, first = 0, index = 0;
    for (length = 1; length <= TOD__CODE_BITS; length++) {
        int count = code->count[length];
        value |= (int)tod__inflate_bits(z, 1);
        if (value - count < first) return code->symbol[index + value - first];
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    z->failed = 1;
    return 0;
}

static void tod__inflate_stored(tod__inflater *z) {
    uint32_t length, check;
    tod__inflate_bits(z, z->bit_count & 7);
    length = tod__inflate_bits(z, 16);
    check = tod__inflate_bits(z, 16);
    if ((length ^ check) != 0xFFFF || length > z->size - z->made) z->failed = 1;
    while (length-- && !z->failed) {
        uint32_t byte = tod__inflate_bits(z, 8);
        z->out[z->made++] = (uint8_t)byte;
    }
}

static void tod__inflate_coded(tod__inflater *z, const tod__huffman *literals, const tod__huffman *distances) {
    while (!z->failed) {
        int symbol = tod__huffman_read(z, literals);
        uint32_t length, distance, extra;
        if (z->failed || symbol == 256) return;
        if (symbol < 256) {
            if (z->made == z->size) z->failed = 1;
            else z->out[z->made++] = (uint8_t)symbol;
            continue;
        }
        /* Lengths 3, 4, ..., 10, then four for each further bit; distances 1, ..., 4, then two for each. */
        symbol -= 257;
        if (symbol < 8) {
            length = (uint32_t)symbol + 3;
        } else if (symbol < 28) {
            extra = (uint32_t)symbol / 4 - 1;
            length = ((4 + ((uint32_t)symbol & 3)) << extra) + 3 + tod__inflate_bits(z, (int)extra);
        } else {
            length = 258;
        }
        if (symbol > 28) z->failed = 1;
        symbol = tod__huffman_read(z, distances);
        if (symbol < 4) {
            distance = (uint32_t)symbol + 1;
        } else {
            extra = (uint32_t)symbol / 2 - 1;
            distance = ((2 + ((uint32_t)symbol & 1)) << (extra & 15)) + 1 + tod__inflate_bits(z, (int)(extra & 15));
        }
        if (symbol > 29 || distance > z->made || length > z->size - z->made) z->failed = 1;
        for (; length && !z->failed; length--, z->made++) z->out[z->made] = z->out[z->made - distance];
    }
}

static void tod__inflate_dynamic(tod__inflater *z) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    tod__huffman literals, distances;
    uint8_t lengths[TOD__MAX_CODES + 32];
    int literal_count = (int)tod__inflate_bits(z, 5) + 257, distance_count = (int)tod__inflate_bits(z, 5) + 1;
    int length_count = (int)tod__inflate_bits(z, 4) + 4, i;
    memset(lengths, 0, 19);
    for (i = 0; i < length_count; i++) lengths[order[i]] = (uint8_t)tod__inflate_bits(z, 3);
    if (literal_count > 286 || distance_count > 30 || !tod__huffman_make(&literals, lengths, 19)) z->failed = 1;
    for (i = 0; i < literal_count + distance_count && !z->failed;) {
        int symbol = tod__huffman_read(z, &literals), times;
        uint8_t value = 0;
        if (symbol < 16) {
            lengths[i++] = (uint8_t)symbol;
            continue;
        }
        if (symbol == 16 && i == 0) {
            z->failed = 1;
            return;
        }
        if (symbol == 16) {
            value = lengths[i - 1];
            times = 3 + (int)tod__inflate_bits(z, 2);
        } else {
            times = symbol == 17 ? 3 + (int)tod__inflate_bits(z, 3) : 11 + (int)tod__inflate_bits(z, 7);
        }
        if (times > literal_count + distance_count - i) {
            z->failed = 1;
            return;
        }
        memset(lengths + i, value, (size_t)times);
        i += times;
    }
    if (z->failed) return;
    /* Distances may have no code at all, or one of a single symbol. */
    if (!lengths[256] || !tod__huffman_make(&literals, lengths, literal_count)) {
        z->failed = 1;
        return;
    }
    if (!tod__huffman_make(&distances, lengths + literal_count, distance_count)) {
        for (i = 1; i <= TOD__CODE_BITS; i++)
            if (distances.count[i]) z->failed = 1;
    }
    tod__inflate_coded(z, &literals, &distances);
}

static void tod__inflate_fixed(tod__inflater *z) {
    tod__huffman literals, distances;
    uint8_t lengths[TOD__MAX_CODES];
    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    memset(lengths + 280, 8, 8);
    tod__huffman_make(&literals, lengths, 288);
    memset(lengths, 5, 32);
    tod__huffman_make(&distances, lengths, 32);
    tod__inflate_coded(z, &literals, &distances);
}

/* Whether the zlib stream `in` holds exactly `size` bytes; they go to `out`. */
static int tod__inflate(const uint8_t *in, size_t in_size, uint8_t *out, size_t size) {
    tod__inflater z;
    uint32_t a = 1, b = 0, last;
    size_t i;
    if (in_size < 6 || (in[0] & 15) != 8 || in[0] >> 4 > 7 || (in[0] * 256 + in[1]) % 31 || in[1] & 32) return 0;
    memset(&z, 0, sizeof z);
    z.in = in + 2;
    z.in_end = in + in_size - 4;
    z.out = out;
    z.size = size;
    do {
        uint32_t kind;
        last = tod__inflate_bits(&z, 1);
        kind = tod__inflate_bits(&z, 2);
        if (kind == 0) tod__inflate_stored(&z);
        else if (kind == 1) tod__inflate_fixed(&z);
        else if (kind == 2) tod__inflate_dynamic(&z);
        else z.failed = 1;
    } while (!last && !z.failed);
    if (z.failed || z.made != size || z.in != z.in_end) return 0;
    for (i = 0; i < size; i++) { /* Adler-32 */
        a = (a + out[i]) % 65521;
        b = (b + a) % 65521;
    }
    in = z.in_end;
    return (b << 16 | a) == ((uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3]);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* What is left of a text. Functions return 0 when it is not what they read. */
typedef struct tod__text {
    const char *at, *end;
} tod__text;

static int tod__peek(tod__text *t) {
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\r' || *t->at == '\t')) t->at++;
    return t->at < t->end ? (unsigned char)*t->at : -1;
}

static int tod__take(tod__text *t, char c) {
    if (tod__peek(t) != c) return 0;
    t->at++;
    return 1;
}

static int tod__word(tod__text *t, const char *word) {
    size_t length = strlen(word);
    tod__peek(t);
    if ((size_t)(t->end - t->at) < length || memcmp(t->at, word, length) != 0) return 0;
    t->at += length;
    return 1;
}

/* Between the elements of a list: 1 before another one, 0 behind the last, -1 for an error. */
static int tod__more(tod__text *t, int *count, char close) {
    if (tod__take(t, close)) return 0;
    if ((*count)++ && !tod__take(t, ',')) return -1;
    return 1;
}

static int tod__hex4(tod__text *t, uint32_t *value) {
    int i;
    *value = 0;
    for (i = 0; i < 4; i++) {
        int c = t->at < t->end ? *t->at++ : 0;
        if (c >= '0' && c <= '9') *value = *value * 16 + (uint32_t)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            *value = *value * 16 + (uint32_t)((c | 32) - 'a') + 10;
        else return 0;
    }
    return 1;
}

/* A string; in UTF-8 to `out`, with a 0 behind it, unless that is NULL. It takes no more bytes than the text. */
static int tod__string(tod__text *t, char *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (!tod__take(t, '"')) return 0;
    while (t->at < t->end) {
        unsigned char c = (unsigned char)*t->at++;
        const char *escape;
        uint32_t code, low;
        if (c == '"') {
            if (out) *out = 0;
            return 1;
        }
        if (c < 32) return 0;
        if (c != '\\') {
            if (out) *out++ = (char)c;
            continue;
        }
        c = t->at < t->end ? (unsigned char)*t->at++ : 0;
        if (c == 0) return 0;
        escape = strchr(from, c);
        if (escape) {
            if (out) *out++ = to[escape - from];
            continue;
        }
        if (c != 'u' || !tod__hex4(t, &code)) return 0;
        if (code >= 0xD800 && code < 0xDC00) {
            if (t->end - t->at < 6 || t->at[0] != '\\' || t->at[1] != 'u') return 0;
            t->at += 2;
            if (!tod__hex4(t, &low) || low < 0xDC00 || low > 0xDFFF) return 0;
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        if (!out) continue;
        if (code < 0x80) {
            *out++ = (char)code;
        } else if (code < 0x800) {
            *out++ = (char)(0xC0 | code >> 6);
            *out++ = (char)(0x80 | (code & 63));
        } else if (code < 0x10000) {
            *out++ = (char)(0xE0 | code >> 12);
            *out++ = (char)(0x80 | (code >> 6 & 63));
            *out++ = (char)(0x80 | (code & 63));
        } else {
            *out++ = (char)(0xF0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 63));
            *out++ = (char)(0x80 | (code >> 6 & 63));
            *out++ = (char)(0x80 | (code & 63));
        }
    }
    return 0;
}

/* A number to within a few ulp, without the C library's: that one depends on the locale. *is_integer: whether
 * it is written as one. */
static int tod__number(tod__text *t, double *value, int *is_integer) {
    int negative, digits = 0, exponent = 0, shift = 0, c;
    double mantissa = 0, scale = 1, base = 10;
    tod__peek(t);
    negative = t->at < t->end && *t->at == '-';
    t->at += negative;
    *is_integer = 1;
    for (; t->at < t->end && (c = *t->at) >= '0' && c <= '9'; t->at++, digits++) mantissa = mantissa * 10 + (c - '0');
    if (!digits || digits > 400) return 0;
    if (t->at < t->end && *t->at == '.') {
        int first = digits;
        *is_integer = 0;
        for (t->at++; t->at < t->end && (c = *t->at) >= '0' && c <= '9'; t->at++, digits++) {
            if (digits < 300) { /* the rest is too small to matter */
                mantissa = mantissa * 10 + (c - '0');
                shift--;
            }
        }
        if (digits == first) return 0;
    }
    if (t->at < t->end && (*t->at == 'e' || *t->at == 'E')) {
        int sign = 1, first;
        *is_integer = 0;
        t->at++;
        if (t->at < t->end && (*t->at == '+' || *t->at == '-')) sign = *t->at++ == '-' ? -1 : 1;
        first = exponent;
        for (digits = 0; t->at < t->end && (c = *t->at) >= '0' && c <= '9'; t->at++, digits++)
            first = first < 10000 ? first * 10 + (c - '0') : first;
        if (!digits) return 0;
        exponent = sign * first;
    }
    exponent += shift;
    for (c = exponent < 0 ? -exponent : exponent; c; c >>= 1, base *= base)
        if (c & 1) scale *= base;
    *value = exponent < 0 ? mantissa / scale : mantissa * scale;
    *value = negative ? -*value : *value;
    return *value - *value == 0; /* finite */
}

static int tod__skip(tod__text *t, int depth) {
    int c = tod__peek(t), count = 0, more, is_integer;
    double number;
    if (c == '"') return tod__string(t, NULL);
    if (c == '[' || c == '{') {
        char close = c == '[' ? ']' : '}';
        if (depth == 0) return 0;
        t->at++;
        while ((more = tod__more(t, &count, close)) == 1) {
            if (c == '{' && !(tod__string(t, NULL) && tod__take(t, ':'))) return 0;
            if (!tod__skip(t, depth - 1)) return 0;
        }
        return more == 0;
    }
    return tod__word(t, "true") || tod__word(t, "false") || tod__word(t, "null") ||
           tod__number(t, &number, &is_integer);
}

/* *value is what follows `key` in an object; 0 when there is none. */
static int tod__member(tod__text object, const char *key, tod__text *value) {
    int count = 0, found = 0;
    if (!tod__take(&object, '{')) return 0;
    while (tod__more(&object, &count, '}') == 1) {
        tod__text own, name = object;
        if (!(tod__string(&object, NULL) && tod__take(&object, ':'))) return 0;
        own = object;
        if (!tod__skip(&object, TOD__MAX_DEPTH)) return 0;
        if (tod__take(&name, '"') && tod__word(&name, key) && *name.at == '"') {
            *value = own;
            value->end = object.at;
            found = 1;
        }
    }
    return found;
}

/* An integer in [least, TOD__MAX_COUNT], written as one. */
static int tod__count(tod__text *t, int least, int *value) {
    double number;
    int is_integer;
    if (!tod__number(t, &number, &is_integer) || !is_integer || number < least || number > TOD__MAX_COUNT) return 0;
    *value = (int)number;
    return 1;
}

static int tod__count_member(tod__text object, const char *key, int *value) {
    tod__text text;
    return tod__member(object, key, &text) && tod__count(&text, 1, value);
}

static int tod__bool_member(tod__text object, const char *key, int *value) {
    tod__text text;
    if (!tod__member(object, key, &text)) return 0;
    *value = tod__word(&text, "true");
    return *value || tod__word(&text, "false");
}

/* A list of numbers in [low, high); at most TOD__MAX_FRAMES. */
static int tod__numbers_member(tod__text object, const char *key, double low, double high, double *values, int *count) {
    tod__text text;
    int more, is_integer;
    *count = 0;
    if (!tod__member(object, key, &text) || !tod__take(&text, '[')) return 0;
    for (;;) {
        double value;
        more = tod__more(&text, count, ']');
        if (more != 1) return more == 0;
        if (*count > TOD__MAX_FRAMES || !tod__number(&text, &value, &is_integer) || !(value >= low && value < high))
            return 0;
        values[*count - 1] = value;
    }
}

/* ---- header ------------------------------------------------------------------------------------------------------ */

/* {stride, channels} of coarser levels, by growing stride. */
static int tod__read_coarse(tod_map *map, tod__text object) {
    tod__text text;
    int count = 0, more;
    if (!tod__member(object, "coarse", &text)) return 1; /* version 1 */
    if (!tod__take(&text, '[')) return 0;
    while ((more = tod__more(&text, &count, ']')) == 1) {
        tod__level *level;
        if (map->level_count > TOD__MAX_COARSE) return 0;
        level = &map->levels[map->level_count];
        if (!tod__take(&text, '[') || !tod__count(&text, 1, &level->stride) || !tod__take(&text, ',') ||
            !tod__count(&text, 1, &level->channels) || !tod__take(&text, ']'))
            return 0;
        if (level->stride <= level[-1].stride || level->stride > TOD__MAX_STRIDE ||
            level->channels > 3 * map->info.hour_count)
            return 0;
        map->level_count++;
    }
    return more == 0;
}

static tod_error tod__read_lightmaps(tod_map *map, tod__text object) {
    tod__text text, list;
    int count = 0, more, k;
    char *name;
    if (!tod__member(object, "regions", &list)) return TOD_ERROR_HEADER;
    text = list;
    if (!tod__take(&text, '[')) return TOD_ERROR_HEADER;
    while ((more = tod__more(&text, &count, ']')) == 1)
        if (!tod__skip(&text, TOD__MAX_DEPTH)) return TOD_ERROR_HEADER;
    if (more) return TOD_ERROR_HEADER;
    map->lightmaps = (tod_lightmap *)tod__alloc_zeros((uint64_t)(count ? count : 1), sizeof *map->lightmaps);
    map->names = name = (char *)tod__alloc_zeros((uint64_t)(list.end - list.at) + 1, 1);
    if (!map->lightmaps || !name) return TOD_ERROR_MEMORY;
    map->info.lightmaps = map->lightmaps;
    map->info.lightmap_count = count ? count : 1;
    map->lightmaps[0].name = name; /* empty: of a bundle without names */
    map->lightmaps[0].height = map->info.height;
    map->lightmaps[0].width = map->info.width;
    tod__take(&list, '[');
    for (k = 0; k < count; k++) {
        tod_lightmap *part = &map->lightmaps[k];
        if (k) tod__take(&list, ',');
        if (!tod__take(&list, '[') || !tod__string(&list, name) || !tod__take(&list, ',') ||
            !tod__count(&list, 0, &part->first_row) || !tod__take(&list, ',') || !tod__count(&list, 1, &part->height) ||
            !tod__take(&list, ',') || !tod__count(&list, 1, &part->width) || !tod__take(&list, ']'))
            return TOD_ERROR_HEADER;
        if (part->first_row > map->info.height - part->height || part->width > map->info.width) return TOD_ERROR_HEADER;
        part->name = name;
        name += strlen(name) + 1; /* a string of the text has two quotes more */
    }
    return TOD_OK;
}

static double *tod__copy(const double *values, int count) {
    double *copy = (double *)tod__alloc((uint64_t)count, sizeof *copy);
    if (copy) memcpy(copy, values, (size_t)count * sizeof *copy);
    return copy;
}

/* Everything but frame_scale (T numbers, to `scale`) and the sections' sizes. `values` has room for the numbers. */
static tod_error tod__read_header(tod_map *map, tod__text object, double *values, double *scale) {
    tod_info *info = &map->info;
    tod__level *first = &map->levels[0];
    double most = 1.7e308;
    uint64_t latents = 0;
    int blocks = 0, count, k;
    tod__text text = object;
    if (!tod__skip(&text, TOD__MAX_DEPTH) || tod__peek(&text) != -1) return TOD_ERROR_HEADER;
    if (!tod__count_member(object, "height", &info->height) || !tod__count_member(object, "width", &info->width) ||
        !tod__count_member(object, "latent_dim", &first->channels) ||
        !tod__count_member(object, "latent_bits", &info->latent_bits) ||
        !tod__count_member(object, "hidden_f2", &map->hidden) ||
        !tod__count_member(object, "layers_f2", &map->layers) ||
        !tod__bool_member(object, "is_radiance", &info->is_radiance))
        return TOD_ERROR_HEADER;
    if ((uint64_t)info->height * (uint64_t)info->width > TOD_MAX_TEXELS || map->hidden > TOD__MAX_WIDTH_F2 ||
        map->layers > TOD__MAX_LAYERS_F2 || info->latent_bits < 4 || info->latent_bits > 8 || info->latent_bits & 1)
        return TOD_ERROR_HEADER;
    if (!tod__numbers_member(object, "hours", 0, 24, values, &info->hour_count) || info->hour_count < 1)
        return TOD_ERROR_HEADER;
    for (k = 1; k < info->hour_count; k++)
        if (values[k] <= values[k - 1]) return TOD_ERROR_HEADER;
    info->hours = map->hours = tod__copy(values, info->hour_count);
    if (!tod__numbers_member(object, "events", 0, 24, values, &info->event_count)) return TOD_ERROR_HEADER;
    info->events = map->events = tod__copy(values, info->event_count);
    if (!map->hours || !map->events) return TOD_ERROR_MEMORY;
    if (!tod__numbers_member(object, "frame_scale", 0, most, scale, &count) || count != info->hour_count)
        return TOD_ERROR_HEADER;
    for (k = 0; k < count; k++)
        if (!(scale[k] > 0)) return TOD_ERROR_HEADER;
    if (first->channels > 3 * info->hour_count) return TOD_ERROR_HEADER;
    first->stride = 1;
    map->level_count = 1;
    if (!tod__read_coarse(map, object)) return TOD_ERROR_HEADER;
    if (tod__member(object, "blocks", &text) && !tod__bool_member(object, "blocks", &blocks)) return TOD_ERROR_HEADER;
    if (blocks != (info->version >= 3) || (blocks && map->level_count > 1)) return TOD_ERROR_HEADER;
    for (k = 0; k < map->level_count; k++) {
        tod__level *level = &map->levels[k];
        level->height = (info->height + level->stride - 1) / level->stride;
        level->width = (info->width + level->stride - 1) / level->stride;
        level->size_bits = tod__bit_length((uint32_t)(level->channels * info->latent_bits));
        level->width_bits = tod__bit_length((uint32_t)info->latent_bits);
        latents += (uint64_t)level->height * (uint64_t)level->width * (uint64_t)level->channels;
        map->z_dim += level->channels;
    }
    if (latents > TOD_MAX_VALUES) return TOD_ERROR_HEADER;
    info->latent_dim = first->channels;
    return tod__read_lightmaps(map, object);
}

/* The interval in which each event lies, and where in it. */
static tod_error tod__place_events(tod_map *map) {
    int count = map->info.hour_count, t, k;
    map->lengths = (double *)tod__alloc((uint64_t)count, sizeof(double));
    map->steps = (double *)tod__alloc((uint64_t)count, sizeof(double));
    if (!map->lengths || !map->steps) return TOD_ERROR_MEMORY;
    for (t = 0; t < count; t++) {
        map->lengths[t] = (t + 1 < count ? map->hours[t + 1] : map->hours[0] + 24) - map->hours[t];
        map->steps[t] = -1;
    }
    for (k = 0; k < map->info.event_count; k++) {
        double offset;
        int after = count - 1, before;
        for (t = 0; t < count && map->hours[t] <= map->events[k]; t++) after = t;
        before = after ? after - 1 : count - 1;
        offset = map->events[k] - map->hours[after];
        offset += offset < 0 ? 24 : 0;
        if (offset < 1e-9 && map->lengths[before] <= map->lengths[after]) map->steps[before] = map->lengths[before];
        else map->steps[after] = offset;
    }
    return TOD_OK;
}

/* ---- mask -------------------------------------------------------------------------------------------------------- */

/* Validity and neighbours of a texel as bits. */
enum {
    TOD__W = 1,
    TOD__N = 2,
    TOD__NW = 4,
    TOD__NE = 8,
    TOD__WW = 16,
    TOD__NN = 32,
    TOD__E = 64,
    TOD__S = 128,
    TOD__VALID = 256,
    TOD__ALL = 511
};

/* For each texel a byte, 1 where it is valid. */
static tod_error tod__read_mask(const tod_map *map, const uint8_t *data, size_t size, uint8_t **mask) {
    size_t texels = (size_t)map->info.height * (size_t)map->info.width, bytes = (texels + 7) / 8, i;
    uint8_t *packed = (uint8_t *)tod__alloc(bytes, 1), any = 0;
    *mask = (uint8_t *)tod__alloc(texels, 1);
    if (!packed || !*mask) {
        TOD_FREE(packed);
        return TOD_ERROR_MEMORY;
    }
    if (tod__inflate(data, size, packed, bytes))
        for (i = 0; i < texels; i++) any |= (*mask)[i] = packed[i >> 3] >> (7 - (i & 7)) & 1;
    TOD_FREE(packed);
    return any ? TOD_OK : TOD_ERROR_MASK;
}

/* The mask of a coarser level: which blocks hold a valid texel. */
static uint8_t *tod__block_mask(const tod_map *map, const tod__level *level, const uint8_t *mask) {
    uint8_t *blocks = (uint8_t *)tod__alloc_zeros((uint64_t)level->height * (uint64_t)level->width, 1);
    int x, y;
    for (y = 0; blocks && y < map->info.height; y++) {
        uint8_t *row = blocks + (size_t)(y / level->stride) * (size_t)level->width;
        for (x = 0; x < map->info.width; x++)
            row[x / level->stride] |= mask[(size_t)y * (size_t)map->info.width + (size_t)x];
    }
    return blocks;
}

/* ---- planes ------------------------------------------------------------------------------------------------------ */

enum {
    TOD__CONTEXTS = 24,
    TOD__FEATURES = 14,
    TOD__LAG = 3, /* steps by which a plane follows the one before it */
    TOD__TOTAL_BITS = 14,
    TOD__TOTAL = 1 << TOD__TOTAL_BITS,
    TOD__RESIDUAL_CAP = 16,
    TOD__SUM_CAP = 64,
    TOD__MAX_LANES = 1024
};

static const int32_t tod__thresholds[TOD__CONTEXTS - 1] = {70,   93,   122,   162,   213,   282,   372,  491,
                                                           648,  855,  1129,  1490,  1966,  2594,  3423, 4516,
                                                           5960, 7864, 10377, 13692, 18067, 23840, 31457};

typedef struct tod__coder {
    const uint8_t *word, *words_end;
    uint32_t states[TOD__MAX_LANES];
    uint32_t lanes;
    int bits;
    int16_t *weights; /* planes x features */
    uint16_t frequency[TOD__CONTEXTS][256], start[TOD__CONTEXTS][256];
    uint8_t symbol[TOD__CONTEXTS][TOD__TOTAL]; /* of every slot */
} tod__coder;

/* What decoding the planes of a level keeps; `sums`: of a texel's residuals over the planes decoded so far. */
typedef struct tod__plane_state {
    uint8_t *values, *residuals; /* planes x texels */
    uint32_t *sums;
    uint16_t *near;      /* bits as above */
    int32_t *stands_for; /* where neither W nor N is valid: the texel that W stands for, or -1 */
} tod__plane_state;

static tod_error tod__read_coder(tod__coder *coder, const uint8_t *data, size_t size, int planes, uint64_t values) {
    uint32_t table_bytes, alphabet = 1u << coder->bits, lanes = 1, k, u;
    size_t weight_bytes = (size_t)planes * TOD__FEATURES * 2, raw_bytes = weight_bytes + 2 * TOD__CONTEXTS * alphabet,
           i;
    uint8_t *raw;
    int fits;
    while (lanes < TOD__MAX_LANES && (uint64_t)lanes * 4096 < values) lanes *= 2;
    if (size < 6 || tod__u16(data) != lanes) return TOD_ERROR_PLANES;
    coder->lanes = lanes;
    table_bytes = tod__u32(data + 2);
    data += 6;
    size -= 6;
    if (table_bytes > size || size - table_bytes < 4 * lanes || (size - table_bytes) % 2) return TOD_ERROR_PLANES;
    /* No symbol is certain, so that a stream of so many bytes cannot hold more of them. */
    if ((double)values * 8.805e-5 > 8.0 * (double)(size - table_bytes)) return TOD_ERROR_PLANES;
    raw = (uint8_t *)tod__alloc(raw_bytes, 1);
    coder->weights = (int16_t *)tod__alloc((uint64_t)planes * TOD__FEATURES, sizeof(int16_t));
    if (!raw || !coder->weights) {
        TOD_FREE(raw);
        return TOD_ERROR_MEMORY;
    }
    fits = tod__inflate(data, table_bytes, raw, raw_bytes);
    for (i = 0; fits && i < weight_bytes / 2; i++) coder->weights[i] = (int16_t)(uint16_t)tod__u16(raw + 2 * i);
    for (k = 0; fits && k < TOD__CONTEXTS; k++) {
        uint32_t sum = 0;
        for (u = 0; fits && u < alphabet; u++) {
            uint32_t f = tod__u16(raw + weight_bytes + 2 * (k * alphabet + u));
            fits = f < TOD__TOTAL && sum + f <= TOD__TOTAL;
            if (!fits) break;
            coder->frequency[k][u] = (uint16_t)f;
            coder->start[k][u] = (uint16_t)sum;
            memset(coder->symbol[k] + sum, (int)u, f);
            sum += f;
        }
        fits = fits && sum == TOD__TOTAL;
    }
    TOD_FREE(raw);
    if (!fits) return TOD_ERROR_PLANES;
    data += table_bytes;
    for (k = 0; k < lanes; k++) coder->states[k] = tod__u32(data + 4 * k);
    coder->word = data + 4 * lanes;
    coder->words_end = data + (size - table_bytes);
    return TOD_OK;
}

static int tod__abs(int value) { return value < 0 ? -value : value; }

static int tod__min(int a, int b) { return a < b ? a : b; }

static int tod__max(int a, int b) { return a > b ? a : b; }

/* How many thresholds an expected residual reaches. */
static int tod__context(int32_t expected) {
    int low = 0, count = TOD__CONTEXTS - 1;
    while (count) {
        int half = count / 2;
        if (tod__thresholds[low + half] <= expected) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}

static uint32_t tod__next_symbol(tod__coder *coder, uint32_t lane, int context, int *failed) {
    uint32_t state = coder->states[lane], slot = state & (TOD__TOTAL - 1), u = coder->symbol[context][slot];
    state = coder->frequency[context][u] * (state >> TOD__TOTAL_BITS) + slot - coder->start[context][u];
    if (state < 1u << 16) {
        if (coder->word == coder->words_end) {
            *failed = 1;
            return 0;
        }
        state = state << 16 | tod__u16(coder->word);
        coder->word += 2;
    }
    coder->states[lane] = state;
    return u;
}

/* Decodes texel i of plane d; `texels` are in a plane, `width` in a row. */
static void tod__decode_value(tod__plane_state *p, tod__coder *coder, size_t texels, size_t width, int d, size_t i,
                              uint32_t lane, int *failed) {
    uint8_t *v = p->values + (size_t)d * texels + i, *r = p->residuals + (size_t)d * texels + i;
    const uint32_t *s = p->sums + i;
    const int16_t *weight = coder->weights + (size_t)d * TOD__FEATURES;
    unsigned near = p->near[i];
    int alphabet = 1 << coder->bits, missing = 0, prediction, residual, k;
    int w, n, nw, ne, ww, nn, rw = 0, rn = 0, rnw = 0, rne = 0;
    uint32_t around = 0, ahead = 0, u;
    int32_t f[TOD__FEATURES], expected = 0;
    if (near == TOD__ALL) {
        w = v[-1], n = *(v - width), nw = *(v - width - 1), ne = *(v - width + 1);
        ww = v[-2], nn = *(v - 2 * width);
        rw = r[-1], rn = *(r - width), rnw = *(r - width - 1), rne = *(r - width + 1);
        around = s[-1] + *(s - width) + *(s - width - 1) + *(s - width + 1);
        ahead = s[1] + s[width];
    } else {
        int place = p->stands_for[i];
        n = near & TOD__N ? *(v - width) : 0;
        if (near & TOD__W) w = v[-1];
        else if (near & TOD__N) w = n;
        else w = place < 0 ? alphabet / 2 : p->values[(size_t)d * texels + (size_t)place];
        n = near & TOD__N ? n : w;
        nw = near & TOD__NW ? *(v - width - 1) : near & TOD__N ? n : w;
        ne = near & TOD__NE ? *(v - width + 1) : n;
        ww = near & TOD__WW ? v[-2] : w;
        nn = near & TOD__NN ? *(v - 2 * width) : n;
        if (near & TOD__W) rw = r[-1], around += s[-1];
        if (near & TOD__N) rn = *(r - width), around += *(s - width);
        if (near & TOD__NW) rnw = *(r - width - 1), around += *(s - width - 1);
        if (near & TOD__NE) rne = *(r - width + 1), around += *(s - width + 1);
        ahead = (near & TOD__E ? s[1] : 0) + (near & TOD__S ? s[width] : 0);
        missing = 4 - tod__popcount(near & (TOD__W | TOD__N | TOD__NW | TOD__NE));
    }
    around -= (uint32_t)(rw + rn + rnw + rne); /* those of this plane */
    prediction = tod__max(tod__min(w, n), tod__min(tod__max(w, n), w + n - nw));
    f[0] = tod__abs(w - nw);
    f[1] = tod__abs(n - nw);
    f[2] = tod__abs(n - ne);
    f[3] = rw;
    f[4] = rn;
    f[5] = rnw + rne;
    f[6] = tod__abs(ww - w) + tod__abs(nn - n);
    f[7] = d > 0 ? *(r - texels) : 0;
    f[8] = d > 1 ? *(r - 2 * texels) : 0;
    for (k = 0; k < 9; k++) expected += tod__min(f[k], TOD__RESIDUAL_CAP) * weight[k];
    f[9] = s[0] < TOD__SUM_CAP ? (int)s[0] : TOD__SUM_CAP;
    f[10] = ahead < TOD__SUM_CAP ? (int)ahead : TOD__SUM_CAP;
    f[11] = around < TOD__SUM_CAP ? (int)around : TOD__SUM_CAP;
    f[12] = 1 + (missing == 3);
    f[13] = missing == 4;
    for (k = 9; k < TOD__FEATURES; k++) expected += f[k] * weight[k];
    u = tod__next_symbol(coder, lane, tod__context(expected), failed);
    residual = tod__min((int)u, alphabet - (int)u);
    *v = (uint8_t)((prediction + (int)u) & (alphabet - 1));
    *r = (uint8_t)residual;
    p->sums[i] += (uint32_t)residual;
}

static void tod__find_neighbours(tod__plane_state *p, const uint8_t *mask, int height, int width, int32_t *row) {
    int x, y;
    size_t i = 0, w = (size_t)width;
    for (x = 0; x < width; x++) row[x] = -1;
    for (y = 0; y < height; y++) {
        for (x = 0; x < width; x++, i++) {
            unsigned near = mask[i] ? TOD__VALID : 0;
            near |= x > 0 && mask[i - 1] ? TOD__W : 0;
            near |= y > 0 && mask[i - w] ? TOD__N : 0;
            near |= x > 0 && y > 0 && mask[i - w - 1] ? TOD__NW : 0;
            near |= x + 1 < width && y > 0 && mask[i - w + 1] ? TOD__NE : 0;
            near |= x > 1 && mask[i - 2] ? TOD__WW : 0;
            near |= y > 1 && mask[i - 2 * w] ? TOD__NN : 0;
            near |= x + 1 < width && mask[i + 1] ? TOD__E : 0;
            near |= y + 1 < height && mask[i + w] ? TOD__S : 0;
            p->near[i] = (uint16_t)near;
            /* `row` has what the places of this row, from x on of the one above, stand for. */
            p->stands_for[i] = x ? row[x - 1] : -1;
            if (mask[i]) row[x] = (int32_t)i;
            else if (near & TOD__W) row[x] = (int32_t)i - 1;
        }
    }
}

/* Every value in its order: step by step, plane by plane, row by row. */
static int tod__decode_steps(tod__plane_state *p, tod__coder *coder, const tod__level *level) {
    int planes = level->channels, height = level->height, width = level->width, step, d, failed = 0;
    int keys = width + 2 * (height - 1), steps = keys + TOD__LAG * (planes - 1); /* keys: values of x + 2 y */
    size_t texels = (size_t)height * (size_t)width;
    uint32_t k;
    for (step = 0; step < steps && !failed; step++) {
        uint32_t lane = 0;
        int first = step < keys ? 0 : (step - keys) / TOD__LAG + 1, last = tod__min(planes - 1, step / TOD__LAG);
        for (d = first; d <= last; d++) {
            int key = step - TOD__LAG * d, y = key < width ? 0 : (key - width) / 2 + 1;
            int end = tod__min(height - 1, key / 2);
            for (; y <= end && !failed; y++) {
                size_t i = (size_t)y * (size_t)width + (size_t)(key - 2 * y);
                if (!(p->near[i] & TOD__VALID)) continue;
                tod__decode_value(p, coder, texels, (size_t)width, d, i, lane, &failed);
                lane = (lane + 1) & (coder->lanes - 1);
            }
        }
    }
    for (k = 0; k < coder->lanes; k++) failed |= coder->states[k] != 1u << 16;
    return !failed && coder->word == coder->words_end;
}

/* The values of a level, channels x texels; those of texels that are not valid are undefined. */
static tod_error tod__read_planes(const tod__level *level, int bits, const uint8_t *mask, const uint8_t *data,
                                  size_t size, uint8_t **values) {
    uint64_t texels = (uint64_t)level->height * (uint64_t)level->width, count = 0, i;
    tod__plane_state state;
    tod__coder *coder = (tod__coder *)tod__alloc_zeros(1, sizeof *coder);
    tod_error error = TOD_ERROR_MEMORY;
    int32_t *row = NULL;
    memset(&state, 0, sizeof state);
    for (i = 0; i < texels; i++) count += mask[i];
    if (coder) {
        coder->bits = bits;
        error = tod__read_coder(coder, data, size, level->channels, count * (uint64_t)level->channels);
    }
    if (!error) {
        *values = state.values = (uint8_t *)tod__alloc(texels * (uint64_t)level->channels, 1);
        state.residuals = (uint8_t *)tod__alloc(texels * (uint64_t)level->channels, 1);
        state.sums = (uint32_t *)tod__alloc_zeros(texels, sizeof(uint32_t));
        state.near = (uint16_t *)tod__alloc(texels, sizeof(uint16_t));
        state.stands_for = (int32_t *)tod__alloc(texels, sizeof(int32_t));
        row = (int32_t *)tod__alloc((uint64_t)level->width, sizeof(int32_t));
        error = TOD_ERROR_MEMORY;
        if (state.values && state.residuals && state.sums && state.near && state.stands_for && row) {
            tod__find_neighbours(&state, mask, level->height, level->width, row);
            error = tod__decode_steps(&state, coder, level) ? TOD_OK : TOD_ERROR_PLANES;
        }
    }
    TOD_FREE(row);
    TOD_FREE(state.stands_for);
    TOD_FREE(state.near);
    TOD_FREE(state.sums);
    TOD_FREE(state.residuals);
    if (coder) TOD_FREE(coder->weights);
    TOD_FREE(coder);
    return error;
}

/* ---- latents in memory ------------------------------------------------------------------------------------------- */

enum {
    TOD__BLOCKS = 16, /* of a group, as of texels in a block */
    TOD__GROUP = 16   /* texels on a side of a group */
};
#define TOD__EMPTY 0xFFFFFFFFu
#define TOD__PARTIAL 0x80000000u

/* `count` <= 25 bits of a record. */
static uint32_t tod__bits(const uint32_t *record, uint32_t bit, int count) {
    uint64_t window = record[bit >> 5] | (uint64_t)record[(bit >> 5) + 1] << 32;
    return (uint32_t)(window >> (bit & 31)) & ((1u << count) - 1);
}

static void tod__put(uint32_t *record, uint32_t *bit, int count, uint32_t value) {
    uint64_t window;
    if (count && record) {
        window = (uint64_t)value << (*bit & 31);
        record[*bit >> 5] |= (uint32_t)window;
        if (window >> 32) record[(*bit >> 5) + 1] |= (uint32_t)(window >> 32);
    }
    *bit += (uint32_t)count;
}

/* The channels of a group that is packed: smallest value and bits of the group and of its blocks. */
typedef struct tod__ranges {
    uint8_t *base, *wide;  /* D */
    uint8_t *low, *narrow; /* 16 x D */
    uint32_t size[TOD__BLOCKS], valid[TOD__BLOCKS];
} tod__ranges;

/* Writes the record of group (gx, gy) into zeros, or only counts its words where `record` is NULL; 0: none is valid. */
static uint32_t tod__pack_group(const tod__level *level, int bits, const uint8_t *mask, const uint8_t *values, int gx,
                                int gy, tod__ranges *of, uint32_t *record, int *partial) {
    int dim = level->channels, j, i, c, any = 0, width = level->width;
    size_t texels = (size_t)level->height * (size_t)width;
    size_t place[TOD__BLOCKS][TOD__TEXELS];
    uint32_t bit = 0;
    *partial = 0;
    for (j = 0; j < TOD__BLOCKS; j++) {
        of->valid[j] = of->size[j] = 0;
        for (i = 0; i < TOD__TEXELS; i++) {
            int x = gx * TOD__GROUP + (j & 3) * 4 + (i & 3), y = gy * TOD__GROUP + (j >> 2) * 4 + (i >> 2);
            place[j][i] = (size_t)y * (size_t)width + (size_t)x;
            if (x < width && y < level->height && mask[place[j][i]]) of->valid[j] |= 1u << i;
        }
        any |= of->valid[j] != 0;
        *partial |= of->valid[j] != 0xFFFF;
    }
    if (!any) return 0;
    for (c = 0; c < dim; c++) {
        const uint8_t *plane = values + (size_t)c * texels;
        int least = 255, most = 0;
        for (j = 0; j < TOD__BLOCKS; j++) {
            int low = 255, high = 0, w;
            if (!of->valid[j]) continue;
            for (i = 0; i < TOD__TEXELS; i++) {
                if (of->valid[j] >> i & 1) {
                    low = tod__min(low, plane[place[j][i]]);
                    high = tod__max(high, plane[place[j][i]]);
                }
            }
            w = tod__bit_length((uint32_t)(high - low));
            of->low[j * dim + c] = (uint8_t)low;
            of->narrow[j * dim + c] = (uint8_t)w;
            of->size[j] += (uint32_t)w;
            least = tod__min(least, low);
            most = tod__max(most, high);
        }
        of->base[c] = (uint8_t)least;
        of->wide[c] = (uint8_t)tod__bit_length((uint32_t)(most - least));
    }
    for (j = 0; j < TOD__BLOCKS; j++) tod__put(record, &bit, level->size_bits, of->size[j]);
    for (j = 0; j < TOD__BLOCKS && *partial; j++) tod__put(record, &bit, TOD__TEXELS, of->valid[j]);
    for (c = 0; c < dim; c++) {
        tod__put(record, &bit, bits, of->base[c]);
        tod__put(record, &bit, level->width_bits, of->wide[c]);
    }
    for (j = 0; j < TOD__BLOCKS; j++) {
        for (c = 0; c < dim && of->valid[j]; c++) {
            if (of->wide[c]) {
                tod__put(record, &bit, of->wide[c], (uint32_t)(of->low[j * dim + c] - of->base[c]));
                tod__put(record, &bit, tod__bit_length(of->wide[c]), of->narrow[j * dim + c]);
            }
        }
    }
    for (j = 0; j < TOD__BLOCKS; j++) {
        if (!record) {
            bit += (uint32_t)tod__popcount(of->valid[j]) * of->size[j];
            continue;
        }
        for (i = 0; i < TOD__TEXELS; i++) {
            for (c = 0; c < dim && of->valid[j] >> i & 1; c++) {
                uint32_t above = (uint32_t)(values[(size_t)c * texels + place[j][i]] - of->low[j * dim + c]);
                tod__put(record, &bit, of->narrow[j * dim + c], above);
            }
        }
    }
    return (bit + 31) / 32;
}

/* Packs the values of a level, channels x texels: once to count words, once to write them. */
static tod_error tod__pack(tod__level *level, int bits, const uint8_t *mask, const uint8_t *values) {
    int across = (level->width + TOD__GROUP - 1) / TOD__GROUP, down = (level->height + TOD__GROUP - 1) / TOD__GROUP;
    int gx, gy, partial, write;
    size_t dim = (size_t)level->channels;
    uint8_t *memory = (uint8_t *)tod__alloc(34 * (uint64_t)dim, 1);
    tod__ranges of;
    uint64_t words = 0;
    level->index_count = (size_t)across * (size_t)down;
    level->index = (uint32_t *)tod__alloc(level->index_count, sizeof(uint32_t));
    if (!memory || !level->index) {
        TOD_FREE(memory);
        return TOD_ERROR_MEMORY;
    }
    of.base = memory;
    of.wide = memory + dim;
    of.low = memory + 2 * dim;
    of.narrow = memory + 18 * dim;
    for (write = 0; write < 2; write++) {
        uint64_t at = 0;
        for (gy = 0; gy < down; gy++) {
            for (gx = 0; gx < across; gx++) {
                uint32_t *record = write ? level->words + at : NULL;
                uint32_t count = tod__pack_group(level, bits, mask, values, gx, gy, &of, record, &partial);
                uint32_t entry = (uint32_t)at | (partial ? TOD__PARTIAL : 0);
                level->index[(size_t)gy * (size_t)across + (size_t)gx] = count ? entry : TOD__EMPTY;
                at += count;
            }
        }
        words = at + 2;
        if (!write && words < TOD__PARTIAL) level->words = (uint32_t *)tod__alloc_zeros(words, sizeof(uint32_t));
        if (!level->words) break;
    }
    level->word_count = (size_t)words;
    TOD_FREE(memory);
    return level->words ? TOD_OK : TOD_ERROR_MEMORY;
}

static const uint8_t tod__lengths[16] = {0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4}; /* in bits */

/* The beginning of a group's record, as it is read. */
typedef struct tod__record {
    const uint32_t *words;
    uint32_t valid[TOD__BLOCKS], size[TOD__BLOCKS];
    uint32_t header[TOD__BLOCKS];  /* first bit of a block's header */
    uint32_t payload[TOD__BLOCKS]; /* first bit of a block's texels */
} tod__record;

/* `total` fields of `count` bits each that follow one another. */
static void tod__fields(const uint32_t *words, uint32_t bit, int count, int total, uint32_t *fields) {
    int k = 0;
#if TOD__WIDE >= 8
    const __m256i mask = _mm256_set1_epi32((1 << count) - 1), seven = _mm256_set1_epi32(7);
    __m256i at = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(count));
    for (; k + 8 <= total; k += 8, bit += 8 * (uint32_t)count) {
        __m256i place = _mm256_add_epi32(at, _mm256_set1_epi32((int)bit));
        __m256i window = _mm256_i32gather_epi32((const int *)words, _mm256_srli_epi32(place, 3), 1);
        window = _mm256_and_si256(_mm256_srlv_epi32(window, _mm256_and_si256(place, seven)), mask);
        _mm256_storeu_si256((__m256i *)(void *)(fields + k), window);
    }
#endif
    for (; k < total; k++, bit += (uint32_t)count) fields[k] = tod__bits(words, bit, count);
}

/* Reads all that is before the blocks' headers; `base` and `wide` have room for the channels. 0: nothing is valid. */
static int tod__read_record(const tod__level *level, int bits, int gx, int gy, tod__record *of, uint8_t *base,
                            uint8_t *wide) {
    uint32_t across = ((uint32_t)level->width + TOD__GROUP - 1) / TOD__GROUP;
    uint32_t entry = level->index[(size_t)gy * across + (size_t)gx], bit = 0, fields = 0, both[TOD__BLOCKS];
    int j, c;
    if (entry == TOD__EMPTY) return 0;
    of->words = level->words + (entry & ~TOD__PARTIAL);
    tod__fields(of->words, bit, level->size_bits, TOD__BLOCKS, of->size);
    bit += (uint32_t)(level->size_bits * TOD__BLOCKS);
    if (entry & TOD__PARTIAL) {
        tod__fields(of->words, bit, TOD__TEXELS, TOD__BLOCKS, of->valid);
        bit += TOD__BLOCKS * TOD__TEXELS;
    } else {
        for (j = 0; j < TOD__BLOCKS; j++) of->valid[j] = 0xFFFF;
    }
    for (c = 0; c < level->channels; c += TOD__BLOCKS) {
        int total = level->channels - c < TOD__BLOCKS ? level->channels - c : TOD__BLOCKS;
        tod__fields(of->words, bit, bits + level->width_bits, total, both);
        bit += (uint32_t)(total * (bits + level->width_bits));
        for (j = 0; j < total; j++) {
            base[c + j] = (uint8_t)(both[j] & ((1u << bits) - 1));
            wide[c + j] = (uint8_t)(both[j] >> bits);
            fields += wide[c + j] + (uint32_t)tod__lengths[wide[c + j] & 15];
        }
    }
    for (j = 0; j < TOD__BLOCKS; j++) {
        of->header[j] = bit;
        bit += of->valid[j] ? fields : 0;
    }
    for (j = 0; j < TOD__BLOCKS; j++) {
        of->payload[j] = bit;
        bit += (uint32_t)tod__popcount(of->valid[j]) * of->size[j];
    }
    return 1;
}

/* Whether texel (x, y) of a level is valid, without reading more of the record. */
static int tod__valid_at(const tod__level *level, int x, int y) {
    size_t across = ((size_t)level->width + TOD__GROUP - 1) / TOD__GROUP;
    uint32_t entry = level->index[(size_t)(y >> 4) * across + (size_t)(x >> 4)];
    uint32_t j = (uint32_t)((y >> 2 & 3) * 4 + (x >> 2 & 3)), i = (uint32_t)((y & 3) * 4 + (x & 3));
    if (entry == TOD__EMPTY || !(entry & TOD__PARTIAL)) return entry != TOD__EMPTY;
    i += TOD__BLOCKS * (uint32_t)level->size_bits + j * TOD__TEXELS;
    return (int)tod__bits(level->words + (entry & ~TOD__PARTIAL), i, 1);
}

/* The next channel of a block's header: its smallest value and the bits of its texels. */
static uint32_t tod__read_channel(const uint32_t *words, uint32_t *bit, uint32_t base, int wide, int *narrow) {
    int code = tod__lengths[wide];
    uint32_t both = tod__bits(words, *bit, wide + code);
    *bit += (uint32_t)(wide + code);
    *narrow = (int)(both >> wide);
    return base + (both & ((1u << wide) - 1));
}

/* ---- F2 ---------------------------------------------------------------------------------------------------------- */

static size_t tod__hour_floats(const tod_map *map) { return ((size_t)(map->z_dim + map->hidden) + 1) * TOD__RGBX; }

/* Half floats -> the arrays of a map. map->hidden is the width in the file, and then the one filled up with zeros. */
static tod_error tod__read_f2(tod_map *map, const uint8_t *data, size_t size, const double *scale) {
    size_t h = (size_t)map->hidden, z = (size_t)map->z_dim, hours = (size_t)map->info.hour_count, layers, inputs, i, t,
           k;
    size_t padded = (h + TOD__PAD - 1) / TOD__PAD * TOD__PAD, own, row;
    uint64_t halves = (uint64_t)(z + 1) * h + (uint64_t)(map->layers - 1) * (h + 1) * h + (z + h + 1) * 3 * hours;
    float *to;
    if (halves * 2 != size) return TOD_ERROR_F2;
    for (i = 0; i < size; i += 2)
        if ((data[i + 1] & 0x7C) == 0x7C) return TOD_ERROR_F2;
    map->hidden = (int)padded;
    layers = (size_t)map->layers;
    own = (z + 1) * padded + (layers - 1) * (padded + 1) * padded;
    map->f2 = to = (float *)tod__alloc_zeros(own, sizeof(float));
    map->by_hour = (float *)tod__alloc_zeros((uint64_t)hours * tod__hour_floats(map), sizeof(float));
    if (!map->f2 || !map->by_hour) return TOD_ERROR_MEMORY;
    map->info.resident_bytes += sizeof(float) * (own + hours * tod__hour_floats(map));
    for (k = 0; k < layers; k++) {
        inputs = k ? h : z;
        for (row = 0; row <= inputs; row++) { /* the last one is the bias, behind the padded inputs */
            float *line = to + (row == inputs ? (k ? padded : z) : row) * padded;
            for (i = 0; i < h; i++, data += 2) line[i] = tod__half(tod__u16(data));
        }
        to += ((k ? padded : z) + 1) * padded;
    }
    for (row = 0; row <= z + h; row++) {
        for (t = 0; t < hours; t++) {
            float *line = map->by_hour + t * tod__hour_floats(map) + (row == z + h ? z + padded : row) * TOD__RGBX;
            for (i = 0; i < 3; i++, data += 2) line[i] = (float)scale[t] * tod__half(tod__u16(data));
        }
    }
    return TOD_OK;
}

/* What decoding works in. */
typedef struct tod__scratch {
    tod__record records[1 + TOD__MAX_COARSE];
    int group_x[1 + TOD__MAX_COARSE], group_y[1 + TOD__MAX_COARSE], used[1 + TOD__MAX_COARSE]; /* what they are of */
    uint8_t *base, *wide; /* z_dim: of the records' channels */
    float *z;             /* z_dim x lanes */
    float *h[2];          /* hidden x lanes */
    float *hour;          /* F2's last layer at the hour */
    float rgbx[TOD__RGBX * TOD__LANES];
    void *memory;
    float on_stack[4096];
} tod__scratch;

/* F2's last layer at any hour. Colours fade from one baked hour to the next, and so does what makes them. */
static void tod__blend_hours(const tod_map *map, double hour, float *to) {
    const double near = 1e-6; /* hours that are the same one */
    double offset, share;
    const float *a, *b;
    int count = map->info.hour_count, first = 0, last = count - 1;
    size_t floats = tod__hour_floats(map), i;
    hour -= 24 * (double)(int64_t)(hour / 24);
    hour += hour < 0 ? 24 : 0;
    if (map->hours[0] > hour + near) {
        first = count - 1; /* after the last one of the day before */
    } else {
        while (first < last) {
            int middle = (first + last + 1) / 2;
            if (map->hours[middle] <= hour + near) first = middle;
            else last = middle - 1;
        }
    }
    offset = hour - map->hours[first];
    offset += offset < -near ? 24 : 0;
    if (offset < 2 * near && offset > -2 * near) offset = 0;
    share = offset / map->lengths[first];
    share = share > 1 ? 1 : share;
    if (map->steps[first] >= 0) /* a frame that is baked at the event itself stays on its own side of it */
        share = offset > map->steps[first] - near && offset > 0;
    a = map->by_hour + (size_t)first * floats;
    b = map->by_hour + (size_t)((first + 1) % count) * floats;
    for (i = 0; i < floats; i++) to[i] = (float)(1 - share) * a[i] + (float)share * b[i];
}

static tod_error tod__begin(const tod_map *map, double hour, tod__scratch *scratch) {
    size_t z = (size_t)map->z_dim, h = (size_t)map->hidden;
    size_t floats = (z + 2 * h) * TOD__LANES + tod__hour_floats(map), bytes = 2 * z;
    float *memory = scratch->on_stack;
    scratch->memory = NULL;
    if (!(hour > -1e9 && hour < 1e9)) return TOD_ERROR_ARGUMENT;
    if (floats * sizeof(float) + bytes > sizeof scratch->on_stack) {
        scratch->memory = tod__alloc(floats * sizeof(float) + bytes, 1);
        memory = (float *)scratch->memory;
        if (!memory) return TOD_ERROR_MEMORY;
    }
    scratch->z = memory;
    scratch->h[0] = scratch->z + z * TOD__LANES;
    scratch->h[1] = scratch->h[0] + h * TOD__LANES;
    scratch->hour = scratch->h[1] + h * TOD__LANES;
    scratch->base = (uint8_t *)(scratch->hour + tod__hour_floats(map));
    scratch->wide = scratch->base + z;
    memset(scratch->z, 0, z * TOD__LANES * sizeof(float));
    memset(scratch->group_x, -1, sizeof scratch->group_x);
    tod__blend_hours(map, hour, scratch->hour);
    return TOD_OK;
}

static void tod__end(tod__scratch *scratch) {
    if (scratch->memory) TOD_FREE(scratch->memory);
}

#if TOD__WIDE == 16
typedef __m512 tod__v;
#define TOD__LOAD(from) _mm512_loadu_ps(from)
#define TOD__STORE(to, v) _mm512_storeu_ps(to, v)
#define TOD__SPREAD(x) _mm512_set1_ps(x)
#define TOD__MADD(x, y, sum) _mm512_fmadd_ps(x, y, sum)
#define TOD__RELU(v) _mm512_maskz_max_ps(0xFFFF, v, _mm512_setzero_ps()) /* gcc 12 warns of the plain one */
#elif TOD__WIDE == 8
typedef __m256 tod__v;
#define TOD__LOAD(from) _mm256_loadu_ps(from)
#define TOD__STORE(to, v) _mm256_storeu_ps(to, v)
#define TOD__SPREAD(x) _mm256_set1_ps(x)
#define TOD__MADD(x, y, sum) _mm256_fmadd_ps(x, y, sum)
#define TOD__RELU(v) _mm256_max_ps(v, _mm256_setzero_ps())
#elif TOD__WIDE == 4 /* vectors of gcc and clang, on any processor */
typedef float tod__v __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t tod__vi __attribute__((vector_size(16)));
static tod__v tod__spread(float x) {
    tod__v v = {x, x, x, x};
    return v;
}
#define TOD__LOAD(from) (*(const tod__v *)(from))
#define TOD__STORE(to, v) (*(tod__v *)(to) = (v))
#define TOD__SPREAD(x) tod__spread(x)
#define TOD__MADD(x, y, sum) ((sum) + (x) * (y))
#define TOD__RELU(v) ((tod__v)((tod__vi)(v) & ((v) > tod__spread(0))))
#else
typedef float tod__v;
#define TOD__LOAD(from) (*(from))
#define TOD__STORE(to, v) (*(to) = (v))
#define TOD__SPREAD(x) (x)
#define TOD__MADD(x, y, sum) ((sum) + (x) * (y))
#define TOD__RELU(v) ((v) > 0 ? (v) : 0)
#endif

/* out (outputs x lanes) = weight (inputs x outputs) applied to in (inputs x lanes), plus the bias, or plus what is in
 * out where there is none; outputs is a multiple of 4. Four outputs of two vectors at a time keep the processor busy.
 */
static void tod__layer(float *TOD__RESTRICT out, int outputs, const float *TOD__RESTRICT in, int inputs,
                       const float *TOD__RESTRICT weight, const float *TOD__RESTRICT bias, int relu) {
    int o, i, k, lane;
    for (o = 0; o < outputs; o += 4) {
        for (lane = 0; lane < TOD__LANES; lane += 2 * TOD__WIDE) {
            const float *w = weight + o, *x = in + lane;
            float *to = out + o * TOD__LANES + lane;
            tod__v a[4], b[4];
            for (k = 0; k < 4; k++) {
                a[k] = bias ? TOD__SPREAD(bias[o + k]) : TOD__LOAD(to + k * TOD__LANES);
                b[k] = bias ? a[k] : TOD__LOAD(to + k * TOD__LANES + TOD__WIDE);
            }
            for (i = 0; i < inputs; i++, x += TOD__LANES, w += outputs) {
                tod__v x0 = TOD__LOAD(x), x1 = TOD__LOAD(x + TOD__WIDE);
                tod__v w0 = TOD__SPREAD(w[0]), w1 = TOD__SPREAD(w[1]), w2 = TOD__SPREAD(w[2]), w3 = TOD__SPREAD(w[3]);
                a[0] = TOD__MADD(w0, x0, a[0]), b[0] = TOD__MADD(w0, x1, b[0]);
                a[1] = TOD__MADD(w1, x0, a[1]), b[1] = TOD__MADD(w1, x1, b[1]);
                a[2] = TOD__MADD(w2, x0, a[2]), b[2] = TOD__MADD(w2, x1, b[2]);
                a[3] = TOD__MADD(w3, x0, a[3]), b[3] = TOD__MADD(w3, x1, b[3]);
            }
            for (k = 0; k < 4; k++, to += TOD__LANES) {
                TOD__STORE(to, relu ? TOD__RELU(a[k]) : a[k]);
                TOD__STORE(to + TOD__WIDE, relu ? TOD__RELU(b[k]) : b[k]);
            }
        }
    }
}

/* z of the 16 texels of a block whose values take `count` bits each from bit `first` + `before` of the words on. */
static void tod__unpack_channel(const uint32_t *words, const uint32_t first[TOD__TEXELS], uint32_t before, int count,
                                uint32_t low, float step, float *z) {
    int i;
#if TOD__WIDE >= 8
    for (i = 0; i < TOD__TEXELS; i += 8) {
        __m256i bit = _mm256_add_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(first + i)),
                                       _mm256_set1_epi32((int)before));
        __m256i window = _mm256_i32gather_epi32((const int *)words, _mm256_srli_epi32(bit, 3), 1);
        __m256i value = _mm256_srlv_epi32(window, _mm256_and_si256(bit, _mm256_set1_epi32(7)));
        value = _mm256_and_si256(value, _mm256_set1_epi32((1 << count) - 1));
        value = _mm256_add_epi32(value, _mm256_set1_epi32((int)low));
        _mm256_storeu_ps(z + i,
                         _mm256_fmadd_ps(_mm256_cvtepi32_ps(value), _mm256_set1_ps(step), _mm256_set1_ps(-1.0f)));
    }
#else
    for (i = 0; i < TOD__TEXELS; i++) z[i] = step * (float)(low + tod__bits(words, first[i] + before, count)) - 1.0f;
#endif
}

static void tod__relu(float *values, int count) {
    int k;
    for (k = 0; k < count; k++) values[k] = values[k] > 0 ? values[k] : 0;
}

static void tod__to_colours(const tod_map *map, float *values, int count) {
    int k;
    tod__relu(values, count);
    for (k = 0; k < count && !map->info.is_radiance; k++) values[k] = values[k] < 1 ? values[k] : 1;
}

/* scratch->z -> scratch->rgbx of all lanes, channel by channel. */
static void tod__network(const tod_map *map, tod__scratch *scratch) {
    const float *in = scratch->z, *weight = map->f2, *bias;
    int inputs = map->z_dim, k;
    for (k = 0; k < map->layers; k++) {
        float *out = scratch->h[k & 1];
        bias = weight + (size_t)inputs * (size_t)map->hidden;
        tod__layer(out, map->hidden, in, inputs, weight, bias, 1);
        weight = bias + map->hidden;
        in = out;
        inputs = map->hidden;
    }
    weight = scratch->hour + (size_t)map->z_dim * TOD__RGBX;
    bias = weight + (size_t)map->hidden * TOD__RGBX;
    tod__layer(scratch->rgbx, TOD__RGBX, scratch->z, map->z_dim, scratch->hour, bias, 0);
    tod__layer(scratch->rgbx, TOD__RGBX, in, map->hidden, weight, NULL, 0);
    tod__to_colours(map, scratch->rgbx, TOD__RGBX * TOD__LANES);
}

/* out (outputs) += weight (inputs x outputs) applied to every `stride`-th number of in. */
static void tod__accumulate_one(float *TOD__RESTRICT out, int outputs, const float *TOD__RESTRICT in, int inputs,
                                int stride, const float *TOD__RESTRICT weight) {
    int o = 0, i;
#if TOD__WIDE > 4
    for (; o + 8 <= outputs; o += 8) {
        __m256 a = _mm256_loadu_ps(out + o);
        for (i = 0; i < inputs; i++)
            a = _mm256_fmadd_ps(_mm256_broadcast_ss(in + i * stride), _mm256_loadu_ps(weight + i * outputs + o), a);
        _mm256_storeu_ps(out + o, a);
    }
#endif
    for (; o < outputs; o += 4) {
        float a0 = out[o], a1 = out[o + 1], a2 = out[o + 2], a3 = out[o + 3];
        for (i = 0; i < inputs; i++) {
            const float *w = weight + i * outputs + o, x = in[i * stride];
            a0 += x * w[0], a1 += x * w[1], a2 += x * w[2], a3 += x * w[3];
        }
        out[o] = a0, out[o + 1] = a1, out[o + 2] = a2, out[o + 3] = a3;
    }
}

/* The same as tod__network for the texel in one lane of scratch->z. */
static void tod__network_one(const tod_map *map, tod__scratch *scratch, int lane, float rgbx[TOD__RGBX]) {
    const float *in = scratch->z + lane, *weight = map->f2;
    int inputs = map->z_dim, stride = TOD__LANES, k;
    for (k = 0; k < map->layers; k++) {
        float *out = scratch->h[k & 1];
        memcpy(out, weight + (size_t)inputs * (size_t)map->hidden, (size_t)map->hidden * sizeof(float));
        tod__accumulate_one(out, map->hidden, in, inputs, stride, weight);
        tod__relu(out, map->hidden);
        weight += (size_t)(inputs + 1) * (size_t)map->hidden;
        in = out;
        inputs = map->hidden;
        stride = 1;
    }
    weight = scratch->hour + (size_t)map->z_dim * TOD__RGBX;
    memcpy(rgbx, weight + (size_t)map->hidden * TOD__RGBX, TOD__RGBX * sizeof(float));
    tod__accumulate_one(rgbx, TOD__RGBX, scratch->z + lane, map->z_dim, TOD__LANES, scratch->hour);
    tod__accumulate_one(rgbx, TOD__RGBX, in, map->hidden, 1, weight);
    tod__to_colours(map, rgbx, 3);
}

/* ---- texels ------------------------------------------------------------------------------------------------------ */

/* The record of a level's group, read unless it was the last one; NULL when nothing in it is valid. */
static const tod__record *tod__group(const tod_map *map, tod__scratch *scratch, int level, int gx, int gy,
                                     int channel) {
    tod__record *record = &scratch->records[level];
    if (scratch->group_x[level] != gx || scratch->group_y[level] != gy) {
        scratch->group_x[level] = gx;
        scratch->group_y[level] = gy;
        scratch->used[level] = tod__read_record(&map->levels[level], map->info.latent_bits, gx, gy, record,
                                                scratch->base + channel, scratch->wide + channel);
    }
    return scratch->used[level] ? record : NULL;
}

/* z of texel (x, y) of a level to one lane, z being its first value; 0 where the texel is not valid. `channel`: the
 * level's first one. */
static int tod__read_texel(const tod_map *map, tod__scratch *scratch, int level, int x, int y, int channel, float *z) {
    const tod__record *record;
    int j = (y >> 2 & 3) * 4 + (x >> 2 & 3), i = (y & 3) * 4 + (x & 3), c, narrow;
    const uint8_t *base = scratch->base + channel, *wide = scratch->wide + channel;
    uint32_t header, bit;
    if (!tod__valid_at(&map->levels[level], x, y)) return 0;
    record = tod__group(map, scratch, level, x >> 4, y >> 4, channel);
    if (!record) return 0;
    header = record->header[j];
    bit = record->payload[j] + (uint32_t)tod__popcount(record->valid[j] & ((1u << i) - 1)) * record->size[j];
    for (c = 0; c < map->levels[level].channels; c++) {
        uint32_t value = tod__read_channel(record->words, &header, base[c], wide[c], &narrow);
        value += tod__bits(record->words, bit, narrow);
        bit += (uint32_t)narrow;
        z[c * TOD__LANES] = map->step * (float)value - 1.0f;
    }
    return 1;
}

/* z of all levels at texel (x, y) of the map, in one lane of scratch->z. */
static int tod__read_all(const tod_map *map, tod__scratch *scratch, int x, int y, int lane) {
    int k, channel = 0;
    for (k = 0; k < map->level_count; k++) {
        const tod__level *level = &map->levels[k];
        float *z = scratch->z + channel * TOD__LANES + lane;
        if (!tod__read_texel(map, scratch, k, x / level->stride, y / level->stride, channel, z)) return 0;
        channel += level->channels;
    }
    return 1;
}

/* z of the 16 texels of block j of a group to 16 lanes, the texel (x, y) of the map being its first. */
static void tod__read_block(const tod_map *map, tod__scratch *scratch, const tod__record *record, int j, int x, int y,
                            int lane) {
    const tod__level *level = &map->levels[0];
    uint32_t first[TOD__TEXELS], valid = record->valid[j], header = record->header[j], before = 0, rank = 0;
    int i, c, k, channel = level->channels, narrow;
    for (i = 0; i < TOD__TEXELS; i++) {
        int own = valid >> i & 1; /* the others read the first texel's bits */
        first[i] = record->payload[j] + (own ? rank * record->size[j] : 0);
        rank += (uint32_t)own;
    }
    for (c = 0; c < level->channels; c++) {
        uint32_t low = tod__read_channel(record->words, &header, scratch->base[c], scratch->wide[c], &narrow);
        float *z = scratch->z + c * TOD__LANES + lane;
        if (narrow) {
            tod__unpack_channel(record->words, first, before, narrow, low, map->step, z);
        } else {
            float value = map->step * (float)low - 1.0f;
            for (i = 0; i < TOD__TEXELS; i++) z[i] = value;
        }
        before += (uint32_t)narrow;
    }
    for (k = 1; k < map->level_count; channel += map->levels[k++].channels) {
        int stride = map->levels[k].stride;
        float *z = scratch->z + channel * TOD__LANES + lane;
        for (i = 0; i < TOD__TEXELS; i++)
            if (valid >> i & 1)
                tod__read_texel(map, scratch, k, (x + (i & 3)) / stride, (y + (i >> 2)) / stride, channel, z + i);
    }
}

/* ---- what is called ---------------------------------------------------------------------------------------------- */

/* Sizes of the sections are read one after another; *data moves on by each. */
static int tod__section(tod__text sizes, const char *name, const uint8_t **data, const uint8_t *end, size_t *size) {
    int bytes;
    if (!tod__count_member(sizes, name, &bytes) || (size_t)bytes > (size_t)(end - *data)) return 0;
    *size = (size_t)bytes;
    *data += bytes;
    return 1;
}

/* "planes", or "planes_S" of a coarser level. */
static void tod__section_name(char name[16], int stride) {
    size_t at = 6;
    memcpy(name, "planes", 7);
    if (stride > 1) {
        int unit = stride >= 100 ? 100 : stride >= 10 ? 10 : 1;
        name[at++] = '_';
        for (; unit; unit /= 10) name[at++] = (char)('0' + stride / unit % 10);
        name[at] = 0;
    }
}

static tod_error tod__read_level(tod_map *map, int k, const uint8_t *mask, const uint8_t *data, size_t size) {
    tod__level *level = &map->levels[k];
    uint8_t *values = NULL, *blocks = k ? tod__block_mask(map, level, mask) : NULL;
    tod_error error = TOD_ERROR_MEMORY;
    if (k == 0 || blocks)
        error = tod__read_planes(level, map->info.latent_bits, k ? blocks : mask, data, size, &values);
    if (!error) error = tod__pack(level, map->info.latent_bits, k ? blocks : mask, values);
    map->info.resident_bytes += sizeof(uint32_t) * (level->index_count + level->word_count);
    TOD_FREE(values);
    TOD_FREE(blocks);
    return error;
}

/* `values` has room for the numbers of two lists of the header. */
static tod_error tod__read_body(tod_map *map, const uint8_t *bytes, const uint8_t *end, double *values) {
    const uint8_t *at = bytes + TOD__PREFIX_BYTES;
    double *scale = values + TOD__MAX_FRAMES;
    uint32_t header_bytes = tod__u32(bytes + 12);
    uint8_t *mask = NULL;
    char name[16];
    size_t size = 0;
    tod__text header, sizes;
    tod_error error;
    int k;
    if (header_bytes > TOD__MAX_HEADER_BYTES || header_bytes > (size_t)(end - at)) return TOD_ERROR_HEADER;
    header.at = (const char *)at;
    header.end = header.at + header_bytes;
    at += header_bytes;
    error = tod__read_header(map, header, values, scale);
    if (!error) error = tod__place_events(map);
    if (error) return error;
    map->step = 2.0f / (float)((1 << map->info.latent_bits) - 1);
    if (!tod__member(header, "sections", &sizes) || !tod__section(sizes, "mask", &at, end, &size))
        return TOD_ERROR_SECTIONS;
    error = tod__read_mask(map, at - size, size, &mask);
    if (!error && !tod__section(sizes, "f2", &at, end, &size)) error = TOD_ERROR_SECTIONS;
    if (!error) error = tod__read_f2(map, at - size, size, scale);
    for (k = 0; k < map->level_count && !error; k++) {
        tod__section_name(name, map->levels[k].stride);
        if (tod__section(sizes, name, &at, end, &size)) error = tod__read_level(map, k, mask, at - size, size);
        else error = TOD_ERROR_SECTIONS;
    }
    TOD_FREE(mask);
    return error || at == end ? error : TOD_ERROR_SECTIONS;
}

TOD_API tod_error tod_open(const void *bytes, size_t size, tod_map **opened) {
    static const uint8_t magic[8] = {0x89, 'T', 'O', 'D', 13, 10, 26, 10};
    const uint8_t *data = (const uint8_t *)bytes;
    uint8_t digest[TOD__DIGEST_BYTES];
    tod_error error = TOD_ERROR_MEMORY;
    tod_map *map;
    double *values;
    if (!opened) return TOD_ERROR_ARGUMENT;
    *opened = NULL;
    if (!bytes) return TOD_ERROR_ARGUMENT;
    if (size < TOD__PREFIX_BYTES + TOD__DIGEST_BYTES || memcmp(data, magic, sizeof magic) != 0)
        return TOD_ERROR_NOT_A_BUNDLE;
    if (tod__u32(data + 8) < 1 || tod__u32(data + 8) > TOD__VERSION) return TOD_ERROR_VERSION;
    size -= TOD__DIGEST_BYTES;
    tod__sha256(data, size, digest);
    if (memcmp(digest, data + size, sizeof digest) != 0) return TOD_ERROR_CHECKSUM;
    map = (tod_map *)tod__alloc_zeros(1, sizeof *map);
    values = (double *)tod__alloc(2 * TOD__MAX_FRAMES, sizeof *values);
    if (map && values) {
        map->info.version = (int)tod__u32(data + 8);
        map->info.resident_bytes = sizeof *map;
        error = tod__read_body(map, data, data + size, values);
    }
    TOD_FREE(values);
    if (error) {
        tod_close(map);
        return error;
    }
    map->info.index = map->levels[0].index;
    map->info.words = map->levels[0].words;
    map->info.index_count = map->levels[0].index_count;
    map->info.word_count = map->levels[0].word_count;
    *opened = map;
    return TOD_OK;
}

TOD_API void tod_close(tod_map *map) {
    int k;
    if (!map) return;
    for (k = 0; k <= TOD__MAX_COARSE; k++) {
        TOD_FREE(map->levels[k].index);
        TOD_FREE(map->levels[k].words);
    }
    TOD_FREE(map->hours);
    TOD_FREE(map->events);
    TOD_FREE(map->lengths);
    TOD_FREE(map->steps);
    TOD_FREE(map->lightmaps);
    TOD_FREE(map->names);
    TOD_FREE(map->f2);
    TOD_FREE(map->by_hour);
    TOD_FREE(map);
}

TOD_API const tod_info *tod_get_info(const tod_map *map) { return &map->info; }

TOD_API const char *tod_error_string(tod_error error) {
    switch (error) {
    case TOD_OK: return "nothing went wrong";
    case TOD_ERROR_ARGUMENT: return "an argument is out of range: a missing pointer, lightmap, texel or hour";
    case TOD_ERROR_MEMORY: return "there is not enough memory";
    case TOD_ERROR_NOT_A_BUNDLE: return "this is not a bundle: it does not start as one";
    case TOD_ERROR_VERSION: return "the bundle is of a newer version: this decoder reads versions 1 to 3";
    case TOD_ERROR_CHECKSUM: return "the bundle is truncated or damaged: its checksum does not fit";
    case TOD_ERROR_HEADER: return "the bundle's header is not understood or holds impossible values: export it again";
    case TOD_ERROR_SECTIONS: return "the bundle's sections do not fill the file: export it again";
    case TOD_ERROR_MASK: return "the bundle's mask is damaged, or no texel is valid: export it again";
    case TOD_ERROR_F2:
        return "the bundle's network has the wrong size or holds values that are not finite: export it again";
    case TOD_ERROR_PLANES: return "the bundle's latents are damaged: export it again";
    }
    return "an unknown error";
}

TOD_API int tod_find_lightmap(const tod_map *map, const char *name) {
    int k;
    for (k = 0; k < map->info.lightmap_count; k++)
        if (strcmp(map->lightmaps[k].name, name) == 0) return k;
    return -1;
}

static const tod_lightmap *tod__lightmap(const tod_map *map, int lightmap) {
    return map && lightmap >= 0 && lightmap < map->info.lightmap_count ? &map->lightmaps[lightmap] : NULL;
}

TOD_API int tod_is_valid(const tod_map *map, int lightmap, int x, int y) {
    const tod_lightmap *part = tod__lightmap(map, lightmap);
    if (!part || x < 0 || y < 0 || x >= part->width || y >= part->height) return 0;
    return tod__valid_at(&map->levels[0], x, y + part->first_row);
}

/* Texels that wait for F2, and what each adds to which colour. */
typedef struct tod__taps {
    int count;
    float weight[TOD__LANES];
    float *rgb[TOD__LANES];
} tod__taps;

static void tod__flush(const tod_map *map, tod__scratch *scratch, tod__taps *taps) {
    int k, c, together = taps->count > 6; /* fewer are faster one by one */
    if (together) tod__network(map, scratch);
    for (k = 0; k < taps->count; k++) {
        float one[TOD__RGBX];
        if (!together) tod__network_one(map, scratch, k, one);
        for (c = 0; c < 3; c++)
            taps->rgb[k][c] += taps->weight[k] * (together ? scratch->rgbx[c * TOD__LANES + k] : one[c]);
    }
    taps->count = 0;
}

/* The two texels around a coordinate in [0, 1] along an axis, and the weight of the second. The border goes on outside;
 * so close to a centre as single precision can tell, a point is there. */
static double tod__around(float u, int size, int texels[2]) {
    double place = (double)u * size - 0.5, share;
    place = place > 0 ? (place < size - 1 ? place : size - 1) : 0; /* 0 for what is not a number */
    texels[0] = (int)place;
    share = place - texels[0];
    if (1 - share <= size / 16777216.0) {
        texels[0]++;
        share = 0;
    }
    texels[1] = tod__min(texels[0] + 1, size - 1);
    return share <= size / 16777216.0 ? 0 : share;
}

static void tod__add_point(const tod_map *map, const tod_lightmap *part, tod__scratch *scratch, tod__taps *taps,
                           const float uv[2], tod_filter filter, float *rgb) {
    int columns[2], rows[2], first = taps->count, k, tried;
    double right = tod__around(uv[0], part->width, columns), down = tod__around(uv[1], part->height, rows);
    double weights[4], sum = 0;
    weights[0] = (1 - down) * (1 - right);
    weights[1] = (1 - down) * right;
    weights[2] = down * (1 - right);
    weights[3] = down * right;
    rgb[0] = rgb[1] = rgb[2] = 0;
    for (tried = 0; tried < 4; tried++) { /* the largest weight first */
        int best = 0;
        for (k = 1; k < 4; k++)
            if (weights[k] > weights[best]) best = k;
        if (!(weights[best] > 0)) break;
        if (tod__read_all(map, scratch, columns[best & 1], rows[best >> 1] + part->first_row, taps->count)) {
            taps->weight[taps->count] = (float)weights[best];
            taps->rgb[taps->count++] = rgb;
            sum += weights[best];
            if (filter == TOD_NEAREST) break;
        }
        weights[best] = 0;
    }
    for (k = first; k < taps->count; k++) taps->weight[k] = (float)(taps->weight[k] / sum);
}

TOD_API tod_error tod_sample_many(const tod_map *map, int lightmap, size_t count, const float *uv, double hour,
                                  tod_filter filter, float *rgb) {
    const tod_lightmap *part = tod__lightmap(map, lightmap);
    int most = filter == TOD_BILINEAR ? 4 : 1; /* texels of a point */
    tod__scratch scratch;
    tod__taps taps;
    tod_error error;
    size_t k;
    if (!part || !uv || !rgb || (filter != TOD_NEAREST && filter != TOD_BILINEAR)) return TOD_ERROR_ARGUMENT;
    error = tod__begin(map, hour, &scratch);
    if (error) return error;
    taps.count = 0;
    for (k = 0; k < count; k++) {
        tod__add_point(map, part, &scratch, &taps, uv + 2 * k, filter, rgb + 3 * k);
        if (taps.count + most > TOD__LANES) tod__flush(map, &scratch, &taps);
    }
    tod__flush(map, &scratch, &taps);
    tod__end(&scratch);
    return TOD_OK;
}

TOD_API tod_error tod_sample(const tod_map *map, int lightmap, float u, float v, double hour, tod_filter filter,
                             float rgb[3]) {
    float uv[2];
    uv[0] = u;
    uv[1] = v;
    return tod_sample_many(map, lightmap, 1, uv, hour, filter, rgb);
}

/* Blocks that wait for F2, and the rectangle of which they hold texels. */
typedef struct tod__blocks {
    int count, x[2], y[2]; /* of their first texels */
    uint32_t valid[2];
    int left, top, width, height;
    float *rgb;
    size_t stride;
} tod__blocks;

static void tod__flush_blocks(const tod_map *map, tod__scratch *scratch, tod__blocks *blocks) {
    int k, i;
    if (blocks->count) tod__network(map, scratch);
    for (k = 0; k < blocks->count; k++) {
        for (i = 0; i < TOD__TEXELS; i++) {
            int column = blocks->x[k] + (i & 3) - blocks->left, row = blocks->y[k] + (i >> 2) - blocks->top;
            const float *from = scratch->rgbx + k * TOD__TEXELS + i;
            float *to = blocks->rgb + (size_t)row * blocks->stride + 3 * (size_t)column;
            if (!(blocks->valid[k] >> i & 1) || column < 0 || row < 0 || column >= blocks->width ||
                row >= blocks->height)
                continue;
            to[0] = from[0];
            to[1] = from[TOD__LANES];
            to[2] = from[2 * TOD__LANES];
        }
    }
    blocks->count = 0;
}

TOD_API tod_error tod_decode_rect(const tod_map *map, int lightmap, int x, int y, int width, int height, double hour,
                                  float *rgb, size_t stride) {
    const tod_lightmap *part = tod__lightmap(map, lightmap);
    tod__scratch scratch;
    tod_error error;
    tod__blocks blocks;
    int gx, gy, j, row;
    if (!part || !rgb || x < 0 || y < 0 || width < 1 || height < 1 || x > part->width - width ||
        y > part->height - height)
        return TOD_ERROR_ARGUMENT;
    if (stride == 0) stride = 3 * (size_t)width;
    if (stride < 3 * (size_t)width) return TOD_ERROR_ARGUMENT;
    error = tod__begin(map, hour, &scratch);
    if (error) return error;
    y += part->first_row;
    blocks.count = 0;
    blocks.left = x;
    blocks.top = y;
    blocks.width = width;
    blocks.height = height;
    blocks.rgb = rgb;
    blocks.stride = stride;
    for (row = 0; row < height; row++) memset(rgb + (size_t)row * stride, 0, 3 * (size_t)width * sizeof(float));
    for (gy = y >> 4; gy <= (y + height - 1) >> 4; gy++) {
        for (gx = x >> 4; gx <= (x + width - 1) >> 4; gx++) {
            const tod__record *record = tod__group(map, &scratch, 0, gx, gy, 0);
            for (j = 0; record && j < TOD__BLOCKS; j++) {
                int left = gx * TOD__GROUP + (j & 3) * 4, top = gy * TOD__GROUP + (j >> 2) * 4;
                if (!record->valid[j] || left + 4 <= x || left >= x + width || top + 4 <= y || top >= y + height)
                    continue;
                tod__read_block(map, &scratch, record, j, left, top, blocks.count * TOD__TEXELS);
                blocks.x[blocks.count] = left;
                blocks.y[blocks.count] = top;
                blocks.valid[blocks.count++] = record->valid[j];
                if (blocks.count == 2) tod__flush_blocks(map, &scratch, &blocks);
            }
        }
    }
    tod__flush_blocks(map, &scratch, &blocks);
    tod__end(&scratch);
    return TOD_OK;
}

TOD_API tod_error tod_decode_frame(const tod_map *map, int lightmap, double hour, float *rgb) {
    const tod_lightmap *part = tod__lightmap(map, lightmap);
    if (!part) return TOD_ERROR_ARGUMENT;
    return tod_decode_rect(map, lightmap, 0, 0, part->width, part->height, hour, rgb, 0);
}

#ifdef __cplusplus
}
#endif
#endif /* TOD_IMPLEMENTED */
#endif /* TOD_IMPLEMENTATION */
