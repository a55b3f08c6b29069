@group(0) @binding(0) var<storage, read> tod_words: array<u32>;
@group(0) @binding(1) var<storage, read> tod_weights: array<stored4>;

fn tod_word(i: u32) -> u32 {
    return tod_words[i];
}

fn tod_weight(i: u32) -> real4 {
    return load4(tod_weights[i]);
}
