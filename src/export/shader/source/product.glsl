private real4 tod_h[TOD_H4];

real4 tod_product(uint i, real4 x) {
    return tod_weight(i) * x.x + tod_weight(i + 1u) * x.y + tod_weight(i + 2u) * x.z + tod_weight(i + 3u) * x.w;
}
