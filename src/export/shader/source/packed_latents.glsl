// Latents of a texel from the records of docs/bundle-format.md, "In memory".

private real4 tod_z[TOD_Z4];
private uint tod_header_bit; // of the block's next channel
private uint tod_value_bit; // of the texel's next channel

// `count` < 32 bits from `bit` of the record that begins at word `record`.
uint tod_bits(uint record, uint bit, uint count) {
    uint i = record + (bit >> 5u);
    uint shift = bit & 31u;
    uint bits = tod_word(i) >> shift;
    if (shift + count > 32u) {
        bits |= tod_word(i + 1u) << (32u - shift);
    }
    return bits & ((1u << count) - 1u);
}

uint tod_length(uint value) { // bits of a value below 16
    return uint(value > 0u) + uint(value > 1u) + uint(value > 3u) + uint(value > 7u);
}

uint tod_count(uint flags) { // set ones of 16
    uint pairs = flags - ((flags >> 1u) & 0x5555u);
    uint fours = (pairs & 0x3333u) + ((pairs >> 2u) & 0x3333u);
    uint bytes = (fours + (fours >> 4u)) & 0x0F0Fu;
    return (bytes + (bytes >> 8u)) & 0x1Fu;
}

// Latent in [-1, 1] of the next channel, whose entry begins at `bit`.
float tod_next_latent(uint record, uint bit) {
    uint value = tod_bits(record, bit, TOD_BITS);
    uint wide = tod_bits(record, bit + TOD_BITS, TOD_WIDTH_BITS);
    if (wide > 0u) {
        uint fields = wide + tod_length(wide);
        uint header = tod_bits(record, tod_header_bit, fields);
        uint narrow = header >> wide;
        value += (header & ((1u << wide) - 1u)) + tod_bits(record, tod_value_bit, narrow);
        tod_header_bit += fields;
        tod_value_bit += narrow;
    }
    return float(value) * TOD_STEP - 1.0;
}

// Texel (x, y) of the level described at word `level`, into tod_z from `z` on. False where it is not valid.
bool tod_read_level(uint level, uint x, uint y, uint z) {
    uint channels = tod_word(level + 1u);
    uint size_bits = tod_word(level + 2u);
    uint entry = tod_word(tod_word(level + 4u) + (y >> 4u) * tod_word(level + 3u) + (x >> 4u));
    if (entry == 0xFFFFFFFFu) {
        return false;
    }
    uint record = tod_word(level + 5u) + (entry & 0x7FFFFFFFu);
    uint has_flags = entry >> 31u;
    uint block = ((y >> 2u) & 3u) * 4u + ((x >> 2u) & 3u);
    uint place = (y & 3u) * 4u + (x & 3u);

    uint valid = 0xFFFFu; // of the block's texels
    uint block_size = 0u; // bits of one of its texels
    uint blocks = 0u; // that have a header
    uint blocks_before = 0u;
    uint bits_before = 0u;
    for (uint k = 0u; k < 16u; k++) {
        uint flags = 0xFFFFu;
        if (has_flags == 1u) {
            flags = tod_bits(record, 16u * size_bits + 16u * k, 16u);
        }
        uint size = tod_bits(record, k * size_bits, size_bits);
        if (k < block) {
            blocks_before += uint(flags != 0u);
            bits_before += tod_count(flags) * size;
        }
        if (k == block) {
            valid = flags;
            block_size = size;
        }
        blocks += uint(flags != 0u);
    }
    if (((valid >> place) & 1u) == 0u) {
        return false;
    }

    uint entries = 16u * size_bits + 256u * has_flags;
    uint entry_bits = TOD_BITS + TOD_WIDTH_BITS;
    uint header_bits = 0u; // of each block
    for (uint c = 0u; c < channels; c++) {
        uint wide = tod_bits(record, entries + c * entry_bits + TOD_BITS, TOD_WIDTH_BITS);
        header_bits += wide + tod_length(wide);
    }
    uint headers = entries + channels * entry_bits;
    tod_header_bit = headers + blocks_before * header_bits;
    tod_value_bit = headers + blocks * header_bits + bits_before;
    tod_value_bit += tod_count(valid & ((1u << place) - 1u)) * block_size;
    for (uint channel = 0u; channel < channels; channel++) {
        uint part = channel & 3u;
        vec4 unit = vec4(float(part == 0u), float(part == 1u), float(part == 2u), float(part == 3u));
        if (part == 0u) {
            tod_z[z + (channel >> 2u)] = real4(0.0, 0.0, 0.0, 0.0);
        }
        tod_z[z + (channel >> 2u)] += real4(tod_next_latent(record, entries + channel * entry_bits) * unit);
    }
    return true;
}

// Texel (x, y) of the map into tod_z, coarser levels behind the full one. False where it is not valid.
bool tod_read_texel(uint x, uint y) {
    uint z = 0u;
    for (uint k = 0u; k < TOD_LEVELS; k++) {
        uint level = TOD_LEVEL_TABLE + 6u * k;
        uint stride = tod_word(level);
        if (!tod_read_level(level, x / stride, y / stride, z)) {
            return false;
        }
        z += (tod_word(level + 1u) + 3u) / 4u;
    }
    return true;
}
