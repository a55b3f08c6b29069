// F2 of a SIREN: sine layers on [z, features of the hour], a sigmoid, and back to radiance.

// Sets the hour, and its features behind the latents of tod_z: sine and cosine of each harmonic.
void tod_begin(float hour) {
    float turns = tod_set_hour(hour) / 24.0;
    for (uint k = 0u; k < TOD_HARMONICS; k += 2u) {
        float one = turns * float(k + 1u);
        float two = turns * float(k + 2u);
        tod_z[(TOD_LATENTS + 3u) / 4u + (k >> 1u)] = tod_cos_turns(vec4(one - 0.25, one, two - 0.25, two));
    }
}

// Of the latents in tod_z, at the hour of tod_begin.
vec3 tod_colour() {
    tod_hidden();
    vec3 sum = tod_weight(TOD_HEAD).xyz;
    for (uint k = 0u; k < TOD_H4; k++) {
        sum += tod_product(TOD_HEAD + 1u + 4u * k, tod_h[k]).xyz;
    }
    vec3 code = vec3(1.0, 1.0, 1.0) / (vec3(1.0, 1.0, 1.0) + exp(-sum));
    if (TOD_GAMMA != 1.0) {
        code = pow(code, vec3(TOD_GAMMA, TOD_GAMMA, TOD_GAMMA));
    }
    return code * (tod_near + tod_far);
}
