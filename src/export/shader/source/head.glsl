#ifdef VULKAN
#define TOD_BINDING(n) set = 0, binding = n
#else
#define TOD_BINDING(n) binding = n
#endif

layout(std430, TOD_BINDING(0)) readonly buffer TodWords { uint tod_words[]; };
layout(std430, TOD_BINDING(1)) readonly buffer TodWeights { stored4 tod_weights[]; };

uint tod_word(uint i) {
    return tod_words[i];
}

real4 tod_weight(uint i) {
    return load4(tod_weights[i]);
}
