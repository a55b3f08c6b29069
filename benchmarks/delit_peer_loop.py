"""The usual way to train on pairs of files, for comparison: one item and one step at a time."""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.pair_augmentation import augment
from src.data.portrait.pair_batch import PairBatch, PairPictures, concatenate
from src.losses.delit_loss import DelitLoss, DelitLossOptions
from src.tasks.delit_training import make_model
from src.utils.image_io import read_linear, read_mask


class PlainPairs(Dataset):
    """Pairs of files, read, resized and augmented when they are asked for."""

    def __init__(self, dataset: DelitDataset) -> None:
        self.pairs, self.image_size, self.env_size = dataset.pairs, dataset.image_size, dataset.env_size

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> PairBatch:
        pair, side, (rows, columns) = self.pairs[index], self.image_size, self.env_size
        relit, flat_lit = (
            cv2.resize(read_linear(path), (side, side), interpolation=cv2.INTER_AREA)
            for path in (pair.relit, pair.flat_lit)
        )
        mask = np.ones((side, side), np.float32)
        if pair.mask is not None:
            mask = cv2.resize(read_mask(pair.mask), (side, side), interpolation=cv2.INTER_AREA)
        environment = cv2.resize(read_linear(pair.environment), (columns, rows), interpolation=cv2.INTER_AREA)
        pictures = PairPictures(relit, flat_lit, mask, environment)
        return augment(pictures, np.random.default_rng()).to_batch(pair.name)


def train(
    options: argparse.Namespace, dataset: DelitDataset, device: torch.device, settling_s: float
) -> tuple[int, float]:
    """(images, seconds) of training for ``options.time_budget`` minutes, the first ``settling_s`` left out.

    ``options``: those of train_delit.py, for the same model, loss and optimizer.
    """
    torch.manual_seed(options.seed)
    loader = DataLoader(
        PlainPairs(dataset),
        options.batch_size,
        shuffle=True,
        drop_last=True,
        collate_fn=concatenate,
        num_workers=options.num_workers,
        persistent_workers=True,
    )
    model = make_model(options).to(device)
    loss_of = DelitLoss(DelitLossOptions(), model.codec)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    images, step, start, measured_from = 0, 0, time.monotonic(), None
    with SummaryWriter(str(options.output_dir / "logs")) as writer:
        while True:
            for loaded in loader:
                batch = loaded.to(device)
                loss = loss_of(model(batch.relit), batch)["loss"]
                optimizer.zero_grad()
                loss.backward()
                norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_grad)
                optimizer.step()
                writer.add_scalar("loss", loss.item(), step)
                writer.add_scalar("gradient_norm", norm.item(), step)
                step += 1
                now = time.monotonic()
                if measured_from is not None:
                    images += len(batch)
                elif now - start > settling_s:
                    measured_from = now
                if images and now - start > options.time_budget * 60:
                    return images, now - measured_from
