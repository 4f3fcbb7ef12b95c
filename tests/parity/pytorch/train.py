"""Trains the U-Net of a run on CamVid in plain PyTorch: the same task, written a second time.

    zoo train camvid_unet_small --workdir runs/zoo --data-dir CamVid
    python tests/parity/pytorch/train.py runs/zoo --workdir runs/pytorch --data-dir CamVid
    zoo plot runs/zoo runs/pytorch --out curves.png

Reading, augmentation, class weights, net, initial weights, loss, solver, schedule and scores are
written here from the papers and the recipe's fields, with Pillow, NumPy and PyTorch alone; of the
zoo only the recipe of the run is read. If both curves are alike, then the zoo's loss,
augmentation and solver do what they should; they are not equal, as the random numbers are others.

Needs PyTorch, and the packages of the zoo, from the root of the repository. Writes the recipe,
`log.csv` and `scores.csv` as the zoo does, and prints the scores of "val" and "test" at the end.
"""

import argparse
import csv
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))

from recipes.training import recipe as recipes
from recipes.training.recipe import Recipe
from zoo import workdir as workdirs

CLASSES, VOID = 11, 255
UNLABELLED = 11  # in the files


def files(data_dir: pathlib.Path, split: str) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """The images and masks of a split."""
    images = sorted((data_dir / split).glob("*.png"))
    return [(image, data_dir / f"{split}annot" / image.name) for image in images]


def mask_of(file: pathlib.Path) -> Image.Image:
    """The classes of a mask; void where there is none."""
    mask = np.array(Image.open(file))
    return Image.fromarray(np.where(mask == UNLABELLED, VOID, mask).astype(np.uint8))


class Crops(torch.utils.data.Dataset):
    """Random crops of a run: example `i` belongs to position `i` of all its steps."""

    def __init__(self, pairs: list, recipe: Recipe):
        self.pairs, self.recipe = pairs, recipe
        rng, count = np.random.default_rng(recipe.seed), recipe.steps * recipe.batch_size
        epochs = -(-count // len(pairs))
        self.order = np.concatenate([rng.permutation(len(pairs)) for _ in range(epochs)])[:count]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        image_file, mask_file = self.pairs[self.order[position]]
        image, mask = Image.open(image_file).convert("RGB"), mask_of(mask_file)
        rng, crop = np.random.default_rng((self.recipe.seed, position)), self.recipe.crop
        if "scale" in self.recipe.augment:
            factor = 2 ** rng.uniform(-1, 1)
            size = round(image.width * factor), round(image.height * factor)
            image = image.resize(size, Image.Resampling.BILINEAR)
            mask = mask.resize(size, Image.Resampling.NEAREST)
        image, mask = np.asarray(image), np.asarray(mask)
        short = [(0, max(0, crop - side)) for side in mask.shape]
        image = np.pad(image, (*short, (0, 0)), mode="edge")
        mask = np.pad(mask, short, constant_values=VOID)
        top, left = (rng.integers(side - crop + 1) for side in mask.shape)
        image, mask = (x[top : top + crop, left : left + crop] for x in (image, mask))
        if "flip" in self.recipe.augment and rng.random() < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        image = image.astype(np.float32)
        if "light" in self.recipe.augment:
            image = np.clip(image * rng.uniform(0.7, 1.3) + rng.uniform(-25, 25), 0, 255)
        return image.transpose(2, 0, 1).astype(np.float32).copy(), mask.astype(np.int64)


def balanced_weights(pairs: list) -> torch.Tensor:
    """Median frequency balancing (Badrinarayanan et al., PAMI 2017, Section 4.1)."""
    pixels, around = np.zeros(CLASSES), np.zeros(CLASSES)
    for _, file in pairs:
        mask = np.asarray(mask_of(file))
        counts = np.bincount(mask[mask != VOID], minlength=CLASSES)
        pixels += counts
        around += (counts > 0) * mask.size
    frequency = pixels / around
    return torch.tensor(np.median(frequency) / frequency, dtype=torch.float32)


class UNet(nn.Module):
    """U-Net (MICCAI 2015, Figure 1) whose convolutions pad with zeros; sides are multiples of 16.

    With batch normalization, its convolutions have no bias.
    """

    def __init__(self, *, filters: int, batch_norm: bool = False, dropout: float = 0.5):
        super().__init__()

        def pair(inputs: int, outputs: int) -> nn.Sequential:
            layers = []
            for source in (inputs, outputs):
                layers.append(nn.Conv2d(source, outputs, 3, padding=1, bias=not batch_norm))
                if batch_norm:  # Keras's momentum and epsilon
                    layers.append(nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01))
                layers.append(nn.ReLU())
            return nn.Sequential(*layers)

        widths = [filters * 2**level for level in range(5)]
        self.down = nn.ModuleList(map(pair, [3, *widths], widths))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in pairs)
        self.joined = nn.ModuleList(pair(2 * b, b) for _, b in pairs)
        self.score = nn.Conv2d(filters, CLASSES, 1)
        self.dropout = nn.Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                seen = layer.weight.shape[0 if isinstance(layer, nn.ConvTranspose2d) else 1]
                if isinstance(layer, nn.Conv2d):
                    seen *= math.prod(layer.kernel_size)
                nn.init.normal_(layer.weight, std=math.sqrt(2 / seen))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x, skips = image / 255, []
        for level, stage in enumerate(self.down):
            x = stage(x)
            if level >= 3:
                x = self.dropout(x)
            if level < 4:
                skips.append(x)
                x = functional.max_pool2d(x, 2)
        for up, joined in zip(self.ups, self.joined, strict=True):
            x = joined(torch.cat([skips.pop(), up(x)], 1))
        return self.score(x)


