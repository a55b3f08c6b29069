// Decodes an hour of a lightmap into a texture, a thread to a texel: 1 in alpha where a texel is valid, else all 0.
TOD_BINDING(2) RWTexture2D<float4> tod_target;
TOD_BINDING(3) cbuffer TodPass {
    float tod_hour;
    uint tod_lightmap;
};

[numthreads(8, 8, 1)]
void main(uint3 thread : SV_DispatchThreadID) {
    tod_target[thread.xy] = tod_texel(tod_lightmap, thread.x, thread.y, tod_hour);
}
