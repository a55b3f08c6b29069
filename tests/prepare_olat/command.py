"""The command on a small stage."""

from pathlib import Path

from prepare_olat import main


def run(root: Path, out: Path, *more: str) -> int:
    return main(
        [
            "--olat_root",
            str(root / "olat"),
            "--env_dir",
            str(root / "envs"),
            "--out_root",
            str(out),
            "--workers",
            "1",
            *more,
        ]
    )