def mean_iou(net: nn.Module, pairs: list) -> dict[str, float]:
    """The four scores of the FCN paper over a split; images are answered whole."""
    matrix = np.zeros((CLASSES, CLASSES))
    net.eval()
    for image_file, mask_file in pairs:
        image = np.asarray(Image.open(image_file).convert("RGB"), np.float32)
        mask = np.asarray(mask_of(mask_file))
        height, width = mask.shape
        pixels = torch.from_numpy(image.transpose(2, 0, 1))[None]
        pixels = functional.pad(pixels, (0, -width % 16, 0, -height % 16))
        with torch.no_grad():
            answer = net(pixels)[0, :, :height, :width].argmax(0).numpy()
        valid = mask != VOID
        places = mask[valid].astype(int) * CLASSES + answer[valid]
        matrix += np.bincount(places, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    net.train()
    right, truth, answers = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    iou = right / np.maximum(truth + answers - right, 1)
    return {
        "pixel_accuracy": right.sum() / matrix.sum(),
        "mean_accuracy": np.mean(right / truth),
        "mean_iou": np.mean(iou),
        "frequency_weighted_iou": (truth * iou).sum() / matrix.sum(),
    }


def train(recipe: Recipe, data_dir: pathlib.Path, workdir: pathlib.Path) -> nn.Module:
    """Trains a net; writes the loss and the scores of "val" as they come."""
    torch.manual_seed(recipe.seed)
    pairs = files(data_dir, "train")
    options = {key: value for key, value in recipe.options.items() if key != "border"}
    net = UNet(**options).to(memory_format=torch.channels_last)
    weights = balanced_weights(pairs) if recipe.class_weights == "balanced" else None
    solver = torch.optim.Adam(net.parameters(), recipe.learning_rate, eps=1e-7)  # Keras's epsilon
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(solver, recipe.steps)
    loader = torch.utils.data.DataLoader(Crops(pairs, recipe), recipe.batch_size, num_workers=1)
    began, losses = time.monotonic(), []
    for step, (image, mask) in enumerate(loader, 1):
        image = image.contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(net(image), mask, weights, ignore_index=VOID)
        solver.zero_grad()
        loss.backward()
        solver.step()
        schedule.step()
        losses.append(loss.item())
        if step % recipe.log_every == 0 or step == recipe.steps:
            seconds = round(time.monotonic() - began, 3)
            add_row(
                workdir / "log.csv", {"step": step, "loss": np.mean(losses), "seconds": seconds}
            )
            losses.clear()
        if recipe.validate_every and step % recipe.validate_every == 0:
            scores = mean_iou(net, files(data_dir, "val"))
            add_row(workdir / "scores.csv", {"step": step, **scores})
            print(f"step {step}: held-out mean IoU {scores['mean_iou']:.4f}", flush=True)
    return net


def add_row(file: pathlib.Path, row: dict[str, float]) -> None:
    """Adds a row to a table; the first one with the names of its columns."""
    begun = file.exists()
    with open(file, "a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, row.keys())
        if not begun:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """Trains and scores a run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=pathlib.Path, help="the workdir of a run of the zoo")
    parser.add_argument("--data-dir", type=pathlib.Path, required=True)
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    recorded = workdirs.read_recipe(given.run)
    if recorded is None:
        parser.error(f"{given.run} is not the workdir of a run: it has no recipe.json")
    recipe = recipes.read(recorded["recipe"])
    if (recipe.model, recipe.data, recipe.options.get("border")) != ("unet", "camvid", "same"):
        parser.error(f"{given.run} is no U-Net on CamVid that pads with zeros")
    torch.set_num_threads(given.threads)
    given.workdir.mkdir(parents=True)
    (given.workdir / workdirs.RECIPE).write_text(json.dumps({"recipe": recorded["recipe"]}))
    net = train(recipe, given.data_dir, given.workdir)
    for split in ("val", "test"):
        print(
            split,
            {name: f"{x:.4f}" for name, x in mean_iou(net, files(given.data_dir, split)).items()},
        )


if __name__ == "__main__":
    main()
