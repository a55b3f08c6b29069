// Decodes an hour of a lightmap into a texture, a thread to a texel: 1 in alpha where a texel is valid, else all 0.
layout(local_size_x = 8, local_size_y = 8) in;
layout(TOD_BINDING(2), target_format) writeonly uniform image2D tod_target;
layout(std140, TOD_BINDING(3)) uniform TodPass {
    float tod_hour;
    uint tod_lightmap;
};

void main() {
    uvec2 texel = gl_GlobalInvocationID.xy;
    imageStore(tod_target, ivec2(texel), tod_texel(tod_lightmap, texel.x, texel.y, tod_hour));
}
