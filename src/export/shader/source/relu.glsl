real4 tod_activation(real4 x) {
    return max(x, real4(0.0, 0.0, 0.0, 0.0));
}

