// cos(2 pi x) within 1e-6 on any GPU: their own cosine may be far off for large arguments.
vec4 tod_cos_turns(vec4 x) {
    vec4 turns = x - floor(x + vec4(0.5, 0.5, 0.5, 0.5));
    vec4 s = turns * turns;
    return TOD_COS_0 + s * (TOD_COS_1 + s * (TOD_COS_2 + s * (TOD_COS_3 + s * (TOD_COS_4 + s * TOD_COS_5))));
}

real4 tod_activation(real4 x) {
    return tod_cos_turns(x);
}

