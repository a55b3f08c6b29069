"""How large a SIREN compressor is by default. Imports nothing that ``--help`` would wait for."""

LATENT_DIM = 32
HIDDEN_F1 = 32
LAYERS_F1 = 4
HIDDEN_F2 = 64
LAYERS_F2 = 4
TIME_HARMONICS = 2
