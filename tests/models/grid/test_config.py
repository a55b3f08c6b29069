from src.models.grid.config import GridConfig
from tests.lightmap_example import HOURS


def test_plain_types_and_back() -> None:
    config = GridConfig(4, 5, HOURS, (6.0,), regions=(("a", 0, 4, 5),), coarse=((2, 3), (4, 8)))
    assert GridConfig.from_dict(config.to_dict()) == config
    assert config.z_dim == 16 + 3 + 8
    before = {name: value for name, value in config.to_dict().items() if name not in ("coarse", "blocks")}
    assert GridConfig.from_dict(before).coarse == () and not GridConfig.from_dict(before).blocks
