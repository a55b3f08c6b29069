#ifdef TOD_VULKAN // for SPIR-V: Direct3D's compiler knows no such attributes
#define TOD_BINDING(n) [[vk::binding(n, 0)]]
#else
#define TOD_BINDING(n)
#endif

TOD_BINDING(0) StructuredBuffer<uint> tod_words;
TOD_BINDING(1) StructuredBuffer<stored4> tod_weights;

uint tod_word(uint i) {
    return tod_words[i];
}

real4 tod_weight(uint i) {
    return load4(tod_weights[i]);
}
