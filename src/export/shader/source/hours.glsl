// The two baked hours around a time of day, and what their colours count: the rule of src/utils/hour_interpolation.py.

const float TOD_SNAP = 0.000001; // so close to a baked hour or an event a time is that

private uint tod_first;
private uint tod_second;
private float tod_near; // share of the first hour x its scale
private float tod_far;

float tod_float(uint i) {
    return bits_to_float(tod_word(i));
}

// Any hour, also outside of [0, 24): sets the four above, returns the hour in [0, 24).
float tod_set_hour(float hour) {
    float time = hour - 24.0 * floor(hour / 24.0);
    if (time >= 24.0) { // a division may be rounded either way
        time -= 24.0;
    }
    if (time < 0.0) {
        time += 24.0;
    }
    // Row 0 is the interval around midnight, row k begins at the k-th baked hour. Starts are sums of two floats.
    uint interval = 0u;
    for (uint k = 1u; k <= TOD_HOURS; k++) {
        uint begin = TOD_HOUR_TABLE + 4u * k;
        if ((time - tod_float(begin)) - tod_float(begin + 1u) >= -TOD_SNAP) {
            interval = k;
        }
    }
    uint row = TOD_HOUR_TABLE + 4u * interval;
    float offset = (time - tod_float(row)) - tod_float(row + 1u);
    if (abs(offset) < 2.0 * TOD_SNAP) {
        offset = 0.0;
    }
    float share = clamp(offset / tod_float(row + 2u), 0.0, 1.0);
    float event = tod_float(row + 3u); // from the start; negative: none
    if (event >= 0.0) {
        share = 0.0;
        if (offset - event > -TOD_SNAP && offset > 0.0) {
            share = 1.0;
        }
    }
    tod_first = (interval + TOD_HOURS - 1u) % TOD_HOURS;
    tod_second = interval % TOD_HOURS;
    tod_near = (1.0 - share) * tod_float(TOD_SCALE_TABLE + tod_first);
    tod_far = share * tod_float(TOD_SCALE_TABLE + tod_second);
    return time;
}
