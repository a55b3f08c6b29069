// Colours of texels and between them: the rules of src/models/sampling.py.

// Texel (x, y) of a lightmap at the hour of tod_begin: its colour and 1, or zeros where it is not valid.
vec4 tod_texel_now(uint lightmap, uint x, uint y) {
    uint first_row = tod_word(3u * lightmap);
    if (x >= tod_word(3u * lightmap + 2u) || y >= tod_word(3u * lightmap + 1u)) {
        return vec4(0.0, 0.0, 0.0, 0.0);
    }
    if (!tod_read_texel(x, y + first_row)) {
        return vec4(0.0, 0.0, 0.0, 0.0);
    }
    return vec4(tod_colour(), 1.0);
}

vec4 tod_texel(uint lightmap, uint x, uint y, float hour) {
    tod_begin(hour);
    return tod_texel_now(lightmap, x, y);
}

// Along an axis of `size` texels: (the first of two texels, the share of the second). The border goes on outside.
vec2 tod_around(float coordinate, uint size) {
    // In two parts, the first with few bits: their products with the size are exact.
    float coarse = floor(clamp(coordinate, 0.0, 1.0) * 4096.0) / 4096.0;
    float whole = coarse * float(size) - 0.5;
    float rest = (clamp(coordinate, 0.0, 1.0) - coarse) * float(size);
    float texel = floor(whole + rest);
    float share = (whole - texel) + rest;
    float last = float(size - 1u);
    float near = float(size) / 16777216.0; // so close to a texel's centre a point is there
    if (1.0 - share <= near) {
        texel += 1.0;
        share = 0.0;
    }
    if (share <= near || texel < 0.0 || texel >= last) {
        return vec2(clamp(texel, 0.0, last), 0.0);
    }
    return vec2(texel, share);
}

// u to the right, v downwards, both 0 to 1 over the lightmap. Texels that are not valid give their weight to the others.
vec3 tod_sample_lightmap(uint lightmap, vec2 uv, float hour) {
    tod_begin(hour);
    vec2 across = tod_around(uv.x, tod_word(3u * lightmap + 2u));
    vec2 down = tod_around(uv.y, tod_word(3u * lightmap + 1u));
    vec4 sum = vec4(0.0, 0.0, 0.0, 0.0);
    for (uint k = 0u; k < 4u; k++) {
        uint right = k & 1u;
        uint below = k >> 1u;
        float weight = abs(float(1u - right) - across.y) * abs(float(1u - below) - down.y);
        if (weight > 0.0) {
            sum += weight * tod_texel_now(lightmap, uint(across.x) + right, uint(down.x) + below);
        }
    }
    return sum.xyz / max(sum.w, 1.0e-30);
}

vec3 tod_sample(vec2 uv, float hour) {
    return tod_sample_lightmap(0u, uv, hour);
}
