// F2 of a latent grid: [z, hidden layers of z], and a linear map for each baked hour.

void tod_begin(float hour) {
    tod_set_hour(hour);
}

vec3 tod_dots(uint i, real4 features) {
    vec4 x = vec4(features);
    return vec3(dot(vec4(tod_weight(i)), x), dot(vec4(tod_weight(i + 1u)), x), dot(vec4(tod_weight(i + 2u)), x));
}

// What 1.0 stands for is not in it yet.
vec3 tod_at_baked_hour(uint hour) {
    uint i = TOD_HOUR_WEIGHTS + hour * (1u + 3u * (TOD_Z4 + TOD_H4));
    vec3 sum = vec4(tod_weight(i)).xyz;
    i++;
    for (uint k = 0u; k < TOD_Z4; k++) {
        sum += tod_dots(i, tod_z[k]);
        i += 3u;
    }
    for (uint j = 0u; j < TOD_H4; j++) {
        sum += tod_dots(i, tod_h[j]);
        i += 3u;
    }
    return sum;
}

// Of the latents in tod_z, at the hour of tod_begin.
vec3 tod_colour() {
    tod_hidden();
    vec3 sum = tod_near * tod_at_baked_hour(tod_first);
    if (tod_far > 0.0) {
        sum += tod_far * tod_at_baked_hour(tod_second);
    }
    return clamp(sum, vec3(0.0, 0.0, 0.0), vec3(TOD_CEILING, TOD_CEILING, TOD_CEILING));
}
