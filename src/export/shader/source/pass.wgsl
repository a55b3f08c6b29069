// Decodes an hour of a lightmap into a texture, a thread to a texel: 1 in alpha where a texel is valid, else all 0.
struct TodPass {
    hour: f32,
    lightmap: u32,
}

@group(0) @binding(2) var tod_target: texture_storage_2d<target_format, write>;
@group(0) @binding(3) var<uniform> tod_pass: TodPass;

@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    textureStore(tod_target, thread.xy, tod_texel(tod_pass.lightmap, thread.x, thread.y, tod_pass.hour));
}
