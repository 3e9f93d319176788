"""Images that cost nothing to get, and the settings of a run on them."""

import torch
from torch.utils.data import Dataset

BATCH = 128
IMAGES = 60_000


class RandomImages(Dataset):
    """As many 28x28 images as MNIST has, of random pixels: speed does not depend on what they show."""

    def __init__(self, root: str, train: bool = True, download: bool = False) -> None:
        generator = torch.Generator().manual_seed(0)
        n = IMAGES if train else 1000
        self.data = torch.randint(0, 256, (n, 28, 28), dtype=torch.uint8, generator=generator)
        self.targets = torch.randint(0, 10, (n,), generator=generator)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[object, int]:
        from torchvision.transforms.functional import to_pil_image

        return to_pil_image(self.data[index]), int(self.targets[index])


def settings(network: str) -> list[str]:
    """Overrides of a training on these images, everything else as a user finds it."""
    return [
        "data=mnist",
        "data.train._target_=benchmarks.images.RandomImages",
        "data.test._target_=benchmarks.images.RandomImages",
        f"data.batch_size={BATCH}",
        f"model/network={network}",
        "model.latent_dim=20",
        f"trainer={'gpu' if torch.cuda.is_available() else 'cpu'}",
        "trainer.limit_val_batches=0",
    ]
