// Latents of a texel from a map of floats, a row of TOD_LATENTS for each texel.

private real4 tod_z[TOD_Z4];

float tod_latent(uint i, uint channel) {
    if (channel >= TOD_LATENTS) {
        return 0.0;
    }
    return tod_float(i + channel);
}

// Texel (x, y) into tod_z; every texel of a SIREN is valid.
bool tod_read_texel(uint x, uint y) {
    uint i = TOD_MAP + (y * tod_word(2u) + x) * TOD_LATENTS;
    for (uint c = 0u; c < TOD_LATENTS; c += 4u) {
        vec4 z = vec4(tod_latent(i, c), tod_latent(i, c + 1u), tod_latent(i, c + 2u), tod_latent(i, c + 3u));
        tod_z[c >> 2u] = z;
    }
    return true;
}
