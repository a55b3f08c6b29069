// F2's hidden layers: tod_z becomes tod_h, four outputs at a time.

void tod_hidden() {
    uint i = 0u;
    for (uint k = 0u; k < TOD_H4; k++) {
        real4 sum = tod_weight(i);
        i++;
        for (uint j = 0u; j < TOD_Z4; j++) {
            sum += tod_product(i, tod_z[j]);
            i += 4u;
        }
        tod_h[k] = tod_activation(sum);
    }
    for (uint layer = 1u; layer < TOD_LAYERS; layer++) {
        real4 next[TOD_H4];
        for (uint m = 0u; m < TOD_H4; m++) {
            real4 sum = tod_weight(i);
            i++;
            for (uint n = 0u; n < TOD_H4; n++) {
                sum += tod_product(i, tod_h[n]);
                i += 4u;
            }
            next[m] = tod_activation(sum);
        }
        for (uint q = 0u; q < TOD_H4; q++) {
            tod_h[q] = next[q];
        }
    }
}
